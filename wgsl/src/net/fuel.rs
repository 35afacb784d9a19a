//! How long one invocation may loop.
//!
//! Some drivers stop the loops of an invocation, silently, once they have made a fixed number of trips in sum. The number
//! is found by trying; kernels count their trips and stay below.

use std::sync::Arc;

use super::sources;
use crate::device::{Gpu, GpuError, Groups};

/// Trips that are tried, outer and inner.
const TRIED: [u32; 2] = [512, 256];
/// With less the kernels get nothing done.
const LEAST: u32 = 8192;

/// Trips that all loops of an invocation may make in one dispatch. Also bounds how long a dispatch takes.
pub(super) fn probe(gpu: &Arc<Gpu>) -> Result<u32, GpuError> {
    let kernel = gpu.kernel(&sources::probe())?;
    let data = gpu.buffer_of("net.probe", &[TRIED[0], TRIED[1], 0, 0])?;
    let bound = gpu.bind(&kernel, &[(&data).into()])?;
    let mut commands = gpu.commands("net.probe");
    commands.dispatch(&bound, Groups::Count(1));
    let made = commands.submit_and_read(&data, 2, 1)?[0];
    let all = TRIED[0] * TRIED[1];
    let fuel = if made >= all { all } else { made / 4 * 3 };
    tracing::debug!(made, fuel, "trips of loops in one invocation");
    if fuel < LEAST {
        return Err(GpuError::Driver {
            message: format!("loops of a kernel stop after {made} trips"),
        });
    }
    Ok(fuel)
}
