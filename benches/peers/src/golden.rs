//! `peers golden`: the golden records of `ffcm/golden/nets`, held against the published runtime.

use std::fs;
use std::path::{Path, PathBuf};

use crate::hvm2::{self, Refusal};
use ffcm_suite::failure::Failure;

#[path = "../../../ffcm/tests/golden_nets/record.rs"]
pub mod record;

use record::Record;

/// Arguments of `peers golden`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write the records of all programs that the published runtime can run, instead of checking them.
    #[arg(long)]
    write: bool,
    /// Folder with the programs.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ffcm/golden/nets"))]
    folder: PathBuf,
}

/// Checks or writes every record; a mismatch is an error after all programs were tried.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut mismatches = 0;
    for path in files(&arguments.folder, "hvm")? {
        let text = fs::read_to_string(&path).map_err(|error| Failure::file(&path, &error))?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if uses_extensions(&text) {
            println!("{name:<20} ours only: labels or 32-bit numbers");
            continue;
        }
        let reduced = match hvm2::reduce(&text, 10_000_000, 1 << 20) {
            Ok(reduced) => reduced,
            Err(
                refusal @ (Refusal::Parse(_) | Refusal::ClonesNonAffine | Refusal::Panicked(_)),
            ) => {
                let reason = refusal.to_string();
                println!(
                    "{name:<20} ours only ({})",
                    reason.lines().next().unwrap_or_default()
                );
                continue;
            }
            Err(refusal) => return Err(Failure::Failed(format!("{name}: {refusal}"))),
        };
        let record = Record {
            source: hvm2::VERSION.to_owned(),
            result: reduced.result,
            counts: reduced.counts,
        };
        let golden = path.with_extension("golden");
        if arguments.write {
            fs::write(&golden, record.to_string())
                .map_err(|error| Failure::file(&golden, &error))?;
            println!("{name:<20} written, {} interactions", record.counts.total());
        } else if read(&golden)? == record {
            println!("{name:<20} equal, {} interactions", record.counts.total());
        } else {
            println!("{name:<20} DIFFERS; the published runtime gives\n{record}");
            mismatches += 1;
        }
    }
    match mismatches {
        0 => Ok(()),
        n => Err(Failure::Mismatch(format!("{n} golden record(s) differ"))),
    }
}

/// Whether a program uses what this project added to the grammar. The rival's parser does not reject all of it: it reads
/// `7u32` as 7.
fn uses_extensions(text: &str) -> bool {
    let code = text
        .lines()
        .map(|line| line.split(" //").next().unwrap_or_default());
    let code = code.filter(|line| !line.starts_with("//"));
    code.into_iter().any(|line| {
        ["u32", "i32", "f32", "{#"]
            .iter()
            .any(|word| line.contains(word))
    })
}

/// The record in a file.
pub fn read(path: &Path) -> Result<Record, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    Record::parse(&text).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}

/// All files of a folder that end so, by name.
pub fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| Failure::file(folder, &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Failure::file(folder, &error))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
