//! NVIDIA's driver, opened when asked for.
//!
//! `raw` is the table of its functions, `context` calls them, `driver` does with them what the
//! crate's engines want. `image` gets what is loaded: from `cache`, from the compiler (`compile`,
//! `nvrtc`), or from the assembly that comes with this crate (`ptx`).

mod cache;
pub mod compile;
mod context;
mod cubin;
mod driver;
mod image;
mod list;
mod nvrtc;
pub mod ptx;
mod raw;
mod staging;
mod status;

pub use list::{CudaDevice, devices};

pub(super) use driver::open;
