//! Every kernel compiles with NVRTC, for the oldest architecture and for newer ones. What each
//! takes is printed, one line a kernel.
//!
//! Where NVRTC is not installed nothing is compiled, and a line says so; `cargo xtask cuda` reports
//! that as not run.

use ffcm_cuda::device::compile::{self, Nvrtc, Target, Usage};
use ffcm_cuda::device::{CudaError, Source};
use ffcm_cuda::kernels;
use ffcm_jit::lane::golden::{CALLS, Golden, GoldenCalls, KERNELS};

/// Compute capabilities to compile for, as far as the compiler knows them.
const ARCHITECTURES: [u32; 3] = [75, 90, 100];

/// Each function of `device.cuh` that is more than C++.
const DEVICE: Source = Source {
    name: "test/device",
    text: r#"
#include "rules.cuh"
#include "device.cuh"
extern "C" __global__ void __launch_bounds__(64) device_functions(u64* words, u32* halves, u64 value) {
    __shared__ u64 own[64];
    own[threadIdx.x] = value;
    __syncthreads();
    words[0] = exchange_acq_rel(words + 1, value);
    words[2] = exchange_block(own + (value & 63), value);
    words[3] = load_acquire(words + 4) + load_acquire(halves);
    store_release(words + 5, value);
    store_release(halves + 1, static_cast<u32>(value) + ffcm::RULES[value & 63]);
    static_cast<u32*>(dynamic_shared())[threadIdx.x] = 1;
    pause_thread();
}
"#,
    entries: &["device_functions"],
    defines: &[],
};

/// The compiler, or nothing and a line that says why.
fn nvrtc() -> Option<Nvrtc> {
    match Nvrtc::find() {
        Ok(nvrtc) => Some(nvrtc),
        Err(error) => {
            println!("CUDA compile: NOT RUN ({error})");
            None
        }
    }
}

fn architectures(nvrtc: &Nvrtc) -> impl Iterator<Item = u32> {
    let known = nvrtc.architectures().to_vec();
    ARCHITECTURES
        .into_iter()
        .filter(move |one| known.contains(one))
}

/// Compiles a unit for an architecture and checks that each of its entries came out, once.
fn compiled(
    nvrtc: &Nvrtc,
    source: &Source,
    architecture: u32,
) -> Result<Vec<(Usage, u32)>, String> {
    let found = compile::compile(nvrtc, source, Target::Cubin(architecture));
    let compiled = found.map_err(|error| format!("sm_{architecture}: {error}"))?;
    let warnings = compiled.log.lines().filter(|line| line.contains("warning"));
    warnings.for_each(|line| println!("{} sm_{architecture}: {line}", source.name));
    let used = compile::usage(&compiled.log);
    let mut entries: Vec<&str> = used.iter().map(|usage| usage.entry.as_str()).collect();
    entries.sort_unstable();
    let mut expected = source.entries.to_vec();
    expected.sort_unstable();
    if entries != expected {
        return Err(format!(
            "{}: kernels {entries:?}, its list has {expected:?}",
            source.name
        ));
    }
    used.into_iter()
        .map(|usage| {
            // Kernels say how many threads they are launched with at most, or the compiler has to
            // take the worst for granted.
            let threads = compile::max_threads(&compiled.image, &usage.entry);
            let none = || format!("{}: no __launch_bounds__", usage.entry);
            let threads = threads.ok_or_else(none)?;
            Ok((usage, threads))
        })
        .collect()
}

/// The kernels for rows of numbers that are kept, with their names.
fn rows() -> Vec<(String, Source)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = |golden: Golden| {
        let path = root.join(golden.path(ffcm_jit::Target::Cuda));
        let text = std::fs::read_to_string(path).expect("a kernel that is kept");
        let source = kernels::rows(&text).expect("there are few");
        (format!("rows/{}", golden.name), source)
    };
    KERNELS.into_iter().map(source).collect()
}

/// The lane functions of nets that are kept, each in a kernel that calls it.
fn calls() -> Vec<(String, Source)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = |golden: GoldenCalls| {
        let path = root.join(golden.path(ffcm_jit::Target::Cuda));
        let kept = std::fs::read_to_string(path).expect("a text that is kept");
        let text = format!(
            r#"#include "number.cuh"
using namespace ffcm;
{kept}
extern "C" __global__ void __launch_bounds__(64) lane_rows(const u32* words, Called* called) {{
    if (call_arity(words[0]) > 0u && words[1] == CALL_META) {{
        called[threadIdx.x] = call_run(words[0], words + 2, words[1] / CALL_TURNS);
    }}
}}
"#
        );
        let source = kernels::rows(&text).expect("there are few");
        (format!("calls/{}", golden.name), source)
    };
    CALLS.into_iter().map(source).collect()
}

#[test]
fn every_kernel_compiles() {
    let Some(nvrtc) = nvrtc() else { return };
    let (major, minor) = nvrtc.version();
    println!("NVRTC {major}.{minor} at {}", nvrtc.path().display());
    let named = |source: Source| (source.name.to_string(), source);
    let mut sources: Vec<(String, Source)> = kernels::all().into_iter().map(named).collect();
    sources.push(named(DEVICE));
    sources.extend(rows());
    sources.extend(calls());
    let mut failures = Vec::new();
    for architecture in architectures(&nvrtc) {
        for (name, source) in &sources {
            match compiled(&nvrtc, source, architecture) {
                Err(failure) => failures.push(failure),
                Ok(used) => used.iter().for_each(|(usage, threads)| {
                    println!(
                        "kernel {}:{} sm_{architecture} registers {} stack {} spilled {}+{} shared {} threads {threads}",
                        name,
                        usage.entry,
                        usage.registers,
                        usage.stack,
                        usage.spill_stores,
                        usage.spill_loads,
                        usage.shared,
                    );
                }),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_does_not_compile_is_an_error_with_the_compilers_words() {
    let Some(nvrtc) = nvrtc() else { return };
    let broken = Source {
        name: "test/broken",
        text: "extern \"C\" __global__ void broken(unsigned* a) { a[0] = absent_name; }",
        entries: &["broken"],
        defines: &[],
    };
    match compile::compile(&nvrtc, &broken, Target::Cubin(75)) {
        Err(CudaError::Kernel { kernel, message }) => {
            assert_eq!(kernel, "test/broken");
            assert!(message.contains("test/broken.cu(1)"), "{message}");
            assert!(message.contains("absent_name"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let unknown = Source {
        text: "#include \"absent.cuh\"",
        ..broken
    };
    let error = compile::compile(&nvrtc, &unknown, Target::Ptx(75)).unwrap_err();
    assert!(error.to_string().contains("absent.cuh"), "{error}");
    let nul = Source {
        text: "\0",
        ..broken
    };
    assert!(compile::compile(&nvrtc, &nul, Target::Ptx(75)).is_err());
    let error = compile::compile(&nvrtc, &DEVICE, Target::Cubin(12)).unwrap_err();
    assert!(matches!(error, CudaError::Kernel { .. }), "{error}");
}

#[test]
fn macros_reach_the_kernel_and_the_same_input_gives_the_same_bytes() {
    let Some(nvrtc) = nvrtc() else { return };
    let source = Source {
        name: "test/macro",
        text: "extern \"C\" __global__ void set(unsigned* a) { a[0] = WIDTH; }",
        entries: &["set"],
        defines: &[("WIDTH", "123456")],
    };
    let ptx = || compile::compile(&nvrtc, &source, Target::Ptx(75)).unwrap();
    let text = String::from_utf8(ptx().image).unwrap();
    assert!(text.contains("123456"), "{text}");
    assert!(text.ends_with('\0'), "{text}");
    assert!(text.contains(".target sm_75"), "{text}");
    assert_eq!(ptx(), ptx());
}
