//! One engine in one process: what it printed, and what it cost.

use std::fmt;
use std::io::Read;
use std::process::{Command, Stdio};

use wait4::Wait4;

use ffcm_suite::failure::Failure;

/// What an engine prints: `Result: …`, `- ITRS: …`, `- TIME: …s`, the form of the published runtime; ours also `- PEAK: …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The result as text.
    pub result: String,
    /// Interactions made.
    pub interactions: u64,
    /// Seconds of the reduction.
    pub seconds: f64,
    /// Most resident bytes, where the engine says.
    pub peak: Option<u64>,
}

/// Most resident bytes of this process, where the system tells.
pub fn own_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Result: {}", self.result)?;
        writeln!(f, "- ITRS: {}", self.interactions)?;
        writeln!(f, "- TIME: {:.6}s", self.seconds)?;
        match self.peak {
            Some(peak) => writeln!(f, "- PEAK: {peak}"),
            None => Ok(()),
        }
    }
}

impl Answer {
    /// Reads the three lines out of `text`; none when one is missing or malformed.
    pub fn parse(text: &str) -> Option<Answer> {
        let value = |head: &str| text.lines().find_map(|line| line.strip_prefix(head));
        Some(Answer {
            result: value("Result: ")?.to_owned(),
            interactions: value("- ITRS: ")?.parse().ok()?,
            seconds: value("- TIME: ")?.strip_suffix('s')?.parse().ok()?,
            peak: value("- PEAK: ").map(str::parse).transpose().ok()?,
        })
    }
}

/// A finished process.
#[derive(Clone, Debug)]
pub struct Run {
    /// What it printed.
    pub answer: Answer,
    /// User and system seconds.
    pub cpu: f64,
    /// Most resident bytes: as the engine says, else as the system does, which counts those of the process that started
    /// it too.
    pub memory: u64,
}

/// Runs a command to its end.
pub fn run(command: &[String]) -> Result<Run, Failure> {
    let shown = command.join(" ");
    let failed = |what: &dyn fmt::Display| Failure::Failed(format!("`{shown}`: {what}"));
    let [program, arguments @ ..] = command else {
        return Err(failed(&"empty command"));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    let mut text = String::new();
    if let Some(mut output) = child.stdout.take() {
        output
            .read_to_string(&mut text)
            .map_err(|error| failed(&error))?;
    }
    let end = child.wait4().map_err(|error| failed(&error))?;
    if !end.status.success() {
        return Err(failed(&end.status));
    }
    let unexpected = || failed(&format!("unexpected output `{text}`"));
    let answer = Answer::parse(&text).ok_or_else(unexpected)?;
    Ok(Run {
        cpu: (end.rusage.utime + end.rusage.stime).as_secs_f64(),
        memory: answer.peak.unwrap_or(end.rusage.maxrss),
        answer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_printing() {
        let answer = Answer {
            result: "(1 *)".to_owned(),
            interactions: 12,
            seconds: 0.25,
            peak: None,
        };
        let peak = Answer {
            peak: Some(4096),
            ..answer.clone()
        };
        assert_eq!(Answer::parse(&peak.to_string()), Some(peak));
        assert_eq!(Answer::parse(&answer.to_string()), Some(answer));
        assert_eq!(Answer::parse("Result: 1\n- ITRS: x\n- TIME: 1s\n"), None);
        assert_eq!(Answer::parse("Result: 1\n- TIME: 0.1s\n"), None);
        assert!(own_peak().is_none_or(|peak| peak > 1 << 20));
    }

    #[test]
    fn a_process_is_measured_and_a_failing_one_is_an_error() {
        let shell = |script: &str| run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()]);
        let done =
            shell("echo 'Result: 7'; echo '- ITRS: 3'; echo '- TIME: 0.01s'").expect("it runs");
        assert_eq!(
            (done.answer.result.as_str(), done.answer.interactions),
            ("7", 3)
        );
        assert!(done.memory > 0);
        assert!(shell("exit 4").is_err_and(|error| error.code() == 1));
        assert!(shell("echo nothing").is_err());
    }
}
