//! From a unit's text to what a driver loads.

use std::collections::BTreeSet;

use crate::device::{CudaError, Source};
use crate::kernels::HEADERS;

pub use super::cubin::max_threads;
pub use super::nvrtc::{Compiled, NVRTC_VARIABLE, Nvrtc, Target};

/// The least compute capability that kernels are written for.
pub const MIN_CAPABILITY: u32 = 75;

/// Options beside the architecture and the unit's own macros. Kernels have no floating point, so
/// contraction has nothing to contract; it is off so that this stays true of whatever is added. The
/// assembler tells what each kernel takes.
const OPTIONS: [&str; 2] = ["--std=c++17", "--fmad=false"];
const ASSEMBLER_OPTIONS: &str = "--ptxas-options=-v";

/// What a kernel takes, from the compiler's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The kernel.
    pub entry: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of stack of a thread: arrays that are not in registers, spilled registers, frames of
    /// functions called.
    pub stack: u32,
    /// Bytes that a thread writes to save registers, as the code stands: once each, loops not
    /// counted.
    pub spill_stores: u32,
    /// Bytes that it reads to restore them.
    pub spill_loads: u32,
    /// Bytes of static shared memory of a block.
    pub shared: u32,
}

/// Compiles a unit.
///
/// # Errors
/// [`CudaError::Kernel`] with the compiler's log.
pub fn compile(nvrtc: &Nvrtc, source: &Source, target: Target) -> Result<Compiled, CudaError> {
    let failed = |message: String| CudaError::Kernel {
        kernel: source.name.into(),
        message,
    };
    let headers = headers_of(source.text).map_err(failed)?;
    let text = super::nvrtc::Text {
        name: source.name,
        text: source.text,
        headers: &headers,
    };
    nvrtc
        .compile(&text, target, &options(source, target))
        .map_err(failed)
}

/// The compiler's options for a unit.
fn options(source: &Source, target: Target) -> Vec<String> {
    let mut options = vec![format!("--gpu-architecture={}", target.architecture())];
    options.extend(OPTIONS.map(String::from));
    if let Target::Cubin(_) = target {
        options.push(ASSEMBLER_OPTIONS.into());
    }
    let define = |(name, value): &(&str, &str)| format!("--define-macro={name}={value}");
    options.extend(source.defines.iter().map(define));
    options
}

/// BLAKE3 of everything of this crate that the compiler is given: the name, the text, the headers
/// that it includes and the options.
pub fn digest(source: &Source, target: Target) -> Result<blake3::Hash, CudaError> {
    let headers = headers_of(source.text).map_err(|message| CudaError::Kernel {
        kernel: source.name.into(),
        message,
    })?;
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(source.name);
    part(source.text);
    for (name, text) in &headers {
        part(name);
        part(text);
    }
    options(source, target)
        .iter()
        .for_each(|option| part(option));
    Ok(hasher.finalize())
}

/// The headers that a text includes, and those that they include, in the order of [`HEADERS`].
fn headers_of(text: &str) -> Result<Vec<(&'static str, &'static str)>, String> {
    let mut found = BTreeSet::new();
    let mut texts = vec![text];
    while let Some(text) = texts.pop() {
        for name in text.lines().filter_map(included) {
            let at = HEADERS.iter().position(|(known, _)| *known == name);
            let at = at.ok_or_else(|| format!("`{name}` is no header of this crate"))?;
            if found.insert(at) {
                texts.push(HEADERS[at].1);
            }
        }
    }
    Ok(found.into_iter().map(|at| HEADERS[at]).collect())
}

/// The file that a line includes.
fn included(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?;
    let rest = rest.trim_start().strip_prefix("include")?;
    let rest = rest.trim_start().strip_prefix('"')?;
    rest.split_once('"').map(|(name, _)| name)
}

/// What each kernel takes, from the log of a compilation to [`Target::Cubin`].
pub fn usage(log: &str) -> Vec<Usage> {
    let mut kernels: Vec<Usage> = Vec::new();
    // Whether the properties that follow are those of the kernel, or of a function that it calls.
    let mut of_kernel = false;
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let entry = rest.split('\'').next().unwrap_or_default().to_string();
            kernels.push(Usage {
                entry,
                ..Usage::default()
            });
        }
        let Some(kernel) = kernels.last_mut() else {
            continue;
        };
        if let Some((_, name)) = line.split_once("Function properties for ") {
            of_kernel = name.trim() == kernel.entry;
        }
        let (_, properties) = line.split_once(" : ").unwrap_or(("", line));
        for property in properties.split(',') {
            let property = property.trim_start_matches("ptxas").trim_start();
            let property = property.trim_start_matches('.').trim();
            let number = |end: &str| property.strip_suffix(end)?.trim().parse::<u32>().ok();
            if let Some(count) = property
                .strip_prefix("Used ")
                .and_then(|used| used.strip_suffix(" registers")?.parse().ok())
            {
                kernel.registers = count;
            } else if let Some(bytes) = number("bytes stack frame") {
                if of_kernel {
                    kernel.stack = kernel.stack.max(bytes);
                }
            } else if let Some(bytes) = number("bytes cumulative stack size") {
                kernel.stack = kernel.stack.max(bytes);
            } else if let Some(bytes) = number("bytes spill stores") {
                kernel.spill_stores += bytes;
            } else if let Some(bytes) = number("bytes spill loads") {
                kernel.spill_loads += bytes;
            } else if let Some(bytes) = number("bytes smem") {
                kernel.shared = bytes;
            }
        }
    }
    kernels
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = Source {
        name: "a/b",
        text: "  #  include \"device.cuh\"\nextern \"C\" __global__ void b() {}\n",
        entries: &["b"],
        defines: &[("WIDTH", "4")],
    };

    #[test]
    fn only_headers_that_are_included_are_passed_and_unknown_ones_are_named() {
        let names = |text| headers_of(text).map(|found| found.into_iter().map(|h| h.0).collect());
        let names = |text| -> Result<Vec<&str>, String> { names(text) };
        assert_eq!(names(SOURCE.text).unwrap(), ["device.cuh"]);
        let both = "#include \"device.cuh\"\n#include \"rules.cuh\"\n#include \"device.cuh\"";
        assert_eq!(names(both).unwrap(), ["rules.cuh", "device.cuh"]);
        assert_eq!(names("int a; // include \"b\"").unwrap(), [] as [&str; 0]);
        let error = names("#include \"absent.cuh\"").unwrap_err();
        assert!(error.contains("absent.cuh"), "{error}");
    }

    #[test]
    fn every_header_has_a_name_of_its_own_and_knows_those_that_it_includes() {
        let names: BTreeSet<_> = HEADERS.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), HEADERS.len());
        for (name, text) in HEADERS {
            assert!(headers_of(text).is_ok(), "{name}: {:?}", headers_of(text));
        }
    }

    #[test]
    fn the_digest_changes_with_every_input() {
        let of = |source: &Source, target| digest(source, target).unwrap();
        let target = Target::Ptx(75);
        let variants = [
            Source {
                name: "a/c",
                ..SOURCE
            },
            Source {
                text: "#include \"device.cuh\"\nextern \"C\" __global__ void b() {}",
                ..SOURCE
            },
            Source {
                text: "#include \"rules.cuh\"\nextern \"C\" __global__ void b() {}",
                ..SOURCE
            },
            Source {
                defines: &[("WIDTH", "5")],
                ..SOURCE
            },
        ];
        let mut digests: Vec<_> = variants.iter().map(|source| of(source, target)).collect();
        digests.push(of(&SOURCE, target));
        digests.push(of(&SOURCE, Target::Ptx(80)));
        digests.push(of(&SOURCE, Target::Cubin(75)));
        let distinct: BTreeSet<_> = digests.iter().map(|digest| *digest.as_bytes()).collect();
        assert_eq!(distinct.len(), digests.len());
        assert_eq!(of(&SOURCE, target), of(&SOURCE, target));
    }

    #[test]
    fn options_name_the_architecture_and_the_macros() {
        let options = options(&SOURCE, Target::Cubin(90));
        assert!(options.contains(&"--gpu-architecture=sm_90".into()));
        assert!(options.contains(&"--define-macro=WIDTH=4".into()));
    }

    #[test]
    fn the_log_tells_what_kernels_take() {
        let log = "\
ptxas info    : 16 bytes gmem
ptxas info    : Compiling entry function 'one' for 'sm_90'
ptxas info    : Function properties for one
ptxas         .     24 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 256 bytes smem, 376 bytes cmem[0]
ptxas info    : Compile time = 3.179 ms
ptxas info    : Function properties for _Z6helperv
ptxas         .     40 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
ptxas info    : Compiling entry function 'two' for 'sm_90'
ptxas info    : Function properties for two
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 14 registers, used 0 barriers, 64 bytes cumulative stack size";
        let one = Usage {
            entry: "one".into(),
            registers: 255,
            stack: 24,
            spill_stores: 12,
            spill_loads: 16,
            shared: 256,
        };
        let two = Usage {
            entry: "two".into(),
            registers: 14,
            stack: 64,
            ..Usage::default()
        };
        assert_eq!(usage(log), [one, two]);
        assert_eq!(usage("nothing of this kind"), []);
    }
}
