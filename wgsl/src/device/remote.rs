//! A device elsewhere: what the host asks of its GPU goes to somebody else, such as a page in a browser. For tests: the
//! whole host runs as it is, and nothing runs on the adapter that was opened.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::commands::{Groups, Step, spread};
use super::{Buffer, Gpu, GpuError, Kernel, Options, Slice, Source};

/// One thing to do on the device. Things are named by numbers that the host gives, unique among all kinds.
#[derive(Clone, Debug)]
pub enum Order<'a> {
    /// A new buffer of zeros.
    Buffer {
        /// Its number.
        id: u64,
        /// What it is for.
        label: &'a str,
        /// Its length in words.
        words: u64,
    },
    /// Words written by the host.
    Upload {
        /// The buffer.
        id: u64,
        /// First word.
        start: u64,
        /// The words.
        data: &'a [u32],
    },
    /// A kernel to compile. The order is done when it is compiled.
    Kernel {
        /// Its number.
        id: u64,
        /// Its text and bindings.
        source: &'a Source,
    },
    /// A kernel put together with its buffers.
    Bind {
        /// Number of the result.
        id: u64,
        /// The kernel.
        kernel: u64,
        /// Buffer, first word and words of each binding.
        slices: Vec<(u64, u64, u64)>,
    },
    /// Commands that are submitted together.
    Submit {
        /// What they do.
        label: &'static str,
        /// The commands in their order.
        commands: Vec<RemoteCommand>,
    },
    /// A buffer, kernel or bound kernel that is no longer used.
    Drop {
        /// Its number.
        id: u64,
    },
}

/// One command of a submission.
#[derive(Clone, Copy, Debug)]
pub enum RemoteCommand {
    /// Runs a bound kernel.
    Dispatch {
        /// The bound kernel.
        bound: u64,
        /// Workgroups in the first two dimensions.
        groups: (u32, u32),
    },
    /// Runs a bound kernel; a buffer says on how many workgroups.
    Indirect {
        /// The bound kernel.
        bound: u64,
        /// The buffer.
        buffer: u64,
        /// First of the three words.
        word: u64,
    },
    /// Copies words.
    Copy {
        /// Source buffer and word.
        from: (u64, u64),
        /// Target buffer and word.
        to: (u64, u64),
        /// How many words.
        words: u64,
    },
    /// Sets words to zero.
    Clear {
        /// The buffer.
        buffer: u64,
        /// First word.
        start: u64,
        /// How many words.
        words: u64,
    },
}

/// Somebody who has a device.
pub trait Remote: Send + Sync {
    /// Does it, now or before the next [`Remote::read`].
    fn order(&self, order: Order<'_>) -> Result<(), GpuError>;
    /// Words of a buffer after everything ordered so far.
    fn read(&self, buffer: u64, start: u64, words: u64) -> Result<Vec<u32>, GpuError>;
}

/// A thing at the remote device, dropped there when it is dropped here.
pub(super) struct Handle {
    id: u64,
    remote: Arc<dyn Remote>,
    /// Kernel and buffers of a bound kernel: as long as it can run, they are there.
    _parts: Vec<Arc<Handle>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.id)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.remote.order(Order::Drop { id: self.id }) {
            tracing::warn!(%error, "a remote buffer is not given back");
        }
    }
}

impl Gpu {
    /// Opens an adapter, for its limits alone, and has `remote` do everything.
    pub fn open_remote(options: &Options, remote: Arc<dyn Remote>) -> Result<Gpu, GpuError> {
        let mut gpu = Gpu::open(options)?;
        gpu.remote = Some(remote);
        Ok(gpu)
    }

    /// A number that no other remote thing of this process has.
    fn handle(remote: &Arc<dyn Remote>, parts: Vec<Arc<Handle>>) -> Arc<Handle> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(Handle {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            remote: Arc::clone(remote),
            _parts: parts,
        })
    }

    pub(super) fn remote_buffer(
        &self,
        label: &str,
        words: u64,
    ) -> Result<Option<Arc<Handle>>, GpuError> {
        let Some(remote) = &self.remote else {
            return Ok(None);
        };
        let handle = Gpu::handle(remote, vec![]);
        let id = handle.id;
        remote.order(Order::Buffer { id, label, words })?;
        Ok(Some(handle))
    }

    /// Whether the words went to a remote device.
    pub(super) fn remote_upload(
        &self,
        buffer: &Buffer,
        start: u64,
        data: &[u32],
    ) -> Result<bool, GpuError> {
        let Some(remote) = &self.remote else {
            return Ok(false);
        };
        let id = id(&buffer.handle);
        remote.order(Order::Upload { id, start, data })?;
        Ok(true)
    }

    pub(super) fn remote_kernel(&self, source: &Source) -> Result<Option<Arc<Handle>>, GpuError> {
        let Some(remote) = &self.remote else {
            return Ok(None);
        };
        let handle = Gpu::handle(remote, vec![]);
        let id = handle.id;
        remote.order(Order::Kernel { id, source })?;
        Ok(Some(handle))
    }

    pub(super) fn remote_bind(
        &self,
        kernel: &Kernel,
        slices: &[Slice<'_>],
    ) -> Result<Option<Arc<Handle>>, GpuError> {
        let Some(remote) = &self.remote else {
            return Ok(None);
        };
        let buffers = slices.iter().map(|slice| &slice.buffer.handle);
        let parts = buffers.chain([&kernel.handle]).flatten().cloned();
        let handle = Gpu::handle(remote, parts.collect());
        let kernel = id(&kernel.handle);
        let slices = slices
            .iter()
            .map(|slice| (id(&slice.buffer.handle), slice.start, slice.words))
            .collect();
        let id = handle.id;
        remote.order(Order::Bind { id, kernel, slices })?;
        Ok(Some(handle))
    }

    /// Submits to the remote device, if there is one.
    pub(super) fn remote_submit(
        &self,
        label: &'static str,
        steps: &[Step<'_>],
    ) -> Result<bool, GpuError> {
        let Some(remote) = &self.remote else {
            return Ok(false);
        };
        let commands: Vec<RemoteCommand> = steps.iter().map(|s| self.remote_command(s)).collect();
        let is_dispatch = |step: &&Step<'_>| matches!(step, Step::Dispatch(..));
        let dispatches = steps.iter().filter(is_dispatch).count() as u64;
        remote.order(Order::Submit { label, commands })?;
        self.counters.submissions.fetch_add(1, Ordering::Relaxed);
        self.counters
            .dispatches
            .fetch_add(dispatches, Ordering::Relaxed);
        Ok(true)
    }

    /// Words of the remote device's buffer, if there is such a device.
    pub(super) fn remote_read(
        &self,
        buffer: &Buffer,
        start: u64,
        words: u64,
    ) -> Result<Option<Vec<u32>>, GpuError> {
        let Some(remote) = &self.remote else {
            return Ok(None);
        };
        let data = remote.read(id(&buffer.handle), start, words)?;
        self.counters.round_trips.fetch_add(1, Ordering::Relaxed);
        self.counters
            .read_back
            .fetch_add(words * 4, Ordering::Relaxed);
        Ok(Some(data))
    }

    fn remote_command(&self, step: &Step<'_>) -> RemoteCommand {
        match *step {
            Step::Dispatch(bound, Groups::Count(count)) => RemoteCommand::Dispatch {
                bound: id(&bound.handle),
                groups: spread(count, self.profile().workgroups),
            },
            Step::Dispatch(bound, Groups::Indirect(buffer, word)) => RemoteCommand::Indirect {
                bound: id(&bound.handle),
                buffer: id(&buffer.handle),
                word,
            },
            Step::Copy {
                from,
                start,
                to,
                at,
                words,
            } => RemoteCommand::Copy {
                from: (id(&from.handle), start),
                to: (id(&to.handle), at),
                words,
            },
            Step::Clear {
                buffer,
                start,
                words,
            } => RemoteCommand::Clear {
                buffer: id(&buffer.handle),
                start,
                words,
            },
        }
    }
}

/// Number of a thing that was made by a device that is elsewhere.
fn id(handle: &Option<Arc<Handle>>) -> u64 {
    handle.as_ref().expect("made by the same device").id
}
