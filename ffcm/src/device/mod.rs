//! What backends on devices share: how jobs are cut into parts that fit a device and lie in its memory, and how results
//! are read back with nothing of them taken on trust. Nothing here knows any API of a device.

pub mod focus;
pub mod hash;
pub mod memory;
pub mod meter;
pub mod net;
