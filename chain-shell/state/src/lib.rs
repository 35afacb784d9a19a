//! Commit state under one root.
