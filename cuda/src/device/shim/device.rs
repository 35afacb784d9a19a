//! The shim as a driver. Launches run when they are asked for, so everything is always done.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ShimOptions;
use super::library::{Entry, Order, Parameter, Runtime};
use crate::device::driver::{Function, GraphHandle, RawLaunch};
use crate::device::{CudaError, DeviceSummary, Driver, Resources, Source};

/// Name of the device.
pub(super) const NAME: &str = "CPU shim";

/// A piece of memory.
struct Allocation {
    what: &'static str,
    bytes: u64,
}

/// Everything that changes. Whoever holds it has the device to itself, as the device's one queue has.
#[derive(Default)]
struct State {
    lost: Option<String>,
    memory: BTreeMap<u64, Allocation>,
    in_use: u64,
    entries: Vec<Entry>,
    graphs: HashMap<u64, Vec<RawLaunch>>,
    marks: HashMap<u64, Instant>,
    named: u64,
    launches: u64,
}

impl State {
    fn alive(&self) -> Result<(), CudaError> {
        match &self.lost {
            Some(message) => Err(CudaError::Lost {
                message: message.clone(),
            }),
            None => Ok(()),
        }
    }

    fn name(&mut self) -> u64 {
        self.named += 1;
        self.named
    }

    /// The piece that `address` lies in or is the end of, with its start.
    fn at(&self, address: u64) -> Option<(u64, &Allocation)> {
        let (start, piece) = self.memory.range(..=address).next_back()?;
        (address - start <= piece.bytes).then_some((*start, piece))
    }

    /// Checks that all of a range is in one piece.
    fn check(&self, address: u64, bytes: u64) -> Result<(), CudaError> {
        self.alive()?;
        let fits = self.at(address).is_some_and(|(start, piece)| {
            (address - start)
                .checked_add(bytes)
                .is_some_and(|end| end <= piece.bytes)
        });
        if fits {
            return Ok(());
        }
        Err(CudaError::Driver {
            message: format!("{bytes} bytes at {address:#x} are not in one piece of memory"),
        })
    }

    /// A buffer behind whose end something has been written.
    fn overrun(&self) -> Option<&'static str> {
        let over = |(address, piece): (&u64, &Allocation)| {
            let slack = slack(piece.bytes);
            // SAFETY: the memory goes on to the next multiple of 16 bytes, and no launch is under way.
            let marks = unsafe { std::slice::from_raw_parts(at(address + piece.bytes), slack) };
            marks.iter().any(|&mark| mark != MARK).then_some(piece.what)
        };
        self.memory.iter().find_map(over)
    }

    fn entry(&self, function: Function) -> Result<&Entry, CudaError> {
        let index = usize::try_from(function.0).ok();
        index
            .and_then(|index| self.entries.get(index))
            .ok_or(CudaError::Driver {
                message: format!("there is no function {}", function.0),
            })
    }

    /// Where a faulty access went, in words.
    fn describe(&self, access: u64) -> String {
        let below = self.memory.range(..=access).next_back();
        let above = self.memory.range(access..).next();
        let distance = |(start, piece): &(&u64, &Allocation)| access - *start - piece.bytes;
        let near = |bytes: &u64| *bytes < 1 << 20;
        if let Some((_, piece)) = below.filter(|one| near(&distance(one))) {
            let (start, _) = below.unwrap_or((&0, piece));
            let beyond = access - start - piece.bytes;
            return format!(
                ", {beyond} bytes beyond the end of `{}` ({} bytes)",
                piece.what, piece.bytes
            );
        }
        match above.filter(|(start, _)| near(&(*start - access))) {
            Some((start, piece)) => {
                format!(", {} bytes before `{}`", start - access, piece.what)
            }
            None => String::new(),
        }
    }
}

/// The CPU as a device.
pub(super) struct ShimDevice {
    runtime: &'static Runtime,
    options: ShimOptions,
    cache: PathBuf,
    summary: DeviceSummary,
    state: Mutex<State>,
}

/// What lies between the end of a buffer and memory that cannot be touched.
const MARK: u8 = 0xa5;

/// How many bytes that is.
fn slack(bytes: u64) -> usize {
    (bytes.next_multiple_of(16) - bytes) as usize
}

fn bad_options(message: &str) -> CudaError {
    CudaError::Open {
        device: NAME.into(),
        message: message.into(),
    }
}

impl ShimDevice {
    /// Opens one. The runtime is compiled if it is not in the cache.
    pub(super) fn open(options: &ShimOptions) -> Result<ShimDevice, CudaError> {
        if !(1..=256).contains(&options.multiprocessors) {
            return Err(bad_options("it has 1 to 256 multiprocessors"));
        }
        if !(1..=1 << 20).contains(&options.shake_one_in) {
            return Err(bad_options("shake_one_in is 1 to 2^20"));
        }
        if options.memory > 1 << 46 {
            return Err(bad_options("it has 2^46 bytes of memory at most"));
        }
        if options.shared_per_block > 1 << 20 {
            return Err(bad_options(
                "a block has 2^20 bytes of shared memory at most",
            ));
        }
        let cache = match &options.cache {
            Some(cache) => cache.clone(),
            None => {
                let executable =
                    std::env::current_exe().map_err(|error| bad_options(&error.to_string()))?;
                executable.with_file_name("ffcm-shim")
            }
        };
        Ok(ShimDevice {
            runtime: Runtime::get(&cache)?,
            summary: DeviceSummary {
                name: NAME.into(),
                capability: (9, 0),
                driver: "shim".into(),
                multiprocessors: options.multiprocessors,
                memory: options.memory,
                l2: options.l2,
                shared_per_block: options.shared_per_block,
                threads_per_multiprocessor: 2048,
                cooperative: true,
            },
            options: options.clone(),
            cache,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a device that is not lost.
    fn alive(&self) -> Result<MutexGuard<'_, State>, CudaError> {
        let state = self.state();
        state.alive()?;
        Ok(state)
    }

    /// Checks a launch as the driver does, and its arguments against the kernel's parameters, which no driver can.
    fn check(&self, state: &State, launch: &RawLaunch) -> Result<(), CudaError> {
        let entry = state.entry(launch.function)?;
        let grid = launch.grid;
        let bad = |message: String| {
            Err(CudaError::BadLaunch {
                kernel: entry.name.clone(),
                message,
            })
        };
        if grid.blocks == 0 || grid.threads == 0 || grid.threads > entry.max_threads {
            return bad(format!(
                "{} blocks of {} threads",
                grid.blocks, grid.threads
            ));
        }
        let shared = u64::from(entry.shared) + u64::from(grid.shared);
        if shared > self.options.shared_per_block.into() {
            return bad(format!("{shared} bytes of shared memory"));
        }
        if grid.cooperative && grid.blocks > self.options.multiprocessors {
            return bad(format!("{} blocks at a time", grid.blocks));
        }
        if launch.arguments.len() != entry.parameters.len() {
            let (has, needs) = (launch.arguments.len(), entry.parameters.len());
            return bad(format!("{has} arguments for {needs} parameters"));
        }
        for (i, (&argument, parameter)) in
            launch.arguments.iter().zip(&entry.parameters).enumerate()
        {
            let fits = match parameter {
                Parameter::Pointer => {
                    argument == 0 || self.options.any_memory || state.at(argument).is_some()
                }
                Parameter::Bits32 => u32::try_from(argument).is_ok(),
                Parameter::Bits64 => true,
            };
            if !fits {
                return bad(format!("argument {i} is {argument:#x} for a {parameter:?}"));
            }
        }
        Ok(())
    }

    /// The unit as this device has it.
    fn edited(&self, source: &Source) -> Result<Source, CudaError> {
        let Some(edit) = self.options.edit.filter(|edit| edit.unit == source.name) else {
            return Ok(*source);
        };
        let found = source.text.matches(edit.from).count();
        if found != 1 {
            return Err(CudaError::Kernel {
                kernel: source.name.into(),
                message: format!("`{}` is there {found} times, not once", edit.from),
            });
        }
        // Texts of units live as long as the process; there are few edits.
        let text = Box::leak(source.text.replace(edit.from, edit.to).into_boxed_str());
        Ok(Source { text, ..*source })
    }

    fn run(&self, state: &mut State, launch: &RawLaunch) -> Result<(), CudaError> {
        state.alive()?;
        self.check(state, launch)?;
        state.launches += 1;
        if let Some(most) = self.options.lose_after_launches
            && state.launches > most
        {
            state.lost = Some(format!("as asked, after {most} launches"));
            return state.alive();
        }
        let entry = state.entry(launch.function)?;
        let order = Order {
            arguments: &launch.arguments,
            blocks: launch.grid.blocks,
            threads: launch.grid.threads,
            shared: launch.grid.shared,
            workers: self.options.multiprocessors,
            shake_one_in: self.options.shake_one_in,
            cooperative: launch.grid.cooperative,
            seed: self
                .options
                .seed
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(state.launches),
        };
        let name = entry.name.clone();
        let Err(failure) = self.runtime.run(entry, &order) else {
            if let Some(what) = state.overrun() {
                state.lost = Some(format!("kernel `{name}` wrote beyond the end of `{what}`"));
            }
            return state.alive();
        };
        let place = match failure.access {
            0 => String::new(),
            access => format!(" at {access:#x}{}", state.describe(access)),
        };
        state.lost = Some(format!(
            "kernel `{name}`: {}{place}{}",
            failure.message, failure.places
        ));
        state.alive()
    }
}

impl Drop for ShimDevice {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (address, piece) in std::mem::take(&mut state.memory) {
            // SAFETY: the piece is the runtime's, and whatever named it held this device.
            unsafe { self.runtime.release(address, piece.bytes) };
        }
    }
}

fn at(address: u64) -> *mut u8 {
    ptr::with_exposed_provenance_mut(address as usize)
}

impl Driver for ShimDevice {
    fn summary(&self) -> &DeviceSummary {
        &self.summary
    }

    fn free_memory(&self) -> Result<u64, CudaError> {
        Ok(self.options.memory - self.alive()?.in_use)
    }

    fn allocate(&self, what: &'static str, bytes: u64) -> Result<u64, CudaError> {
        let mut state = self.alive()?;
        let bytes = bytes.max(1);
        let full = CudaError::OutOfMemory {
            what: what.into(),
            bytes,
        };
        if bytes > self.options.memory - state.in_use {
            return Err(full);
        }
        let address = self.runtime.allocate(bytes).ok_or(full)?;
        let slack = slack(bytes);
        // SAFETY: the memory goes on to the next multiple of 16 bytes.
        unsafe { ptr::write_bytes(at(address + bytes), MARK, slack) };
        state.memory.insert(address, Allocation { what, bytes });
        state.in_use += bytes;
        Ok(address)
    }

    fn release(&self, address: u64) {
        let mut state = self.state();
        match state.memory.remove(&address) {
            Some(piece) => {
                state.in_use -= piece.bytes;
                // SAFETY: the piece is the runtime's, and no launch is under way while the state is held.
                unsafe { self.runtime.release(address, piece.bytes) };
            }
            None => tracing::error!(address, "memory given back that is not there"),
        }
    }

    fn fill(&self, address: u64, bytes: u64, word: u32) -> Result<(), CudaError> {
        let state = self.alive()?;
        state.check(address, bytes)?;
        if !bytes.is_multiple_of(4) || !address.is_multiple_of(4) {
            return Err(CudaError::Driver {
                message: format!("a fill of {bytes} bytes at {address:#x}"),
            });
        }
        if bytes == 0 {
            return Ok(());
        }
        debug_assert!(at(address).cast::<u32>().is_aligned());
        // SAFETY: the range is in a piece of memory and of whole words, checked above, and the state is held.
        unsafe { at(address).cast::<u32>().write(word) };
        // What is done is copied behind itself until all is.
        let mut done = 4;
        while done < bytes {
            let more = done.min(bytes - done);
            // SAFETY: both ranges are in that of above, and the first ends where the second starts.
            unsafe { ptr::copy_nonoverlapping(at(address), at(address + done), more as usize) };
            done += more;
        }
        Ok(())
    }

    fn upload(&self, address: u64, data: &[u8]) -> Result<(), CudaError> {
        let state = self.alive()?;
        state.check(address, data.len() as u64)?;
        // SAFETY: the range is in a piece of memory, checked above, and the state is held.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), at(address), data.len()) };
        Ok(())
    }

    fn download(&self, address: u64, data: &mut [u8]) -> Result<(), CudaError> {
        let state = self.alive()?;
        state.check(address, data.len() as u64)?;
        // SAFETY: the range is in a piece of memory, checked above, and the state is held.
        unsafe { ptr::copy_nonoverlapping(at(address), data.as_mut_ptr(), data.len()) };
        Ok(())
    }

    fn copy(&self, from: u64, to: u64, bytes: u64) -> Result<(), CudaError> {
        let state = self.alive()?;
        state.check(from, bytes)?;
        state.check(to, bytes)?;
        // SAFETY: both ranges are in pieces of memory, checked above, and the state is held.
        unsafe { ptr::copy(at(from), at(to), bytes as usize) };
        Ok(())
    }

    fn load(&self, source: &Source) -> Result<Vec<(Function, Resources)>, CudaError> {
        drop(self.alive()?);
        let source = self.edited(source)?;
        let entries = self.runtime.unit(&self.cache, &source)?;
        let mut state = self.alive()?;
        let add = |entry: Entry| {
            let resources = Resources {
                max_threads: entry.max_threads,
                shared_bytes: entry.shared,
                ..Resources::default()
            };
            state.entries.push(entry);
            (Function(state.entries.len() as u64 - 1), resources)
        };
        Ok(entries.into_iter().map(add).collect())
    }

    fn occupancy(&self, function: Function, threads: u32, shared: u32) -> Result<u32, CudaError> {
        let state = self.alive()?;
        let entry = state.entry(function)?;
        let shared = u64::from(entry.shared) + u64::from(shared);
        let fits = threads <= entry.max_threads && shared <= self.options.shared_per_block.into();
        Ok(u32::from(fits))
    }

    fn launch(&self, launch: &RawLaunch) -> Result<(), CudaError> {
        self.run(&mut self.state(), launch)
    }

    fn record(&self, launches: &[RawLaunch]) -> Result<GraphHandle, CudaError> {
        let mut state = self.alive()?;
        launches
            .iter()
            .try_for_each(|launch| self.check(&state, launch))?;
        let name = state.name();
        state.graphs.insert(name, launches.to_vec());
        Ok(GraphHandle(name))
    }

    fn replay(&self, graph: GraphHandle) -> Result<(), CudaError> {
        let mut state = self.alive()?;
        let launches = state.graphs.get(&graph.0).ok_or(CudaError::Driver {
            message: format!("there is no graph {}", graph.0),
        })?;
        let launches = launches.clone();
        launches
            .iter()
            .try_for_each(|launch| self.run(&mut state, launch))
    }

    fn forget(&self, graph: GraphHandle) {
        if self.state().graphs.remove(&graph.0).is_none() {
            tracing::error!(graph = graph.0, "a graph forgotten that is not there");
        }
    }

    fn wait(&self) -> Result<(), CudaError> {
        self.alive().map(drop)
    }

    fn mark(&self) -> Result<u64, CudaError> {
        let mut state = self.alive()?;
        let name = state.name();
        state.marks.insert(name, Instant::now());
        Ok(name)
    }

    fn elapsed(&self, from: u64, to: u64) -> Result<Duration, CudaError> {
        let mut state = self.alive()?;
        match (state.marks.remove(&from), state.marks.remove(&to)) {
            (Some(from), Some(to)) => Ok(to.saturating_duration_since(from)),
            _ => Err(CudaError::Driver {
                message: "there is no such mark".into(),
            }),
        }
    }

    fn lose(&self) {
        self.state().lost = Some("as asked".into());
    }
}
