//! `focus up`: run one node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Args;
use ffcm::coprocessor::{Accelerator, Coprocessor};
use ffcm_sandboxes::weight::STAKE;
use focus_node::{BlockReport, Node, NodeError, NodeOptions};
use focus_rpc::{Limits, Metrics, Server};
use focus_types::{Genesis, GenesisAccount, Keypair};
use tokio::sync::watch;

use super::backend::{self, Serving};
use super::demo::Demo;
use super::failure::Failure;
use super::feed::Feed;
use super::jit::{Fusing, JitArguments};
use super::keys;
use super::output::{device_words, fraction, grouped, print, share};
use super::signals::{self, Stop};
use crate::api::{Service, summary};

/// Traffic of an idle demo, so that the page shows life.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The validator's secret in a data folder.
const KEY_FILE: &str = "validator.key";
/// How often an idle node looks for transactions and for a request to stop.
const POLL: Duration = Duration::from_millis(20);

/// Run one node: solo consensus, embedded store, HTTP and a page
///
/// Creates a chain in the data folder, or continues the one that is there. Blocks are made when there are
/// transactions. With --demo the node links a graph, by default the packages this program is made of, and applies
/// Memory Arithmetic and transfers; when all is linked it prints the top ten and keeps a slow heartbeat, a block every
/// two seconds. Ctrl-C stops between blocks; started again, it goes on from the same root.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  focus up --demo\n  focus up --demo --edges graph.tsv.gz --blocks 20 --data my-data"
)]
pub(crate) struct Arguments {
    /// Feed the node a graph and traffic, and print a line per block
    #[arg(long)]
    demo: bool,
    /// Graph to feed, any file that rank reads; implies --demo
    #[arg(long, value_name = "FILE")]
    edges: Option<PathBuf>,
    /// Stop after this many blocks
    #[arg(long, value_name = "N")]
    blocks: Option<u64>,
    /// Data folder
    #[arg(long, default_value = "focus-data", value_name = "DIR")]
    data: PathBuf,
    /// cpu, wgpu, wgpu:N, cuda, cuda:N or auto, which times them first; where a device fails, the CPU goes on, and it runs
    /// jobs that are too small for the device to win, as far as that was measured
    #[arg(long, default_value = "auto")]
    backend: Accelerator,
    /// Worker threads; 0 takes one per core
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = super::threads)]
    threads: usize,
    #[command(flatten)]
    jit: JitArguments,
    /// Port on 127.0.0.1; 0 takes any free one
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    rpc: u16,
    /// Shortest time from block to block in milliseconds
    #[arg(long, default_value_t = 200, value_name = "N")]
    block_ms: u64,
    /// Genesis of a new chain; an existing one must have it
    #[arg(long, value_name = "FILE", requires = "key")]
    genesis: Option<PathBuf>,
    /// File with the validator's secret, for --genesis
    #[arg(long, value_name = "FILE", requires = "genesis")]
    key: Option<PathBuf>,
}

/// Runs the verb.
pub(crate) fn up(arguments: &Arguments) -> Result<(), Failure> {
    // What may fail without a trace comes first.
    let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.rpc)))?;
    let demo = arguments.demo || arguments.edges.is_some();
    let feed = demo
        .then(|| Feed::load(arguments.edges.as_deref()))
        .transpose()?;
    let fusing = Fusing::start(&arguments.jit)?;
    let opened = backend::open_node(arguments.backend, arguments.threads, &fusing)?;
    match &opened.choice {
        Some(choice) => eprintln!("{choice}"),
        None => eprintln!("backend {}", device_words(&opened.coprocessor.info())),
    }
    let serving = Serving::new(opened, arguments.threads, &fusing)?;
    let node = Arc::new(open(arguments, &serving.coprocessor())?);
    let head = node.head();
    eprintln!(
        "chain {} in {}, height {}, state root {}",
        node.genesis().chain_id,
        arguments.data.display(),
        head.height,
        head.state_root
    );
    let mut run = Run::start(arguments, node, (serving, fusing), server)?;
    eprintln!("page and API at {}", run.page.address);
    let demo = feed
        .map(|feed| start_demo(&run.node, &arguments.data, feed))
        .transpose()?;
    run.make_blocks(demo)?;
    let head = run.node.head();
    print(format_args!(
        "stopped at height {}, state root {}\n",
        head.height, head.state_root
    ))?;
    run.page.stop();
    Ok(())
}

/// Opens the chain in the data folder, or creates one.
fn open(arguments: &Arguments, coprocessor: &Arc<dyn Coprocessor>) -> Result<Node, Failure> {
    let data = &arguments.data;
    let options = NodeOptions::default();
    if let (Some(genesis), Some(key)) = (&arguments.genesis, &arguments.key) {
        let genesis = keys::read_genesis(genesis)?;
        let key = keys::read_key(key)?;
        return Ok(Node::create(
            data,
            &genesis,
            key,
            Arc::clone(coprocessor),
            options,
        )?);
    }
    match Node::open(data, Arc::clone(coprocessor), options) {
        Err(NodeError::NoChain { .. }) => {
            // A start that broke off before there was a chain may have left a key: equal keys give equal chains.
            let kept = data.join(KEY_FILE);
            let key = if kept.exists() {
                keys::read_key(&kept)?
            } else {
                Keypair::generate().map_err(Failure::new)?
            };
            let account = GenesisAccount {
                address: key.address(),
                balance: keys::SUPPLY,
            };
            let net = STAKE.to_owned();
            let genesis = Genesis::solo("focus-solo", key.address(), vec![account], net);
            Ok(Node::create(
                data,
                &genesis,
                key,
                Arc::clone(coprocessor),
                options,
            )?)
        }
        opened => Ok(opened?),
    }
}

fn start_demo(node: &Node, data: &Path, feed: Feed) -> Result<Demo, Failure> {
    let owner = keys::read_key(&data.join(KEY_FILE))?;
    let name = feed.name.clone();
    let demo = Demo::start(node, owner, feed)?;
    eprintln!(
        "feed: {name}, {} of {} links made",
        demo.linked(),
        demo.links()
    );
    Ok(demo)
}

/// The HTTP server on its own threads.
struct Page {
    address: String,
    news: Arc<focus_rpc::Feed>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    fn serve(server: Server, service: Service, metrics: Metrics) -> Result<Page, Failure> {
        let address = format!("http://{}/", server.address());
        let news = Arc::new(focus_rpc::Feed::new());
        let metrics = Arc::new(metrics);
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(|e| Failure::new(format_args!("cannot start the HTTP threads: {e}")))?;
        let (feed, registry) = (Arc::clone(&news), Arc::clone(&metrics));
        let serve = move || {
            let serving = server.serve(
                Arc::new(service),
                feed,
                registry,
                Limits::default(),
                stopped,
            );
            if let Err(error) = runtime.block_on(serving) {
                tracing::error!(%error, "HTTP");
            }
        };
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(serve)
            .map_err(|e| Failure::new(format_args!("cannot start the HTTP threads: {e}")))?;
        Ok(Page {
            address,
            news,
            metrics,
            stop,
            thread: Some(thread),
        })
    }

    fn stop(&mut self) {
        // No receiver means that the server has ended already.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the HTTP thread panicked");
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A running node.
struct Run {
    node: Arc<Node>,
    page: Page,
    stop: Stop,
    /// Blocks still to make, if bounded.
    left: Option<u64>,
    pace: Duration,
}

impl Run {
    fn start(
        arguments: &Arguments,
        node: Arc<Node>,
        (serving, fusing): (Serving, Fusing),
        server: Server,
    ) -> Result<Run, Failure> {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), &serving.state().backend);
        let service = Service::new(Arc::clone(&node), serving, fusing);
        let page = Page::serve(server, service, metrics)?;
        let stop = signals::watch(|| eprintln!("stopping after this block"))?;
        Ok(Run {
            node,
            page,
            stop,
            left: arguments.blocks,
            pace: Duration::from_millis(arguments.block_ms),
        })
    }

    fn is_over(&self) -> bool {
        self.stop.requested() || self.left == Some(0)
    }

    fn make_blocks(&mut self, demo: Option<Demo>) -> Result<(), Failure> {
        match demo {
            Some(mut demo) => {
                self.feed(&mut demo)?;
                // With a bound on blocks the top ten is the end, without one the node goes on serving.
                if self.left.is_some() {
                    self.beat(&mut demo)?;
                    return self.print_top();
                }
                self.print_top()?;
                self.beat(&mut demo)
            }
            None => {
                while !self.is_over() {
                    let start = Instant::now();
                    self.make_block(false)?;
                    self.wait(start, self.pace.max(POLL));
                }
                Ok(())
            }
        }
    }

    /// Makes blocks until the whole feed is linked.
    fn feed(&mut self, demo: &mut Demo) -> Result<(), Failure> {
        // Transfers that fund new accounts come before anything those accounts do.
        if !self.is_over() && self.node.mempool_len() > 0 {
            let start = Instant::now();
            self.make_block(true)?;
            self.wait(start, self.pace);
        }
        let fed = |demo: &Demo, node: &Node| demo.is_done() && node.mempool_len() == 0;
        while !self.is_over() && !fed(demo, &self.node) {
            let start = Instant::now();
            let submitted = demo.submit(&self.node)?;
            for _ in 0..submitted.links + submitted.others {
                self.page.metrics.submitted("accepted");
            }
            self.make_block(true)?;
            self.wait(start, self.pace);
        }
        Ok(())
    }

    /// Serves: makes blocks of what comes in over HTTP, and of a slow heartbeat.
    fn beat(&mut self, demo: &mut Demo) -> Result<(), Failure> {
        let mut last = Instant::now();
        while !self.is_over() {
            let start = Instant::now();
            // With a bound on blocks somebody waits for the end.
            if self.left.is_some() || last.elapsed() >= HEARTBEAT {
                last = start;
                for _ in 0..demo.pulse(&self.node, 3)? {
                    self.page.metrics.submitted("accepted");
                }
            }
            self.make_block(true)?;
            self.wait(start, self.pace.max(POLL));
        }
        Ok(())
    }

    /// Makes one block if there is something to put into it.
    fn make_block(&mut self, line: bool) -> Result<(), Failure> {
        let Some(report) = self.node.produce()? else {
            return Ok(());
        };
        let summary = summary(&report);
        self.page.metrics.committed(&summary);
        self.page.news.publish(summary);
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        if line {
            print(block_line(&report))
        } else {
            Ok(())
        }
    }

    /// Waits until `pace` after `start`, or for a request to stop.
    fn wait(&self, start: Instant, pace: Duration) {
        while !self.is_over() {
            let rest = pace.saturating_sub(start.elapsed());
            if rest.is_zero() {
                break;
            }
            std::thread::sleep(rest.min(POLL));
        }
    }

    fn print_top(&self) -> Result<(), Failure> {
        let mut text = String::from("top particles by π\n");
        for (place, rank) in (1..).zip(self.node.top(10)?) {
            let label = rank.label.unwrap_or_else(|| rank.cid.to_string());
            text += &format!("{place:>4}  {}  {label}\n", fraction(rank.mass, 6));
        }
        text += &format!("page {}\n", self.page.address);
        print(text)
    }
}

/// Stages shorter than this are left out of the line about a block.
const STAGE_SHOWN: Duration = Duration::from_micros(50);

/// One line about a block. Hashes are cut to their first 8 bytes; events and `GET /block` have all of them.
fn block_line(report: &BlockReport) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let total: Duration = report.stages.iter().map(|(_, time)| *time).sum();
    let stages: Vec<String> = report
        .stages
        .iter()
        .filter(|(_, time)| *time >= STAGE_SHOWN)
        .map(|(name, time)| format!("{name} {:.1}", milliseconds(*time)))
        .collect();
    let mut line = format!(
        "block {:>4}  txs {:>4}  edges {:>7}  iter {:>3}  residual {:>6}  pi {}  root {}  {:>5.1} ms",
        report.header.height,
        report.transactions,
        grouped(report.edges),
        report.iterations,
        format!("{:.1e}", share(report.residual)),
        hex::encode(&report.pi_digest[..8]),
        hex::encode(&report.state_root.0[..8]),
        milliseconds(total),
    );
    if !stages.is_empty() {
        line += &format!(" ({})", stages.join(" "));
    }
    if report.failed > 0 {
        line += &format!("  {} failed", report.failed);
    }
    if !report.header.converged {
        line += "  pi did not converge";
    }
    line + "\n"
}

#[cfg(test)]
mod failover;

#[cfg(test)]
mod tests {
    use focus_types::{Certificate, HEADER_VERSION, Hash32, Header};

    use super::*;

    fn report() -> BlockReport {
        let hash = Hash32([0xab; 32]);
        let header = Header {
            version: HEADER_VERSION,
            chain: hash,
            height: 17,
            parent: hash,
            state_root: hash,
            tx_root: hash,
            receipt_root: hash,
            pi_root: hash,
            graph_root: hash,
            ma_root: hash,
            residual: ffcm::focus::MASS / 1_000_000,
            iterations: 15,
            converged: true,
            gas_used: 0,
            nodes: 9,
            edges: 182_000,
            proposer: focus_types::Address([1; 32]),
            certificate: Certificate::Genesis,
        };
        BlockReport {
            hash,
            transactions: 2012,
            failed: 0,
            rejected: 0,
            links: 2000,
            edges: header.edges,
            memory_ops: 10,
            iterations: header.iterations,
            residual: header.residual,
            residuals: vec![header.residual],
            pi_digest: [0xcd; 32],
            state_root: hash,
            stages: vec![
                ("weights", Duration::from_micros(900)),
                ("graph", Duration::from_micros(49)),
                ("focus", Duration::from_micros(8_100)),
            ],
            header,
        }
    }

    #[test]
    fn a_block_is_one_short_line() {
        let line = block_line(&report());
        let fixed = "block   17  txs 2012  edges 182 000  iter  15  residual 1.0e-6  \
                     pi cdcdcdcdcdcdcdcd  root abababababababab    9.0 ms";
        assert_eq!(line, format!("{fixed} (weights 0.9 focus 8.1)\n"));
        assert!(fixed.len() <= 120, "{}", fixed.len());
    }

    #[test]
    fn failures_are_said_and_empty_stages_are_not() {
        let mut report = report();
        report.stages.clear();
        report.failed = 3;
        report.header.converged = false;
        let line = block_line(&report);
        assert!(
            line.ends_with("  0.0 ms  3 failed  pi did not converge\n"),
            "{line}"
        );
    }
}
