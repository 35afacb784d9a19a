//! Run guest code within limits.
