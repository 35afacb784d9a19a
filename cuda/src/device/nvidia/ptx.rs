//! Kernels as assembly that comes with this crate, for machines that have a driver and no compiler.
//!
//! `cargo xtask codegen` renders them with the compiler's version [`NVRTC_VERSION`]. Each file
//! begins with the digest of what it was made from, so that one that is stale is noticed without a
//! compiler.

use super::compile::{self, MIN_CAPABILITY, Nvrtc, Target};
use crate::device::{CudaError, Source};
use crate::kernels::generated::PTX;

/// What the assembly is rendered with.
pub const NVRTC_VERSION: (u32, u32) = (13, 0);

/// The version of PTX that the assembly is declared as, which the oldest driver reads that this crate
/// works with: that of CUDA 12.0. The compiler declares its own, of which the kernels use nothing but
/// the hint [`HINT`].
const PTX_VERSION: &str = "8.0";

/// A hint which bytes of a load are used. It is newer than [`PTX_VERSION`], so it is left out.
const HINT: &str = ".pragma \"used_bytes_mask ";

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
    Ok(head(source)? + &declared(text.trim_end_matches('\0')))
}

/// The assembly, declared as [`PTX_VERSION`].
fn declared(text: &str) -> String {
    let mut declared = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with(".version ") {
            declared.push_str(&format!(".version {PTX_VERSION}\n"));
        } else if !line.trim_start().starts_with(HINT) {
            declared.push_str(line);
        }
    }
    declared
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
    fn the_version_is_declared_and_newer_hints_are_left_out() {
        let text = "//\n.version 9.0\n.target sm_75\n\t.pragma \"used_bytes_mask 0xf\";\n\t.pragma \"nounroll\";\nret;";
        let expected = "//\n.version 8.0\n.target sm_75\n\t.pragma \"nounroll\";\nret;";
        assert_eq!(declared(text), expected);
    }

    #[test]
    fn a_unit_without_a_file_is_an_error() {
        let error = shipped(&SOURCE).unwrap_err();
        assert!(error.to_string().contains("no PTX of it"), "{error}");
    }
}
