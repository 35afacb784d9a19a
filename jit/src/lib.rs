//! Fuse and render kernels.
