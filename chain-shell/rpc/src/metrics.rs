//! The one metric registry.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::{BlockSummary, Health, JitHealth};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StageLabel {
    stage: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: String,
    backend: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BackendLabel {
    backend: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CacheLabel {
    outcome: &'static str,
}

/// Counters and gauges of native code for nets.
#[derive(Debug, Default)]
struct Jit {
    functions: Counter,
    compile: Counter,
    cache: Family<CacheLabel, Counter>,
    code: Counter,
    given_up: Counter,
}

/// Counters and gauges of one node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    height: Gauge,
    mempool: Gauge,
    edges: Gauge,
    iterations: Gauge,
    residual: Gauge<f64, AtomicU64>,
    resident: Gauge,
    blocks: Counter,
    transactions: Counter,
    submitted: Family<Outcome, Counter>,
    failed: Counter,
    gas: Counter,
    memory_ops: Counter,
    apply: Histogram,
    stages: Family<StageLabel, Counter<f64, AtomicU64>>,
    serving: Family<BackendLabel, Gauge>,
    failovers: Counter,
    unsupported: Counter,
    jit: Jit,
}

impl Jit {
    fn register(&self, r: &mut Registry) {
        let functions = self.functions.clone();
        r.register("jit_functions", "Native functions made", functions);
        r.register(
            "jit_compile_microseconds",
            "Time spent making native functions, beside the work of the node",
            self.compile.clone(),
        );
        r.register(
            "jit_cache",
            "Look-ups of native code: found in memory, on disk, missed, failures on disk",
            self.cache.clone(),
        );
        let code = self.code.clone();
        r.register("jit_code_bytes", "Native code made", code);
        r.register(
            "jit_books_given_up",
            "Books without native code: they took too long, or cannot be compiled",
            self.given_up.clone(),
        );
    }

    fn sample(&self, jit: &JitHealth) {
        let outcome = |outcome| self.cache.get_or_create(&CacheLabel { outcome }).clone();
        for (counter, value) in [
            (&self.functions, jit.functions),
            (&self.compile, jit.compile_micros),
            (&self.code, jit.code_bytes),
            (&outcome("memory"), jit.memory_hits),
            (&outcome("disk"), jit.disk_hits),
            (&outcome("miss"), jit.misses),
            (&outcome("disk_error"), jit.disk_errors),
            (&self.given_up, jit.books_given_up),
        ] {
            counter.inner().store(value, Ordering::Relaxed);
        }
    }
}

impl Metrics {
    /// A registry for a node of `version` on `backend`.
    pub fn new(version: &str, backend: &str) -> Metrics {
        let metrics = Metrics {
            registry: Registry::with_prefix("focus"),
            height: Gauge::default(),
            mempool: Gauge::default(),
            edges: Gauge::default(),
            iterations: Gauge::default(),
            residual: Gauge::default(),
            resident: Gauge::default(),
            blocks: Counter::default(),
            transactions: Counter::default(),
            submitted: Family::default(),
            failed: Counter::default(),
            gas: Counter::default(),
            memory_ops: Counter::default(),
            // 0.5 ms to 16 s.
            apply: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            stages: Family::default(),
            serving: Family::default(),
            failovers: Counter::default(),
            unsupported: Counter::default(),
            jit: Jit::default(),
        };
        metrics.registered(version, backend)
    }

    fn registered(mut self, version: &str, backend: &str) -> Metrics {
        let r = &mut self.registry;
        let build = Family::<Build, Gauge>::default();
        build
            .get_or_create(&Build {
                version: version.to_owned(),
                backend: backend.to_owned(),
            })
            .set(1);
        r.register("build_info", "Version and backend, always 1", build);
        r.register("block_height", "Height of the tip", self.height.clone());
        r.register(
            "mempool_size",
            "Transactions that wait",
            self.mempool.clone(),
        );
        r.register("graph_edges", "Edges of the graph", self.edges.clone());
        let iterations = self.iterations.clone();
        r.register(
            "pi_iterations",
            "Iterations of the last ranking",
            iterations,
        );
        let residual = self.residual.clone();
        r.register(
            "pi_residual_ratio",
            "Last residual as a share of the mass",
            residual,
        );
        let resident = self.resident.clone();
        r.register(
            "resident_memory_bytes",
            "Resident memory, 0 if unknown",
            resident,
        );
        r.register("blocks", "Blocks committed", self.blocks.clone());
        let transactions = self.transactions.clone();
        r.register("transactions", "Transactions committed", transactions);
        let submitted = self.submitted.clone();
        r.register("submitted", "Transactions offered, by outcome", submitted);
        r.register(
            "failed",
            "Transactions committed that failed",
            self.failed.clone(),
        );
        r.register(
            "gas",
            "Gas used, counting interactions of weight nets",
            self.gas.clone(),
        );
        let memory_ops = self.memory_ops.clone();
        r.register(
            "memory_operations",
            "Memory Arithmetic operations",
            memory_ops,
        );
        r.register(
            "block_apply_seconds",
            "Time to make a block",
            self.apply.clone(),
        );
        r.register(
            "stage_seconds",
            "Time per stage of a block",
            self.stages.clone(),
        );
        r.register(
            "coprocessor_serving",
            "1 for the backend that runs the jobs, 0 for one that was given up",
            self.serving.clone(),
        );
        r.register(
            "coprocessor_failovers",
            "Devices given up for the CPU after a failure",
            self.failovers.clone(),
        );
        r.register(
            "coprocessor_unsupported",
            "Jobs the CPU ran because the device does not take them",
            self.unsupported.clone(),
        );
        self.jit.register(r);
        self
    }

    /// Counts a committed block.
    pub fn committed(&self, block: &BlockSummary) {
        self.height.set(signed(block.height));
        self.edges.set(signed(block.edges));
        self.iterations.set(i64::from(block.iterations));
        self.residual.set(block.residual);
        self.blocks.inc();
        self.transactions.inc_by(block.transactions);
        self.failed.inc_by(block.failed);
        self.gas.inc_by(block.gas);
        self.memory_ops.inc_by(block.memory_ops);
        let mut total = 0.0;
        for stage in &block.stages {
            let seconds = stage.micros as f64 / 1e6;
            total += seconds;
            let label = StageLabel {
                stage: stage.name.clone(),
            };
            self.stages.get_or_create(&label).inc_by(seconds);
        }
        self.apply.observe(total);
    }

    /// Counts an offered transaction: `accepted`, or the reason of its refusal.
    pub fn submitted(&self, outcome: &str) {
        let outcome = Outcome {
            outcome: outcome.to_owned(),
        };
        self.submitted.get_or_create(&outcome).inc();
    }

    /// Sets what is read rather than counted as it happens.
    pub fn sample(&self, health: &Health) {
        self.height.set(signed(health.height));
        self.mempool.set(signed(health.mempool));
        self.resident.set(signed(health.rss.unwrap_or(0)));
        let coprocessor = &health.coprocessor;
        for backend in [&health.backend, &coprocessor.serving] {
            let label = BackendLabel {
                backend: backend.clone(),
            };
            let serves = *backend == coprocessor.serving;
            self.serving.get_or_create(&label).set(serves.into());
        }
        for (counter, value) in [
            (&self.failovers, coprocessor.failovers),
            (&self.unsupported, coprocessor.unsupported),
        ] {
            counter.inner().store(value, Ordering::Relaxed);
        }
        if let Some(jit) = &health.jit {
            self.jit.sample(jit);
        }
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut open_metrics = String::new();
        text::encode(&mut open_metrics, &self.registry)?;
        Ok(prometheus_text(&open_metrics))
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// OpenMetrics names a counter's family without `_total`, Prometheus text with it.
fn prometheus_text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len() + 256);
    let counters: Vec<&str> = open_metrics
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let head = (words.next(), words.next(), words.next(), words.next());
        match head {
            (Some("#"), Some("EOF"), ..) => continue,
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(&name) => {
                out.push_str(&format!("# {kind} {name}_total {rest}"));
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::CoprocessorHealth;

    fn health() -> Health {
        Health {
            version: "1.2.3".into(),
            chain_id: "mock-1".into(),
            genesis_hash: "ab".repeat(32),
            node_key: "cd".repeat(32),
            height: 7,
            round: 0,
            tip: "ef".repeat(32),
            state_root: "01".repeat(32),
            mempool: 3,
            counters: BTreeMap::new(),
            backend: "wgpu:1".into(),
            device: "a card".into(),
            threads: 0,
            coprocessor: CoprocessorHealth {
                serving: "wgpu:1".into(),
                unsupported: 5,
                ..CoprocessorHealth::default()
            },
            jit: None,
            pid: 1,
            rss: None,
        }
    }

    #[test]
    fn native_code_shows() {
        let metrics = Metrics::new("1.2.3", "cpu");
        let has = |line: &str| {
            let text = metrics.encode().unwrap();
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        };
        metrics.sample(&health());
        has("focus_jit_functions_total 0");
        let jit = JitHealth {
            functions: 7,
            compile_micros: 1234,
            code_bytes: 4096,
            memory_hits: 4,
            disk_hits: 3,
            misses: 2,
            disk_errors: 1,
            books_given_up: 5,
        };
        metrics.sample(&Health {
            jit: Some(jit),
            ..health()
        });
        has("focus_jit_functions_total 7");
        has("focus_jit_compile_microseconds_total 1234");
        has("focus_jit_code_bytes_total 4096");
        has("focus_jit_cache_total{outcome=\"memory\"} 4");
        has("focus_jit_cache_total{outcome=\"disk\"} 3");
        has("focus_jit_cache_total{outcome=\"miss\"} 2");
        has("focus_jit_cache_total{outcome=\"disk_error\"} 1");
        has("focus_jit_books_given_up_total 5");
    }

    #[test]
    fn a_failover_shows() {
        let metrics = Metrics::new("1.2.3", "wgpu:1");
        let mut health = health();
        metrics.sample(&health);
        let has = |line: &str| {
            let text = metrics.encode().unwrap();
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        };
        has("focus_build_info{version=\"1.2.3\",backend=\"wgpu:1\"} 1");
        has("focus_coprocessor_serving{backend=\"wgpu:1\"} 1");
        has("focus_coprocessor_failovers_total 0");
        has("focus_coprocessor_unsupported_total 5");
        health.coprocessor = CoprocessorHealth {
            serving: "cpu".into(),
            failure: Some("device: unplugged".into()),
            failovers: 1,
            unsupported: 6,
        };
        metrics.sample(&health);
        has("focus_coprocessor_serving{backend=\"wgpu:1\"} 0");
        has("focus_coprocessor_serving{backend=\"cpu\"} 1");
        has("focus_coprocessor_failovers_total 1");
        has("focus_coprocessor_unsupported_total 6");
    }

    #[test]
    fn counters_carry_their_suffix_everywhere() {
        let metrics = Metrics::new("1.2.3", "cpu");
        metrics.submitted("accepted");
        metrics.submitted("bad_sig");
        metrics.submitted("bad_sig");
        metrics.sample(&health());
        let text = metrics.encode().unwrap();
        assert!(
            text.contains("# TYPE focus_submitted_total counter\n"),
            "{text}"
        );
        assert!(text.contains("# HELP focus_submitted_total "), "{text}");
        assert!(
            text.contains("focus_submitted_total{outcome=\"bad_sig\"} 2\n"),
            "{text}"
        );
        assert!(text.contains("focus_block_height 7\n"), "{text}");
        assert!(text.contains("focus_mempool_size 3\n"), "{text}");
        assert!(!text.contains("EOF"), "{text}");
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|s| name.strip_suffix(s))
                .unwrap_or(name);
            assert!(text.contains(&format!("# TYPE {family} ")), "{line}");
        }
    }
}
