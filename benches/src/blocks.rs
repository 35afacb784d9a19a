//! Suite `blocks`: a chain of one validator, from signed transactions to durable blocks.
//!
//! A seeded RMAT graph becomes links, with Memory Arithmetic and transfers among them, on a node with a real store and
//! log in a temporary folder. Afterwards the chain is executed again, from the store and from the log: both must end in
//! the node's last block and state root.

use std::path::Path;
use std::sync::Arc;

use ffcm::coprocessor::Coprocessor;
use ffcm::cpu::CpuCoprocessor;
use ffcm::memory::{DIMENSION, LAYERS, SLOTS};
use ffcm_sandboxes::weight::STAKE;
use focus_modules::gas;
use focus_node::{BlockReport, Node, NodeError, NodeOptions, replay_data, replay_log};
use focus_types::{
    AssetId, Body, Genesis, GenesisAccount, Hash32, Header, Keypair, MaOp, Particle, SignedTx,
    SlotTarget, Transaction,
};
use serde::Serialize;

use crate::failure::Failure;
use crate::machine::Machine;
use crate::options::Options;
use crate::random::SplitMix64;
use crate::rmat::Rmat;
use crate::table::Table;
use crate::timing::{Sample, Summary, seconds, time};

/// Arguments of the suite.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Links to make.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1 << 22))]
    links: u32,
    /// Transactions of a block.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    block: u32,
    /// Seed of the graph and of everything else.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads of the coprocessor.
    #[arg(
        long,
        default_value_t = 2,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024)
    )]
    threads: usize,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    seed: u64,
    threads: usize,
    /// Transactions a block may have.
    block: usize,
    blocks: usize,
    transactions: usize,
    links: usize,
    edges: u64,
    nodes: u64,
    state_root: String,
    /// Seconds to admit one block's transactions to the mempool, all at once; signing is not included.
    admission: Summary,
    /// Seconds to produce one block, durable in store and log.
    production: Summary,
    /// Over all production time of all blocks.
    blocks_per_second: f64,
    transactions_per_second: f64,
    /// Share of each stage in all production time; `rest` is what the stages leave.
    stages: Vec<(&'static str, f64)>,
    /// Seconds to execute all blocks again.
    replay: f64,
}

/// Accounts that sign.
const ACCOUNTS: u8 = 8;
/// FOCUS units of each.
const BALANCE: u64 = 1 << 60;
/// One Memory Arithmetic operation for so many links.
const LINKS_PER_OPERATION: usize = 8;
/// One transfer for so many links.
const LINKS_PER_TRANSFER: usize = 16;

/// What all blocks took.
#[derive(Default)]
struct Measured {
    admission: Vec<Sample>,
    production: Vec<Sample>,
    transactions: usize,
    failed: usize,
    /// Seconds per stage, in pipeline order.
    stages: Vec<(&'static str, f64)>,
}

/// Feeds the chain, checks it, prints the figures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let options = &arguments.options;
    let machine = Machine::here();
    println!("{machine}");
    let (links, block) = if options.tiny {
        (200, 50)
    } else {
        (arguments.links as usize, arguments.block as usize)
    };
    let folder = tempfile::tempdir()
        .map_err(|error| Failure::Failed(format!("temporary folder: {error}")))?;
    let device = CpuCoprocessor::new(arguments.threads).map_err(Failure::failed)?;
    let device: Arc<dyn Coprocessor> = Arc::new(device);
    let genesis = genesis(block);
    let bodies = bodies(arguments.seed, links, genesis.ma.shards)?;
    let (measured, tip) = feed(folder.path(), &genesis, &device, &bodies, block)?;
    check(&measured, &tip.header, bodies.len(), links)?;
    let replay = check_replays(folder.path(), &device, &tip)?;

    let wall: f64 = measured.production.iter().map(|sample| sample.wall).sum();
    let share = |(stage, seconds): &(&'static str, f64)| (*stage, seconds / wall);
    let mut stages: Vec<(&'static str, f64)> = measured.stages.iter().map(share).collect();
    let known: f64 = stages.iter().map(|(_, share)| share).sum();
    stages.push(("rest", 1.0 - known));
    let report = Report {
        machine,
        seed: arguments.seed,
        threads: arguments.threads,
        block,
        blocks: measured.production.len(),
        transactions: measured.transactions,
        links,
        edges: tip.header.edges,
        nodes: u64::from(tip.header.nodes),
        state_root: tip.header.state_root.to_string(),
        blocks_per_second: measured.production.len() as f64 / wall,
        transactions_per_second: measured.transactions as f64 / wall,
        admission: Summary::of(&measured.admission),
        production: Summary::of(&measured.production),
        stages,
        replay,
    };
    print(&report);
    options.write(&report)
}

fn account(number: u8) -> Keypair {
    Keypair::from_seed([number; 32])
}

/// The validator has number 0 and no balance.
fn genesis(block: usize) -> Genesis {
    let funded = |number| GenesisAccount {
        address: account(number).address(),
        balance: BALANCE,
    };
    let accounts = (1..=ACCOUNTS).map(funded).collect();
    let validator = account(0).address();
    let mut genesis = Genesis::solo("bench", validator, accounts, STAKE.to_owned());
    genesis.budgets.transactions = block as u64;
    genesis
}

/// The bodies of all transactions in order: `links` different links, and the others among them.
fn bodies(seed: u64, links: usize, shards: u16) -> Result<Vec<Body>, Failure> {
    let mut random = SplitMix64::new(seed);
    // Drawn edges, at least four times as many as are needed, lose their duplicates.
    let mut scale = 4;
    while (16 << scale) < 4 * links {
        scale += 1;
    }
    let rmat = Rmat {
        scale,
        degree: 16,
        seed,
    };
    let mut arcs = rmat.arcs();
    random.shuffle(&mut arcs);
    if arcs.len() < links {
        return Err(Failure::Failed(format!(
            "{rmat:?} has {} arcs, {links} are needed",
            arcs.len()
        )));
    }
    let mut bodies = Vec::new();
    for (number, (source, target)) in (1..).zip(arcs.into_iter().take(links)) {
        bodies.push(Body::Link {
            source: Particle::text(&format!("particle {source}")),
            target: Particle::text(&format!("particle {target}")),
            kind: 0,
            stake: 1 + random.below(1000),
        });
        if number % LINKS_PER_OPERATION == 0 {
            bodies.push(operation(&mut random, shards));
        }
        if number % LINKS_PER_TRANSFER == 0 {
            bodies.push(Body::Transfer {
                asset: AssetId::FOCUS,
                to: account(1 + random.below(u64::from(ACCOUNTS)) as u8).address(),
                amount: 1 + random.below(100),
            });
        }
    }
    Ok(bodies)
}

fn operation(random: &mut SplitMix64, shards: u16) -> Body {
    let target = SlotTarget {
        shard: random.below(u64::from(shards)) as u16,
        layer: random.below(u64::from(LAYERS)) as u8,
        slot: random.below(u64::from(SLOTS)) as u8,
    };
    let op = match random.below(4) {
        0 => MaOp::Decay { factor: 9850 },
        1 => MaOp::Mix {
            alpha: 7500,
            source: random.below(u64::from(SLOTS)) as u8,
        },
        _ => MaOp::Add {
            vector: (0..DIMENSION)
                .map(|_| random.below(512) as i16 - 256)
                .collect(),
        },
    };
    Body::Memory { target, op }
}

/// The last block.
struct Last {
    header: Header,
    hash: Hash32,
}

/// Makes the chain; the accounts sign in turn. The node is closed when this returns.
fn feed(
    folder: &Path,
    genesis: &Genesis,
    device: &Arc<dyn Coprocessor>,
    bodies: &[Body],
    block: usize,
) -> Result<(Measured, Last), Failure> {
    let options = NodeOptions::default();
    let node =
        Node::create(folder, genesis, account(0), Arc::clone(device), options).map_err(node)?;
    let chain = genesis.hash();
    let keys: Vec<Keypair> = (1..=ACCOUNTS).map(account).collect();
    let mut measured = Measured::default();
    let mut last = None;
    for (chunk, bodies) in bodies.chunks(block).enumerate() {
        let sign = |(at, body): (usize, &Body)| {
            let number = chunk * block + at;
            let key = &keys[number % keys.len()];
            Transaction {
                chain,
                sender: key.address(),
                nonce: (number / keys.len()) as u64,
                gas_limit: gas::most(body, genesis.weight_net.gas),
                body: body.clone(),
            }
            .sign(key)
        };
        let signed: Vec<SignedTx> = bodies.iter().enumerate().map(sign).collect();
        let (admitted, sample) = time(|| {
            let mut answers = node.submit_all(signed).into_iter();
            answers.try_for_each(|answer| answer.map(|_| ()))
        });
        admitted
            .map_err(|reason| Failure::Mismatch(format!("a transaction is refused: {reason}")))?;
        measured.admission.push(sample);
        loop {
            let (report, sample) = time(|| node.produce());
            let Some(report) = report.map_err(self::node)? else {
                break;
            };
            measured.block(&report, sample);
            last = Some(Last {
                header: report.header,
                hash: report.hash,
            });
        }
    }
    let last = last.ok_or_else(|| Failure::Failed("no block was made".into()))?;
    Ok((measured, last))
}

impl Measured {
    fn block(&mut self, report: &BlockReport, sample: Sample) {
        self.production.push(sample);
        self.transactions += report.transactions as usize;
        self.failed += report.failed as usize;
        for (stage, duration) in &report.stages {
            let seconds = duration.as_secs_f64();
            match self.stages.iter_mut().find(|(name, _)| name == stage) {
                Some((_, sum)) => *sum += seconds,
                None => self.stages.push((stage, seconds)),
            }
        }
    }
}

fn node(error: NodeError) -> Failure {
    if error.is_mismatch() {
        Failure::Mismatch(error.to_string())
    } else {
        Failure::failed(error)
    }
}

/// Every transaction is in a block and none failed; every link is an edge.
fn check(
    measured: &Measured,
    header: &Header,
    transactions: usize,
    links: usize,
) -> Result<(), Failure> {
    if measured.transactions == transactions
        && measured.failed == 0
        && header.edges == links as u64
        && header.converged
    {
        return Ok(());
    }
    Err(Failure::Mismatch(format!(
        "{} of {transactions} transactions are in blocks, {} failed; {} edges from {links} links; π converged: {}",
        measured.transactions, measured.failed, header.edges, header.converged
    )))
}

/// Executes the chain again from the store and from the log. Returns the seconds of the first.
fn check_replays(
    folder: &Path,
    device: &Arc<dyn Coprocessor>,
    last: &Last,
) -> Result<f64, Failure> {
    let (from_data, sample) = time(|| replay_data(folder, Arc::clone(device)));
    let from_log = replay_log(&folder.join("chain.jsonl"), Arc::clone(device));
    for (source, replayed) in [("store", from_data), ("log", from_log)] {
        let replayed = replayed.map_err(node)?;
        let same = replayed.height == last.header.height
            && replayed.tip == last.hash
            && replayed.state_root == last.header.state_root;
        if !same {
            return Err(Failure::Mismatch(format!(
                "replaying the {source} gives {replayed:?}, the node had block {} {} with state root {}",
                last.header.height, last.hash, last.header.state_root
            )));
        }
    }
    Ok(sample.wall)
}

fn print(report: &Report) {
    println!(
        "{} transactions ({} links) in {} blocks, coprocessor with {} thread(s), seed {}: {} particles, {} edges",
        report.transactions,
        report.links,
        report.blocks,
        report.threads,
        report.seed,
        report.nodes,
        report.edges
    );
    println!(
        "state root {}, the same from store and log",
        report.state_root
    );
    println!(
        "{:.2} blocks/s, {:.0} transactions/s; executed again in {}",
        report.blocks_per_second,
        report.transactions_per_second,
        seconds(report.replay)
    );
    let head = format!("block of {}", report.block);
    let mut table = Table::new([&head, "best", "median", "CPU"]);
    for (what, summary) in [
        ("admission", &report.admission),
        ("production", &report.production),
    ] {
        table.row([
            what.to_owned(),
            seconds(summary.best),
            seconds(summary.median),
            seconds(summary.cpu),
        ]);
    }
    println!("{table}");
    let mut table = Table::new(["stage of production", "share"]);
    for (stage, share) in &report.stages {
        table.row([(*stage).to_owned(), format!("{:.1} %", share * 100.0)]);
    }
    println!("{table}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffcm::coprocessor::OracleCoprocessor;

    #[test]
    fn a_chain_is_made_checked_and_held_against_its_replays() {
        let folder = tempfile::tempdir().unwrap();
        let device: Arc<dyn Coprocessor> = Arc::new(OracleCoprocessor);
        let bodies = bodies(3, 40, 8).unwrap();
        assert_eq!(bodies.len(), 40 + 40 / 8 + 40 / 16);
        let (measured, mut last) = feed(folder.path(), &genesis(20), &device, &bodies, 20).unwrap();
        assert_eq!(measured.production.len(), 3);
        let stages: Vec<&str> = measured.stages.iter().map(|(name, _)| *name).collect();
        assert!(stages.starts_with(&["transactions"]) && stages.ends_with(&["log"]));
        check(&measured, &last.header, bodies.len(), 40).unwrap();
        assert!(check(&measured, &last.header, bodies.len() + 1, 40).is_err());
        assert!(check(&measured, &last.header, bodies.len(), 41).is_err());
        check_replays(folder.path(), &device, &last).unwrap();
        last.header.state_root = Hash32([1; 32]);
        let outcome = check_replays(folder.path(), &device, &last);
        assert!(matches!(outcome, Err(Failure::Mismatch(_))));
    }
}
