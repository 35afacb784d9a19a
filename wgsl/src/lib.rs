//! Run the machine on WebGPU.
