//! The workloads: one job of a given size each, that any coprocessor runs.

use std::fmt;
use std::sync::Arc;

use ffcm::coprocessor::{
    Columns, Coprocessor, EvaluateJob, FocusJob, HashJob, HashOutput, JobError, RewriteJob,
    evaluate_digest, hash_digest, memory_digest, ranking_digest, rewrite_digest,
};
use ffcm::focus::FocusParams;
use ffcm::graph::Graph;
use ffcm::memory::Memory;
use ffcm::net::{Book, Call, Limits};
use ffcm::spec::word::Term;

use super::generate::{self, Arcs, Shape};
use super::operators::{self, Operation};
use crate::failure::Failure;
use crate::memory::{Operation as MemoryOperation, floor_bytes, operations};
use crate::operators::Task;
use crate::programs::Program;
use crate::random::SplitMix64;
use crate::timing::{Sample, time};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Suite {
    /// Interaction nets; a size is a number of interactions.
    Nets,
    /// π of a graph, 16 iterations; a size is a number of edges.
    Focus,
    /// Memory Arithmetic; a size is a number of operations.
    Memory,
    /// BLAKE3, SHA-256 and a nonce search; a size is a number of bytes, or 64 times that of nonces.
    Hash,
    /// One definition applied to rows of numbers; a size is a number of rows.
    Rows,
    /// Graph operators beside π; a size is a number of edges. The CPU's alone.
    Operators,
}

impl Suite {
    /// All of them, in the order of the table.
    pub const ALL: [Suite; 6] = [
        Suite::Nets,
        Suite::Focus,
        Suite::Memory,
        Suite::Hash,
        Suite::Rows,
        Suite::Operators,
    ];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Nets => "nets",
            Suite::Focus => "focus",
            Suite::Memory => "memory",
            Suite::Hash => "hash",
            Suite::Rows => "rows",
            Suite::Operators => "operators",
        }
    }

    /// Items with which the oracle is done in a moment.
    pub fn oracle_items(self) -> u64 {
        match self {
            Suite::Nets => 20_000,
            Suite::Focus => 10_000,
            Suite::Memory => 2000,
            Suite::Hash => 1 << 16,
            Suite::Rows => 1000,
            Suite::Operators => 5000,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Iterations of a ranking: always as many, so that runs compare.
const ITERATIONS: u32 = 16;
/// Shards of the tensor, 128 KiB each.
const SHARDS: u16 = 8;
/// Bytes of one hashed input.
const INPUT: usize = 1024;
/// Bytes of the header whose nonce is searched.
const HEADER: usize = 80;
/// Bytes of a size for each nonce tried.
const BYTES_PER_NONCE: u64 = 64;
/// Gas of a row, as a genesis file has it unless told otherwise, and the heap of one.
const ROW_LIMITS: Limits = Limits {
    gas: 10_000,
    nodes: 1 << 16,
    result_bytes: 64,
};

/// Something that can be made in any size.
#[derive(Clone, Debug)]
pub enum Workload {
    /// A program of the golden nets, its depth set by the size.
    Net(Program),
    /// A generated graph.
    Graph(Shape),
    /// A mixed batch of Memory Arithmetic.
    Memory,
    /// BLAKE3 of inputs of 1024 bytes.
    Blake3,
    /// SHA-256 of inputs of 1024 bytes.
    Sha256,
    /// A nonce search that tries everything.
    Nonces,
    /// The weight net `age-decay` on rows of numbers.
    AgeDecay,
    /// An operator on a generated graph.
    Operator(Task),
}

impl Workload {
    /// Suite and name in tables.
    pub fn named(&self) -> (Suite, &'static str) {
        match self {
            Workload::Net(program) => (Suite::Nets, program.name),
            Workload::Graph(shape) => (Suite::Focus, shape.name()),
            Workload::Memory => (Suite::Memory, "mixed"),
            Workload::Blake3 => (Suite::Hash, "blake3"),
            Workload::Sha256 => (Suite::Hash, "sha256"),
            Workload::Nonces => (Suite::Hash, "nonces"),
            Workload::AgeDecay => (Suite::Rows, "age-decay"),
            Workload::Operator(task) => (Suite::Operators, task.name()),
        }
    }

    /// Largest size: what gas, node numbers and sense allow.
    pub fn most(&self) -> u64 {
        match self {
            Workload::Net(_) => Limits::default().gas,
            Workload::Graph(_) | Workload::Operator(_) => generate::EDGES_MAX,
            Workload::Memory
            | Workload::Blake3
            | Workload::Sha256
            | Workload::Nonces
            | Workload::AgeDecay => 1 << 40,
        }
    }

    /// Bytes of host memory that making and running a size takes at the peak, about, and rather too many: inputs, what
    /// is sorted on the way, and what `contenders` engines keep prepared.
    pub fn bytes(&self, size: u64, contenders: usize) -> u64 {
        let each = match self {
            // A node an interaction at the worst, of 16 bytes; the heap has a bound of its own.
            Workload::Net(_) => return size.saturating_mul(16).min(Limits::default().nodes * 16),
            // Arcs twice while they are sorted, a batch of changes, the graph; what each ranker keeps.
            Workload::Graph(shape) => {
                let nodes = generate::nodes(*shape, size.min(generate::EDGES_MAX));
                let graph = graph_bytes(nodes, size, contenders.max(1) as u64);
                return graph.saturating_add(size.saturating_mul(24));
            }
            // The graph, and what each contender takes for layouts and answer, at most.
            Workload::Operator(task) => {
                let edges = size.min(generate::EDGES_MAX);
                let nodes = generate::nodes(Shape::Rmat, edges);
                let graph = graph_bytes(nodes, size, 0).saturating_add(size.saturating_mul(24));
                let threads = std::thread::available_parallelism().map_or(1, usize::from);
                let each = operators::bytes(*task, nodes, size, threads);
                return graph.saturating_add(each.saturating_mul(contenders.max(1) as u64));
            }
            // The operation, its vector and its result.
            Workload::Memory => 400,
            // The input, its digests and what points to it.
            Workload::Blake3 | Workload::Sha256 => 2,
            Workload::Nonces => return 1 << 16,
            // Three arguments, the answer, and both once more on the way.
            Workload::AgeDecay => 80,
        };
        size.saturating_mul(each)
    }

    /// The job of a size.
    ///
    /// # Errors
    /// Above [`Workload::most`], and where the input cannot be made.
    pub fn case(&self, size: u64, seed: u64) -> Result<Case, Failure> {
        let (suite, name) = self.named();
        let most = self.most();
        if size > most {
            return Err(Failure::failed(format!(
                "{suite} {name} of size {size}: the most is {most}"
            )));
        }
        let named = |items, input, job| Case {
            suite,
            name: name.to_owned(),
            size,
            items,
            input,
            job,
        };
        Ok(match self {
            Workload::Net(program) => net(program, size)?,
            Workload::Graph(shape) => {
                let Arcs { nodes, arcs } = generate::arcs(*shape, size, seed);
                let graph = crate::focus::graph(nodes, &arcs)?;
                Case::graph(name, size, graph)
            }
            Workload::Operator(task) => {
                let Arcs { nodes, arcs } = generate::arcs(Shape::Rmat, size, seed);
                let graph = crate::focus::graph(nodes, &arcs)?;
                let input = format!("rmat, {nodes} nodes, {} edges", graph.edge_count());
                let edges = graph.edge_count();
                named(edges, input, Job::Operator(Operation::new(graph, *task)))
            }
            Workload::Memory => {
                let count = usize::try_from(size).map_err(Failure::failed)?;
                let job = Job::Memory {
                    start: Memory::from_seed(SHARDS, [7; 32]),
                    operations: operations(seed, SHARDS, count),
                };
                named(size, format!("{SHARDS} shards of 128 KiB"), job)
            }
            Workload::Blake3 | Workload::Sha256 => {
                let bytes = size.next_multiple_of(8).max(8);
                let job = Job::Hash {
                    data: data(bytes, seed)?,
                    sha256: matches!(self, Workload::Sha256),
                };
                named(bytes, format!("inputs of {INPUT} bytes"), job)
            }
            Workload::Nonces => {
                let count = (size / BYTES_PER_NONCE).max(1);
                let header = data(HEADER as u64, seed)?;
                let input = format!("a header of {HEADER} bytes, no answer");
                named(count, input, Job::Nonces { header, count })
            }
            Workload::AgeDecay => {
                let book = Book::parse(ffcm_sandboxes::weight::AGE_DECAY);
                let book = Arc::new(book.map_err(Failure::failed)?);
                let entry = book.find("weight");
                let entry = entry.ok_or_else(|| Failure::failed("age-decay has no @weight"))?;
                let terms = arguments(size, seed)?;
                let job = Job::Rows {
                    book,
                    entry,
                    rows: terms.len() / ARITY,
                    arguments: Columns::of_rows(&terms, ARITY),
                };
                named(size, "stake, age and kind a row".into(), job)
            }
        })
    }
}

/// Bytes of a graph of so many nodes and edges, and of `contenders` rankers of it.
pub fn graph_bytes(nodes: u64, edges: u64, contenders: u64) -> u64 {
    let graph = edges.saturating_mul(16).saturating_add(nodes * 32);
    let ranker = edges.saturating_mul(12).saturating_add(nodes * 64);
    graph.saturating_add(ranker.saturating_mul(contenders))
}

fn data(bytes: u64, seed: u64) -> Result<Vec<u8>, Failure> {
    let words = usize::try_from(bytes / 8).map_err(Failure::failed)?;
    let mut random = SplitMix64::new(seed);
    let mut data = Vec::with_capacity(words * 8);
    data.extend((0..words).flat_map(|_| random.next_u64().to_le_bytes()));
    Ok(data)
}

/// Arguments of a row: stake, age, kind.
const ARITY: usize = 3;

fn arguments(rows: u64, seed: u64) -> Result<Vec<Term>, Failure> {
    let rows = usize::try_from(rows).map_err(Failure::failed)?;
    let mut random = SplitMix64::new(seed);
    let mut arguments = Vec::with_capacity(rows * ARITY);
    for _ in 0..rows {
        let (stake, age) = (random.below(1 << 32) as u32, random.below(1 << 24) as u32);
        arguments.extend([stake, age, random.below(4) as u32].map(Term::u32));
    }
    Ok(arguments)
}

/// The least depth at which the program has so many interactions.
fn net(program: &Program, size: u64) -> Result<Case, Failure> {
    let limits = Limits::default();
    let mut sizes = program.tiny.to_vec();
    for (name, value) in &mut sizes {
        if *name == "depth" {
            *value = 1;
        }
    }
    loop {
        let text = program.text(&sizes);
        let interactions = crate::nets::reduce(&text, 1)?.0.counts.total();
        if interactions >= size {
            let words: Vec<String> = sizes.iter().map(|(n, v)| format!("{n} {v}")).collect();
            let book = Book::parse(&text).map_err(Failure::failed)?;
            let mut case = Case::net(program.name, book, limits)?;
            (case.size, case.items) = (size, interactions);
            case.input = words.join(", ");
            return Ok(case);
        }
        for (name, value) in &mut sizes {
            if *name == "depth" {
                *value += 1;
            }
        }
    }
}

/// A workload of one size, ready to be run.
pub struct Case {
    /// Its suite.
    pub suite: Suite,
    /// Its workload.
    pub name: String,
    /// Size asked for.
    pub size: u64,
    /// Items there are; 0 for a net that nobody has run yet.
    pub items: u64,
    /// The input in words.
    pub input: String,
    job: Job,
}

enum Job {
    Net(RewriteJob),
    Focus(Graph),
    Operator(Operation),
    Memory {
        start: Memory,
        operations: Vec<MemoryOperation>,
    },
    Hash {
        data: Vec<u8>,
        sha256: bool,
    },
    Nonces {
        header: Vec<u8>,
        count: u64,
    },
    Rows {
        book: Arc<Book>,
        entry: u32,
        rows: usize,
        arguments: Columns,
    },
}

/// A run that has ended.
pub struct Done {
    /// How long it took.
    pub sample: Sample,
    /// Units of work.
    pub operations: u64,
    /// Digest of the result.
    pub digest: [u8; 32],
}

/// Why a run gave nothing.
#[derive(Debug)]
pub enum Broken {
    /// The device does not take the job.
    Unsupported(String),
    /// It failed.
    Failed(String),
}

impl From<JobError> for Broken {
    fn from(error: JobError) -> Broken {
        match error {
            JobError::NotSupported { .. } => Broken::Unsupported(error.to_string()),
            _ => Broken::Failed(error.to_string()),
        }
    }
}

impl Case {
    /// π of a graph.
    pub fn graph(name: &str, size: u64, graph: Graph) -> Case {
        Case {
            suite: Suite::Focus,
            name: name.to_owned(),
            size,
            items: graph.edge_count(),
            input: format!(
                "{} nodes, {} edges, {ITERATIONS} iterations",
                graph.node_count(),
                graph.edge_count()
            ),
            job: Job::Focus(graph),
        }
    }

    /// A program's `@main`.
    pub fn net(name: &str, book: Book, limits: Limits) -> Result<Case, Failure> {
        let call: Call = book.main().map_err(Failure::failed)?;
        Ok(Case {
            suite: Suite::Nets,
            name: name.to_owned(),
            size: 0,
            items: 0,
            input: String::new(),
            job: Job::Net(RewriteJob {
                book: Arc::new(book),
                calls: vec![call],
                limits,
            }),
        })
    }

    /// The same net under less gas; what is no net stays as it is.
    pub fn with_gas(&self, gas: u64) -> Option<RewriteJob> {
        match &self.job {
            Job::Net(job) => {
                let mut job = job.clone();
                job.limits.gas = gas;
                Some(job)
            }
            _ => None,
        }
    }

    /// What an item is.
    pub fn item(&self) -> &'static str {
        match &self.job {
            Job::Net(_) => "interactions",
            Job::Focus(_) | Job::Operator(_) => "edges",
            Job::Memory { .. } => "operations",
            Job::Hash { .. } => "bytes",
            Job::Nonces { .. } => "nonces",
            Job::Rows { .. } => "rows",
        }
    }

    /// What a unit of work is.
    pub fn operation(&self) -> &'static str {
        match &self.job {
            Job::Focus(_) => "edges visited",
            _ => self.item(),
        }
    }

    /// Least bytes that a run has to move between memory and processor; none where the work decides.
    pub fn least_bytes(&self) -> Option<u64> {
        match &self.job {
            Job::Net(_) | Job::Nonces { .. } | Job::Operator(_) => None,
            // In every iteration the target of each edge, and the mass of each node read and written.
            Job::Focus(graph) => Some(
                (4 * graph.edge_count() + 16 * u64::from(graph.node_count()))
                    * u64::from(ITERATIONS),
            ),
            Job::Memory { operations, .. } => Some(floor_bytes(operations) as u64),
            Job::Hash { data, .. } => Some(data.len() as u64),
            // The arguments read, number and interactions written.
            Job::Rows { rows, .. } => Some((rows * (ARITY * size_of::<u32>() + 16)) as u64),
        }
    }

    /// Runs it once. The digest is taken after the clock has stopped.
    pub fn run(&self, device: &dyn Coprocessor) -> Result<Done, Broken> {
        let done = |sample, operations, digest| Done {
            sample,
            operations,
            digest,
        };
        Ok(match &self.job {
            Job::Net(job) => {
                let (output, sample) = time(|| device.rewrite(job));
                let output = output?;
                let mut operations = 0;
                for result in &output {
                    match result {
                        Ok(outcome) => operations += outcome.counts.total(),
                        Err(error) => return Err(Broken::Failed(error.to_string())),
                    }
                }
                done(sample, operations, rewrite_digest(&output))
            }
            Job::Focus(graph) => {
                let params = FocusParams {
                    epsilon: 0,
                    max_iterations: ITERATIONS,
                    ..FocusParams::default()
                };
                let job = FocusJob {
                    graph,
                    params,
                    start: None,
                };
                let (ranking, sample) = time(|| device.focus(&job));
                let visited = graph.edge_count() * u64::from(ITERATIONS);
                done(sample, visited, ranking_digest(&ranking?))
            }
            Job::Operator(operation) => {
                let (sample, digest) = operation.run(&device.info())?;
                done(sample, operation.graph().edge_count(), digest)
            }
            Job::Memory { start, operations } => {
                let mut memory = start.clone();
                let (results, sample) = time(|| device.memory(&mut memory, operations));
                let digest = memory_digest(&memory, &results?);
                done(sample, operations.len() as u64, digest)
            }
            Job::Hash { data, sha256 } => {
                let inputs: Vec<&[u8]> = data.chunks(INPUT).collect();
                let job = match sha256 {
                    true => HashJob::Sha256(&inputs),
                    false => HashJob::Blake3(&inputs),
                };
                let (output, sample) = time(|| device.hash(&job));
                done(sample, data.len() as u64, hash_digest(&output?))
            }
            Job::Nonces { header, count } => {
                let job = HashJob::PowSearch {
                    header,
                    start: 0,
                    count: *count,
                    target: [0; 32],
                };
                let (output, sample) = time(|| device.hash(&job));
                let mut digest = hash_digest(&output?);
                if *count <= EASY_NONCES {
                    digest = easy_search(device, header, digest)?;
                }
                done(sample, *count, digest)
            }
            Job::Rows {
                book,
                entry,
                rows,
                arguments,
            } => {
                let arguments = arguments.arguments();
                let job = EvaluateJob {
                    book: Arc::clone(book),
                    entry: *entry,
                    arguments: &arguments,
                    limits: ROW_LIMITS,
                };
                let (output, sample) = time(|| device.evaluate(&job));
                let output = output?;
                done(sample, *rows as u64, evaluate_digest(&output))
            }
        })
    }
}

/// Nonces among which a small search, made beside the timed one, is about certain to have an answer.
const EASY_NONCES: u64 = 1024;

/// A search without an answer says little about a device, so that small ones are followed by one that has an answer: the
/// digest of both.
fn easy_search(
    device: &dyn Coprocessor,
    header: &[u8],
    digest: [u8; 32],
) -> Result<[u8; 32], JobError> {
    let mut target = [0xff; 32];
    target[0] = 3;
    let found = device.hash(&HashJob::PowSearch {
        header,
        start: 0,
        count: EASY_NONCES,
        target,
    })?;
    let digests = HashOutput::Digests(vec![digest, hash_digest(&found)]);
    Ok(hash_digest(&digests))
}

#[cfg(test)]
mod tests {
    use ffcm::coprocessor::OracleCoprocessor;
    use ffcm::cpu::CpuCoprocessor;

    use super::*;
    use crate::operators::TASKS;
    use crate::programs::PROGRAMS;

    fn workloads() -> Vec<Workload> {
        let mut all = vec![
            Workload::Graph(Shape::Rmat),
            Workload::Graph(Shape::Communities),
            Workload::Graph(Shape::Grid),
            Workload::Memory,
            Workload::Blake3,
            Workload::Sha256,
            Workload::Nonces,
            Workload::AgeDecay,
        ];
        all.extend(PROGRAMS.map(Workload::Net));
        all.extend(TASKS.map(Workload::Operator));
        all
    }

    #[test]
    fn the_cpu_gives_the_digest_of_the_oracle_on_every_workload() {
        let cpu = CpuCoprocessor::new(2).unwrap();
        for workload in workloads() {
            let case = workload.case(600, 1).unwrap();
            let found = case.run(&cpu).map_err(|e| format!("{workload:?}: {e:?}"));
            let expected = case.run(&OracleCoprocessor).unwrap();
            let found = found.unwrap();
            assert_eq!(found.digest, expected.digest, "{workload:?}");
            assert_eq!(found.operations, expected.operations);
            assert!(found.operations > 0 && case.items > 0, "{workload:?}");
            let other = workload.case(20_000, 1).unwrap().run(&cpu).unwrap();
            let searches = matches!(workload, Workload::Nonces);
            assert!(searches || other.digest != found.digest, "{workload:?}");
        }
    }

    #[test]
    fn nets_grow_to_their_size_and_no_further_than_their_gas() {
        let workload = Workload::Net(PROGRAMS[0]);
        let case = workload.case(10_000, 1).unwrap();
        assert!((10_000..40_000).contains(&case.items), "{}", case.items);
        assert!(workload.case(workload.most() + 1, 1).is_err());
    }

    #[test]
    fn memory_is_predicted_for_sizes_that_nobody_has() {
        for workload in workloads() {
            let (few, many) = (workload.bytes(1000, 2), workload.bytes(1 << 30, 2));
            assert!(few > 0 && many >= few, "{workload:?}");
            assert!(workload.bytes(u64::MAX, 2) >= many, "{workload:?}");
        }
    }
}
