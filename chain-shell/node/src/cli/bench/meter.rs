//! What devices tell besides doing jobs: bytes on the wire, and how fast they copy.

use std::fmt::Display;
use std::sync::Arc;

use ffcm_suite::bench::{Meter, Rates, Sent};
use ffcm_suite::timing::time;
use ffcm_wgsl::device::{Binding, Groups, Source};

/// Words of a transfer that is timed, 16 MiB, and of a quick one.
const TRANSFER: [u64; 2] = [4 << 20, 1 << 16];
/// Times that each is timed; the best counts.
const ROUNDS: usize = 5;
/// Copies that are submitted together.
const COPIES: u32 = 16;

/// Words that are added to, 8 MiB.
const WORDS: u64 = 1 << 21;
/// Invocations that add, and additions of each; a workgroup has as many as every device takes.
const INVOCATIONS: u32 = 1 << 16;
const ADDITIONS: u32 = 64;
const WORKGROUP: u32 = 64;

/// Additions to words in a pseudo-random order (a step of xorshift32 each), so that few meet.
const ATOMICS: &str = "
@group(0) @binding(0) var<storage, read_write> table: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var at = id.x * 2654435769u + 1u;
    for (var i = 0u; i < 64u; i++) {
        at ^= at << 13u;
        at ^= at >> 17u;
        at ^= at << 5u;
        atomicAdd(&table[at & 0x1fffffu], 1u);
    }
}
";

/// Atomic additions per second, launch and the wait for it included.
fn atomics(gpu: &ffcm_wgsl::device::Gpu, quick: bool) -> Result<f64, String> {
    let source = Source {
        name: "bench: atomics",
        text: ATOMICS.to_owned(),
        entry: "main",
        bindings: &[Binding::Write],
    };
    let kernel = gpu.unkept_kernel(&source).map_err(text)?;
    let table = gpu.buffer("atomics", WORDS).map_err(text)?;
    let bound = gpu.bind(&kernel, &[table.slice(0, WORDS)]).map_err(text)?;
    let mut launches = 0u64;
    let seconds = best(quick, || {
        launches += 1;
        let mut commands = gpu.commands("atomics");
        commands.dispatch(&bound, Groups::Count(INVOCATIONS / WORKGROUP));
        let done = commands.submit_and_read(&table, 0, 1);
        done.map(|_| ()).map_err(text)
    })?;
    let additions = u64::from(INVOCATIONS) * u64::from(ADDITIONS);
    let all = gpu.read(&table, 0, WORDS).map_err(text)?;
    let found: u64 = all.iter().copied().map(u64::from).sum();
    match found == additions * launches {
        true => Ok(additions as f64 / seconds),
        false => Err("an atomic addition on the device was lost".into()),
    }
}

/// An adapter of WebGPU.
pub(super) struct WgpuMeter(pub(super) Arc<ffcm_wgsl::device::Gpu>);
/// An adapter through cubecl.
#[cfg(feature = "cubecl")]
pub(super) struct CubeclMeter(pub(super) ffcm_cubecl::Gpu);
/// A device of CUDA.
pub(super) struct CudaMeter(pub(super) Arc<ffcm_cuda::device::Gpu>);

impl Meter for WgpuMeter {
    fn sent(&self) -> Sent {
        let stats = self.0.stats();
        Sent {
            uploaded: stats.uploaded,
            read_back: stats.read_back,
        }
    }

    fn rates(&self, quick: bool) -> Result<Rates, String> {
        let gpu = &*self.0;
        let most = gpu.profile().binding_bytes.min(64 << 20) / 4;
        let words = if quick { TRANSFER[1] } else { most };
        let from = gpu.buffer_of("copy: from", &pattern(words)).map_err(text)?;
        let to = gpu.buffer("copy: to", words).map_err(text)?;
        let copy = || {
            let mut commands = gpu.commands("copy");
            for _ in 0..COPIES {
                commands.copy(&from, 0, &to, 0, words);
            }
            let last = commands.submit_and_read(&to, words - 1, 1);
            check(last.map_err(text)?.first(), words)
        };
        let copy = best(quick, copy)?;
        let few = words.min(TRANSFER[0]);
        let rates = transfers(
            quick,
            copied(words, copy),
            &pattern(few),
            |data| gpu.upload(&to, 0, data).map_err(text),
            |start, words| gpu.read(&to, start, words).map_err(text),
        )?;
        Ok(Rates {
            atomics: Some(atomics(gpu, quick)?),
            ..rates
        })
    }
}

impl Meter for CudaMeter {
    fn sent(&self) -> Sent {
        let stats = self.0.stats();
        Sent {
            uploaded: stats.uploaded,
            read_back: stats.read_back,
        }
    }

    fn rates(&self, quick: bool) -> Result<Rates, String> {
        let gpu = &*self.0;
        // Two buffers of at most 256 MiB, beside what the engines hold.
        let left = gpu.memory_limit().saturating_sub(gpu.memory_in_use());
        let most = (left / 16).clamp(1, 64 << 20);
        let words = if quick { TRANSFER[1].min(most) } else { most };
        let from = gpu.buffer_of("copy: from", &pattern(words)).map_err(text)?;
        let to = gpu.buffer::<u32>("copy: to", words).map_err(text)?;
        let copy = || {
            for _ in 0..COPIES {
                gpu.copy((&from, 0), (&to, 0), words).map_err(text)?;
            }
            let last = gpu.read(&to, words - 1, 1).map_err(text)?;
            check(last.first(), words)
        };
        let copy = best(quick, copy)?;
        let few = words.min(TRANSFER[0]);
        transfers(
            quick,
            copied(words, copy),
            &pattern(few),
            |data| gpu.upload(&to, 0, data).map_err(text),
            |start, words| gpu.read(&to, start, words).map_err(text),
        )
    }
}

#[cfg(feature = "cubecl")]
impl Meter for CubeclMeter {
    fn sent(&self) -> Sent {
        let (uploaded, read_back) = self.0.sent();
        Sent {
            uploaded,
            read_back,
        }
    }

    fn rates(&self, quick: bool) -> Result<Rates, String> {
        let gpu = &self.0;
        let most = gpu.buffer_bytes().min(64 << 20) / 4;
        let words = if quick { TRANSFER[1].min(most) } else { most };
        let from = gpu.upload("copy: from", &pattern(words)).map_err(text)?;
        let to = gpu.buffer("copy: to", words).map_err(text)?;
        let read = |start: u64, words: u64| {
            let found = gpu.read(&to, start as usize, words as usize);
            found.map_err(text)
        };
        let copy = || {
            for _ in 0..COPIES {
                gpu.copy(&from, &to).map_err(text)?;
            }
            check(read(words - 1, 1)?.first(), words)
        };
        let copy = best(quick, copy)?;
        let few = words.min(TRANSFER[0]);
        transfers(
            quick,
            copied(words, copy),
            &pattern(few),
            |data| gpu.write(&to, data).map_err(text),
            read,
        )
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// 1, 2, 3, …
fn pattern(words: u64) -> Vec<u32> {
    (1..=words as u32).collect()
}

fn check(found: Option<&u32>, words: u64) -> Result<(), String> {
    match found == Some(&(words as u32)) {
        true => Ok(()),
        false => Err("a copy on the device gave something else".into()),
    }
}

/// Seconds of the fastest run, after one to warm up.
fn best(quick: bool, mut run: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    run()?;
    let mut best = f64::INFINITY;
    for _ in 0..if quick { 1 } else { ROUNDS } {
        let (done, sample) = time(&mut run);
        done?;
        best = best.min(sample.wall);
    }
    // A clock may show nothing.
    Ok(best.max(1e-9))
}

/// Bytes per second of [`COPIES`] copies, read and written bytes counted.
fn copied(words: u64, seconds: f64) -> f64 {
    (2 * 4 * words * u64::from(COPIES)) as f64 / seconds
}

/// Times an upload together with reading its last word, and a download; the former less the time for that word.
fn transfers(
    quick: bool,
    copy: f64,
    data: &[u32],
    upload: impl Fn(&[u32]) -> Result<(), String>,
    read: impl Fn(u64, u64) -> Result<Vec<u32>, String>,
) -> Result<Rates, String> {
    let words = data.len() as u64;
    let one = best(quick, || check_word(&read(0, 1)?))?;
    let up = best(quick, || {
        upload(data)?;
        check(read(words - 1, 1)?.first(), words)
    })?;
    let down = best(quick, || {
        let all = read(0, words)?;
        check(all.last(), words)
    })?;
    let rate = |seconds: f64| (4 * words) as f64 / seconds;
    Ok(Rates {
        copy,
        // Where a word takes as long as everything, the rate is not the wire's, and all of the time counts.
        upload: rate(if up > 2.0 * one { up - one } else { up }),
        download: rate(down),
        atomics: None,
    })
}

fn check_word(found: &[u32]) -> Result<(), String> {
    match found.len() {
        1 => Ok(()),
        other => Err(format!("{other} words were read instead of one")),
    }
}
