//! Running cargo and counting what its test programs say.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

/// How to run cargo.
pub struct Cargo<'a> {
    /// Where.
    pub root: &'a Path,
    /// Standard output belongs to a JSON document, so what cargo prints goes to standard error.
    pub json: bool,
    /// Standard output is for this process alone.
    pub quiet: bool,
    /// Added to the environment.
    pub variables: Vec<(&'static str, OsString)>,
}

impl Cargo<'_> {
    /// Runs cargo and shows what it prints.
    pub fn run(&self, arguments: &[&str]) -> Result<(), String> {
        self.lines(arguments, |_| {})
    }

    /// Runs tests. That none ran is a failure.
    pub fn tests(&self, arguments: &[&str]) -> Result<Tally, String> {
        let mut tally = Tally::default();
        self.lines(arguments, |line| tally.add(line))?;
        tally.some()
    }

    /// Runs cargo and shows what it prints while `each` looks at every line.
    pub fn lines(&self, arguments: &[&str], each: impl FnMut(&str)) -> Result<(), String> {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let name = format!("cargo {}", arguments.join(" "));
        self.start(&name, Command::new(program).args(arguments), each)
    }

    /// Builds and lists the test programs and examples of the workspace. One selection for all steps: features are
    /// unified over what is selected, so another selection builds everything anew.
    pub fn programs(&self) -> Result<Vec<Program>, String> {
        self.built(&[
            "test",
            "--workspace",
            "--exclude",
            "peers",
            "--exclude",
            "ffcm-cubecl",
            "--no-run",
        ])
    }

    /// Runs a cargo command that builds, and lists the programs that it has built.
    pub fn built(&self, arguments: &[&str]) -> Result<Vec<Program>, String> {
        let mut built = Vec::new();
        let arguments = [arguments, &["--message-format=json-render-diagnostics"]].concat();
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let quiet = Cargo {
            quiet: true,
            variables: self.variables.clone(),
            ..*self
        };
        let name = format!("cargo {}", arguments.join(" "));
        quiet.start(&name, Command::new(program).args(arguments), |line| {
            built.extend(Program::of(line));
        })?;
        Ok(built)
    }

    /// Runs a program as cargo would: in the folder of its package.
    pub fn start_program(
        &self,
        program: &Program,
        arguments: &[&str],
        each: impl FnMut(&str),
    ) -> Result<(), String> {
        let mut variables = self.variables.clone();
        variables.push(("CARGO_MANIFEST_DIR", program.folder.clone().into()));
        let cargo = Cargo {
            root: &program.folder,
            variables,
            ..*self
        };
        let mut command = Command::new(&program.path);
        let name = format!("{} {}", program.path.display(), arguments.join(" "));
        cargo.start(name.trim_end(), command.args(arguments), each)
    }

    /// Runs a program and shows what it prints while `each` looks at every line.
    fn start(
        &self,
        name: &str,
        command: &mut Command,
        mut each: impl FnMut(&str),
    ) -> Result<(), String> {
        let mut shown = String::new();
        for (name, value) in &self.variables {
            shown.push_str(&format!("{name}={} ", value.to_string_lossy()));
        }
        shown.push_str(name);
        eprintln!("$ {shown}");
        let failed = |error: &dyn fmt::Display| format!("{shown}: {error}");
        let mut child = command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.root)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(&error))?;
        if let Some(output) = child.stdout.take() {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output
                .read_until(b'\n', &mut line)
                .map_err(|error| failed(&error))?
                > 0
            {
                self.show(&line).map_err(|error| failed(&error))?;
                each(String::from_utf8_lossy(&line).trim_end());
                line.clear();
            }
        }
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed(&status)),
            Err(error) => Err(failed(&error)),
        }
    }

    fn show(&self, line: &[u8]) -> io::Result<()> {
        match (self.quiet, self.json) {
            (true, _) => Ok(()),
            (false, true) => io::stderr().write_all(line),
            (false, false) => io::stdout().write_all(line),
        }
    }
}

/// A program that cargo has built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name of the target.
    pub name: String,
    /// Folder of its package.
    pub folder: PathBuf,
    /// Whether it runs tests.
    pub is_test: bool,
    /// Where it lies.
    pub path: PathBuf,
}

impl Program {
    /// The program that a line of cargo's messages tells of, if it does.
    fn of(line: &str) -> Option<Program> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = |pointer: &str| message.pointer(pointer).and_then(|value| value.as_str());
        if text("/reason")? != "compiler-artifact" {
            return None;
        }
        let manifest = Path::new(text("/manifest_path")?);
        Some(Program {
            name: text("/target/name")?.into(),
            folder: manifest.parent()?.into(),
            is_test: message.pointer("/profile/test")?.as_bool()?,
            path: text("/executable")?.into(),
        })
    }
}

/// Sums of the `test result:` lines of all test programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests marked as ignored.
    pub skipped: u64,
}

impl Tally {
    /// The counts, if any test passed.
    pub fn some(self) -> Result<Tally, String> {
        match self.passed {
            0 => Err("no test ran".into()),
            _ => Ok(self),
        }
    }

    /// Adds one line of output, if it is a summary.
    pub fn add(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in counts.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(count) = count.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_and_no_tests_are_failures() {
        let cargo = Cargo {
            root: Path::new(env!("CARGO_MANIFEST_DIR")),
            json: true,
            quiet: false,
            variables: vec![("XTASK_TEST", "1".into())],
        };
        assert!(cargo.run(&["no-such-command-of-cargo"]).is_err());
        assert!(cargo.run(&["--version"]).is_ok());
        let error = cargo.tests(&["--version"]).unwrap_err();
        assert_eq!(error, "no test ran");
    }

    #[test]
    fn programs_are_told_from_the_messages() {
        let line = |reason: &str, executable: &str| {
            format!(
                r#"{{"reason":"{reason}","manifest_path":"/r/wgsl/Cargo.toml","target":{{"name":"a"}},
                "profile":{{"test":true}},"executable":{executable}}}"#
            )
        };
        let found = Program::of(&line("compiler-artifact", "\"/t/a-1\"")).unwrap();
        assert_eq!((found.name.as_str(), found.is_test), ("a", true));
        assert_eq!(found.folder, Path::new("/r/wgsl"));
        assert_eq!(found.path, Path::new("/t/a-1"));
        assert_eq!(Program::of(&line("compiler-artifact", "null")), None);
        assert_eq!(
            Program::of(&line("build-script-executed", "\"/t/a\"")),
            None
        );
        assert_eq!(Program::of("running 3 tests"), None);
    }

    #[test]
    fn summaries_of_test_programs_add_up() {
        let mut tally = Tally::default();
        tally.add("test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out");
        tally.add("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured");
        tally.add("running 7 passed tests");
        tally += Tally {
            passed: 1,
            ..Tally::default()
        };
        assert_eq!(tally.to_string(), "14 passed, 2 failed, 3 skipped");
    }
}
