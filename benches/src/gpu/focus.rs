//! Suite `focus` on a device.

use std::sync::Arc;

use ffcm::coprocessor::{FocusJob, JobError, ranking_digest};
use ffcm::focus::{FocusParams, Ranker, Ranking};
use ffcm::graph::Graph;

use crate::failure::Failure;
use crate::focus::{Arguments, graph, rank};
use crate::gpu::{Choice, Counted, Device, Report, Row, Traffic, hex, watched};
use crate::timing::{Sample, Summary, seconds, time};

/// Which gathers an engine may choose from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gathers {
    Chosen,
    Dense,
}

/// What an engine counts.
#[derive(Clone, Copy)]
struct Work {
    /// Gathers of every edge.
    dense: u64,
    /// Bytes of one dense iteration of the graph it holds.
    bytes: u64,
}

/// An engine of one of the backends.
trait Engine {
    fn rank(&mut self, job: &FocusJob<'_>) -> Result<Ranking, JobError>;
    /// What it has done so far.
    fn work(&self) -> Work;
}

impl Engine for ffcm_wgsl::focus::FocusEngine {
    fn rank(&mut self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.rank(job)
    }

    fn work(&self) -> Work {
        let stats = self.stats();
        Work {
            dense: stats.dense_rounds,
            bytes: stats.bytes_per_iteration,
        }
    }
}

impl Engine for ffcm_cuda::focus::FocusEngine {
    fn rank(&mut self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.rank(job)
    }

    fn work(&self) -> Work {
        let stats = self.stats();
        Work {
            dense: stats.dense_rounds,
            bytes: stats.bytes_per_iteration,
        }
    }
}

/// Generates, verifies, measures.
pub fn run(arguments: &Arguments, choice: &Choice) -> Result<(), Failure> {
    match choice {
        Choice::Wgpu(options) => {
            use ffcm_wgsl::focus::{FocusEngine, FocusOptions, Rounds};
            let gpu = <ffcm_wgsl::device::Gpu as Device>::open(options)?;
            measure(arguments, &*gpu, |gathers| {
                let options = FocusOptions {
                    rounds: match gathers {
                        Gathers::Chosen => Rounds::Auto,
                        Gathers::Dense => Rounds::Dense,
                    },
                    ..FocusOptions::default()
                };
                FocusEngine::with_options(&gpu, options).map_err(Failure::failed)
            })
        }
        Choice::Cuda(options) => {
            let gpu = ffcm_cuda::device::Gpu::open(options).map_err(Failure::failed)?;
            on_cuda(arguments, gpu)
        }
    }
}

/// The suite on an open CUDA device.
pub(crate) fn on_cuda(arguments: &Arguments, gpu: ffcm_cuda::device::Gpu) -> Result<(), Failure> {
    use ffcm_cuda::focus::{FocusEngine, FocusOptions, Rounds};
    let gpu = Arc::new(gpu);
    measure(arguments, &*gpu, |gathers| {
        let options = FocusOptions {
            rounds: match gathers {
                Gathers::Chosen => Rounds::Auto,
                Gathers::Dense => Rounds::Dense,
            },
            ..FocusOptions::default()
        };
        FocusEngine::with_options(&gpu, options).map_err(Failure::failed)
    })
}

/// How many times the iterations of the short run a long one has.
const LONGER: u32 = 4;

fn measure<E: Engine>(
    arguments: &Arguments,
    gpu: &impl Device,
    make: impl Fn(Gathers) -> Result<E, Failure>,
) -> Result<(), Failure> {
    let options = &arguments.options;
    let rmat = arguments.rmat();
    let arcs = rmat.arcs();
    let graph = graph(rmat.nodes(), &arcs)?;
    let mut facts = vec![
        ("scale", rmat.scale.to_string()),
        ("degree", rmat.degree.to_string()),
        ("seed", rmat.seed.to_string()),
        ("nodes", rmat.nodes().to_string()),
        ("arcs", arcs.len().to_string()),
    ];
    drop(arcs);
    let ranker = Ranker::new(&graph, 1).map_err(Failure::failed)?;
    let fixed = |iterations| FocusParams {
        epsilon: 0,
        max_iterations: iterations,
        ..FocusParams::default()
    };
    let expected = |params| -> Result<Expected, Failure> {
        let digest = ranking_digest(&rank(&ranker, &params)?);
        Ok(Expected { params, digest })
    };
    let whole = expected(FocusParams::default())?;
    let short = expected(fixed(arguments.iterations))?;
    let long = expected(fixed(arguments.iterations * LONGER))?;
    drop(ranker);
    facts.push(("digest of the converged π", hex(&whole.digest)));
    facts.push(("digest after the iterations", hex(&short.digest)));
    let mut rows = Vec::new();
    for (what, gathers) in [
        ("rounds as chosen", Gathers::Chosen),
        ("dense rounds", Gathers::Dense),
    ] {
        let mut engine = make(gathers)?;
        // The first run lays the graph out and uploads it.
        let first = ranked(&mut engine, gpu, &graph, &whole)?;
        if rows.is_empty() {
            facts.push(("first run", seconds(first.sample.wall)));
            facts.push(("bytes uploaded in it", first.wire.uploaded.to_string()));
        }
        let rounds = arguments.turns.rounds(options);
        let few = Runs::measure(&mut engine, gpu, &graph, &short, rounds)?;
        let many = Runs::measure(&mut engine, gpu, &graph, &long, rounds)?;
        rows.push(few.row(what, graph.edge_count()));
        rows.extend(many.beyond(&few, what, graph.edge_count()));
    }
    Report::finish(gpu, options, "edge visits", facts, rows)
}

/// Runs of so many iterations each.
struct Runs {
    iterations: u64,
    run: Summary,
    /// Of the last run.
    wire: Traffic,
    /// Gathers of every edge in the last run.
    dense: u64,
    /// Bytes of one iteration that gathers every edge.
    bytes: u64,
}

impl Runs {
    fn measure(
        engine: &mut impl Engine,
        gpu: &impl Device,
        graph: &Graph,
        job: &Expected,
        rounds: usize,
    ) -> Result<Runs, Failure> {
        let iterations = u64::from(job.params.max_iterations);
        let mut samples = Vec::new();
        // One more, to warm up.
        let mut last = ranked(engine, gpu, graph, job)?;
        for _ in 0..rounds {
            last = ranked(engine, gpu, graph, job)?;
            samples.push(last.sample);
        }
        Ok(Runs {
            iterations,
            run: Summary::of(&samples),
            wire: last.wire,
            dense: last.work.dense,
            bytes: last.work.bytes,
        })
    }

    /// Bytes of so many iterations, if all of the last run's gathered every edge.
    fn counted(&self, iterations: u64) -> Counted {
        Counted {
            bytes: (self.dense == self.iterations).then_some(self.bytes * iterations),
            time: None,
        }
    }

    /// The whole run, start and readback included.
    fn row(&self, what: &str, edges: u64) -> Row {
        let iterations = self.iterations;
        Row::new(
            format!("{iterations} iterations, {what} ({} dense)", self.dense),
            edges * iterations,
            self.run.clone(),
            self.wire,
            self.counted(iterations),
        )
    }

    /// What the iterations cost that `fewer` lacks: start and readback cancel. None where they are lost in the noise.
    fn beyond(&self, fewer: &Runs, what: &str, edges: u64) -> Option<Row> {
        let iterations = self.iterations - fewer.iterations;
        let run = Summary {
            runs: self.run.runs.min(fewer.run.runs),
            best: self.run.best - fewer.run.best,
            median: (self.run.median - fewer.run.median).max(0.0),
            cpu: (self.run.cpu - fewer.run.cpu).max(0.0),
        };
        (run.best > 0.0).then(|| {
            Row::new(
                format!("{iterations} further iterations, {what}"),
                edges * iterations,
                run,
                Traffic::between(fewer.wire, self.wire),
                self.counted(iterations),
            )
        })
    }
}

/// A job's parameters and the CPU's answer.
struct Expected {
    params: FocusParams,
    digest: [u8; 32],
}

/// One ranking that gave what it should.
struct Done {
    sample: Sample,
    wire: Traffic,
    /// What the engine did for it.
    work: Work,
}

fn ranked(
    engine: &mut impl Engine,
    gpu: &impl Device,
    graph: &Graph,
    expected: &Expected,
) -> Result<Done, Failure> {
    let job = FocusJob {
        graph,
        params: expected.params,
        start: None,
    };
    let before = engine.work();
    let ((ranking, sample), wire) = watched(gpu, || time(|| engine.rank(&job)));
    let found = ranking_digest(&ranking.map_err(Failure::failed)?);
    if found != expected.digest {
        return Err(Failure::Mismatch(format!(
            "π: digest {} on the device, {} on the CPU",
            hex(&found),
            hex(&expected.digest)
        )));
    }
    let after = engine.work();
    Ok(Done {
        sample,
        wire,
        work: Work {
            dense: after.dense - before.dense,
            ..after
        },
    })
}
