//! The files of a data folder.
//!
//! ```text
//! genesis.json      what the chain starts from
//! validator.key     secret seed of the validator, 64 hexadecimal digits, readable by its owner alone
//! chain.redb        the store: the authority
//! chain.jsonl       the log: genesis, then one line per block
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use focus_store::{RedbStore, StoreError};
use focus_types::{Genesis, Keypair};
use zeroize::Zeroizing;

use crate::NodeError;

/// A data folder.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at `path`, which need not exist.
    pub fn new(path: &Path) -> Folder {
        Folder {
            root: path.to_path_buf(),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.root.join("chain.jsonl")
    }

    fn genesis(&self) -> PathBuf {
        self.root.join("genesis.json")
    }

    fn key(&self) -> PathBuf {
        self.root.join("validator.key")
    }

    /// Creates the folder if need be.
    pub fn create(&self) -> Result<(), NodeError> {
        fs::create_dir_all(&self.root).map_err(|error| file_error(&self.root, &error))
    }

    /// The genesis, if the folder has one.
    pub fn read_genesis(&self) -> Result<Option<Genesis>, NodeError> {
        let path = self.genesis();
        let Some(bytes) = read(&path, Genesis::FILE_BYTES_MAX as u64)? else {
            return Ok(None);
        };
        match Genesis::from_file(&bytes) {
            Ok(genesis) => Ok(Some(genesis)),
            Err(error) => Err(NodeError::GenesisFile { path, error }),
        }
    }

    /// Writes the genesis.
    pub fn write_genesis(&self, genesis: &Genesis) -> Result<(), NodeError> {
        write(&self.genesis(), genesis.to_file().as_bytes(), false)
    }

    /// The validator's key, if the folder has one.
    pub fn read_key(&self) -> Result<Option<Keypair>, NodeError> {
        let path = self.key();
        let Some(bytes) = read(&path, 1 << 10)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        warn_if_shared(&path);
        let text = str::from_utf8(&bytes).unwrap_or_default();
        match Keypair::from_seed_hex(text) {
            Ok(key) => Ok(Some(key)),
            Err(error) => Err(NodeError::File {
                path,
                message: error.to_string(),
            }),
        }
    }

    /// Writes the validator's key.
    pub fn write_key(&self, key: &Keypair) -> Result<(), NodeError> {
        write(&self.key(), key.seed_hex().as_bytes(), true)
    }

    /// Opens the store, creating it if need be.
    pub fn open_store(&self) -> Result<RedbStore, NodeError> {
        let path = self.root.join("chain.redb");
        RedbStore::open(&path, focus_store::OpenOptions::default()).map_err(|error| match error {
            StoreError::Locked { .. } => NodeError::InUse {
                path: self.root.clone(),
            },
            StoreError::Damaged { path, message } if self.log().exists() => {
                NodeError::Store(StoreError::Damaged {
                    path,
                    message: format!(
                        "{message}; move the file away and `focus up` makes it anew from chain.jsonl"
                    ),
                })
            }
            other => NodeError::Store(other),
        })
    }

    /// Whether there is a store or a log.
    pub fn has_chain(&self) -> bool {
        self.has_store() || self.log().exists()
    }

    /// The error about a chain whose validator's key is gone.
    pub fn key_missing(&self) -> NodeError {
        NodeError::File {
            path: self.key(),
            message: "missing, and the chain in this folder needs it; put it back, or use another \
                      folder"
                .into(),
        }
    }

    /// Whether there is a store.
    pub fn has_store(&self) -> bool {
        self.root.join("chain.redb").exists()
    }
}

/// An I/O error with its path and, where there is something to do, what.
pub fn file_error(path: &Path, error: &io::Error) -> NodeError {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => "; check who owns it and its permissions",
        ErrorKind::ReadOnlyFilesystem => "; use a folder that can be written",
        ErrorKind::StorageFull => "; free some space and start again",
        _ => "",
    };
    NodeError::File {
        path: path.to_path_buf(),
        message: format!("{error}{advice}"),
    }
}

/// Warns of a secret that others on this machine can read.
fn warn_if_shared(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
            tracing::warn!(file = %path.display(), "others can read this key; chmod 600 it");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, NodeError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(path, &error)),
        Ok(found) if found.len() > most => {
            return Err(NodeError::File {
                path: path.to_path_buf(),
                message: format!("{} bytes, at most {most} are read", found.len()),
            });
        }
        Ok(_) => {}
    }
    fs::read(path)
        .map(Some)
        .map_err(|error| file_error(path, &error))
}

/// Writes a file in one step: a reader, or a crash, finds all of it or what was there before.
fn write(path: &Path, bytes: &[u8], secret: bool) -> Result<(), NodeError> {
    let fail = |error: io::Error| file_error(path, &error);
    let part = path.with_extension("part");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut file = options.open(&part).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    fs::rename(&part, path).map_err(fail)?;
    sync_folder(path)
}

/// Makes a created or renamed file's name durable.
pub fn sync_folder(path: &Path) -> Result<(), NodeError> {
    #[cfg(unix)]
    if let Some(parent) = path.parent() {
        let folder = File::open(parent).and_then(|folder| folder.sync_all());
        folder.map_err(|error| file_error(parent, &error))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
