//! Trying every device of CUDA.

use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::compile::Nvrtc;
use ffcm_cuda::device::{CudaDevice, CudaError, DeviceSummary, Options, devices, ptx};

use super::device::{Device, Kernel, Missing, Unit};
use super::{Backend, State};
use crate::cli::failure::one_line;

const NO_DEVICE_HINT: &str =
    "`nvidia-smi` lists what the driver serves; a container has to be given its devices";

/// Every device, or what is missing.
pub(crate) fn cuda() -> Vec<Backend> {
    match devices() {
        Ok(found) if !found.is_empty() => found.into_iter().map(device).collect(),
        Ok(_) => vec![absent(&CudaError::NoDevice {
            message: "its list is empty".into(),
        })],
        Err(error) => vec![absent(&error)],
    }
}

/// What a machine without a device lacks.
fn absent(error: &CudaError) -> Backend {
    let (state, detail, missing) = match error {
        CudaError::NoDriver { hint } => (
            State::Absent,
            "no CUDA driver was found",
            Missing {
                what: "driver",
                detail: "none is installed".into(),
                hint: (*hint).to_owned(),
            },
        ),
        CudaError::DriverTooOld { has, needs } => (
            State::Refused,
            "the CUDA driver is too old",
            Missing {
                what: "driver",
                detail: format!("version {has}, at least {needs} is needed"),
                hint: "update NVIDIA's display driver".into(),
            },
        ),
        CudaError::NoDevice { message } => (
            State::Absent,
            "the CUDA driver finds no device",
            Missing {
                what: "device",
                detail: one_line(message),
                hint: NO_DEVICE_HINT.into(),
            },
        ),
        other => {
            let detail = one_line(&other.to_string());
            return Backend::without_device("cuda", State::Failed, detail);
        }
    };
    let mut backend = Backend::without_device("cuda", state, detail.to_owned());
    backend.missing.push(missing);
    backend.missing.extend(compiler().err());
    backend
}

/// The compiler of kernels, in words, or what is there in its place.
fn compiler() -> Result<String, Missing> {
    match Nvrtc::find() {
        Ok(nvrtc) => {
            let (major, minor) = nvrtc.version();
            Ok(format!("NVRTC {major}.{minor}, {}", nvrtc.path().display()))
        }
        Err(error) => {
            let units = ffcm_cuda::kernels::all();
            let shipped = units.iter().filter(|unit| ptx::shipped(unit).is_ok());
            Err(Missing {
                what: "compiler",
                detail: format!(
                    "kernels are not compiled here; {} of {} units come as PTX with this program",
                    shipped.count(),
                    units.len()
                ),
                hint: one_line(&error.to_string()),
            })
        }
    }
}

fn device(found: CudaDevice) -> Backend {
    let options = Options {
        device: Some(found.index),
        ..Options::default()
    };
    let (compiler, missing) = match compiler() {
        Ok(compiler) => (compiler, None),
        Err(missing) => ("none".to_owned(), Some(missing)),
    };
    let mut backend = Backend::of_device(
        format!("cuda:{}", found.index),
        shown(found.index, found.summary, compiler),
        found.refused,
        || CudaCoprocessor::open(&options),
        units,
    );
    backend.missing.extend(missing);
    backend
}

fn shown(index: u32, summary: DeviceSummary, compiler: String) -> Device {
    let (major, minor) = summary.capability;
    Device {
        index,
        name: summary.name,
        driver: summary.driver,
        interface: "CUDA".into(),
        kind: "GPU",
        limits: vec![
            ("multiprocessors", summary.multiprocessors.into()),
            ("memory", summary.memory),
            ("l2", summary.l2),
            ("sharedPerBlock", summary.shared_per_block.into()),
            (
                "threadsPerMultiprocessor",
                summary.threads_per_multiprocessor.into(),
            ),
        ],
        facts: vec![
            ("capability", format!("{major}.{minor}").into()),
            ("cooperative", summary.cooperative.into()),
            ("compiler", compiler.into()),
        ],
    }
}

/// Each unit with its kernels.
fn units(device: &CudaCoprocessor) -> Vec<Unit> {
    let loaded = device.gpu().loaded();
    let of = |unit: &str| -> Vec<Kernel> {
        let kernels = loaded.iter().filter_map(|kernel| {
            let entry = kernel.name().strip_prefix(unit)?.strip_prefix(':')?;
            let resources = kernel.resources();
            Some(Kernel {
                name: entry.to_owned(),
                registers: resources.registers,
                local: resources.local_bytes,
                shared: resources.shared_bytes,
                threads: resources.max_threads,
            })
        });
        kernels.collect()
    };
    let times = device.gpu().compile_times().into_iter();
    let unit = |(name, time): (&str, _)| Unit {
        name: name.to_owned(),
        time,
        kernels: of(name),
    };
    times.map(unit).collect()
}

#[cfg(test)]
mod tests {
    use ffcm_cuda::device::shim::{self, ShimOptions};

    use super::*;

    #[test]
    fn what_is_missing_is_told_apart_from_what_fails() {
        let none = absent(&CudaError::NoDriver {
            hint: "install one",
        });
        assert_eq!(none.state, State::Absent);
        assert_eq!(none.to_json()["missing"][0]["what"], "driver");
        let text = none.to_text();
        assert!(
            text.contains("  missing    driver: none is installed; install one\n"),
            "{text}"
        );
        let none = absent(&CudaError::NoDevice {
            message: "nothing\nhere".into(),
        });
        assert_eq!(none.to_json()["missing"][0]["detail"], "nothing here");
        let old = absent(&CudaError::DriverTooOld {
            has: "11.4".into(),
            needs: "12.0".into(),
        });
        assert_eq!(old.state, State::Refused);
        let detail = &old.to_json()["missing"][0]["detail"];
        assert_eq!(detail, "version 11.4, at least 12.0 is needed");
        let failed = absent(&CudaError::Driver {
            message: "odd".into(),
        });
        assert_eq!(failed.state, State::Failed);
        assert_eq!(failed.to_json()["missing"], serde_json::json!([]));
    }

    #[test]
    fn a_device_shows_its_limits_digests_and_what_kernels_take() {
        let gpu = shim::open(&ShimOptions::default()).unwrap();
        let device = shown(0, gpu.summary().clone(), "none".into());
        let open = || Ok(CudaCoprocessor::on(gpu));
        let backend = Backend::of_device("cuda:0".into(), device, None::<CudaError>, open, units);
        assert_eq!(backend.state, State::Ready, "{}", backend.detail);
        let value = backend.to_json();
        let adapter = &value["adapter"];
        assert_eq!(adapter["compiler"], "none");
        assert!(adapter["limits"]["multiprocessors"].as_u64().unwrap() > 0);
        let jobs = value["self_test"].as_array().unwrap();
        assert!(jobs.len() == 4 && jobs.iter().all(|job| job["passed"] == true));
        let units = value["kernels"].as_array().unwrap();
        for part in ["net/", "focus/", "memory/", "hash/"] {
            let is_part =
                |unit: &&serde_json::Value| unit["kernel"].as_str().unwrap().starts_with(part);
            let unit = units.iter().find(is_part).unwrap();
            let entry = &unit["entries"][0];
            assert!(entry["max_threads"].as_u64().unwrap() > 0, "{unit:#}");
            let line = format!("  entry      {} ", entry["entry"].as_str().unwrap());
            assert!(backend.to_text().contains(&line), "{}", backend.to_text());
        }
    }
}
