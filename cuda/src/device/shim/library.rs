//! The libraries of the runtime and of units, and the calls into them.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use libloading::Library;

use super::compile::{Compiler, shared_bytes};
use crate::device::{CudaError, Source};

/// `ffcm_shim::Entry` of `layout.hpp`.
#[repr(C)]
struct RawEntry {
    call: unsafe extern "C" fn(*const u64),
    kinds: *const u8,
    parameters: u32,
    max_threads: u32,
}

/// `ffcm_shim::Order` of `layout.hpp`.
#[repr(C)]
struct RawOrder {
    call: unsafe extern "C" fn(*const u64),
    touch: unsafe extern "C" fn() -> *mut c_void,
    arguments: *const u64,
    blocks: u32,
    threads: u32,
    shared: u32,
    workers: u32,
    shake_one_in: u32,
    cooperative: u32,
    seed: u64,
}

/// `ffcm_shim::Outcome` of `layout.hpp`.
#[repr(C)]
struct RawOutcome {
    failed: u32,
    block: u32,
    thread: u32,
    access: u64,
    places: [u64; PLACES.len()],
    message: [c_char; 512],
}

/// How threads of each `ffcm_shim::State` of `layout.hpp` are spoken of.
const PLACES: [&str; 5] = ["running", "pausing", "at a barrier", "in its warp", ""];

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    /// An address in a buffer.
    Pointer,
    /// A number of 32 bits.
    Bits32,
    /// A number of 64 bits.
    Bits64,
}

/// A kernel of a loaded unit. Units are never unloaded.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The unit's name and the entry's.
    pub name: String,
    /// What it takes.
    pub parameters: Vec<Parameter>,
    /// Most threads of a block.
    pub max_threads: u32,
    /// Bytes of static shared memory of a block.
    pub shared: u32,
    library: PathBuf,
    call: unsafe extern "C" fn(*const u64),
    touch: unsafe extern "C" fn() -> *mut c_void,
}

impl Entry {
    /// The line of the text that an offset in the library comes from, by the tool that comes with compilers; the offset
    /// itself where that is not there. The innermost function that is the unit's own, not the shim's, is named.
    fn line(&self, offset: u64) -> String {
        let output = Command::new("addr2line")
            .args(["-i", "-s", "-e"])
            .arg(&self.library)
            .arg(format!("{offset:#x}"))
            .output();
        let lines = output.map_or(String::new(), |output| {
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        let own = |line: &&str| line.contains(".cu:") || line.contains(".cuh:");
        match lines.lines().find(own) {
            Some(line) => line.split(" (").next().unwrap_or(line).to_string(),
            None => format!("{offset:#x} of {}", self.library.display()),
        }
    }
}

/// How a launch is to run.
#[derive(Clone, Debug)]
pub(super) struct Order<'a> {
    /// Of the kernel's parameters.
    pub arguments: &'a [u64],
    /// Blocks.
    pub blocks: u32,
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// Operating system threads at most.
    pub workers: u32,
    /// One in so many atomics lets others run.
    pub shake_one_in: u32,
    /// Whether all blocks run at once.
    pub cooperative: bool,
    /// Of the order of all that happens.
    pub seed: u64,
}

/// Why a launch failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// What is wrong, in which thread.
    pub message: String,
    /// Where in the text threads were, as `; running: …`.
    pub places: String,
    /// The address of the access if it was one.
    pub access: u64,
}

/// The runtime of the process.
pub(super) struct Runtime {
    table: *const c_void,
    run: unsafe extern "C" fn(*const RawOrder, *mut RawOutcome),
    allocate: unsafe extern "C" fn(u64) -> *mut c_void,
    release: unsafe extern "C" fn(*mut c_void, u64),
    units: Mutex<HashMap<PathBuf, Arc<Library>>>,
}

// SAFETY: `table` points to constants of a library that is never unloaded; its functions may be called from any thread.
unsafe impl Send for Runtime {}
// SAFETY: as above.
unsafe impl Sync for Runtime {}

fn open_error(message: String) -> CudaError {
    CudaError::Open {
        device: super::device::NAME.into(),
        message,
    }
}

/// A symbol of a library.
///
/// # Safety
/// It is of type `T`, which outlives nothing but the library.
unsafe fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, libloading::Error> {
    // SAFETY: as the caller says.
    unsafe { library.get::<T>(name.as_bytes()).map(|symbol| *symbol) }
}

impl Runtime {
    /// The runtime, compiled and loaded once for the process.
    pub(super) fn get(cache: &Path) -> Result<&'static Runtime, CudaError> {
        static LOADED: OnceLock<Result<Runtime, CudaError>> = OnceLock::new();
        LOADED
            .get_or_init(|| Runtime::load(cache))
            .as_ref()
            .map_err(CudaError::clone)
    }

    fn load(cache: &Path) -> Result<Runtime, CudaError> {
        let path = Compiler::find()?.runtime(cache)?;
        let fail = |error: libloading::Error| open_error(error.to_string());
        // SAFETY: the library is this crate's own; loading it runs nothing. It stays loaded, for helpers run in it.
        let library = Box::leak(Box::new(unsafe { Library::new(&path) }.map_err(fail)?));
        // SAFETY: the types are those of the definitions in `runtime.hpp`.
        let (start, run, allocate, release) = unsafe {
            (
                symbol::<unsafe extern "C" fn() -> *const c_void>(library, "ffcm_shim_start")
                    .map_err(fail)?,
                symbol(library, "ffcm_shim_run").map_err(fail)?,
                symbol(library, "ffcm_shim_allocate").map_err(fail)?,
                symbol(library, "ffcm_shim_release").map_err(fail)?,
            )
        };
        // SAFETY: called once, before all others.
        let table = unsafe { start() };
        if table.is_null() {
            return Err(open_error("faults of kernels cannot be caught here".into()));
        }
        Ok(Runtime {
            table,
            run,
            allocate,
            release,
            units: Mutex::default(),
        })
    }

    /// A unit's kernels in their order, compiled if they are not in the cache.
    pub(super) fn unit(&self, cache: &Path, source: &Source) -> Result<Vec<Entry>, CudaError> {
        let path = Compiler::find()?.unit(cache, source)?;
        let fail = |error: libloading::Error| CudaError::Kernel {
            kernel: source.name.into(),
            message: error.to_string(),
        };
        let file = path.clone();
        let library = {
            let mut units = self.units.lock().unwrap_or_else(PoisonError::into_inner);
            match units.get(&path) {
                Some(library) => Arc::clone(library),
                None => {
                    // SAFETY: loading a unit runs nothing.
                    let library = Arc::new(unsafe { Library::new(&path) }.map_err(fail)?);
                    // SAFETY: the type is that of the definition in the unit's wrapper.
                    let bind: unsafe extern "C" fn(*const c_void) =
                        unsafe { symbol(&library, "ffcm_bind") }.map_err(fail)?;
                    debug_assert!(!self.table.is_null());
                    // SAFETY: the table lives as long as the process.
                    unsafe { bind(self.table) };
                    units.insert(path, Arc::clone(&library));
                    library
                }
            }
        };
        // SAFETY: the type is that of the definition in the unit's wrapper.
        let touch = unsafe { symbol(&library, "ffcm_touch") }.map_err(fail)?;
        let shared = shared_bytes(&file, source)?;
        let entry = |(name, shared): (&&str, u32)| {
            // SAFETY: the symbol is an entry, a constant of a library that `units` keeps for ever.
            let raw: &RawEntry = unsafe {
                let raw: *const RawEntry =
                    symbol(&library, &format!("ffcm_entry_{name}")).map_err(fail)?;
                debug_assert!(!raw.is_null() && raw.is_aligned());
                &*raw
            };
            debug_assert!(!raw.kinds.is_null());
            // SAFETY: there is a kind for each parameter.
            let kinds = unsafe { std::slice::from_raw_parts(raw.kinds, raw.parameters as usize) };
            let kind = |kind: &u8| match kind {
                0 => Parameter::Pointer,
                4 => Parameter::Bits32,
                _ => Parameter::Bits64,
            };
            Ok(Entry {
                name: format!("{}:{name}", source.name),
                parameters: kinds.iter().map(kind).collect(),
                max_threads: raw.max_threads.min(1024),
                shared,
                library: file.clone(),
                call: raw.call,
                touch,
            })
        };
        source.entries.iter().zip(shared).map(entry).collect()
    }

    /// Runs a launch to its end. The grid has a block and 1 to 1024 threads, the arguments are the kernel's, and the caller
    /// keeps the buffers.
    pub(super) fn run(&self, entry: &Entry, order: &Order<'_>) -> Result<(), Failure> {
        debug_assert_eq!(order.arguments.len(), entry.parameters.len());
        debug_assert!(order.blocks > 0 && (1..=1024).contains(&order.threads));
        debug_assert!((1..=256).contains(&order.workers) && order.shake_one_in > 0);
        let raw = RawOrder {
            call: entry.call,
            touch: entry.touch,
            arguments: order.arguments.as_ptr(),
            blocks: order.blocks,
            threads: order.threads,
            shared: order.shared,
            workers: order.workers,
            shake_one_in: order.shake_one_in,
            cooperative: u32::from(order.cooperative),
            seed: order.seed,
        };
        let mut outcome = RawOutcome {
            failed: 0,
            block: 0,
            thread: 0,
            access: 0,
            places: [0; PLACES.len()],
            message: [0; 512],
        };
        // SAFETY: both live until it returns, and it has checked what the runtime asks of an order.
        unsafe { (self.run)(&raw, &mut outcome) };
        if outcome.failed == 0 {
            return Ok(());
        }
        // SAFETY: the runtime ends its message with a zero, and the last byte is one.
        let message = unsafe { CStr::from_ptr(outcome.message.as_ptr()) };
        let message = message.to_string_lossy();
        let (block, thread) = (outcome.block, outcome.thread);
        let places = PLACES.iter().zip(outcome.places);
        let places = places
            .filter(|(_, place)| *place != 0)
            .map(|(state, place)| format!("; {state}: {}", entry.line(place)));
        Err(Failure {
            message: format!("{message} (block {block}, thread {thread})"),
            places: places.collect(),
            access: outcome.access,
        })
    }

    /// Zeroed memory that ends where nothing may be touched.
    pub(super) fn allocate(&self, bytes: u64) -> Option<u64> {
        debug_assert!(bytes > 0);
        // SAFETY: it only maps memory.
        let address = unsafe { (self.allocate)(bytes) };
        (!address.is_null()).then_some(address as u64)
    }

    /// Gives memory back.
    ///
    /// # Safety
    /// It is what `allocate` gave for as many bytes, and nothing uses it any more.
    pub(super) unsafe fn release(&self, address: u64, bytes: u64) {
        debug_assert!(address != 0 && bytes > 0);
        // SAFETY: as the caller says.
        unsafe { (self.release)(ptr::with_exposed_provenance_mut(address as usize), bytes) };
    }
}
