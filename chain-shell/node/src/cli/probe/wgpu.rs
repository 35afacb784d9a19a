//! Trying every adapter of WebGPU.

use ffcm_wgsl::WgpuCoprocessor;
use ffcm_wgsl::device::{AdapterSummary, INSTALL_HINT, Options, adapters};

use super::device::{Device, Missing, Unit};
use super::{Backend, State};

/// Every adapter, or what to install.
pub(crate) fn wgpu() -> Vec<Backend> {
    let found: Vec<Backend> = adapters().into_iter().map(adapter).collect();
    if !found.is_empty() {
        return found;
    }
    let detail = "no GPU adapter was found".to_owned();
    let mut backend = Backend::without_device("wgpu", State::Absent, detail);
    backend.missing.push(Missing {
        what: "driver",
        detail: "none shows an adapter".into(),
        hint: INSTALL_HINT.into(),
    });
    vec![backend]
}

fn adapter(adapter: AdapterSummary) -> Backend {
    let options = Options {
        adapter: Some(adapter.index),
        ..Options::default()
    };
    let device = Device {
        index: adapter.index,
        name: adapter.name,
        driver: adapter.driver,
        interface: adapter.interface,
        kind: adapter.kind,
        limits: adapter.limits,
        facts: vec![("timestamps", adapter.timestamps.into())],
    };
    Backend::of_device(
        format!("wgpu:{}", device.index),
        device,
        adapter.refused,
        || WgpuCoprocessor::open(&options),
        units,
    )
}

fn units(device: &WgpuCoprocessor) -> Vec<Unit> {
    let times = device.gpu().compile_times().into_iter();
    let unit = |(name, time): (&str, _)| Unit {
        name: name.to_owned(),
        time,
        kernels: Vec::new(),
    };
    times.map(unit).collect()
}
