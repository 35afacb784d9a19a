//! Code for whole books: made in the background once they are hot, kept in memory and on disk.
//!
//! [`Native::fuse`] starts nothing. A book is *hot* when enough samples say that it is running; it is then put into a queue,
//! which one thread works off: it looks for the code in memory, then on disk, and otherwise fuses the book and renders it,
//! within a budget of processor time. What is ready is published by one release store; whoever asks for a function does
//! one acquire load. A book for which there can be no code stays with the interpreter.
//!
//! # What code is kept under
//! BLAKE3 of everything that the code was made from and for: the book's digest, its entries, the versions of the intermediate
//! representation, of this renderer and of the contract with the engine, the version of the code generator, the machine,
//! its features and all settings.

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

/// Books that wait to be compiled, at most; others are asked for again when they are sampled the next time.
const QUEUE_MAX: usize = 64;
/// Books whose code is kept in memory, at most, and bytes of it (32 MiB). Code in use stays as long as it is.
const BOOKS_MAX: usize = 64;
const BYTES_MAX: usize = 32 << 20;
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
    /// Samples after which a book is hot; 0: it is when it is first run.
    pub samples: u32,
    /// Processor time that one book may take.
    pub budget: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            disk: None,
            samples: 1,
            budget: Duration::from_secs(1),
        }
    }
}

/// What has been done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Books compiled.
    pub books: u64,
    /// Functions compiled.
    pub functions: u64,
    /// Bytes of code compiled.
    pub bytes: u64,
    /// Definitions compiled for rows of numbers.
    pub rows: u64,
    /// Processor time of compiling, books that were given up included.
    pub microseconds: u64,
    /// Books whose code was found in memory.
    pub memory_hits: u64,
    /// Books whose code was found on disk.
    pub disk_hits: u64,
    /// Books whose code was not found.
    pub misses: u64,
    /// Failures of the cache on disk.
    pub disk_errors: u64,
    /// Books given up for want of time.
    pub over_budget: u64,
    /// Books given up for any other reason.
    pub failed: u64,
    /// Times that the queue was full.
    pub refused: u64,
}

#[derive(Default)]
struct Counters {
    books: AtomicU64,
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
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    options: Options,
    build: Build,
    fingerprint: blake3::Hash,
    disk: Option<Disk>,
    queue: Mutex<Queue>,
    changed: Condvar,
    closed: AtomicBool,
    kept: Mutex<Vec<(blake3::Hash, Arc<Placed>)>>,
    counters: Counters,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Arc<Entries>>,
    busy: bool,
}

/// The code of a book: none until it is ready.
struct Entries {
    digest: [u8; 32],
    key: blake3::Hash,
    code: OnceLock<Arc<Placed>>,
    samples: AtomicU32,
    source: Mutex<Option<Source>>,
    shared: Arc<Shared>,
}

/// What code is made from.
struct Source {
    definitions: Vec<Definition>,
    entries: Vec<(u32, Shape)>,
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
                build,
                fingerprint: blake3::hash(fingerprint.as_bytes()),
                disk,
                queue: Mutex::default(),
                changed: Condvar::new(),
                closed: AtomicBool::new(false),
                kept: Mutex::default(),
                counters: Counters::default(),
            }),
            thread: Mutex::default(),
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
            books: get(&counters.books),
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

    /// Starts the thread that compiles, if it does not run yet.
    fn start(&self) -> bool {
        let mut thread = lock(&self.thread);
        if thread.is_some() {
            return true;
        }
        let shared = Arc::clone(&self.shared);
        let name = "native code".to_owned();
        match thread::Builder::new()
            .name(name)
            .spawn(move || shared.work())
        {
            Ok(handle) => *thread = Some(handle),
            Err(error) => tracing::warn!(%error, "no thread to compile native code on"),
        }
        thread.is_some()
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        // Whoever is between looking and waiting has the lock.
        drop(lock(&self.shared.queue));
        self.shared.changed.notify_all();
        if let Some(thread) = lock(&self.thread).take()
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
        if nodes > NODES_MAX || !self.start() {
            return None;
        }
        let entries = Arc::new(Entries {
            digest: compiled.digest(),
            key: key(&self.shared.fingerprint, compiled),
            code: OnceLock::new(),
            samples: AtomicU32::new(0),
            source: Mutex::new(Some(Source {
                definitions: definitions.to_vec(),
                entries: compiled.entries().to_vec(),
            })),
            shared: Arc::clone(&self.shared),
        });
        let handle = Handle(entries);
        if self.shared.options.samples == 0 {
            handle.ask();
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
    /// Puts the book into the queue.
    fn ask(&self) {
        let shared = &self.0.shared;
        let mut queue = lock(&shared.queue);
        if queue.waiting.len() < QUEUE_MAX {
            queue.waiting.push(Arc::clone(&self.0));
            shared.changed.notify_all();
        } else {
            add(&shared.counters.refused, 1);
            self.0.samples.store(0, Ordering::Relaxed);
        }
    }
}

// SAFETY: the code lives as long as `Entries`, which lives as long as the handle. It was rendered from the functions that were
// made for these entries, or read from a file that says so under a checksum and that only this user can write.
unsafe impl Fused for Handle {
    fn digest(&self) -> [u8; 32] {
        self.0.digest
    }

    #[inline]
    fn function(&self, entry: u32) -> Option<Function> {
        self.0.code.get()?.function(entry)
    }

    fn sampled(&self, _entry: u32) {
        let hot = self.0.shared.options.samples;
        // Looked at first, so that a busy worker does not write what others read.
        let samples = &self.0.samples;
        if samples.load(Ordering::Relaxed) < hot
            && samples.fetch_add(1, Ordering::Relaxed) + 1 == hot
        {
            self.ask();
        }
    }
}

impl Shared {
    /// What the thread does.
    fn work(&self) {
        let mut renderer = None;
        while let Some(book) = self.next() {
            // Nothing that a panic could leave half done is used again: the renderer is made anew.
            let done = catch_unwind(AssertUnwindSafe(|| self.compile(&book, &mut renderer)));
            if done.is_err() {
                renderer = None;
                add(&self.counters.failed, 1);
                tracing::warn!("a book cannot be compiled: the compiler has panicked");
            }
            lock(&self.queue).busy = false;
            self.changed.notify_all();
        }
    }

    /// The next book; None when there will be no more.
    fn next(&self) -> Option<Arc<Entries>> {
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

    /// Finds or makes the code of a book and publishes it.
    fn compile(&self, book: &Entries, renderer: &mut Option<Renderer>) {
        let Some(source) = lock(&book.source).take() else {
            return;
        };
        let code = match self.find(book, source.entries.len()) {
            Some(code) => code,
            None => match self.make(book, &source, renderer) {
                Some(code) => code,
                None => return,
            },
        };
        if book.code.set(code).is_err() {
            unreachable!("the source of a book is taken once");
        }
    }

    fn find(&self, book: &Entries, entries: usize) -> Option<Arc<Placed>> {
        let kept = self.kept(&book.key);
        if kept.is_some() {
            add(&self.counters.memory_hits, 1);
            return kept;
        }
        let image = self.read(book).filter(|image| image.doors.len() == entries);
        let placed = image.and_then(|image| self.place(&image));
        match &placed {
            Some(placed) => {
                add(&self.counters.disk_hits, 1);
                self.keep(book.key, placed);
            }
            None => add(&self.counters.misses, 1),
        }
        placed
    }

    /// The image on disk.
    fn read(&self, book: &Entries) -> Option<Image> {
        self.disk.as_ref()?.get(&book.key).unwrap_or_else(|error| {
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
        book: &Entries,
        source: &Source,
        renderer: &mut Option<Renderer>,
    ) -> Option<Arc<Placed>> {
        let begin = ThreadTime::now();
        let image = self.render(source, renderer, begin);
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
                tracing::warn!(%error, "a book cannot be compiled");
                return None;
            }
        };
        let placed = self.place(&image)?;
        add(&self.counters.books, 1);
        add(&self.counters.functions, placed.functions() as u64);
        add(&self.counters.bytes, placed.bytes() as u64);
        self.keep(book.key, &placed);
        if let Some(disk) = &self.disk
            && let Err(error) = disk.put(&book.key, &image)
        {
            self.disk_error(&error);
        }
        Some(placed)
    }

    fn render(
        &self,
        source: &Source,
        renderer: &mut Option<Renderer>,
        begin: ThreadTime,
    ) -> Result<Image, RenderError> {
        let module = (self.build)(&source.definitions, &source.entries);
        let renderer = match renderer {
            Some(renderer) => renderer,
            None => renderer.insert(Renderer::new()?),
        };
        renderer.render(&module, || {
            begin.elapsed() < self.options.budget && !self.closed.load(Ordering::Acquire)
        })
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
        while bytes > BYTES_MAX || kept.len() - surplus > BOOKS_MAX {
            bytes -= kept[surplus].1.bytes();
            surplus += 1;
        }
        kept.drain(..surplus);
    }
}
