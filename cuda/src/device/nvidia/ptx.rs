//! Kernels as assembly that comes with this crate, for machines that have a driver and no compiler.
//!
//! `cargo xtask codegen` renders them with the compiler's version [`NVRTC_VERSION`]. Each file
//! begins with the digest of what it was made from, so that one that is stale is noticed without a
//! compiler.

use super::compile::{self, MIN_CAPABILITY, Nvrtc, Target};
use crate::device::{CudaError, Source};
use crate::kernels::generated::PTX;

/// What the assembly is rendered with. Its version of PTX, 9.0, is read by drivers from
/// [`MIN_DRIVER`] on.
pub const NVRTC_VERSION: (u32, u32) = (13, 0);

/// The least version of a driver that reads the assembly, as the driver numbers them: 13.0, which
/// is NVIDIA's 580.
pub const MIN_DRIVER: i32 = 13_000;

/// What it is rendered for. The driver translates it for newer devices.
pub const TARGET: Target = Target::Ptx(MIN_CAPABILITY);

/// The name of a unit's file, without its ending: the unit's name and macros, in letters that every
/// file system has.
pub fn stem(source: &Source) -> String {
    let mut stem = source.name.to_string();
    for (name, value) in source.defines {
        stem.push_str(&format!("-{name}-{value}"));
    }
    stem.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect::<String>()
        .to_ascii_lowercase()
}

/// The first two lines of a unit's file.
fn head(source: &Source) -> Result<String, CudaError> {
    let (major, minor) = NVRTC_VERSION;
    let digest = compile::digest(source, TARGET)?.to_hex();
    Ok(format!(
        "// Rendered by `cargo xtask codegen` with NVRTC {major}.{minor}. Do not edit.\n// {digest}\n"
    ))
}

/// The text of a unit's file.
///
/// # Errors
/// If the compiler is of another version, or the unit does not compile.
pub fn render(nvrtc: &Nvrtc, source: &Source) -> Result<String, CudaError> {
    let failed = |message: String| CudaError::Kernel {
        kernel: source.name.into(),
        message,
    };
    if nvrtc.version() != NVRTC_VERSION {
        let ((major, minor), (own, of_own)) = (NVRTC_VERSION, nvrtc.version());
        return Err(failed(format!(
            "rendered with NVRTC {major}.{minor}, this is {own}.{of_own}"
        )));
    }
    let compiled = compile::compile(nvrtc, source, TARGET)?;
    let text = String::from_utf8(compiled.image).map_err(|error| failed(error.to_string()))?;
    Ok(head(source)? + text.trim_end_matches('\0'))
}

/// The file that lists all, for units in this order.
pub fn render_table(sources: &[Source]) -> String {
    let mut text = String::from(
        "//! The kernels as assembly. Rendered by `cargo xtask codegen`. Do not edit.\n\n\
        /// Stem and text of each file.\npub(crate) const PTX: &[(&str, &str)] = &[\n",
    );
    for source in sources {
        let stem = stem(source);
        text.push_str(&format!(
            "    (\"{stem}\", include_str!(\"ptx/{stem}.ptx\")),\n"
        ));
    }
    text + "];\n"
}

/// The files that come with this crate: stem and text.
pub fn files() -> &'static [(&'static str, &'static str)] {
    PTX
}

/// A unit's file, if there is one made from what the unit is now.
///
/// # Errors
/// If there is none, or a stale one.
pub fn shipped(source: &Source) -> Result<&'static str, CudaError> {
    let failed = |message: &str| CudaError::Kernel {
        kernel: source.name.into(),
        message: message.into(),
    };
    let stem = stem(source);
    let found = PTX.iter().find(|(name, _)| *name == stem);
    let (_, text) = found.ok_or_else(|| failed("no PTX of it comes with this program"))?;
    if !text.starts_with(&head(source)?) {
        return Err(failed(
            "the PTX that comes with this program is stale: run `cargo xtask codegen`",
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = Source {
        name: "part/stem_name",
        text: "",
        entries: &[],
        defines: &[("LANES", "8"), ("WIDE", "(1 << 2)")],
    };

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(stem(&SOURCE), "part-stem-name-lanes-8-wide--1----2-");
        let plain = Source {
            defines: &[],
            ..SOURCE
        };
        assert_eq!(stem(&plain), "part-stem-name");
        let table = render_table(&[plain]);
        let line = "    (\"part-stem-name\", include_str!(\"ptx/part-stem-name.ptx\")),\n";
        assert!(table.contains(line), "{table}");
    }

    #[test]
    fn a_unit_without_a_file_is_an_error() {
        let error = shipped(&SOURCE).unwrap_err();
        assert!(error.to_string().contains("no PTX of it"), "{error}");
    }
}
