//! Checks on the text of source files.

use super::{File, Problems};

/// Rust sources begin with `//!`, shaders, CUDA sources and the headers that stand in for CUDA with `//`. A module called `tests` says enough by its name, and a
/// rendered file says what renders it.
pub fn purpose(files: &[File]) -> Problems {
    let lacks = files.iter().filter(|file| {
        let first = file
            .text()
            .and_then(|text| text.lines().next())
            .unwrap_or("");
        if file.path.ends_with("/tests.rs") || first.starts_with("// Rendered by ") {
            false
        } else if file.is_rust() {
            !first.starts_with("//! ")
        } else {
            is_kernel(&file.path) && !first.starts_with("// ")
        }
    });
    lacks
        .map(|file| format!("{}:1: the first line does not say its purpose", file.path))
        .collect()
}

/// Text that is compiled and is not Rust.
fn is_kernel(path: &str) -> bool {
    [".wgsl", ".cu", ".cuh", ".hpp"]
        .iter()
        .any(|end| path.ends_with(end))
}

const LINES_MAX: usize = 1000;
/// Files that are one table each.
const TABLES: [&str; 0] = [];

/// Files stay readable; a file that is one table may be listed as an exception.
pub fn length(files: &[File]) -> Problems {
    let sources = files
        .iter()
        .filter(|file| file.is_rust() || is_kernel(&file.path));
    let lines = sources.map(|file| {
        (
            &file.path,
            file.text().map_or(0, |text| text.lines().count()),
        )
    });
    lines
        .filter(|(path, lines)| *lines > LINES_MAX && !TABLES.contains(&path.as_str()))
        .map(|(path, lines)| format!("{path}: {lines} lines, the most is {LINES_MAX}"))
        .collect()
}

/// Leftovers, spelled in halves so that this file passes.
const LEFTOVERS: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
];
/// Folders of somebody's machine, the same way.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
];

/// Nothing in the repository speaks of the machine it was written on or of work left undone.
pub fn words(files: &[File]) -> Problems {
    let mut problems = Vec::new();
    // Rendered assembly has names as compilers make them.
    let written = |file: &&File| file.path != "Cargo.lock" && !file.path.ends_with(".ptx");
    for file in files.iter().filter(written) {
        for (number, line) in file.text().into_iter().flat_map(str::lines).enumerate() {
            let leftover = LEFTOVERS.iter().find(|word| contains_word(line, word));
            let path = MACHINE_PATHS.iter().find(|path| contains_path(line, path));
            if let Some(found) = leftover.or(path) {
                problems.push(format!("{}:{}: `{found}`", file.path, number + 1));
            }
        }
    }
    problems
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` occurs with no letter, digit or underscore on either side.
fn contains_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word)
    })
}

/// Whether an absolute path begins with `path`: nothing of a relative path or an address stands before it.
fn contains_path(line: &str, path: &str) -> bool {
    let relative = |c: char| is_word(c) || matches!(c, '.' | '-' | '/' | '~' | '}' | '>' | '*');
    line.match_indices(path)
        .any(|(at, _)| !line[..at].ends_with(relative))
}

/// Sources whose results reach a committed byte.
const CONSENSUS: [&str; 13] = [
    "ffcm/src/focus/",
    "ffcm/src/graph/",
    "ffcm/src/hash.rs",
    "ffcm/src/memory/",
    "ffcm/src/operators/",
    "ffcm/src/oracle/focus.rs",
    "ffcm/src/spec/rules.rs",
    "scheduler/src/",
    "chain-shell/modules/src/",
    "chain-shell/proof/src/",
    "chain-shell/state/src/",
    "chain-shell/store/src/",
    "chain-shell/types/src/",
];
/// Types whose values or order differ between machines or runs.
const NONDETERMINISTIC: [&str; 6] = ["f32", "f64", "HashMap", "HashSet", "Instant", "SystemTime"];

/// No float, clock or hash map in consensus-visible code. Tests may use them, and so may an item whose doc comment or
/// a line whose comment says `telemetry only`.
pub fn determinism(files: &[File]) -> Problems {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| is_consensus(&file.path)) {
        for (number, line) in committed_lines(file.text().unwrap_or("")) {
            let code = line.split("//").next().unwrap_or("");
            for word in NONDETERMINISTIC
                .iter()
                .filter(|word| contains_word(code, word))
            {
                problems.push(format!("{}:{number}: `{word}`", file.path));
            }
        }
    }
    problems
}

fn is_consensus(path: &str) -> bool {
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/bin/");
    path.ends_with(".rs") && !is_test && CONSENSUS.iter().any(|prefix| path.starts_with(prefix))
}

/// Numbered lines without test items and telemetry. An item ends with the first later line that is a closing brace at
/// its own indentation, or that ends in a semicolon before any brace opens: formatted code leaves no other way.
fn committed_lines(text: &str) -> Vec<(usize, &str)> {
    let mut lines = (1..).zip(text.lines());
    let mut kept = Vec::new();
    while let Some((number, line)) = lines.next() {
        let trimmed = line.trim_start();
        let says = |what: &str| trimmed.to_lowercase().contains(what);
        let skips_item = trimmed.starts_with("#[cfg(test)]")
            || (trimmed.starts_with("///") && says("telemetry only"));
        if skips_item {
            let indentation = &line[..line.len() - trimmed.len()];
            let mut open = false;
            for (_, line) in lines.by_ref() {
                let code = line.split("//").next().unwrap_or("").trim_end();
                open |= code.ends_with('{');
                let closed = code
                    .strip_prefix(indentation)
                    .is_some_and(|rest| rest.starts_with('}'));
                if (open && closed) || (!open && code.ends_with([';', ',', '}'])) {
                    break;
                }
            }
        } else if !says("// telemetry only") {
            kept.push((number, line));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    #[test]
    fn missing_purposes_are_found() {
        let good = [
            file("a.rs", "//! Do it.\n"),
            file("k.wgsl", "// Do it.\n"),
            file("a/tests.rs", "use b;\n"),
            file("generated/a.rs", "// Rendered by `x`. Do not edit.\n"),
        ];
        assert!(purpose(&good).is_empty());
        let bad = [
            file("a.rs", "use b;\n"),
            file("b.rs", ""),
            file("k.cuh", "int x;"),
            file("c.rs", "//!\n"),
        ];
        assert_eq!(purpose(&bad).len(), 4);
    }

    #[test]
    fn long_files_are_found() {
        assert!(
            length(&[
                file("a.rs", &"x\n".repeat(1000)),
                file("a.md", &"x\n".repeat(9999))
            ])
            .is_empty()
        );
        assert_eq!(length(&[file("a.rs", &"x\n".repeat(1001))]).len(), 1);
    }

    #[test]
    fn leftovers_and_machine_paths_are_found() {
        for word in LEFTOVERS {
            assert_eq!(
                words(&[file("a.md", &format!("x\n// {word}(): later"))]),
                [format!("a.md:2: `{word}`")]
            );
            assert!(words(&[file("a.md", &format!("a{word}b"))]).is_empty());
        }
        for path in MACHINE_PATHS {
            for before in ["", " ", "\"", "(", "=", "file:", "`"] {
                assert_eq!(
                    words(&[file("a.sh", &format!("{before}{path}x"))]).len(),
                    1,
                    "{before}{path}"
                );
            }
            for before in ["a", "..", "https://x.org/", "$HOME}"] {
                assert!(
                    words(&[file("a.sh", &format!("{before}{path}x"))]).is_empty(),
                    "{before}{path}"
                );
            }
        }
    }

    #[test]
    fn floats_clocks_and_hash_maps_are_found_in_consensus_code() {
        for word in NONDETERMINISTIC {
            let line = format!("let x: {word}<u8> = 1;");
            assert_eq!(
                determinism(&[file("scheduler/src/lib.rs", &line)]),
                [format!("scheduler/src/lib.rs:1: `{word}`")]
            );
            assert!(determinism(&[file("ffcm/src/cpu/mod.rs", &line)]).is_empty());
            assert!(determinism(&[file("ffcm/src/memory/tests.rs", &line)]).is_empty());
            assert!(
                determinism(&[file("scheduler/src/lib.rs", &format!("// {word} is bad"))])
                    .is_empty()
            );
        }
    }

    #[test]
    fn tests_and_telemetry_are_exempt_and_nothing_behind_them() {
        let text = "\
let a: f32;
#[cfg(test)]
mod tests {
    fn x() -> f64 {
        1.0
    }
}
let b: f32;
#[cfg(test)]
mod tests;
let c: f32;
    /// The rate. **Telemetry only**: never committed.
    pub fn rate(&self) -> Option<f64> {
        if x {
            return f64::NAN;
        }
    }
    let d: f32;
let e: f32 = 0.0; // telemetry only
let f: f32;
";
        let found = determinism(&[file("chain-shell/state/src/lib.rs", text)]);
        let lines: Vec<&str> = found.iter().map(|p| p.split(':').nth(1).unwrap()).collect();
        assert_eq!(lines, ["1", "8", "11", "18", "20"]);
    }
}
