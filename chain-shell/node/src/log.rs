//! The log: one JSON object per line, append only.
//!
//! ```text
//! {"sum":"<BLAKE3 of everything after this comma>","genesis":{…},"hash":"…"}
//! {"sum":"…","height":1,"hash":"…","block":{…},"receipts":[…],"transition":{…}}
//! ```
//! Line n holds block n − 1. A line is written after the store has committed its block, and made durable before the next
//! block begins. So the log is at most one block behind the store, and a line can only be torn if it is the last: that
//! one is cut off and written again from the store. Any other line that does not carry its own checksum is damage.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use focus_types::{Block, Genesis, Hash32, Receipt};
use serde::{Deserialize, Serialize};

use crate::NodeError;
use crate::commit::{BlockRecord, Transition};
use crate::folder::{file_error, sync_folder};

/// Longest line that is read.
const LINE_MAX: u64 = 1 << 30;
/// `{"sum":"` and `",` around 64 digits.
const SUM_OPEN: &[u8] = b"{\"sum\":\"";
const SUM_DIGITS: usize = 64;

/// First line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisLine {
    genesis: Genesis,
    hash: Hash32,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockLine {
    /// Height of the block.
    pub height: u64,
    /// Block hash.
    pub hash: Hash32,
    /// The block.
    pub block: Block,
    /// Receipts of its transactions.
    pub receipts: Vec<Receipt>,
    /// What it did to the state.
    pub transition: Transition,
}

/// The part of a line that opening a log looks at.
#[derive(Deserialize)]
struct Peek {
    height: u64,
    hash: Hash32,
}

fn seal(body: &[u8]) -> Vec<u8> {
    // `body` is an object; its opening brace gives way to the checksum.
    let rest = &body[1..];
    let sum = blake3::hash(rest).to_hex();
    let mut line = Vec::with_capacity(SUM_OPEN.len() + SUM_DIGITS + 2 + rest.len() + 1);
    line.extend_from_slice(SUM_OPEN);
    line.extend_from_slice(sum.as_bytes());
    line.extend_from_slice(b"\",");
    line.extend_from_slice(rest);
    line.push(b'\n');
    line
}

/// The object of a line without its checksum, or `None` if the checksum is not the line's.
fn unseal(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_suffix(b"\n")?;
    let rest = line.strip_prefix(SUM_OPEN)?;
    let (sum, rest) = rest.split_at_checked(SUM_DIGITS)?;
    let rest = rest.strip_prefix(b"\",")?;
    if blake3::hash(rest).to_hex().as_bytes() != sum {
        return None;
    }
    let mut body = Vec::with_capacity(rest.len() + 1);
    body.push(b'{');
    body.extend_from_slice(rest);
    Some(body)
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("string keys and integers only")
}

fn genesis_line(genesis: &Genesis) -> Vec<u8> {
    seal(&json(&GenesisLine {
        genesis: genesis.clone(),
        hash: genesis.hash(),
    }))
}

fn block_line(record: BlockRecord, receipts: Vec<Receipt>) -> Vec<u8> {
    let header = &record.block.header;
    seal(&json(&BlockLine {
        height: header.height,
        hash: header.hash(),
        receipts,
        transition: record.transition,
        block: record.block,
    }))
}

/// Reads a log line by line.
pub struct LogReader {
    path: PathBuf,
    reader: BufReader<File>,
    /// Number of the last line read, from 1.
    line: u64,
    /// Bytes of all good lines so far.
    good: u64,
    torn: bool,
}

impl LogReader {
    /// Opens a log.
    pub fn open(path: &Path) -> Result<LogReader, NodeError> {
        let file = File::open(path).map_err(|error| file_error(path, &error))?;
        Ok(LogReader {
            path: path.to_path_buf(),
            reader: BufReader::with_capacity(1 << 20, file),
            line: 0,
            good: 0,
            torn: false,
        })
    }

    /// An error about the last line read.
    pub fn bad(&self, message: impl Into<String>) -> NodeError {
        NodeError::Log {
            path: self.path.clone(),
            line: self.line,
            message: message.into(),
        }
    }

    /// Whether the file ended in a torn line.
    pub fn torn(&self) -> bool {
        self.torn
    }

    /// The next line's object, its checksum verified. `None` at the end, or at a torn last line.
    fn next(&mut self) -> Result<Option<Vec<u8>>, NodeError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.reader).take(LINE_MAX + 1);
        let length = bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| file_error(&self.path, &error))? as u64;
        if length == 0 {
            return Ok(None);
        }
        self.line += 1;
        if length > LINE_MAX {
            return Err(self.bad(format!("longer than {LINE_MAX} bytes")));
        }
        if let Some(body) = unseal(&line) {
            self.good += length;
            return Ok(Some(body));
        }
        let rest = self.reader.fill_buf();
        if rest
            .map_err(|error| file_error(&self.path, &error))?
            .is_empty()
        {
            self.torn = true;
            return Ok(None);
        }
        Err(self.bad("the checksum does not match: the line was changed or damaged"))
    }

    /// The genesis in the first line; `None` if the file holds no whole line.
    pub fn genesis(&mut self) -> Result<Option<Genesis>, NodeError> {
        let Some(body) = self.next()? else {
            return Ok(None);
        };
        let first: GenesisLine =
            serde_json::from_slice(&body).map_err(|error| self.bad(error.to_string()))?;
        if first.genesis.hash() != first.hash {
            return Err(self.bad("the genesis does not have the hash beside it"));
        }
        first.genesis.validate()?;
        Ok(Some(first.genesis))
    }

    /// The next block; heights have to follow each other.
    pub fn block(&mut self) -> Result<Option<BlockLine>, NodeError> {
        let Some(body) = self.next()? else {
            return Ok(None);
        };
        let block: BlockLine =
            serde_json::from_slice(&body).map_err(|error| self.bad(error.to_string()))?;
        self.check_height(block.height)?;
        if block.block.header.height != block.height || block.block.header.hash() != block.hash {
            return Err(self.bad("height or hash is not that of the block beside it"));
        }
        Ok(Some(block))
    }

    fn peek(&mut self) -> Result<Option<Peek>, NodeError> {
        let Some(body) = self.next()? else {
            return Ok(None);
        };
        let peek: Peek =
            serde_json::from_slice(&body).map_err(|error| self.bad(error.to_string()))?;
        self.check_height(peek.height)?;
        Ok(Some(peek))
    }

    fn check_height(&self, height: u64) -> Result<(), NodeError> {
        let expected = self.line - 1;
        if height == expected {
            return Ok(());
        }
        Err(self.bad(format!(
            "holds block {height}, block {expected} belongs here"
        )))
    }
}

/// What opening a log found.
pub struct Opened {
    /// The log, ready to append.
    pub log: Log,
    /// Hash of the last block in it; `None` if there is none.
    pub last: Option<Hash32>,
    /// Whether a torn last line was cut off.
    pub repaired: bool,
}

/// A log being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    good: u64,
    /// Height of the next block line.
    next: u64,
}

impl Log {
    /// Opens the log of the chain `genesis`, creating it if need be, and checks every line's checksum and order.
    pub fn open(path: &Path, genesis: &Genesis) -> Result<Opened, NodeError> {
        let fail = |error: std::io::Error| file_error(path, &error);
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match options.open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let file = options.create(true).open(path).map_err(fail)?;
                sync_folder(path)?;
                file
            }
            other => other.map_err(fail)?,
        };
        let mut reader = LogReader::open(path)?;
        let (mut next, mut last) = (1, None);
        let found = reader.genesis()?;
        if let Some(found) = &found {
            if found.hash() != genesis.hash() {
                return Err(NodeError::OtherGenesis {
                    path: path.to_path_buf(),
                    found: found.hash(),
                    expected: genesis.hash(),
                });
            }
            while let Some(peek) = reader.peek()? {
                last = Some(peek.hash);
                next = peek.height + 1;
            }
        }
        let mut log = Log {
            path: path.to_path_buf(),
            file,
            good: reader.good,
            next,
        };
        let repaired = reader.torn();
        if repaired {
            log.cut()?;
        }
        if found.is_none() {
            log.write(&genesis_line(genesis))?;
        }
        Ok(Opened {
            log,
            last,
            repaired,
        })
    }

    /// Height of the next block to append.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Appends the next block and makes it durable. After an error the log is as before, or is cut back to that on the
    /// next call.
    pub fn append(&mut self, record: BlockRecord, receipts: Vec<Receipt>) -> Result<(), NodeError> {
        debug_assert_eq!(record.block.header.height, self.next);
        self.write(&block_line(record, receipts))?;
        self.next += 1;
        Ok(())
    }

    fn write(&mut self, line: &[u8]) -> Result<(), NodeError> {
        let written = self
            .file
            .seek(SeekFrom::Start(self.good))
            .and_then(|_| self.file.set_len(self.good))
            .and_then(|()| self.file.write_all(line))
            .and_then(|()| self.file.sync_data());
        written.map_err(|error| file_error(&self.path, &error))?;
        self.good += line.len() as u64;
        Ok(())
    }

    /// Cuts off whatever follows the last whole line.
    fn cut(&mut self) -> Result<(), NodeError> {
        let cut = self
            .file
            .set_len(self.good)
            .and_then(|()| self.file.sync_all());
        cut.map_err(|error| file_error(&self.path, &error))
    }

    /// Exchanges the file handle, so that a test can make writing fail.
    #[cfg(test)]
    pub fn replace_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sealed_line_opens_and_a_changed_one_does_not(body in "[ -~]{0,60}", at: usize, bit in 0u8..8) {
            let object = format!("{{{body}}}");
            let mut line = seal(object.as_bytes());
            prop_assert_eq!(unseal(&line), Some(object.into_bytes()));
            let at = at % line.len();
            line[at] ^= 1 << bit;
            prop_assert_eq!(unseal(&line), None);
        }

        #[test]
        fn arbitrary_files_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), sealed: bool) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            let mut content = bytes.clone();
            if sealed {
                content = [seal(b"{\"genesis\":1}"), bytes].concat();
            }
            std::fs::write(&path, content).unwrap();
            let mut reader = LogReader::open(&path).unwrap();
            if let Ok(Some(_)) = reader.genesis() {
                while let Ok(Some(_)) = reader.block() {}
            }
        }
    }
}
