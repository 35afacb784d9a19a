//! How long one invocation may loop, and how much is submitted at a time.
//!
//! Some drivers stop the loops of an invocation, silently, once they have made a fixed number of trips in sum. The number
//! is found by trying; kernels count their trips and stay below. Where there is no such number, a lane that is alone with
//! a deep, narrow net may go on for as long as a dispatch should take.

use std::sync::Arc;
use std::time::Duration;

use super::sources;
use crate::device::{Gpu, GpuError, Groups};

/// Trips that are tried, outer and inner: first a few, then as many as are ever made.
const TRIED: [[u32; 2]; 2] = [[512, 256], [4096, 1024]];
/// Trips that a lane may make in the first dispatches of a reduction.
pub(super) const FIRST: u32 = TRIED[0][0] * TRIED[0][1];
/// With less the kernels get nothing done.
const LEAST: u32 = 8192;

/// Some time in which a round should end where a processor does the work: nothing watches it, and it is slow.
pub(super) const ROUND_ON_PROCESSOR: Duration = Duration::from_secs(2);

/// Most trips that all loops of an invocation may make in one dispatch.
pub(super) fn probe(gpu: &Arc<Gpu>) -> Result<u32, GpuError> {
    let kernel = gpu.kernel(&sources::probe())?;
    let data = gpu.buffer("net.probe", 4)?;
    let bound = gpu.bind(&kernel, &[(&data).into()])?;
    let mut fuel = 0;
    for [outer, inner] in TRIED {
        gpu.upload(&data, 0, &[outer, inner, 0, 0])?;
        let mut commands = gpu.commands("net.probe");
        commands.dispatch(&bound, Groups::Count(1));
        let made = commands.submit_and_read(&data, 2, 1)?[0];
        tracing::debug!(made, of = outer * inner, "trips of loops in one invocation");
        if made != outer * inner {
            fuel = fuel.max(made.min(outer * inner) / 4 * 3);
            break;
        }
        fuel = made;
    }
    if fuel < LEAST {
        return Err(GpuError::Driver {
            message: format!("loops of a kernel are stopped early: {fuel} trips are safe"),
        });
    }
    Ok(fuel)
}
