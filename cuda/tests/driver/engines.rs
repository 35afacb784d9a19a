//! Every engine on NVIDIA's driver as this crate calls it: images, launches, graphs, copies and buffers go through the driver of the
//! tests, which lets the shim run the kernels. So what is passed is what kernels as NVRTC compiles them take.

use std::ffi::{CStr, c_char, c_int};
use std::sync::{Arc, OnceLock};

use ffcm::conformance::{Suite, check};
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::shim::{self, ShimOptions};
use ffcm_cuda::device::{Argument, Gpu, Grid, Kernel, Options};
use ffcm_cuda::kernels;

use super::NO_COMPILER;
use super::fake::{Setup, with_driver};

/// The driver says that it has as many multiprocessors, and `FAKE_BLOCKS` that each holds one block.
const BLOCKS: u32 = 4;

/// Shared memory of a block as the driver has it.
const SHARED: u32 = 227 << 10;

fn cpu() -> &'static (Gpu, Vec<Arc<Kernel>>) {
    static CPU: OnceLock<(Gpu, Vec<Arc<Kernel>>)> = OnceLock::new();
    CPU.get_or_init(|| {
        let gpu = shim::open(&ShimOptions {
            multiprocessors: BLOCKS,
            shared_per_block: SHARED,
            any_memory: true,
            ..ShimOptions::default()
        });
        let gpu = gpu.expect("a C++ compiler");
        for source in kernels::all() {
            gpu.kernels(&source).expect("it compiles");
        }
        let loaded = gpu.loaded();
        (gpu, loaded)
    })
}

/// The kernel of this name in the unit that the assembly was made of. Where units have kernels of the same name, functions that
/// they call are named after the unit's file.
fn find(name: &str, module: &str) -> Option<&'static Arc<Kernel>> {
    let named = cpu().1.iter().filter_map(|kernel| {
        let (unit, entry) = kernel.name().split_once(':')?;
        (entry == name).then_some((unit, kernel))
    });
    let named: Vec<_> = named.collect();
    let of_module = |unit: &str| {
        let stem = unit.rsplit('/').next().unwrap_or(unit);
        let file: String = stem
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        module.contains(&format!("_{file}_cu_"))
    };
    match named[..] {
        [(_, only)] => Some(only),
        _ => named
            .iter()
            .find_map(|(unit, kernel)| of_module(unit).then_some(*kernel)),
    }
}

/// Runs a kernel on the CPU.
unsafe extern "C" fn run(
    name: *const c_char,
    module: *const c_char,
    blocks: u32,
    threads: u32,
    shared: u32,
    cooperative: c_int,
    arguments: *const u64,
    count: usize,
) -> c_int {
    // SAFETY: the driver passes texts that end with zero and as many arguments as it says.
    let (name, module, arguments) = unsafe {
        let text = |text| CStr::from_ptr(text).to_str().unwrap_or_default();
        let arguments = std::slice::from_raw_parts(arguments, count);
        (text(name), text(module), arguments)
    };
    let Some(kernel) = find(name, module) else {
        eprintln!("there is no kernel {name}");
        return 1;
    };
    let grid = Grid::new(blocks, threads).shared(shared);
    let grid = match cooperative {
        0 => grid,
        _ => grid.cooperative(),
    };
    let arguments: Vec<Argument> = arguments.iter().copied().map(Argument::from).collect();
    match cpu().0.launch(kernel, grid, &arguments) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

fn passes(name: &str, suite: Suite) {
    // Without a compiler the driver is given the assembly that comes with this crate, which says what
    // kernels take.
    let setup = Setup {
        variables: &[
            NO_COMPILER,
            ("FAKE_BLOCKS", "1"),
            ("FAKE_MEMORY", "536870912"),
        ],
        ..Setup::default()
    };
    with_driver(&format!("engines::{name}"), setup, |fake| {
        fake.run_kernels(run);
        let device = CudaCoprocessor::open(&Options::default()).expect("it opens");
        check(suite, &device);
        drop(device);
        assert_eq!(fake.live(), "");
    });
}

#[test]
fn focus_passes() {
    passes("focus_passes", Suite::Focus);
}

#[test]
fn memory_passes() {
    passes("memory_passes", Suite::Memory);
}

#[test]
fn hash_passes() {
    passes("hash_passes", Suite::Hash);
}

#[test]
fn nets_pass() {
    passes("nets_pass", Suite::Nets);
}
