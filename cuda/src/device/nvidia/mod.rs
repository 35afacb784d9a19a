//! NVIDIA's driver, opened when asked for.

pub mod compile;
mod nvrtc;

use std::sync::Arc;

use super::{CudaError, DeviceSummary, Driver};

/// What to do where there is none.
const HINT: &str = "libcuda.so.1 is not there; it comes with NVIDIA's display driver";

/// A device in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaDevice {
    /// As the driver numbers it.
    pub index: u32,
    /// What it is.
    pub summary: DeviceSummary,
    /// Why it cannot serve, if so.
    pub refused: Option<CudaError>,
}

/// The devices of this machine.
pub fn devices() -> Result<Vec<CudaDevice>, CudaError> {
    Err(CudaError::NoDriver { hint: HINT })
}

/// Opens one.
pub(super) fn open(_index: Option<u32>) -> Result<Arc<dyn Driver>, CudaError> {
    Err(CudaError::NoDriver { hint: HINT })
}
