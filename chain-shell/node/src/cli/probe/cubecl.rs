//! Trying every adapter through cubecl.

use ffcm::coprocessor::Provider;
use ffcm_cubecl::{CubeclCoprocessor, CubeclProvider, DeviceError};
use ffcm_wgsl::device::{AdapterSummary, adapters};

use super::Backend;
use super::device::Device;

/// Every adapter, by the numbers that it has for WebGPU too; where there is none, those lines say so.
pub(crate) fn cubecl() -> Vec<Backend> {
    let found = CubeclProvider.devices().into_iter().zip(adapters());
    found
        .map(|(device, adapter)| tried(adapter, device.refused))
        .collect()
}

fn tried(adapter: AdapterSummary, refused: Option<String>) -> Backend {
    let index = adapter.index;
    let refused = refused.map(|reason| DeviceError::Refused {
        adapter: adapter.name.clone(),
        reason,
    });
    let device = Device {
        index,
        name: adapter.name,
        driver: adapter.driver,
        interface: adapter.interface,
        kind: adapter.kind,
        limits: adapter.limits,
        facts: vec![("jobs", CubeclProvider.jobs().join(", ").into())],
    };
    Backend::of_partial(
        format!("cubecl:{index}"),
        device,
        refused,
        CubeclProvider.jobs(),
        || CubeclCoprocessor::open(Some(index)),
        |_| Vec::new(),
    )
}
