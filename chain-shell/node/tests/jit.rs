//! Native code or none: the same roots, the same answers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use command::{assert_fails, focus, json, run, run_with, stdout, text};
use ffcm::coprocessor::Coprocessor;
use ffcm::cpu::native::{Fused, Fuser};
use ffcm::cpu::{Compiled, CpuCoprocessor};
use ffcm::net::Book;
use ffcm_jit::native::{Native, Options};
use focus_node::{Node, NodeOptions, replay_data};
use focus_types::Hash32;
use serde_json::Value;
use support::{genesis, key, next_block};

/// Native code that is there before a book is first run, so that it is used whatever the machine does meanwhile.
struct AtOnce(Native);

impl Fuser for AtOnce {
    fn fuse(&self, book: &Book, compiled: &Compiled) -> Option<Arc<dyn Fused>> {
        let fused = self.0.fuse(book, compiled);
        self.0.wait();
        fused
    }
}

impl AtOnce {
    fn new() -> Arc<AtOnce> {
        let options = Options {
            samples: 0,
            budget: Duration::from_secs(60),
            ..Options::default()
        };
        Arc::new(AtOnce(Native::new(options).unwrap()))
    }
}

/// A rule with a loop: the stake, halved once for each 64 blocks of age, and as often as it leaves a rest modulo 7.
const HALVING: &str = "
    @weight = ({a b} (age (* weight)))
      & a ~ $([:%7] rest)
      & age ~ $([:/64] old)
      & old ~ $([+] $(rest times))
      & @halve ~ (times (b weight))
    @halve = (?(((x x) @again) k) k)
    @again = (before (w r)) & w ~ $([:/2] half) & @halve ~ (before (half r))
";

/// The state roots of `blocks` seeded blocks.
fn roots(data: &Path, coprocessor: &Arc<dyn Coprocessor>, blocks: usize) -> Vec<Hash32> {
    let mut genesis = genesis();
    genesis.weight_net.text = HALVING.to_owned();
    let options = NodeOptions::default();
    let node = Node::create(data, &genesis, key(100), Arc::clone(coprocessor), options).unwrap();
    (0..blocks).map(|_| next_block(&node).state_root).collect()
}

#[test]
fn two_hundred_blocks_have_the_same_roots_with_native_code() {
    const BLOCKS: usize = 200;
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let interpreter: Arc<dyn Coprocessor> = Arc::new(CpuCoprocessor::new(2).unwrap());
    let expected = roots(folders[0].path(), &interpreter, BLOCKS);
    let native = AtOnce::new();
    let fuser = Arc::clone(&native) as Arc<dyn Fuser>;
    let fused: Arc<dyn Coprocessor> = Arc::new(CpuCoprocessor::with_fuser(2, fuser).unwrap());
    assert_eq!(roots(folders[1].path(), &fused, BLOCKS), expected);
    let done = native.0.statistics();
    assert_eq!((done.failed, done.over_budget), (0, 0), "{done:?}");
    assert!(done.functions >= 2, "{done:?}");
    // What either made is a history of the other.
    for (folder, coprocessor) in folders.iter().zip([fused, interpreter]) {
        let replayed = replay_data(folder.path(), coprocessor).unwrap();
        assert_eq!(replayed.state_root, expected[BLOCKS - 1]);
    }
}

/// The sum of 2^depth ones: at depth 23 a run takes many times as long as making its code.
fn sum(depth: u32) -> String {
    format!(
        "@main = r & @sum ~ ({depth} r)
         @sum = (?((1 @two) r) r)
         @two = ({{a b}} r) & @sum ~ (a x) & @sum ~ (b y) & x ~ $([+] $(y r))"
    )
}

/// What a run prints as JSON, without what depends on the machine and on native code; and the number of functions.
fn answer(arguments: &[&str]) -> (Value, u64) {
    let mut value = json(arguments);
    let object = value.as_object_mut().unwrap();
    object.remove("seconds").unwrap();
    let on = object.remove("jit").unwrap();
    let functions = object.remove("jit_functions").unwrap().as_u64().unwrap();
    assert!(on == true || functions == 0);
    (value, functions)
}

#[test]
fn golden_nets_give_the_same_answers_on_and_off() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ffcm/golden/nets");
    let mut programs: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "hvm"))
        .collect();
    let long = tempfile::NamedTempFile::new().unwrap();
    fs::write(long.path(), sum(19)).unwrap();
    programs.push(long.path().to_owned());
    assert!(programs.len() > 20);
    for program in programs {
        for threads in ["1", "2"] {
            let with = |jit| {
                answer(&[
                    "run",
                    text(&program),
                    "--json",
                    "--threads",
                    threads,
                    "--jit",
                    jit,
                ])
            };
            let (off, on) = (with("off"), with("on"));
            assert_eq!(off.0, on.0, "{program:?}");
            assert_eq!(off.1, 0);
        }
    }
}

#[test]
fn a_folder_keeps_code_for_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let (net, cache) = (folder.path().join("long.hvm"), folder.path().join("cache"));
    fs::write(&net, sum(23)).unwrap();
    let arguments = [
        "run",
        text(&net),
        "--json",
        "--threads",
        "1",
        "--jit",
        text(&cache),
    ];
    let (first, functions) = answer(&arguments);
    assert!(functions >= 1, "{functions}");
    assert!(fs::read_dir(&cache).unwrap().count() > 0);
    // How many are ready before the end depends on the time that compiling takes; nothing else does.
    let (again, functions) = answer(&arguments);
    assert_eq!(again, first);
    assert!(functions >= 1, "{functions}");
    let printed = stdout(&["run", text(&net), "--jit", "on"]);
    assert!(printed.contains("- jit          on, "), "{printed}");
    let printed = stdout(&["run", text(&net), "--jit", "off"]);
    assert!(printed.contains("- jit          off\n"), "{printed}");
}

/// A folder that cannot be written to, or has become rubbish, costs a message.
#[test]
fn a_bad_cache_is_a_message_and_not_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let net = folder.path().join("long.hvm");
    fs::write(&net, sum(23)).unwrap();
    let cache = folder.path().join("cache");
    let run = |cache: &Path| {
        let output = focus(&["run", text(&net), "--json", "--jit", text(cache)])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["result"], "8388608");
        String::from_utf8(output.stderr).unwrap()
    };
    // Below a file there is no folder, not even for root.
    let log = run(&net.join("below"));
    assert!(log.contains("the cache of native code"), "{log}");
    assert!(log.contains("below"), "{log}");
    assert_eq!(run(&cache), "");
    for entry in fs::read_dir(&cache).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
            fs::write(&path, bytes).unwrap();
        }
    }
    let log = run(&cache);
    assert!(log.contains("damaged"), "{log}");
    // It has been written anew.
    assert_eq!(run(&cache), "");
}

#[test]
fn values_that_mean_nothing_are_wrong_usage() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for verb in [
        &["run", "-"][..],
        &["up", "--rpc", "0", "--blocks", "0", "--data", "/nowhere/x"],
        &["replay", "--data", "/nowhere/x"],
        &["rank", "x"],
    ] {
        for (jit, words) in [
            ("yes", "`yes` is not on, off or a folder; write ./yes"),
            ("", "is not on, off or a folder"),
            (text(file.path()), "is not a folder"),
        ] {
            let mut command = focus(verb);
            let output = command.args(["--jit", jit]).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{output:?}");
            let log = String::from_utf8_lossy(&output.stderr);
            assert!(log.contains(words), "{log}");
            assert!(output.stdout.is_empty());
        }
    }
    for both in [["--oracle", "--jit=on"], ["--profile", "--jit=on"]] {
        let mut arguments = vec!["run", "-"];
        arguments.extend(both);
        assert_eq!(run(&arguments).status.code(), Some(2), "{both:?}");
    }
}

#[test]
fn errors_are_the_same_on_and_off() {
    let endless = b"@main = r & @loop ~ (0 r)\n@loop = (a r) & @loop ~ (b r) & a ~ $([+1] b)";
    for jit in ["on", "off"] {
        let output = run_with(&["run", "-", "--gas", "9000000", "--jit", jit], endless);
        assert_fails(
            &output,
            1,
            "out of gas: the net needs more than 9000000 interactions",
        );
    }
}
