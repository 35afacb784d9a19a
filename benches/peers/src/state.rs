//! `peers state`: the state root and its durable commit, against crates nomt and jmt.
//!
//! Every contender holds the same pairs (32-byte keys, 64-byte values) and gets the same updates. An update begins with
//! keys and values in memory and ends when the new root and everything below it are on disk: hashing of keys, sorting,
//! the tree and the synced write are all inside. Afterwards each store is opened anew; sampled values are read back and
//! proved under the last root, and an update that changes nothing must leave the root alone.

mod jellyfish;
mod nomt;
mod ours;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ffcm_benches::failure::Failure;
use ffcm_benches::machine::Machine;
use ffcm_benches::options::{Options, pool};
use ffcm_benches::random::SplitMix64;
use ffcm_benches::table::Table;
use ffcm_benches::timing::{Sample, Summary, seconds, time};
use serde::Serialize;

/// Arguments of the suite.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Pairs that the state holds.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    keys: u64,
    /// Random pairs that one update changes.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    updates: u64,
    /// Timed updates of each contender, interleaved.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Thread counts.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,2",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=64)
    )]
    threads: Vec<usize>,
    /// Folder on the disk to measure; a sub-folder is made and removed again.
    #[arg(long, value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Rivals to leave out; jmt takes most of the time.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Rival>,
    #[command(flatten)]
    options: Options,
}

/// A rival that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Rival {
    Nomt,
    Jmt,
}

/// A state key.
pub type Key = [u8; 32];
/// A state value.
pub type Value = [u8; 64];

/// One update of a contender.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Root afterwards.
    pub root: [u8; 32],
    /// Until the root was known.
    pub rooted: Sample,
    /// From then until it was durable.
    pub committed: Sample,
}

/// A state with a root that is kept on disk.
pub trait Contender: Send {
    /// What to call it.
    fn name(&self) -> &'static str;

    /// Whether it has more than one thread to offer.
    fn parallel(&self) -> bool;

    /// Prepares for updates with this many threads.
    fn set_threads(&mut self, threads: usize) -> Result<(), Failure>;

    /// Sets `pairs`, distinct keys, durably. Runs in a pool of as many threads as it was prepared for.
    fn update(&mut self, pairs: &[(Key, Value)]) -> Result<Update, Failure>;

    /// Closes the files and opens them anew.
    fn reopen(&mut self) -> Result<(), Failure>;

    /// The root as of the last update.
    fn root(&self) -> Result<[u8; 32], Failure>;

    /// The value under `key`, read from the store, after its proof under `root` held.
    fn proven(&self, key: &Key, root: &[u8; 32]) -> Result<Option<Vec<u8>>, Failure>;
}

/// What one contender showed with one number of threads.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Contender.
    pub name: &'static str,
    /// Threads.
    pub threads: usize,
    /// Until the root is known.
    pub root: Summary,
    /// From then until it is durable.
    pub commit: Summary,
    /// Both.
    pub total: Summary,
    /// Bytes that the process sent to the disk in one update, on average.
    pub written: u64,
    /// Bytes that its files take up on disk after the last update.
    pub files: u64,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    keys: u64,
    updates: u64,
    rows: Vec<Row>,
}

/// Runs the suite and prints its table.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let machine = Machine::here();
    println!("{machine}");
    let arguments = arguments.sized();
    let rows = rows(&arguments)?;
    println!(
        "{} pairs, {} random updates at a time, {} rounds; every value and proof sampled was right",
        arguments.keys, arguments.updates, arguments.rounds
    );
    print!("{}", table(&rows));
    arguments.options.write(&Report {
        machine,
        keys: arguments.keys,
        updates: arguments.updates,
        rows,
    })
}

impl Arguments {
    /// The small sizes of a tiny run, if it is one.
    fn sized(&self) -> Arguments {
        let mut sized = self.clone();
        if sized.options.tiny {
            (sized.keys, sized.updates, sized.rounds) = (3000, 300, 1);
        }
        sized.updates = sized.updates.min(sized.keys);
        sized
    }
}

/// Measures every contender and verifies it.
pub fn rows(arguments: &Arguments) -> Result<Vec<Row>, Failure> {
    let folder = tempfile::tempdir_in(&arguments.folder)
        .map_err(|error| Failure::file(&arguments.folder, &error))?;
    let sub_folder = |name: &str| -> Result<PathBuf, Failure> {
        let path = folder.path().join(name);
        fs::create_dir(&path).map_err(|error| Failure::file(&path, &error))?;
        Ok(path)
    };
    let mut contenders: Vec<Entry> = Vec::new();
    let ours = sub_folder("ours")?;
    contenders.push((ours.clone(), Box::new(ours::Ours::create(&ours)?)));
    if !arguments.without.contains(&Rival::Nomt) {
        let theirs = sub_folder("nomt")?;
        contenders.push((theirs.clone(), Box::new(nomt::NomtStore::create(&theirs)?)));
    }
    if !arguments.without.contains(&Rival::Jmt) {
        let theirs = sub_folder("jmt")?;
        contenders.push((theirs.clone(), Box::new(jellyfish::Jmt::create(&theirs)?)));
    }
    let mut state = State::new(arguments.keys);
    load(arguments, &mut contenders, &state)?;
    let mut rows = Vec::new();
    for &threads in &arguments.threads {
        rows.extend(measure(arguments, threads, &mut contenders, &mut state)?);
    }
    for (_, contender) in &mut contenders {
        verify(&mut **contender, &state)?;
    }
    Ok(rows)
}

/// What every contender has to hold by now.
struct State {
    random: SplitMix64,
    /// Value of pair `i`, in full made of this byte and of `i`.
    versions: Vec<u8>,
}

impl State {
    fn new(keys: u64) -> State {
        State {
            random: SplitMix64::new(5),
            versions: vec![0; keys as usize],
        }
    }

    fn key(i: usize) -> Key {
        let mut random = SplitMix64::new(i as u64 ^ 0x6b65_7973 << 32);
        let mut key = [0; 32];
        for word in key.as_chunks_mut::<8>().0 {
            *word = random.next_u64().to_le_bytes();
        }
        key
    }

    fn pair(&self, i: usize) -> (Key, Value) {
        let mut value = [self.versions[i]; 64];
        value[..8].copy_from_slice(&(i as u64).to_le_bytes());
        (State::key(i), value)
    }

    fn all(&self) -> Vec<(Key, Value)> {
        (0..self.versions.len()).map(|i| self.pair(i)).collect()
    }

    /// New values for `count` distinct random keys.
    fn change(&mut self, count: u64) -> Vec<(Key, Value)> {
        let mut chosen = BTreeSet::new();
        while (chosen.len() as u64) < count {
            chosen.insert(self.random.below(self.versions.len() as u64) as usize);
        }
        let mut chosen: Vec<usize> = chosen.into_iter().collect();
        self.random.shuffle(&mut chosen);
        for &i in &chosen {
            self.versions[i] = self.versions[i].wrapping_add(1);
        }
        chosen.into_iter().map(|i| self.pair(i)).collect()
    }
}

/// A contender and the folder that its files are in.
type Entry = (PathBuf, Box<dyn Contender>);

fn load(arguments: &Arguments, contenders: &mut [Entry], state: &State) -> Result<(), Failure> {
    let threads = arguments.threads.iter().copied().max().unwrap_or(1);
    let pool = pool(threads)?;
    let pairs = state.all();
    for (_, contender) in contenders {
        contender.set_threads(threads)?;
        // In portions, so that no contender needs the memory of all at once.
        let (done, sample) = time(|| -> Result<(), Failure> {
            for portion in pairs.chunks(250_000) {
                pool.install(|| contender.update(portion))?;
            }
            Ok(())
        });
        done?;
        eprintln!("{}: loaded in {}", contender.name(), seconds(sample.wall));
    }
    Ok(())
}

/// Times the updates of every contender, one after the other in each round, after one that only warms the caches.
fn measure(
    arguments: &Arguments,
    threads: usize,
    contenders: &mut [Entry],
    state: &mut State,
) -> Result<Vec<Row>, Failure> {
    let first = arguments.threads.first() == Some(&threads);
    let pool = pool(threads)?;
    let mut measured: Vec<Vec<(Update, u64)>> = vec![Vec::new(); contenders.len()];
    for (_, contender) in &mut *contenders {
        contender.set_threads(threads)?;
    }
    for round in 0..=arguments.rounds {
        let pairs = state.change(arguments.updates);
        for ((_, contender), measured) in contenders.iter_mut().zip(&mut measured) {
            let before = written()?;
            let update = pool.install(|| contender.update(&pairs))?;
            if round > 0 {
                measured.push((update, written()? - before));
            }
        }
    }
    let shown = contenders.iter().zip(&measured);
    let shown = shown.filter(|((_, contender), _)| first || contender.parallel());
    let row = |((folder, contender), measured): (&Entry, &Vec<(Update, u64)>)| {
        let summary = |sample: fn(&Update) -> Sample| {
            Summary::of(&measured.iter().map(|(u, _)| sample(u)).collect::<Vec<_>>())
        };
        Ok(Row {
            name: contender.name(),
            threads,
            root: summary(|u| u.rooted),
            commit: summary(|u| u.committed),
            total: summary(|u| Sample {
                wall: u.rooted.wall + u.committed.wall,
                cpu: u.rooted.cpu + u.committed.cpu,
            }),
            written: measured.iter().map(|(_, bytes)| bytes).sum::<u64>() / measured.len() as u64,
            files: size(folder)?,
        })
    };
    shown.map(row).collect()
}

/// Holds a contender, opened anew, against what it should hold.
fn verify(contender: &mut dyn Contender, state: &State) -> Result<(), Failure> {
    let name = contender.name();
    let wrong = |what: &str| Failure::Mismatch(format!("{name}: {what}"));
    let root = contender.root()?;
    contender.reopen()?;
    if contender.root()? != root {
        return Err(wrong("another root after opening anew"));
    }
    let mut random = SplitMix64::new(17);
    let sampled: Vec<usize> = (0..1000)
        .map(|_| random.below(state.versions.len() as u64) as usize)
        .collect();
    for &i in &sampled {
        let (key, value) = state.pair(i);
        if contender.proven(&key, &root)?.as_deref() != Some(&value[..]) {
            return Err(wrong(&format!("another value of pair {i}")));
        }
    }
    let absent = State::key(state.versions.len());
    if contender.proven(&absent, &root)?.is_some() {
        return Err(wrong("a value of a key that was never set"));
    }
    let same: BTreeSet<usize> = sampled.into_iter().collect();
    let same: Vec<_> = same.into_iter().map(|i| state.pair(i)).collect();
    if contender.update(&same)?.root != root {
        return Err(wrong("setting the values that are there changed the root"));
    }
    let mut other = state.pair(0);
    other.1[63] ^= 1;
    if contender.update(&[other])?.root == root {
        return Err(wrong("setting another value left the root alone"));
    }
    Ok(())
}

/// Bytes that this process has sent to disks so far, page cache included.
fn written() -> Result<u64, Failure> {
    let path = Path::new("/proc/self/io");
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    text.lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
        .ok_or_else(|| Failure::failed("/proc/self/io: no write_bytes"))
}

/// Bytes that the files of a folder take up on disk.
fn size(folder: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let fail = |error| Failure::file(folder, &error);
    let mut total = 0;
    for entry in fs::read_dir(folder).map_err(fail)? {
        let metadata = entry.and_then(|entry| entry.metadata()).map_err(fail)?;
        total += 512 * metadata.blocks();
    }
    Ok(total)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "contender",
        "threads",
        "root",
        "commit",
        "total",
        "median",
        "CPU: root",
        "commit",
        "total",
        "ours / it",
        "of CPU",
        "written",
        "on disk",
    ]);
    let megabytes = |bytes: u64| format!("{} MB", bytes / 1_000_000);
    for row in rows {
        // A contender without threads of its own is held against ours on one.
        let ours = rows
            .iter()
            .find(|ours| ours.name == rows[0].name && ours.threads == row.threads);
        let ratio = |of: fn(&Summary) -> f64| {
            ours.map_or(String::new(), |ours| {
                format!("{:.2}", of(&ours.total) / of(&row.total))
            })
        };
        table.row([
            row.name.to_owned(),
            row.threads.to_string(),
            seconds(row.root.best),
            seconds(row.commit.best),
            seconds(row.total.best),
            seconds(row.total.median),
            seconds(row.root.cpu),
            seconds(row.commit.cpu),
            seconds(row.total.cpu),
            ratio(|total| total.best),
            ratio(|total| total.cpu),
            megabytes(row.written),
            megabytes(row.files),
        ]);
    }
    table
}
