//! A running node that loses its device: it goes on, and says so wherever one may look.

use std::io::{Read, Write};
use std::net::TcpStream;

use clap::Parser;
use ffcm::coprocessor::{
    Coprocessor, DeviceInfo, FocusJob, HashJob, HashOutput, JobError, OracleCoprocessor,
    RewriteJob, RewriteOutput,
};
use ffcm::cpu::CpuCoprocessor;
use ffcm::focus::Ranking;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};
use serde_json::Value;

use super::*;

/// The oracle as a device that has no Memory Arithmetic and loses power when it is to rank a block of this many edges.
struct Card {
    edges: u64,
}

impl Coprocessor for Card {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "wgpu:0".into(),
            device: "a card".into(),
            threads: 0,
        }
    }
    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        OracleCoprocessor.rewrite(job)
    }
    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        match job.graph.edge_count() >= self.edges {
            true => Err(JobError::Device("no power".into())),
            false => OracleCoprocessor.focus(job),
        }
    }
    fn memory(
        &self,
        _memory: &mut Memory,
        _ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        Err(JobError::NotSupported {
            backend: "wgpu:0".into(),
            job: "memory",
        })
    }
    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        OracleCoprocessor.hash(job)
    }
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    up: Arguments,
}

fn get(run: &Run, path: &str) -> String {
    let address = run.page.address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address.trim_end_matches('/')).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// What a node on `serving` says after `blocks` blocks of a small graph: `/health`, `/metrics`, state roots.
fn serve(serving: Serving, key: &Keypair, blocks: u64) -> (Value, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let graph = folder.path().join("graph.el");
    let links = (0..40).map(|i| format!("p{} p{} {}\n", i % 9, i * 7 % 13, 1 + i % 3));
    std::fs::write(&graph, links.collect::<String>()).unwrap();
    let blocks = blocks.to_string();
    let words = ["up", "--blocks", &blocks, "--block-ms", "0", "--data"];
    let mut up = Command::parse_from(words.iter().copied().chain([data.to_str().unwrap()])).up;
    up.edges = Some(graph);
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join(KEY_FILE), key.seed_hex().as_bytes()).unwrap();
    let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    let node = Arc::new(open(&up, &serving.coprocessor()).unwrap());
    let mut run = Run::start(&up, node, (serving, Fusing::default()), server).unwrap();
    let feed = Feed::load(up.edges.as_deref()).unwrap();
    let demo = start_demo(&run.node, &data, feed).unwrap();
    run.make_blocks(Some(demo)).unwrap();
    let health = serde_json::from_str(&get(&run, "/health")).unwrap();
    let metrics = get(&run, "/metrics");
    let root = run.node.head().state_root.to_string();
    run.page.stop();
    (health, metrics, root)
}

#[test]
fn a_lost_device_is_replaced_shown_and_counted() {
    let key = Keypair::from_seed([8; 32]);
    let cpu = || Arc::new(CpuCoprocessor::new(1).unwrap());
    let (health, metrics, root) = serve(Serving::Cpu(cpu()), &key, 8);
    assert_eq!(health["height"], 8);
    assert_eq!(health["backend"], "cpu");
    assert_eq!(health["coprocessor"]["serving"], "cpu");
    assert_eq!(health["coprocessor"]["failovers"], 0);
    let has = |metrics: &str, line: &str| {
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    };
    has(&metrics, "focus_coprocessor_serving{backend=\"cpu\"} 1");
    has(&metrics, "focus_coprocessor_failovers_total 0");

    let card = |edges| Serving::behind(Arc::new(Card { edges }), cpu());
    let (health, metrics, same) = serve(card(u64::MAX), &key, 8);
    assert_eq!(same, root);
    assert_eq!(health["backend"], "wgpu:0");
    assert_eq!(health["device"], "a card");
    assert_eq!(health["coprocessor"]["serving"], "wgpu:0");
    assert!(health["coprocessor"]["failure"].is_null());
    // The first block makes no Memory Arithmetic, the others one batch each.
    assert_eq!(health["coprocessor"]["unsupported"], 7);
    has(&metrics, "focus_coprocessor_unsupported_total 7");
    has(&metrics, "focus_coprocessor_serving{backend=\"wgpu:0\"} 1");

    let (health, metrics, same) = serve(card(20), &key, 8);
    assert_eq!(same, root);
    assert_eq!(health["backend"], "wgpu:0");
    assert_eq!(health["coprocessor"]["serving"], "cpu");
    assert_eq!(health["coprocessor"]["failure"], "device: no power");
    assert_eq!(health["coprocessor"]["failovers"], 1);
    has(&metrics, "focus_coprocessor_failovers_total 1");
    has(&metrics, "focus_coprocessor_serving{backend=\"wgpu:0\"} 0");
    has(&metrics, "focus_coprocessor_serving{backend=\"cpu\"} 1");
    assert!(metrics.contains("backend=\"wgpu:0\"} 1\n"), "{metrics}");
}
