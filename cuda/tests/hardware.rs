//! The suites every backend passes, on every CUDA device of this machine that can serve. Where
//! there is none, a line says so.

use ffcm::conformance::{Suite, check};
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::{CudaError, Options, devices};

/// Begins the line that says that nothing ran.
const NOT_RUN: &str = "CUDA on hardware: NOT RUN";

#[test]
fn conformance_on_every_device() {
    let found = match devices() {
        Ok(found) => found,
        // That there is nothing is no failure; that something is there and does not work is.
        Err(error @ (CudaError::NoDriver { .. } | CudaError::NoDevice { .. })) => {
            println!("{NOT_RUN} ({error})");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut served = false;
    for device in found {
        let name = &device.summary.name;
        if let Some(error) = device.refused {
            println!("cuda:{} {name} cannot serve: {error}", device.index);
            continue;
        }
        served = true;
        println!(
            "device cuda:{} {name}, driver {}",
            device.index, device.summary.driver
        );
        let options = Options {
            device: Some(device.index),
            ..Options::default()
        };
        let open = CudaCoprocessor::open(&options).expect("it can serve");
        for suite in Suite::ALL {
            check(suite, &open);
        }
    }
    if !served {
        println!("{NOT_RUN} (no device can serve)");
    }
}
