//! A node made of plain values, and a minimal HTTP client.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use focus_rpc::{
    ApiError, BlockSummary, CoprocessorHealth, Feed, Health, KeyProof, Limits, MemoryActivity,
    Metrics, NodeApi, Particle, Server, Stage, Submitted,
};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Answers from formulas over a height.
#[derive(Default)]
pub struct Mock {
    pub height: AtomicU64,
    pub failed: AtomicBool,
}

pub const SHARDS: u16 = 4;

impl NodeApi for Mock {
    fn health(&self) -> Result<Health, ApiError> {
        let height = self.height.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        Ok(Health {
            version: "0.1.0".into(),
            chain_id: "mock-1".into(),
            genesis_hash: "ab".repeat(32),
            node_key: "cd".repeat(32),
            height,
            round: 0,
            tip: format!("{height:064x}"),
            state_root: format!("{:064x}", height + 7),
            mempool: 12,
            counters: BTreeMap::from([("transactions".to_owned(), height * 3)]),
            backend: if failed { "wgpu:0" } else { "cpu" }.into(),
            device: "Mock Processor 9000".into(),
            threads: 2,
            coprocessor: CoprocessorHealth {
                serving: "cpu".into(),
                failure: failed.then(|| "device: <b>unplugged</b>".into()),
                failovers: failed.into(),
                unsupported: 0,
            },
            jit: None,
            pid: std::process::id(),
            rss: focus_rpc::resident_bytes(),
        })
    }

    fn submit(&self, tx: Value) -> Result<Submitted, ApiError> {
        let refused = |reason: &str| Submitted {
            ok: false,
            reason: Some(reason.to_owned()),
            txid: None,
        };
        Ok(match tx.get("kind").and_then(Value::as_str) {
            Some("good") => Submitted {
                ok: true,
                reason: None,
                txid: Some("11".repeat(32)),
            },
            Some("blind") => refused("unavailable"),
            Some("panic") => panic!("a node call panics"),
            Some(_) => refused("bad_sig"),
            None => refused("bad_format"),
        })
    }

    fn submit_all(&self, txs: Vec<Value>) -> Result<Vec<Submitted>, ApiError> {
        txs.into_iter().map(|tx| self.submit(tx)).collect()
    }

    fn block(&self, height: u64) -> Result<Option<Value>, ApiError> {
        let tip = self.height.load(Ordering::Relaxed);
        Ok((height <= tip).then(|| json!({ "height": height, "transactions": [] })))
    }

    fn receipt(&self, txid: [u8; 32]) -> Result<Option<Value>, ApiError> {
        Ok((txid == [0x11; 32]).then(|| json!({ "ok": true, "height": 1 })))
    }

    fn top(&self, count: usize) -> Result<Vec<Particle>, ApiError> {
        let names = [
            "serde_core",
            "proc-macro2",
            "a-package-with-a-rather-long-name",
            "libc",
        ];
        let particle = |i: usize| Particle {
            label: names[i % names.len()].to_owned(),
            id: format!("{i:064x}"),
            pi: 0.08 * 0.86f64.powi(i32::try_from(i).unwrap()),
            units: "1".into(),
        };
        let known = if self.height.load(Ordering::Relaxed) == 0 {
            0
        } else {
            40
        };
        Ok((0..count.min(known)).map(particle).collect())
    }

    fn prove(&self, key: &str) -> Result<KeyProof, ApiError> {
        if !key.starts_with('/') {
            return Err(ApiError::BadRequest("a key starts with /".into()));
        }
        Ok(KeyProof {
            key: "00".into(),
            value: None,
            proof: "00".into(),
            state_root: "00".repeat(32),
            height: 1,
        })
    }

    fn memory_activity(&self) -> Result<MemoryActivity, ApiError> {
        let height = self.height.load(Ordering::Relaxed);
        let cells = u64::from(SHARDS) * 4 * 64;
        let used = |i: u64| {
            if i * 7919 % 11 < 3 {
                height * (i * 31 % 17)
            } else {
                0
            }
        };
        Ok(MemoryActivity {
            shards: SHARDS,
            layers: 4,
            slots: 64,
            counts: (0..cells).map(used).collect(),
        })
    }
}

/// A plausible block.
pub fn summary(height: u64) -> BlockSummary {
    let iterations = 18 + u32::try_from(height % 7).unwrap();
    let residuals: Vec<f64> = (0..iterations)
        .map(|i| 0.9 * 0.45f64.powi(i32::try_from(i).unwrap()))
        .collect();
    let stages = [
        "transactions",
        "memory",
        "links",
        "weights",
        "graph",
        "focus",
        "state",
        "commit",
        "log",
    ];
    BlockSummary {
        height,
        hash: format!("{height:064x}"),
        transactions: 40 + height % 9,
        edges: 55 * height,
        iterations,
        converged: true,
        residual: *residuals.last().unwrap(),
        residual_units: "123".into(),
        residuals,
        pi_digest: "ef".repeat(32),
        state_root: blake(height),
        memory_ops: 9,
        failed: 0,
        gas: 400,
        stages: stages
            .iter()
            .zip([1900, 700, 400, 2600, 900, 1200, 3100, 4100, 900])
            .map(|(name, micros)| Stage {
                name: (*name).to_owned(),
                micros: micros + height * 97 % 800,
            })
            .collect(),
    }
}

fn blake(height: u64) -> String {
    let word = height.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{word:016x}").repeat(4)
}

/// A server on a free port, stopped on drop.
pub struct Running {
    pub address: SocketAddr,
    pub feed: Arc<Feed>,
    pub node: Arc<Mock>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(limits: Limits) -> Running {
        let server = Server::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = server.address();
        let feed = Arc::new(Feed::new());
        let node = Arc::new(Mock::default());
        let metrics = Arc::new(Metrics::new("0.1.0", "cpu"));
        let (stop, stopped) = watch::channel(false);
        let (api, news) = (Arc::clone(&node), Arc::clone(&feed));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime
                .block_on(server.serve(api, news, metrics, limits, stopped))
                .unwrap();
        });
        Running {
            address,
            feed,
            node,
            stop,
            thread: Some(thread),
        }
    }

    pub fn commit(&self, height: u64) {
        self.node.height.store(height, Ordering::Relaxed);
        self.feed.publish(summary(height));
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
    }

    /// Sends raw bytes and reads the answer to the end: status and body.
    pub fn raw(&self, request: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        // A server may refuse before it has read everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or_else(|| panic!("no status line in {text:?}"));
        let body = text
            .split_once("\r\n\r\n")
            .map_or("", |(_, b)| b)
            .to_owned();
        (status, body)
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        self.raw(head.as_bytes())
    }

    pub fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.raw(&request)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
