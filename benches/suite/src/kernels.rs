//! Small fixed work whose instructions are counted instead of timed.
//!
//! Times on a busy machine say little; instructions say what a change did to the code. Each kernel prepares its input,
//! does its work inside [`measured_region`], where a profiler switches its counting on, and checks the result afterwards.
//! All of it runs on one thread.

use ffcm::coprocessor::HashJob;
use ffcm::cpu::CpuCoprocessor;
use ffcm::focus::{FocusParams, Ranker};
use ffcm::memory::Memory;
use ffcm::net::{Book, Limits};
use ffcm::{cpu::NetEngine, hash};
use ffcm_sandboxes::weight::{STAKE, WeightNet};
use focus_state::StateTree;
use focus_store::{Batch, MemoryStore, Store, Table};
use focus_types::{SignedMessage, verify_batch};

use crate::failure::Failure;
use crate::focus::{DAMPING, graph, rank};
use crate::memory::{one_by_one, operations};
use crate::options::pool;
use crate::pagerank::{Dangling, PullF32, PullGraph, l1, reference};
use crate::programs::PROGRAMS;
use crate::random::SplitMix64;
use crate::rmat::Rmat;
use crate::signatures::{Workload, signed};
use crate::weights;

/// Work done inside the region, and what it is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Units {
    /// How many.
    pub count: u64,
    /// Of what, in the singular.
    pub unit: &'static str,
}

/// One kernel by name. `quick` is for tests of the machinery.
type Kernel = (&'static str, fn(quick: bool) -> Result<Units, Failure>);

/// The kernels, in the order of tables.
pub const KERNELS: [Kernel; 15] = [
    ("sum_rec", |quick| net("sum_rec", quick, &[("depth", 14)])),
    ("sum_tree", |quick| net("sum_tree", quick, &[("depth", 14)])),
    ("sort_bitonic", |quick| {
        net("sort_bitonic", quick, &[("depth", 8)])
    }),
    ("sort_radix", |quick| {
        net("sort_radix", quick, &[("depth", 8)])
    }),
    ("stress", |quick| {
        net("stress", quick, &[("depth", 3), ("turns", 8192)])
    }),
    ("cnots", |quick| net("cnots", quick, &[("depth", 14)])),
    ("pi", pi),
    ("f32-pull", f32_pull),
    ("memory", memory),
    ("weight-net", weight_net),
    ("state-root", state_root),
    ("signatures", signatures),
    ("blake3", |quick| hashing(quick, hash::blake3)),
    ("sha256", |quick| hashing(quick, hash::sha256)),
    ("nonce-search", nonces),
];

/// Runs `work`. A profiler counts between entering and leaving this function, so nothing else is called by its name.
#[inline(never)]
pub fn measured_region(work: &mut dyn FnMut()) {
    std::hint::black_box(work)();
}

/// [`measured_region`] with a result.
fn measured<T>(work: impl FnOnce() -> T) -> T {
    let (mut work, mut result) = (Some(work), None);
    measured_region(&mut || result = work.take().map(|work| work()));
    result.expect("the region runs its work")
}

fn mismatch(what: &str) -> Failure {
    Failure::Mismatch(what.to_owned())
}

/// A net program, lowering included.
fn net(name: &str, quick: bool, sizes: &[(&'static str, u32)]) -> Result<Units, Failure> {
    let program = PROGRAMS.iter().find(|program| program.name == name);
    let program = program.ok_or_else(|| Failure::Failed(format!("no program {name}")))?;
    let sizes = if quick { program.tiny } else { sizes };
    let book = Book::parse(&program.text(sizes)).map_err(Failure::failed)?;
    let call = book.main().map_err(Failure::failed)?;
    let limits = Limits::default();
    let outcome = measured(|| NetEngine::new(&book).reduce(&call, &limits, 1, None));
    let outcome = outcome.map_err(Failure::failed)?;
    if outcome.result != program.expected(sizes) {
        return Err(mismatch(name));
    }
    Ok(Units {
        count: outcome.counts.total(),
        unit: "interaction",
    })
}

const ITERATIONS: u32 = 16;

fn rmat(quick: bool) -> Rmat {
    Rmat {
        scale: if quick { 6 } else { 13 },
        degree: 16,
        seed: 1,
    }
}

fn arcs(count: usize) -> Units {
    Units {
        count: count as u64 * u64::from(ITERATIONS),
        unit: "arc",
    }
}

/// The exact π, for a fixed number of iterations.
fn pi(quick: bool) -> Result<Units, Failure> {
    let rmat = rmat(quick);
    let one = pool(1)?;
    let all = one.install(|| rmat.arcs());
    let ranker = Ranker::new(&graph(rmat.nodes(), &all)?, 1).map_err(Failure::failed)?;
    let params = FocusParams {
        epsilon: 0,
        max_iterations: ITERATIONS,
        ..FocusParams::default()
    };
    let ranking = one.install(|| measured(|| rank(&ranker, &params)))?;
    let again = pool(2)?.install(|| rank(&ranker, &params))?;
    if ranking.digest() != again.digest() || ranking.iterations != ITERATIONS {
        return Err(mismatch("π"));
    }
    Ok(arcs(all.len()))
}

/// The floating-point kernel that π is raced against.
fn f32_pull(quick: bool) -> Result<Units, Failure> {
    let rmat = rmat(quick);
    let one = pool(1)?;
    let all = one.install(|| rmat.arcs());
    let graph = PullGraph::new(rmat.nodes(), &all);
    let mut state = PullF32::new(&graph);
    one.install(|| {
        measured(|| {
            for _ in 0..ITERATIONS {
                state.step(&graph, DAMPING as f32);
            }
        });
    });
    let exact = reference(&graph, DAMPING, Dangling::Dropped, 1e-13, 500);
    let scores: Vec<f64> = state.scores.iter().copied().map(f64::from).collect();
    let error = l1(&scores, &exact);
    if error.is_nan() || error > 1e-3 {
        return Err(mismatch("f32 pull"));
    }
    Ok(arcs(all.len()))
}

/// A batch of Memory Arithmetic.
fn memory(quick: bool) -> Result<Units, Failure> {
    let count = if quick { 64 } else { 4096 };
    let operations = operations(1, 8, count);
    let start = Memory::from_seed(8, [7; 32]);
    let (mut batch, mut single) = (start.clone(), start);
    let found = pool(1)?.install(|| measured(|| batch.apply_batch(&operations)));
    if found != one_by_one(&mut single, &operations) || batch.digest() != single.digest() {
        return Err(mismatch("memory"));
    }
    Ok(Units {
        count: (count * ffcm::memory::DIMENSION) as u64,
        unit: "value",
    })
}

/// A weight net on many links.
fn weight_net(quick: bool) -> Result<Units, Failure> {
    let edges = weights::edges(1, if quick { 20 } else { 8192 });
    let net = WeightNet::parse(STAKE, 0).map_err(Failure::failed)?;
    let device = CpuCoprocessor::new(1).map_err(Failure::failed)?;
    let found = measured(|| weights::weigh(&net, &device, &edges, edges.len()))?;
    let expected = edges.iter().map(|edge| edge.stake.min(u64::from(u32::MAX)));
    if !expected.eq(found.iter().map(|edge| edge.verdict.weight())) {
        return Err(mismatch("weight net"));
    }
    Ok(Units {
        count: edges.len() as u64,
        unit: "link",
    })
}

/// The root after random updates, nothing written.
fn state_root(quick: bool) -> Result<Units, Failure> {
    let (keys, updates) = if quick { (200, 20) } else { (50_000, 5000) };
    let store = MemoryStore::new();
    let mut random = SplitMix64::new(5);
    let mut word = || random.next_u64().to_le_bytes();
    let pairs: Vec<([u8; 8], [u8; 64])> = (0..keys)
        .map(|_| (word(), word().repeat(8).try_into().expect("eight words")))
        .collect();
    let changes = |pairs: &[([u8; 8], [u8; 64])]| {
        let set = pairs
            .iter()
            .map(|(key, value)| (&key[..], Some(&value[..])));
        StateTree::of(&store).and_then(|tree| tree.update(set))
    };
    let loaded = changes(&pairs).map_err(Failure::failed)?;
    let mut batch = Batch::new();
    for (key, value) in &pairs {
        batch.put(Table::State, *key, *value);
    }
    loaded.add_to(&mut batch);
    store.commit(&batch).map_err(Failure::failed)?;
    let mut changed = pairs.clone();
    for (_, value) in &mut changed[..updates] {
        value[0] ^= 1;
    }
    let one = pool(1)?;
    let update = one.install(|| measured(|| changes(&changed[..updates])));
    let root = update.map_err(Failure::failed)?.root();
    let empty = MemoryStore::new();
    let fresh = StateTree::of(&empty).and_then(|tree| {
        tree.update(
            changed
                .iter()
                .map(|(key, value)| (&key[..], Some(&value[..]))),
        )
    });
    if fresh.map_err(Failure::failed)?.root() != root {
        return Err(mismatch("state root"));
    }
    Ok(Units {
        count: updates as u64,
        unit: "update",
    })
}

/// A batch of signatures in one equation.
fn signatures(quick: bool) -> Result<Units, Failure> {
    let count = if quick { 4 } else { 256 };
    let signed = signed(Workload {
        signatures: count,
        senders: count,
        seed: 1,
    });
    let signed = signed.iter();
    let items: Vec<SignedMessage<'_>> = signed.map(|(by, text, s)| (*by, &text[..], *s)).collect();
    if pool(1)?
        .install(|| measured(|| verify_batch(&items)))
        .is_err()
    {
        return Err(mismatch("signatures"));
    }
    Ok(Units {
        count: items.len() as u64,
        unit: "signature",
    })
}

/// Digests of inputs of 1024 bytes.
fn hashing(quick: bool, hash: fn(&[&[u8]]) -> Vec<[u8; 32]>) -> Result<Units, Failure> {
    let data: Vec<u8> = (0..if quick { 4096u32 } else { 1 << 18 })
        .map(|i| (i * 7) as u8)
        .collect();
    let inputs: Vec<&[u8]> = data.chunks(1024).collect();
    let found = pool(1)?.install(|| measured(|| hash(&inputs)));
    if !inputs.iter().flat_map(|input| hash(&[*input])).eq(found) {
        return Err(mismatch("digests"));
    }
    Ok(Units {
        count: data.len() as u64,
        unit: "byte",
    })
}

/// A search that has no answer, so that it tries every nonce.
fn nonces(quick: bool) -> Result<Units, Failure> {
    let count = if quick { 100 } else { 1 << 15 };
    let header = [3; 80];
    let job = HashJob::PowSearch {
        header: &header,
        start: 0,
        count,
        target: [0; 32],
    };
    let found = pool(1)?.install(|| measured(|| crate::hash::on_cpu(&job)));
    if found != ffcm::coprocessor::HashOutput::Nonce(None) {
        return Err(mismatch("nonce search"));
    }
    Ok(Units {
        count,
        unit: "nonce",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_checks_its_result() {
        for (name, run) in KERNELS {
            let units = run(true).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(units.count > 0, "{name}");
        }
        assert!(matches!(net("nothing", true, &[]), Err(Failure::Failed(_))));
    }
}
