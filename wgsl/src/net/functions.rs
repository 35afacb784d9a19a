//! Lane functions in place of expansions: a build of a reducer for each book that is worth it.
//!
//! The reducer without them runs until the build is there, which is compiled on a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use ffcm::net::Book;
use ffcm_jit::Target;
use ffcm_jit::lane::{Calls, render_calls};

use crate::device::{Gpu, GpuError, Kernel, Source};

/// Interactions of a reduction after which its book is worth a build.
const HOT: u64 = 1 << 20;
/// Most builds kept.
const KERNELS_MAX: usize = 16;

/// When lane functions take the place of expansions in nets. No choice changes a result or a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneFunctions {
    /// Never.
    Off,
    /// When a net has kept the device busy for a while, and the build for its book has been compiled meanwhile.
    #[default]
    Hot,
    /// Always: every reduction waits for the build.
    Always,
}

/// What became of the build for a book.
#[derive(Debug)]
enum State {
    /// There will be something.
    Waiting(Receiver<Option<Arc<Kernel>>>),
    /// There is none if the book has no lane functions, or the driver does not take it.
    Known(Option<Arc<Kernel>>),
}

/// Makes a build with lane functions of their text.
pub(super) type With = fn(&str) -> Source;

/// The builds made lately, the one used last at the end.
#[derive(Debug)]
pub(super) struct Functions {
    gpu: Arc<Gpu>,
    with: With,
    when: LaneFunctions,
    kept: Vec<([u8; 32], State)>,
}

impl Functions {
    pub(super) fn new(gpu: &Arc<Gpu>, with: With, when: LaneFunctions) -> Functions {
        Functions {
            gpu: Arc::clone(gpu),
            with,
            when,
            kept: Vec::new(),
        }
    }

    /// The build for a book of which a net has made so many interactions, if it is there.
    pub(super) fn kernel(&mut self, book: &Arc<Book>, interactions: u64) -> Option<Arc<Kernel>> {
        let digest = book.digest();
        if let Some(at) = self.kept.iter().rposition(|(kept, _)| *kept == digest) {
            self.kept[at..].rotate_left(1);
        } else {
            let state = match self.when {
                LaneFunctions::Hot if interactions >= HOT => self.start(book),
                LaneFunctions::Always => State::Known(compile(&self.gpu, self.with, book)),
                _ => return None,
            };
            if self.kept.len() == KERNELS_MAX {
                self.kept.remove(0);
            }
            self.kept.push((digest, state));
        }
        let (_, state) = self.kept.last_mut()?;
        if let State::Waiting(kernel) = state {
            match kernel.try_recv() {
                Ok(kernel) => *state = State::Known(kernel),
                Err(TryRecvError::Disconnected) => *state = State::Known(None),
                Err(TryRecvError::Empty) => {}
            }
        }
        match state {
            State::Known(kernel) => kernel.clone(),
            State::Waiting(_) => None,
        }
    }

    /// Has a build compiled.
    fn start(&self, book: &Arc<Book>) -> State {
        let (sender, receiver) = channel();
        let (gpu, book, with) = (Arc::clone(&self.gpu), Arc::clone(book), self.with);
        let thread = thread::Builder::new().name("lane functions".into());
        let spawned = thread.spawn(move || {
            // Nobody waits for it if the engine is gone.
            let _ = sender.send(compile(&gpu, with, &book));
        });
        match spawned {
            Ok(_) => State::Waiting(receiver),
            Err(error) => {
                tracing::warn!(%error, "nets run without lane functions");
                State::Known(None)
            }
        }
    }
}

/// The build for a book, if it has lane functions. An error of the device comes up wherever it is used next.
fn compile(gpu: &Gpu, with: With, book: &Book) -> Option<Arc<Kernel>> {
    let calls = Calls::of_book(book)?;
    let text = render_calls(&calls, Target::Wgsl);
    let kernel = gpu.unkept_kernel(&with(&text));
    kernel
        .inspect_err(|error: &GpuError| {
            tracing::warn!(%error, "nets run without lane functions");
        })
        .ok()
}
