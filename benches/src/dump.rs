//! The graph of suite `focus` and its exact π as plain files, for rivals that are no Rust crates: `gpu-ci/cusparse.py`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ffcm::focus::{FocusParams, Ranker};
use serde::Serialize;

use crate::failure::Failure;
use crate::focus;
use crate::options::write_json;

/// Arguments of the command.
#[derive(Debug, clap::Args)]
#[group(id = "dump")]
pub struct Arguments {
    /// Graph and number of iterations; thread counts and report are not used.
    #[command(flatten)]
    focus: focus::Arguments,
    /// Folder for `graph.json`, `offsets.u64`, `sources.u32`, `degrees.u32` and `mass.u64`.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What `graph.json` says.
#[derive(Debug, Serialize)]
struct Facts {
    scale: u32,
    degree: u32,
    seed: u64,
    nodes: u32,
    edges: usize,
    /// After which the masses were taken, from the uniform start.
    iterations: u32,
    digest: String,
}

/// Writes the files, all numbers little-endian: of row v the sources of its edges are
/// `sources[offsets[v]..offsets[v + 1]]`, `degrees` counts out-edges, `mass` is in units of 2^-62.
///
/// # Errors
///
/// The folder or a file cannot be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rmat = arguments.focus.rmat();
    let nodes = rmat.nodes();
    let arcs = rmat.arcs();
    let params = FocusParams {
        epsilon: 0,
        max_iterations: arguments.focus.iterations,
        ..FocusParams::default()
    };
    let ranking = {
        let graph = focus::graph(nodes, &arcs)?;
        let ranker = Ranker::new(&graph, 1).map_err(Failure::failed)?;
        focus::rank(&ranker, &params)?
    };
    let mut degrees = vec![0u32; nodes as usize];
    let mut offsets = vec![0u64; nodes as usize + 1];
    for &(source, target) in &arcs {
        degrees[source as usize] += 1;
        offsets[target as usize + 1] += 1;
    }
    for v in 0..nodes as usize {
        offsets[v + 1] += offsets[v];
    }
    let mut next = offsets.clone();
    let mut sources = vec![0u32; arcs.len()];
    for &(source, target) in &arcs {
        let at = &mut next[target as usize];
        sources[*at as usize] = source;
        *at += 1;
    }
    let digest = ranking.digest();
    let facts = Facts {
        scale: rmat.scale,
        degree: rmat.degree,
        seed: rmat.seed,
        nodes,
        edges: arcs.len(),
        iterations: ranking.iterations,
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let out = &arguments.out;
    fs::create_dir_all(out).map_err(|error| Failure::file(out, &error))?;
    write(
        &out.join("offsets.u64"),
        offsets.iter().map(|n| n.to_le_bytes()),
    )?;
    write(
        &out.join("sources.u32"),
        sources.iter().map(|n| n.to_le_bytes()),
    )?;
    write(
        &out.join("degrees.u32"),
        degrees.iter().map(|n| n.to_le_bytes()),
    )?;
    write(
        &out.join("mass.u64"),
        ranking.mass.iter().map(|n| n.to_le_bytes()),
    )?;
    write_json(&out.join("graph.json"), &facts)
}

fn write<const N: usize>(
    path: &Path,
    numbers: impl Iterator<Item = [u8; N]>,
) -> Result<(), Failure> {
    let to_file = || {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for number in numbers {
            file.write_all(&number)?;
        }
        file.flush()
    };
    to_file().map_err(|error: std::io::Error| Failure::file(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn words(path: PathBuf, size: usize) -> Vec<u64> {
        let bytes = fs::read(path).unwrap();
        let word = |chunk: &[u8]| {
            chunk
                .iter()
                .rev()
                .fold(0, |word, &b| word << 8 | u64::from(b))
        };
        bytes.chunks(size).map(word).collect()
    }

    #[test]
    fn the_files_hold_the_graph_and_its_ranking() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new");
        let words_of = ["dump", "--tiny", "--iterations", "5", "--out"];
        let cli = Cli::parse_from(words_of.iter().map(AsRef::as_ref).chain([out.as_os_str()]));
        run(&cli.arguments).unwrap();
        let (offsets, sources) = (
            words(out.join("offsets.u64"), 8),
            words(out.join("sources.u32"), 4),
        );
        let (degrees, mass) = (
            words(out.join("degrees.u32"), 4),
            words(out.join("mass.u64"), 8),
        );
        assert_eq!(
            (offsets.len(), degrees.len(), mass.len()),
            (1025, 1024, 1024)
        );
        assert_eq!(mass.iter().sum::<u64>(), ffcm::focus::MASS);
        let mut arcs: Vec<(u32, u32)> = (0..1024u32)
            .flat_map(|v| {
                let row = offsets[v as usize] as usize..offsets[v as usize + 1] as usize;
                sources[row].iter().map(move |&u| (u as u32, v))
            })
            .collect();
        arcs.sort_unstable();
        assert_eq!(arcs, cli.arguments.focus.rmat().arcs());
        assert_eq!(degrees.iter().sum::<u64>(), arcs.len() as u64);
        let facts: serde_json::Value =
            serde_json::from_slice(&fs::read(out.join("graph.json")).unwrap()).unwrap();
        assert_eq!(facts["edges"], arcs.len());
        assert_eq!(facts["iterations"], 5);
    }
}
