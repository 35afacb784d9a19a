//! `peers bend`: programs of Bend as `bend gen-hvm` compiles them, on this project's engines and on the published runtime.
//!
//! `ffcm/golden/bend` holds for each program its source, the net that Bend makes of it, and the golden record of that net.
//! The sources say what they give in Bend's own words, and Bend reads our result back: so the whole way is checked, not
//! only that engines agree.

use std::fs;
use std::path::{Path, PathBuf};

use bend::diagnostics::{Diagnostics, DiagnosticsConfig};
use bend::fun::Book as Program;
use bend::imports::DefaultLoader;
use bend::{AdtEncoding, CompileOpts, CompileResult, compile_book, load_to_book, readback_hvm_net};
use ffcm::cpu::NetEngine;
use ffcm::net::{Book, Limits, Outcome};
use ffcm::oracle;

use crate::golden::{self, record::Record};
use crate::hvm2;
use ffcm_suite::failure::Failure;

/// Arguments of `peers bend`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write nets and records of all programs instead of checking those that are there.
    #[arg(long)]
    write: bool,
    /// Folder with the programs.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ffcm/golden/bend"))]
    folder: PathBuf,
}

/// What a program may take: the slowest engine stays quick.
const LIMITS: Limits = Limits {
    gas: 1_000_000,
    nodes: 1 << 20,
    result_bytes: 1 << 16,
};

/// What stands before the expected value in a source's head.
const GIVES: &str = "# gives: ";

/// Checks or writes every program; a mismatch is an error after all were tried.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let programs = golden::files(&arguments.folder, "bend")?;
    if programs.is_empty() {
        let nothing = "no program of Bend is there";
        return Err(Failure::file(&arguments.folder, &nothing));
    }
    let mut mismatches = 0;
    for path in &programs {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        match check(path, arguments.write)? {
            Ok(said) => println!("{name:<12} {said}"),
            Err(problem) => {
                println!("{name:<12} DIFFERS: {problem}");
                mismatches += 1;
            }
        }
    }
    match mismatches {
        0 => Ok(()),
        n => Err(Failure::Mismatch(format!(
            "{n} of {} programs differ",
            programs.len()
        ))),
    }
}

/// What became of a program; the inner error is a difference between engines or from what is kept.
fn check(path: &Path, write: bool) -> Result<Result<String, String>, Failure> {
    let source = fs::read_to_string(path).map_err(|error| Failure::file(path, &error))?;
    let failed = |error: String| Failure::Failed(format!("{}: {error}", path.display()));
    let expected = gives(&source).ok_or_else(|| failed(format!("no line `{GIVES}…`")))?;
    let plain = Compiled::of(path, &source, CompileOpts::default()).map_err(failed)?;
    let (record, foreign) = match agreed(&plain.net) {
        Ok(agreed) => agreed,
        Err(problem) => return Ok(Err(problem)),
    };
    let read = plain.read_back(&record.result).map_err(failed)?;
    if read != expected {
        return Ok(Err(format!("Bend reads `{read}`, not `{expected}`")));
    }
    let mut counts = Vec::new();
    for (option, options) in variants() {
        let compiled = Compiled::of(path, &source, options).map_err(failed)?;
        match agreed(&compiled.net) {
            Ok((other, _)) => counts.push(format!("{} {option}", other.counts.total())),
            Err(problem) => return Ok(Err(format!("{option}: {problem}"))),
        }
    }
    // Without what the program does not use, which is most: nothing else is different.
    let used = CompileOpts {
        prune: true,
        ..CompileOpts::default()
    };
    let used = Compiled::of(path, &source, used).map_err(failed)?;
    match agreed(&used.net) {
        Ok((other, _)) if other == record => {}
        Ok((other, _)) => return Ok(Err(format!("-O prune changes it to\n{other}"))),
        Err(problem) => return Ok(Err(format!("-O prune: {problem}"))),
    }
    if write {
        put(&path.with_extension("hvm"), &used.net)?;
        put(&path.with_extension("golden"), &record.to_string())?;
    } else if let Err(problem) = check_kept(path, &record)? {
        return Ok(Err(problem));
    }
    Ok(Ok(format!(
        "{expected}, equal; {} interactions, {}{foreign}",
        record.counts.total(),
        counts.join(", ")
    )))
}

/// Holds what is kept of a program against what comes out today. The text of the net is not compared: the compiler takes
/// variables in an order that differs from run to run.
fn check_kept(path: &Path, today: &Record) -> Result<Result<(), String>, Failure> {
    let (net, golden) = (path.with_extension("hvm"), path.with_extension("golden"));
    let golden = golden::read(&golden)?;
    let net = fs::read_to_string(&net).map_err(|error| Failure::file(&net, &error))?;
    Ok(match agreed(&net) {
        Err(problem) => Err(format!("the net that is kept: {problem}")),
        Ok((kept, _)) if kept != golden => Err(format!("the net that is kept gives\n{kept}")),
        Ok(_) if golden.result != today.result => Err(format!(
            "{} is kept, {} comes out today; see `--write`",
            golden.result, today.result
        )),
        Ok(_) => Ok(()),
    })
}

fn put(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::file(path, &error))
}

/// Other ways to compile than `bend gen-hvm` takes by itself.
fn variants() -> [(&'static str, CompileOpts); 2] {
    let scott = CompileOpts {
        adt_encoding: AdtEncoding::Scott,
        ..CompileOpts::default()
    };
    [
        ("with -O all", CompileOpts::default().set_all()),
        ("with -O adt-scott", scott),
    ]
}

/// What the source says that it gives.
fn gives(source: &str) -> Option<&str> {
    source.lines().find_map(|line| line.strip_prefix(GIVES))
}

/// A program behind Bend's compiler.
struct Compiled {
    /// What `bend gen-hvm` prints.
    net: String,
    program: Program,
    result: CompileResult,
    options: CompileOpts,
}

impl Compiled {
    fn of(path: &Path, source: &str, options: CompileOpts) -> Result<Compiled, String> {
        let said = |diagnostics: Diagnostics| diagnostics.to_string();
        let config = DiagnosticsConfig::default();
        let loader = DefaultLoader::new(path);
        let mut program = load_to_book(path, source, loader, config).map_err(said)?;
        let result = compile_book(&mut program, options.clone(), config, None).map_err(said)?;
        Ok(Compiled {
            // Ends in an empty line, which a text file does without.
            net: format!(
                "{}\n",
                bend::hvm::hvm_book_show_pretty(&result.hvm_book).trim_end()
            ),
            program,
            result,
            options,
        })
    }

    /// A result in Bend's words.
    fn read_back(&self, result: &str) -> Result<String, String> {
        let net = hvm::ast::CoreParser::new(result).parse_net()?;
        let CompileOpts { adt_encoding, .. } = self.options;
        let labels = &self.result.labels;
        let (term, said) = readback_hvm_net(&net, &self.program, labels, false, adt_encoding);
        match said.has_errors() {
            true => Err(said.to_string()),
            false => Ok(term.to_string()),
        }
    }
}

/// What all engines agree on, and a word where the published runtime has nothing to say; else who differs.
fn agreed(net: &str) -> Result<(Record, String), String> {
    let book = Book::parse(net).map_err(|error| format!("the loader refuses it: {error}"))?;
    let call = book.main().map_err(|error| error.to_string())?;
    let ours = oracle::reduce(&book, &call, &LIMITS).map_err(|error| error.to_string())?;
    let engine = NetEngine::new(&book);
    for threads in [1, 2] {
        let found = engine.reduce(&call, &LIMITS, threads, None);
        if found.as_ref() != Ok(&ours) {
            return Err(format!("CPU engine, {threads} thread(s): {found:?}"));
        }
    }
    let Outcome { result, counts, .. } = ours;
    let record = |source: &str| Record {
        source: source.to_owned(),
        result: result.clone(),
        counts,
    };
    match hvm2::reduce(net, LIMITS.gas, LIMITS.result_bytes) {
        Ok(theirs) if theirs.result == result && theirs.counts == counts => {
            Ok((record(hvm2::VERSION), String::new()))
        }
        Ok(theirs) => Err(format!(
            "{}: {} in {} interactions, ours {result} in {}",
            hvm2::VERSION,
            theirs.result,
            theirs.counts.total(),
            counts.total()
        )),
        Err(refusal) => Ok((record("oracle"), format!("; {}: {refusal}", hvm2::VERSION))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(source: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("program.bend");
        fs::write(&path, source).expect("it is written");
        (folder, path)
    }

    #[test]
    fn every_program_of_the_folder_gives_what_it_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ffcm/golden/bend");
        let arguments = Arguments {
            write: false,
            folder,
        };
        assert_eq!(run(&arguments).map_err(|error| error.to_string()), Ok(()));
    }

    #[test]
    fn a_program_is_checked_from_its_source_to_its_value() {
        let (_folder, path) = program("# gives: 42\n\ndef main() -> u24:\n  return 6 * 7\n");
        assert!(matches!(check(&path, true), Ok(Ok(_))));
        assert!(matches!(check(&path, false), Ok(Ok(_))));
        // Another net and another record in its place are found.
        let net = path.with_extension("hvm");
        fs::write(&net, "@main = 43\n").expect("it is written");
        assert!(matches!(check(&path, false), Ok(Err(problem)) if problem.contains("kept")));
        fs::remove_file(&net).expect("it was there");
        assert!(matches!(check(&path, false), Err(Failure::Failed(_))));
    }

    #[test]
    fn a_wrong_value_no_value_and_an_error_of_bend_are_told_apart() {
        let (_folder, path) = program("# gives: 41\ndef main() -> u24:\n  return 6 * 7\n");
        let said = "Bend reads `42`, not `41`";
        assert!(matches!(check(&path, true), Ok(Err(problem)) if problem == said));
        let (_folder, path) = program("def main() -> u24:\n  return 6 * 7\n");
        assert!(matches!(check(&path, true), Err(Failure::Failed(_))));
        let (_folder, path) = program("# gives: 1\ndef main() -> u24:\n  return missing\n");
        assert!(matches!(check(&path, true), Err(Failure::Failed(_))));
        let empty = tempfile::tempdir().expect("a folder");
        let arguments = Arguments {
            write: false,
            folder: empty.path().into(),
        };
        assert_eq!(run(&arguments).map_err(|error| error.code()), Err(1));
    }

    /// `focus run` knows actions by this beginning.
    #[test]
    fn an_action_is_a_request_that_nothing_performs() {
        let call = "IO/print(\"hello\")";
        for (action, tags) in [
            (call, ["@IO/Call/tag", "1"]),
            ("IO/wrap(7)", ["@IO/Done/tag", "0"]),
        ] {
            let source = format!("def main() -> IO(Any):\n  return {action}\n");
            let (_folder, path) = program(&source);
            let options = [CompileOpts::default(), CompileOpts::default().set_all()];
            for (options, tag) in options.into_iter().zip(tags) {
                let compiled = Compiled::of(&path, &source, options).expect("it compiles");
                let (record, _) = agreed(&compiled.net).expect("all engines agree");
                let start = format!("(({tag} (@IO/MAGIC ");
                assert!(record.result.starts_with(&start), "{}", record.result);
            }
        }
    }
}
