//! Where devices of this machine begin to win against its CPU, kept between runs in a file of the user's.
//!
//! `focus bench` writes what it measured over several sizes, `--backend auto` what it measured itself. A file that cannot
//! be used costs a warning and measuring anew: it decides where a job runs, never what comes out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ffcm::coprocessor::{Crossover, Crossovers, DeviceInfo, JobKind};
use ffcm_suite::machine::cpu_model;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Name and version of the format.
const SCHEMA: &str = "focus-crossovers/1";
/// Longest file that is read.
const MOST_BYTES: u64 = 1 << 20;
/// Devices that are kept; a machine has a handful, each under a name of its own for every driver.
const MOST_DEVICES: usize = 64;

/// Why a file says nothing.
#[derive(Debug, Error)]
pub(crate) enum CrossoverError {
    /// It cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is longer than any that was written.
    #[error("longer than {MOST_BYTES} bytes")]
    TooLong,
    /// It is damaged.
    #[error("damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// It names a kind of job that there is not, or none.
    #[error("damaged: no kind of job is called `{0}`")]
    Kind(String),
    /// Another version wrote it.
    #[error("its schema is `{0}`, this version reads `{SCHEMA}`")]
    Schema(String),
}

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Table {
    schema: String,
    /// By [`fingerprint`].
    devices: BTreeMap<String, Device>,
}

/// The part of a file that says which format it is.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// One device.
#[derive(Debug, Serialize, Deserialize)]
struct Device {
    /// For people: backend and device in words.
    name: String,
    /// By kind of job: the least size at which the device wins, null if it never does.
    from: BTreeMap<String, Option<u64>>,
}

impl Device {
    fn new(info: &DeviceInfo, crossovers: &Crossovers) -> Device {
        let known = JobKind::ALL.into_iter().filter_map(|kind| {
            let from = match crossovers.get(kind) {
                Crossover::Unknown => return None,
                Crossover::From(least) => Some(least),
                Crossover::Never => None,
            };
            Some((kind.name().to_owned(), from))
        });
        Device {
            name: format!("{} {}", family(info), info.device),
            from: known.collect(),
        }
    }

    fn crossovers(&self) -> Result<Crossovers, CrossoverError> {
        let mut all = Crossovers::default();
        for (name, from) in &self.from {
            let kind = JobKind::ALL.into_iter().find(|kind| kind.name() == name);
            let unknown = || CrossoverError::Kind(name.chars().take(60).collect());
            let crossover = from.map_or(Crossover::Never, Crossover::From);
            all.set(kind.ok_or_else(unknown)?, crossover);
        }
        Ok(all)
    }
}

/// `wgpu` of `wgpu:0`: equal devices have equal figures, whatever their numbers.
fn family(info: &DeviceInfo) -> &str {
    info.backend.split(':').next().unwrap_or_default()
}

/// What figures hold for: this version, the device as its driver names it, and the CPU beside it.
fn fingerprint(info: &DeviceInfo) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let parts = [
        env!("CARGO_PKG_VERSION"),
        family(info),
        &info.device,
        &cpu_model(),
        &cores.to_string(),
    ];
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// The file, if the system tells where it belongs.
#[derive(Clone, Debug)]
pub(crate) struct CrossoverFile(Option<PathBuf>);

impl CrossoverFile {
    /// The user's.
    pub(crate) fn of_user() -> CrossoverFile {
        let folder = state_folder(|name| std::env::var_os(name).map(PathBuf::from));
        CrossoverFile(folder.map(|folder| folder.join("focus").join("crossovers.json")))
    }

    /// What was measured of a device before. A file that cannot be used is a warning.
    pub(crate) fn load(&self, info: &DeviceInfo) -> Option<Crossovers> {
        let path = self.0.as_deref()?;
        let found = read(path).and_then(|table| {
            let device = table.devices.get(&fingerprint(info));
            device.map(Device::crossovers).transpose()
        });
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "where devices begin to win is not known");
            None
        })
    }

    /// Keeps what was measured of a device, in place of what was known of the same kinds of jobs. A failure is a warning.
    pub(crate) fn keep(&self, info: &DeviceInfo, crossovers: &Crossovers) {
        let Some(path) = self.0.as_deref() else {
            return;
        };
        if let Err(error) = add(path, info, crossovers) {
            tracing::warn!(%error, path = %path.display(), "where a device begins to win is not kept");
        }
    }
}

/// A table; an empty one if there is no file.
fn read(path: &Path) -> Result<Table, CrossoverError> {
    let empty = Table {
        schema: SCHEMA.to_owned(),
        devices: BTreeMap::new(),
    };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(CrossoverError::TooLong);
    }
    let head: Head = serde_json::from_slice(&bytes)?;
    match head.schema == SCHEMA {
        true => Ok(serde_json::from_slice(&bytes)?),
        false => Err(CrossoverError::Schema(
            head.schema.chars().take(60).collect(),
        )),
    }
}

/// Writes a table with one device more, whole or not at all.
fn add(path: &Path, info: &DeviceInfo, newer: &Crossovers) -> Result<(), CrossoverError> {
    let key = fingerprint(info);
    // What cannot be read is replaced: reading it has been warned of.
    let mut table = read(path).unwrap_or_else(|_| Table {
        schema: SCHEMA.to_owned(),
        devices: BTreeMap::new(),
    });
    let known = table.devices.remove(&key).map(|device| device.crossovers());
    let known = known.and_then(Result::ok).unwrap_or_default();
    while table.devices.len() >= MOST_DEVICES {
        table.devices.pop_first();
    }
    let device = Device::new(info, &known.updated(newer));
    table.devices.insert(key, device);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(format!("{:#}\n", serde_json::to_value(&table)?).as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Where the system keeps what programs remember. A path that is not absolute says nothing.
fn state_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    if let Some(folder) = absolute("XDG_STATE_HOME") {
        return Some(folder);
    }
    if cfg!(windows) {
        return absolute("LOCALAPPDATA");
    }
    let home = absolute("HOME")?;
    Some(match cfg!(target_os = "macos") {
        true => home.join("Library").join("Application Support"),
        false => home.join(".local").join("state"),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file in a folder that is not there yet.
    pub(crate) fn file() -> (tempfile::TempDir, CrossoverFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join("crossovers.json");
        (folder, CrossoverFile(Some(path)))
    }

    fn info(backend: &str, device: &str) -> DeviceInfo {
        DeviceInfo {
            backend: backend.into(),
            device: device.into(),
            threads: 0,
        }
    }

    fn crossovers(focus: Crossover) -> Crossovers {
        let mut all = Crossovers::default();
        all.set(JobKind::Focus, focus);
        all
    }

    #[test]
    fn what_is_kept_is_known_by_the_device_and_not_by_its_number() {
        let (_folder, file) = file();
        let card = info("wgpu:0", "card");
        assert_eq!(file.load(&card), None);
        let from = crossovers(Crossover::From(1000));
        file.keep(&card, &from);
        assert_eq!(file.load(&card), Some(from));
        assert_eq!(file.load(&info("wgpu:3", "card")), Some(from));
        assert_eq!(file.load(&info("cuda:0", "card")), None);
        assert_eq!(file.load(&info("wgpu:0", "other")), None);
        // Newer figures replace those of the same kind alone.
        let mut newer = crossovers(Crossover::Never);
        file.keep(&card, &newer);
        newer = Crossovers::default();
        newer.set(JobKind::Hash, Crossover::From(7));
        file.keep(&card, &newer);
        let known = file.load(&card).unwrap();
        assert_eq!(known.get(JobKind::Focus), Crossover::Never);
        assert_eq!(known.get(JobKind::Hash), Crossover::From(7));
        assert_eq!(known.get(JobKind::Memory), Crossover::Unknown);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_a_typed_error_and_replaced() {
        let (_folder, file) = file();
        let (card, from) = (info("cuda:0", "card"), crossovers(Crossover::From(5)));
        file.keep(&card, &from);
        let path = file.0.as_deref().unwrap();
        let whole = fs::read(path).unwrap();
        let key = fingerprint(&card);
        let other_kind = format!(
            r#"{{"schema":"{SCHEMA}","devices":{{"{key}":{{"name":"x","from":{{"fly":1}}}}}}}}"#
        );
        let damaged: [(&[u8], &str); 6] = [
            (b"", "damaged: "),
            (&whole[..whole.len() / 2], "damaged: "),
            (b"[1, 2]", "damaged: "),
            (
                br#"{"schema":"focus-crossovers/2"}"#,
                "`focus-crossovers/2`",
            ),
            (other_kind.as_bytes(), "`fly`"),
            (&vec![b' '; (MOST_BYTES + 1) as usize], "longer than"),
        ];
        for (bytes, words) in damaged {
            fs::write(path, bytes).unwrap();
            let error = read(path).and_then(|table| table.devices[&key].crossovers());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert_eq!(file.load(&card), None);
            file.keep(&card, &from);
            assert_eq!(file.load(&card), Some(from));
        }
        // A folder in its place can be neither read nor replaced.
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        assert!(matches!(read(path), Err(CrossoverError::Io(_))));
        file.keep(&card, &from);
        assert_eq!(file.load(&card), None);
    }

    #[test]
    fn there_is_an_end_to_devices() {
        let (_folder, file) = file();
        let from = crossovers(Crossover::From(5));
        for device in 0..MOST_DEVICES + 5 {
            file.keep(&info("cuda", &device.to_string()), &from);
        }
        let last = info("cuda", &(MOST_DEVICES + 4).to_string());
        assert_eq!(file.load(&last), Some(from));
        let table = read(file.0.as_deref().unwrap()).unwrap();
        assert_eq!(table.devices.len(), MOST_DEVICES);
    }

    #[test]
    fn the_file_lies_where_the_system_says() {
        let folder = |set: &[(&str, &str)]| {
            let set = set.to_vec();
            state_folder(move |name| {
                let found = set.iter().find(|(other, _)| *other == name);
                found.map(|(_, path)| PathBuf::from(path))
            })
        };
        assert_eq!(folder(&[]), None);
        let both = [("XDG_STATE_HOME", "/s"), ("HOME", "/h")];
        assert_eq!(folder(&both), Some("/s".into()));
        let relative = folder(&[("XDG_STATE_HOME", "s"), ("HOME", "/h")]);
        if cfg!(all(unix, not(target_os = "macos"))) {
            assert_eq!(relative, Some("/h/.local/state".into()));
        }
    }
}
