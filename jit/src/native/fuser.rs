//! Code for books: made in the background for entries that are hot, kept in memory and on disk.
//!
//! [`Native::fuse`] starts nothing. An entry is *hot* when enough samples say that it is running, and where the run has a worker for
//! every core, so that compiling takes one from it, when the book has been running for as long as compiling takes; it is then put into a queue,
//! which one thread works off, started when it is first needed: it looks for the code in memory, then on disk, and otherwise
//! fuses the book and renders the entry's function and all that it calls, within a budget of processor time. What is ready is
//! published by one release store for each entry; whoever asks for a function does one acquire load. An entry for which there
//! can be no code stays with the interpreter.
//!
//! # What code is kept under
//! BLAKE3 of everything that the code was made from and for: the book's digest, its entries, which of them was hot, the versions of the intermediate
//! representation, of this renderer and of the contract with the engine, the version of the code generator, the machine,
//! its features and all settings.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cpu_time::ThreadTime;
use ffcm::cpu::Compiled;
use ffcm::cpu::native::{self, Function, Fused, FusedRows, Fuser};
use ffcm::net::partial::Shape;
use ffcm::net::{Book, Definition};
use ffcm::spec::number::Kind;

use super::cache::{CacheError, Disk};
use super::code::Placed;
use super::render::{self, Renderer};
use super::rows::Rows;
use super::{Image, RenderError};
use crate::ir::{self, Module};

/// Entries that wait to be compiled, at most; others are asked for again when they are sampled the next time.
const QUEUE_MAX: usize = 64;
/// Images kept in memory, at most, and bytes of them (32 MiB). Code in use stays as long as it is.
const IMAGES_MAX: usize = 256;
const BYTES_MAX: usize = 32 << 20;
/// Instead of the samples of an entry that has been put into the queue: more than any other has.
const ASKED: u32 = 1 << 31;
/// A book of more nodes is not copied for the background.
const NODES_MAX: usize = 1 << 18;

/// A book of more nodes is not compiled for rows of numbers, which happens while they wait.
const ROWS_NODES_MAX: usize = 1 << 10;

/// Makes the intermediate representation: definitions, and the entries that they were compiled to.
pub type Build = fn(&[Definition], &[(u32, Shape)]) -> Module;

/// How native code is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the cache on disk, if there is one; see [`user_folder`](super::user_folder).
    pub disk: Option<PathBuf>,
    /// Samples after which an entry is hot; 0: all of a book are when it is first run. In a long run, one stands for some
    /// thousands of interactions, whatever the number of workers.
    pub samples: u32,
    /// Samples of all entries of a book before any is hot in a run that has a worker for each core.
    pub samples_crowded: u32,
    /// Processor time that the code of one entry may take.
    pub budget: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            disk: None,
            samples: 64,
            samples_crowded: 1024,
            budget: Duration::from_secs(1),
        }
    }
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Entries compiled.
    pub entries: u64,
    /// Functions compiled.
    pub functions: u64,
    /// Bytes of code compiled.
    pub bytes: u64,
    /// Definitions compiled for rows of numbers.
    pub rows: u64,
    /// Processor time of compiling, entries that were given up included.
    pub microseconds: u64,
    /// Entries whose code was found in memory.
    pub memory_hits: u64,
    /// Entries whose code was found on disk.
    pub disk_hits: u64,
    /// Entries whose code was not found.
    pub misses: u64,
    /// Failures of the cache on disk.
    pub disk_errors: u64,
    /// Entries given up for want of time.
    pub over_budget: u64,
    /// Entries given up for any other reason.
    pub failed: u64,
    /// Times that the queue was full.
    pub refused: u64,
}

#[derive(Default)]
struct Counters {
    entries: AtomicU64,
    functions: AtomicU64,
    bytes: AtomicU64,
    rows: AtomicU64,
    microseconds: AtomicU64,
    memory_hits: AtomicU64,
    disk_hits: AtomicU64,
    misses: AtomicU64,
    disk_errors: AtomicU64,
    over_budget: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// Makes native code with Cranelift.
pub struct Native {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    /// Of the machine, as far as they may be used.
    cores: usize,
    build: Build,
    fingerprint: blake3::Hash,
    disk: Option<Disk>,
    queue: Mutex<Queue>,
    changed: Condvar,
    closed: AtomicBool,
    /// What compiles, once there is something to be compiled.
    thread: Mutex<Option<JoinHandle<()>>>,
    kept: Mutex<Vec<(blake3::Hash, Arc<Placed>)>>,
    counters: Counters,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Job>,
    busy: bool,
}

/// An entry to compile, or all.
struct Job {
    book: Arc<Entries>,
    entry: Option<u32>,
}

impl Job {
    /// What its code is kept under.
    fn key(&self) -> blake3::Hash {
        let entry = self.entry.map_or(u64::MAX, u64::from);
        blake3::keyed_hash(self.book.key.as_bytes(), &entry.to_le_bytes())
    }
}

/// The code of a book.
struct Entries {
    digest: [u8; 32],
    key: blake3::Hash,
    entries: Vec<Entry>,
    /// Of all entries.
    samples: AtomicU32,
    /// What the functions are in.
    placed: Mutex<Vec<Arc<Placed>>>,
    source: Mutex<Source>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Entry {
    /// None until it is ready.
    code: OnceLock<Function>,
    samples: AtomicU32,
}

/// What code is made from.
struct Source {
    definitions: Vec<Definition>,
    entries: Vec<(u32, Shape)>,
    /// Made when it is first needed.
    module: Option<Module>,
}

/// A panic while this is locked leaves it as it was: each change is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Native {
    /// Fails where there is no native code for this machine.
    pub fn new(options: Options) -> Result<Native, RenderError> {
        Native::with_build(options, crate::fuse)
    }

    /// The same with another way to make the intermediate representation.
    pub fn with_build(options: Options, build: Build) -> Result<Native, RenderError> {
        let fingerprint = Renderer::new()?.fingerprint();
        let disk = options.disk.clone().map(Disk::new);
        Ok(Native {
            shared: Arc::new(Shared {
                options,
                cores: thread::available_parallelism().map_or(1, NonZero::get),
                build,
                fingerprint: blake3::hash(fingerprint.as_bytes()),
                disk,
                queue: Mutex::default(),
                changed: Condvar::new(),
                closed: AtomicBool::new(false),
                thread: Mutex::default(),
                kept: Mutex::default(),
                counters: Counters::default(),
            }),
        })
    }

    /// Returns when nothing waits to be compiled any more.
    pub fn wait(&self) {
        let mut queue = lock(&self.shared.queue);
        while queue.busy || !queue.waiting.is_empty() {
            queue = self
                .shared
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What has been done so far.
    pub fn statistics(&self) -> Statistics {
        let counters = &self.shared.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            entries: get(&counters.entries),
            functions: get(&counters.functions),
            bytes: get(&counters.bytes),
            rows: get(&counters.rows),
            microseconds: get(&counters.microseconds),
            memory_hits: get(&counters.memory_hits),
            disk_hits: get(&counters.disk_hits),
            misses: get(&counters.misses),
            disk_errors: get(&counters.disk_errors),
            over_budget: get(&counters.over_budget),
            failed: get(&counters.failed),
            refused: get(&counters.refused),
        }
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        // Whoever is between looking and waiting has the lock.
        drop(lock(&self.shared.queue));
        self.shared.changed.notify_all();
        let thread = lock(&self.shared.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::warn!("the thread that compiles native code has panicked");
        }
    }
}

impl Fuser for Native {
    fn fuse(&self, book: &Book, compiled: &Compiled) -> Option<Arc<dyn Fused>> {
        let definitions = book.definitions();
        let nodes: usize = definitions.iter().map(|one| one.nodes.len()).sum();
        if nodes > NODES_MAX {
            return None;
        }
        let entries = Arc::new(Entries {
            digest: compiled.digest(),
            key: key(&self.shared.fingerprint, compiled),
            entries: compiled
                .entries()
                .iter()
                .map(|_| Entry::default())
                .collect(),
            samples: AtomicU32::new(0),
            placed: Mutex::default(),
            source: Mutex::new(Source {
                definitions: definitions.to_vec(),
                entries: compiled.entries().to_vec(),
                module: None,
            }),
            shared: Arc::clone(&self.shared),
        });
        let handle = Handle(entries);
        if self.shared.options.samples == 0 {
            handle.ask(None);
        }
        Some(Arc::new(handle))
    }

    /// On the calling thread.
    fn fuse_rows(
        &self,
        book: &Book,
        compiled: &Compiled,
        entry: u32,
        columns: &[Kind],
    ) -> Option<Arc<dyn FusedRows>> {
        let definitions = book.definitions().iter();
        let nodes: usize = definitions.map(|one| one.nodes.len()).sum();
        if nodes > ROWS_NODES_MAX {
            return None;
        }
        let counters = &self.shared.counters;
        let begin = ThreadTime::now();
        let make = || Rows::of_book(book, compiled, entry, columns);
        let made = catch_unwind(AssertUnwindSafe(make));
        add(&counters.microseconds, begin.elapsed().as_micros() as u64);
        match made {
            Ok(Ok(rows)) => {
                add(&counters.rows, 1);
                add(&counters.bytes, rows.bytes() as u64);
                Some(Arc::new(rows))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "no native code for rows of numbers");
                None
            }
            Err(_) => {
                add(&counters.failed, 1);
                tracing::warn!("no native code for rows of numbers: the compiler has panicked");
                None
            }
        }
    }
}

/// What code for a book is kept under, see the module documentation.
fn key(fingerprint: &blake3::Hash, compiled: &Compiled) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key("ffcm v1 native code");
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    for version in [native::VERSION, ir::VERSION, render::VERSION] {
        hasher.update(&version.to_le_bytes());
    }
    hasher.update(fingerprint.as_bytes());
    hasher.update(&compiled.digest());
    for (definition, shape) in compiled.entries() {
        hasher.update(&definition.to_le_bytes());
        write_shape(shape, &mut hasher);
    }
    hasher.finalize()
}

fn write_shape(shape: &Shape, hasher: &mut blake3::Hasher) {
    match shape {
        Shape::Leaf => {
            hasher.update(&[0]);
        }
        Shape::Pair(first, second) => {
            hasher.update(&[1]);
            write_shape(first, hasher);
            write_shape(second, hasher);
        }
    }
}

/// What the engine has of [`Entries`].
struct Handle(Arc<Entries>);

impl Handle {
    /// Puts an entry into the queue, or all. Whether there is room.
    fn ask(&self, entry: Option<u32>) -> bool {
        let shared = &self.0.shared;
        let started = shared.start();
        let mut queue = lock(&shared.queue);
        let room = started && queue.waiting.len() < QUEUE_MAX;
        if room {
            let book = Arc::clone(&self.0);
            queue.waiting.push(Job { book, entry });
            shared.changed.notify_all();
        } else {
            add(&shared.counters.refused, 1);
        }
        room
    }
}

// SAFETY: code is published after `Entries` has taken hold of the memory that it is in, which it keeps as long as it lives,
// and the handle has `Entries`. It was rendered from the functions that were made for these entries, or read from a file
// that says so under a checksum and that only this user can write.
unsafe impl Fused for Handle {
    fn digest(&self) -> [u8; 32] {
        self.0.digest
    }

    #[inline]
    fn function(&self, entry: u32) -> Option<Function> {
        self.0.entries.get(entry as usize)?.code.get().copied()
    }

    fn sampled(&self, entry: u32) {
        self.sampled_among(entry, 1);
    }

    fn sampled_among(&self, entry: u32, workers: usize) {
        let Shared { options, cores, .. } = &*self.0.shared;
        let Some(Entry { samples, code }) = self.0.entries.get(entry as usize) else {
            return;
        };
        // Looked at first, so that a busy worker does not write what others read.
        let asked = samples.load(Ordering::Relaxed) >= ASKED || options.samples == 0;
        if asked || code.get().is_some() {
            return;
        }
        let all = self.0.samples.fetch_add(1, Ordering::Relaxed) + 1;
        let hot = samples.fetch_add(1, Ordering::Relaxed) + 1 >= options.samples
            && (workers < *cores || all >= options.samples_crowded);
        if hot && samples.swap(ASKED, Ordering::Relaxed) < ASKED && !self.ask(Some(entry)) {
            samples.store(0, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// Starts the thread that compiles, if it does not run yet. Whether there is one; none after the end.
    fn start(self: &Arc<Shared>) -> bool {
        let mut thread = lock(&self.thread);
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        if thread.is_none() {
            let shared = Arc::clone(self);
            let builder = thread::Builder::new().name("native code".to_owned());
            match builder.spawn(move || shared.work()) {
                Ok(handle) => *thread = Some(handle),
                Err(error) => tracing::warn!(%error, "no thread to compile native code on"),
            }
        }
        thread.is_some()
    }

    /// What the thread does.
    fn work(&self) {
        let mut renderer = None;
        while let Some(job) = self.next() {
            // Nothing that a panic could leave half done is used again: the renderer is made anew.
            let done = catch_unwind(AssertUnwindSafe(|| self.compile(&job, &mut renderer)));
            if done.is_err() {
                renderer = None;
                add(&self.counters.failed, 1);
                tracing::warn!("an entry cannot be compiled: the compiler has panicked");
            }
            lock(&self.queue).busy = false;
            self.changed.notify_all();
        }
    }

    /// The next entry; None when there will be no more.
    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.queue);
        loop {
            if self.closed.load(Ordering::Acquire) {
                queue.waiting.clear();
                return None;
            }
            if !queue.waiting.is_empty() {
                queue.busy = true;
                return Some(queue.waiting.remove(0));
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Finds or makes the code of an entry, if there is none yet, and publishes it.
    fn compile(&self, job: &Job, renderer: &mut Option<Renderer>) {
        let entries = &job.book.entries;
        let ready = |entry: u32| entries[entry as usize].code.get().is_some();
        if job.entry.is_some_and(ready) {
            return;
        }
        let key = job.key();
        let Some(code) = self
            .find(&key, entries.len())
            .or_else(|| self.make(job, &key, renderer))
        else {
            return;
        };
        // Kept first: what is published stays callable as long as the book's code lives.
        lock(&job.book.placed).push(Arc::clone(&code));
        for (number, entry) in entries.iter().enumerate() {
            if let Some(function) = code.function(number as u32) {
                // One that is there already is as good: it was made from the same function.
                let _ = entry.code.set(function);
            }
        }
    }

    fn find(&self, key: &blake3::Hash, entries: usize) -> Option<Arc<Placed>> {
        let kept = self.kept(key);
        if kept.is_some() {
            add(&self.counters.memory_hits, 1);
            return kept;
        }
        let image = self.read(key).filter(|image| image.doors.len() == entries);
        let placed = image.and_then(|image| self.place(&image));
        match &placed {
            Some(placed) => {
                add(&self.counters.disk_hits, 1);
                self.keep(*key, placed);
            }
            None => add(&self.counters.misses, 1),
        }
        placed
    }

    /// The image on disk.
    fn read(&self, key: &blake3::Hash) -> Option<Image> {
        self.disk.as_ref()?.get(key).unwrap_or_else(|error| {
            self.disk_error(&error);
            None
        })
    }

    fn disk_error(&self, error: &CacheError) {
        add(&self.counters.disk_errors, 1);
        tracing::warn!(%error, "the cache of native code");
    }

    fn place(&self, image: &Image) -> Option<Arc<Placed>> {
        match Placed::new(image) {
            Ok(placed) => Some(Arc::new(placed)),
            Err(error) => {
                add(&self.counters.failed, 1);
                tracing::warn!(%error, "there is no memory for native code");
                None
            }
        }
    }

    fn make(
        &self,
        job: &Job,
        key: &blake3::Hash,
        renderer: &mut Option<Renderer>,
    ) -> Option<Arc<Placed>> {
        let begin = ThreadTime::now();
        let image = self.render(job, renderer, begin);
        let time = begin.elapsed().as_micros() as u64;
        add(&self.counters.microseconds, time);
        let image = match image {
            Ok(image) => image,
            Err(RenderError::Stopped) => {
                add(&self.counters.over_budget, 1);
                return None;
            }
            Err(error) => {
                add(&self.counters.failed, 1);
                tracing::warn!(%error, "an entry cannot be compiled");
                return None;
            }
        };
        let placed = self.place(&image)?;
        add(&self.counters.entries, 1);
        add(&self.counters.functions, placed.functions() as u64);
        add(&self.counters.bytes, placed.bytes() as u64);
        self.keep(*key, &placed);
        if let Some(disk) = &self.disk
            && let Err(error) = disk.put(key, &image)
        {
            self.disk_error(&error);
        }
        Some(placed)
    }

    fn render(
        &self,
        job: &Job,
        renderer: &mut Option<Renderer>,
        begin: ThreadTime,
    ) -> Result<Image, RenderError> {
        let mut source = lock(&job.book.source);
        let Source {
            definitions,
            entries,
            module,
        } = &mut *source;
        let module = &*module.get_or_insert_with(|| (self.build)(definitions, entries));
        let renderer = match renderer {
            Some(renderer) => renderer,
            None => renderer.insert(Renderer::new()?),
        };
        let go_on =
            || begin.elapsed() < self.options.budget && !self.closed.load(Ordering::Acquire);
        match job.entry {
            Some(entry) => renderer.render_entry(module, entry, go_on),
            None => renderer.render(module, go_on),
        }
    }

    fn kept(&self, key: &blake3::Hash) -> Option<Arc<Placed>> {
        let mut kept = lock(&self.kept);
        let at = kept.iter().rposition(|(one, _)| one == key)?;
        kept[at..].rotate_left(1);
        kept.last().map(|(_, code)| Arc::clone(code))
    }

    /// Keeps code in memory, and lets go of what was not asked for the longest as far as the bounds ask for it.
    fn keep(&self, key: blake3::Hash, code: &Arc<Placed>) {
        let mut kept = lock(&self.kept);
        kept.retain(|(one, _)| *one != key);
        kept.push((key, Arc::clone(code)));
        let mut bytes: usize = kept.iter().map(|(_, one)| one.bytes()).sum();
        let mut surplus = 0;
        while bytes > BYTES_MAX || kept.len() - surplus > IMAGES_MAX {
            bytes -= kept[surplus].1.bytes();
            surplus += 1;
        }
        kept.drain(..surplus);
    }
}
