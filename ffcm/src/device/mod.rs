//! What backends on devices share: how jobs lie in device memory, and how results are read back with nothing of them
//! taken on trust. Nothing here knows any API of a device.

pub mod focus;
pub mod net;
