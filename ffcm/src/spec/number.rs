//! Numbers: the kinds a NUM term carries, and one exact operation for each operator on each kind.
