//! Run one node.
