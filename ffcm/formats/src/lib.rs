//! Read graphs from files.
