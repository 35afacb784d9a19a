//! What a device loads for a unit: from the cache, from the compiler, or as it came with this
//! crate.

use std::sync::OnceLock;

use super::cache::Cache;
use super::compile::{self, MIN_CAPABILITY, NVRTC_VARIABLE, Nvrtc, Target};
use super::raw::version_text;
use super::{ptx, raw};
use crate::device::{CudaError, Source};

/// Where images for one device come from.
#[derive(Debug)]
pub struct Images {
    capability: u32,
    driver: i32,
    cache: Option<Cache>,
}

/// An image, and in words where it is from.
pub struct Image {
    /// For the driver.
    pub bytes: Vec<u8>,
    /// For messages.
    pub origin: String,
}

impl Images {
    /// For a device of this capability (75 is 7.5) and a driver of this version.
    pub fn new(capability: u32, driver: i32, cache: Option<Cache>) -> Images {
        debug_assert!(driver >= raw::MIN_DRIVER);
        Images {
            capability,
            driver,
            cache,
        }
    }

    /// The image of a unit.
    pub fn of(&self, source: &Source) -> Result<Image, CudaError> {
        let nvrtc = match compiler(self.driver) {
            Ok(nvrtc) => nvrtc,
            Err(error) => return self.shipped(source, &error.to_string()),
        };
        match target(nvrtc.architectures(), self.capability) {
            Some(target) if reads(self.driver, nvrtc.version(), target) => {
                self.compiled(nvrtc, source, target)
            }
            Some(_) => {
                let (major, minor) = nvrtc.version();
                let driver = version_text(self.driver);
                let reason = format!(
                    "NVRTC {major}.{minor} is too new for a driver for CUDA {driver}; {NVRTC_VARIABLE} can name another"
                );
                self.shipped(source, &reason)
            }
            None => self.shipped(source, "NVRTC knows no architecture of this device"),
        }
    }

    fn compiled(&self, nvrtc: &Nvrtc, source: &Source, target: Target) -> Result<Image, CudaError> {
        let (major, minor) = nvrtc.version();
        let driver = version_text(self.driver);
        let architecture = target.architecture();
        let origin =
            format!("{architecture} of NVRTC {major}.{minor} with a driver for CUDA {driver}");
        let key = key(source, target, nvrtc.version(), self.driver)?;
        if let Some(bytes) = self.cache.as_ref().and_then(|cache| cache.get(&key)) {
            tracing::debug!(unit = source.name, %origin, "from the cache");
            return Ok(Image { bytes, origin });
        }
        let compiled = compile::compile(nvrtc, source, target)?;
        tracing::debug!(unit = source.name, %origin, log = compiled.log, "compiled");
        if let Some(cache) = &self.cache {
            cache.put(&key, &compiled.image);
        }
        Ok(Image {
            bytes: compiled.image,
            origin,
        })
    }

    /// The assembly that came with this crate, which is used for this reason.
    fn shipped(&self, source: &Source, reason: &str) -> Result<Image, CudaError> {
        let failed = |message: String| CudaError::Kernel {
            kernel: source.name.into(),
            message,
        };
        let text = ptx::shipped(source).map_err(|error| match error {
            CudaError::Kernel { message, .. } => failed(format!("{reason}; {message}")),
            other => other,
        })?;
        tracing::debug!(unit = source.name, reason, "PTX of this program");
        Ok(Image {
            bytes: [text.as_bytes(), b"\0"].concat(),
            origin: format!("PTX of this program ({reason})"),
        })
    }
}

/// The major version of a driver, as it numbers them: 13000 is 13.0.
fn driver_major(driver: i32) -> u32 {
    u32::try_from(driver / 1000).unwrap_or(0)
}

/// Whether a driver reads what a compiler of this version makes: binaries of its own major version,
/// assembly of its own version, and what is older.
fn reads(driver: i32, nvrtc: (u32, u32), target: Target) -> bool {
    let minor = u32::try_from(driver % 1000 / 10).unwrap_or(0);
    match target {
        Target::Cubin(_) => nvrtc.0 <= driver_major(driver),
        Target::Ptx(_) => nvrtc <= (driver_major(driver), minor),
    }
}

/// The process's compiler, looked for once, for its driver, and kept: it does not like to be
/// unloaded.
fn compiler(driver: i32) -> Result<&'static Nvrtc, &'static CudaError> {
    static NVRTC: OnceLock<Result<Nvrtc, CudaError>> = OnceLock::new();
    NVRTC
        .get_or_init(|| Nvrtc::find_for(driver_major(driver)))
        .as_ref()
}

/// Code of the device's own architecture if the compiler knows it, else assembly of the newest one
/// before it.
fn target(known: &[u32], capability: u32) -> Option<Target> {
    if known.contains(&capability) {
        return Some(Target::Cubin(capability));
    }
    let older = known.iter().copied().filter(|&one| one < capability);
    let newest = older.max().filter(|&one| one >= MIN_CAPABILITY)?;
    Some(Target::Ptx(newest))
}

fn key(
    source: &Source,
    target: Target,
    nvrtc: (u32, u32),
    driver: i32,
) -> Result<blake3::Hash, CudaError> {
    let mut hasher = blake3::Hasher::new_keyed(compile::digest(source, target)?.as_bytes());
    hasher.update(&nvrtc.0.to_le_bytes());
    hasher.update(&nvrtc.1.to_le_bytes());
    hasher.update(&driver.to_le_bytes());
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = Source {
        name: "a",
        text: "",
        entries: &[],
        defines: &[],
    };

    #[test]
    fn the_devices_own_architecture_is_taken_where_it_is_known() {
        let known = [75, 80, 90, 100];
        assert_eq!(target(&known, 90), Some(Target::Cubin(90)));
        assert_eq!(target(&known, 89), Some(Target::Ptx(80)));
        assert_eq!(target(&known, 121), Some(Target::Ptx(100)));
        assert_eq!(target(&[90, 100], 80), None);
        assert_eq!(target(&[50, 70], 80), None);
        assert_eq!(target(&[], 80), None);
    }

    #[test]
    fn the_key_changes_with_compiler_driver_and_target() {
        let of = |target, nvrtc, driver| key(&SOURCE, target, nvrtc, driver).unwrap();
        let base = of(Target::Cubin(90), (13, 0), 13_000);
        assert_eq!(base, of(Target::Cubin(90), (13, 0), 13_000));
        assert_ne!(base, of(Target::Cubin(80), (13, 0), 13_000));
        assert_ne!(base, of(Target::Ptx(90), (13, 0), 13_000));
        assert_ne!(base, of(Target::Cubin(90), (13, 1), 13_000));
        assert_ne!(base, of(Target::Cubin(90), (12, 0), 13_000));
        assert_ne!(base, of(Target::Cubin(90), (13, 0), 13_010));
    }

    #[test]
    fn drivers_read_what_is_no_newer_than_they_are() {
        let (cubin, ptx) = (Target::Cubin(90), Target::Ptx(90));
        assert!(reads(13_000, (13, 0), ptx) && reads(13_000, (12, 9), ptx));
        assert!(reads(12_080, (12, 9), cubin) && !reads(12_080, (12, 9), ptx));
        assert!(reads(13_000, (13, 2), cubin) && !reads(13_000, (13, 2), ptx));
        assert!(!reads(12_080, (13, 0), cubin) && !reads(12_080, (13, 0), ptx));
    }

    #[test]
    fn without_a_compiler_a_missing_file_is_named() {
        let images = Images::new(75, raw::MIN_DRIVER, None);
        match images.shipped(&SOURCE, "no NVRTC") {
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("no NVRTC; no PTX of it"), "{error}");
            }
            Ok(image) => panic!("{}", image.origin),
        }
    }
}
