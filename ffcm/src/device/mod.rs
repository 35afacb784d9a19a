//! What backends on devices share: how jobs are cut into batches that fit a device, and how their data is laid out there.
//!
//! Nothing here knows of any graphics API. What a device has to be told beyond this, and the layouts that only one kind
//! of kernel reads, are its backend's.

pub mod hash;
pub mod memory;
