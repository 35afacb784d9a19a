//! Run the machine on CUDA.
