//! Nets on devices that do not do what they are told: an error or some result, never a panic, and never for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use ffcm::coprocessor::{Coprocessor, JobError, RewriteJob};
use ffcm::net::{Book, Limits};
use ffcm::testing::Rng;
use ffcm_wgsl::WgpuCoprocessor;
use ffcm_wgsl::device::{Gpu, GpuError, Options, Order, Remote, RemoteCommand};

/// Has memory, and runs no kernel.
struct Liar {
    state: Mutex<State>,
}

struct State {
    buffers: HashMap<u64, Vec<u32>>,
    /// Makes words up.
    noise: Option<Rng>,
}

/// What the probe of loops reads, and what it hopes for.
const PROBE: (u64, u64) = (2, 1);
const TRIPS: u32 = 512 * 256;

impl Liar {
    fn new(noise: Option<Rng>) -> Liar {
        let state = Mutex::new(State {
            buffers: HashMap::new(),
            noise,
        });
        Liar { state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

fn range(start: u64, words: u64) -> std::ops::Range<usize> {
    start as usize..(start + words) as usize
}

impl State {
    fn words(&self, buffer: u64, start: u64, words: u64) -> Vec<u32> {
        self.buffers[&buffer][range(start, words)].to_vec()
    }

    fn put(&mut self, buffer: u64, start: u64, data: &[u32]) {
        let words = self.buffers.get_mut(&buffer).expect("it was made");
        words[range(start, data.len() as u64)].copy_from_slice(data);
    }

    fn run(&mut self, command: RemoteCommand) {
        match command {
            RemoteCommand::Dispatch { .. } | RemoteCommand::Indirect { .. } => {}
            RemoteCommand::Copy { from, to, words } => {
                let data = self.words(from.0, from.1, words);
                self.put(to.0, to.1, &data);
            }
            RemoteCommand::Clear {
                buffer,
                start,
                words,
            } => self.put(buffer, start, &vec![0; words as usize]),
        }
    }
}

impl Remote for Liar {
    fn order(&self, order: Order<'_>) -> Result<(), GpuError> {
        let mut state = self.state();
        match order {
            Order::Buffer { id, words, .. } => {
                state.buffers.insert(id, vec![0; words as usize]);
            }
            Order::Upload { id, start, data } => state.put(id, start, data),
            Order::Submit { commands, .. } => commands.into_iter().for_each(|c| state.run(c)),
            Order::Drop { id } => {
                state.buffers.remove(&id);
            }
            Order::Kernel { .. } | Order::Bind { .. } => {}
        }
        Ok(())
    }

    fn read(&self, buffer: u64, start: u64, words: u64) -> Result<Vec<u32>, GpuError> {
        if (start, words) == PROBE {
            return Ok(vec![TRIPS]);
        }
        let mut state = self.state();
        let mut found = state.words(buffer, start, words);
        if let Some(noise) = &mut state.noise {
            // Few words that are wrong pass more checks than many.
            for _ in 0..noise.next_u64() % 3 {
                let first = if noise.next_u64() % 2 == 0 { 64 } else { words };
                let at = (noise.next_u64() % first.min(words)) as usize;
                found[at] = match noise.next_u64() % 4 {
                    0 => u32::MAX,
                    1 => found[at].wrapping_add(1),
                    2 => noise.next_u64() as u32 % 64,
                    _ => noise.next_u64() as u32,
                };
            }
        }
        Ok(found)
    }
}

const TEXT: &str = "@main = (r (@pair @pair)) & @loop ~ (3 r)\n@pair = (x x)\n\
                    @loop = (?((0 @loop.s) r) r)\n@loop.s = (n r) & @loop ~ (n r)\n";

fn device(noise: Option<Rng>) -> WgpuCoprocessor {
    let options = Options {
        binding_bytes_max: Some(1 << 20),
        ..Options::default()
    };
    WgpuCoprocessor::on(Gpu::open_remote(&options, Arc::new(Liar::new(noise))).expect("an adapter"))
}

/// What becomes of so many calls of a small net.
fn outcome(device: &WgpuCoprocessor, calls: usize) -> Result<(), JobError> {
    let book = Arc::new(Book::parse(TEXT).expect("a valid book"));
    let job = RewriteJob {
        calls: vec![book.main().expect("main"); calls],
        book,
        limits: Limits {
            result_bytes: 10_000,
            ..Limits::default()
        },
    };
    let found = device.rewrite(&job)?;
    assert_eq!(found.len(), calls);
    Ok(())
}

#[test]
fn a_device_on_which_nothing_happens_is_an_error() {
    let device = device(None);
    for calls in [1, 100] {
        let error = outcome(&device, calls).expect_err("nothing was computed");
        assert!(
            matches!(&error, JobError::Device(message) if message.contains("nothing happens")),
            "{calls} calls: {error}"
        );
    }
}

#[test]
fn a_device_that_reports_anything_is_an_error_or_a_result() {
    let device = device(Some(Rng::new(1)));
    let mut errors = 0;
    for turn in 0..300 {
        for calls in [1, 20] {
            match outcome(&device, calls) {
                Ok(()) => {}
                Err(JobError::Device(_)) => errors += 1,
                Err(other) => panic!("turn {turn}, {calls} calls: {other}"),
            }
        }
    }
    println!("{errors} of 600 jobs fail");
    assert!(errors > 0);
}
