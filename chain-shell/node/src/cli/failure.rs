//! How a command fails: one line and an exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use ffcm::coprocessor::{AcceleratorError, Coprocessor, JobError, SelfTestError};
use ffcm_formats::FormatError;
use focus_node::NodeError;
use focus_rpc::ServeError;

/// Longest message in characters, about.
const LINE_CHARS: usize = 800;

/// One line on stderr and the exit code that goes with it.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Exit code 1: it could not be done.
    pub(crate) fn new(message: impl Display) -> Failure {
        Failure {
            code: 1,
            message: message.to_string(),
        }
    }

    /// Exit code 1 about a file.
    pub(crate) fn file(path: impl Display, error: impl Display) -> Failure {
        Failure::new(format!("{path}: {error}"))
    }

    /// Exit code 3: something does not match what it should be.
    pub(crate) fn mismatch(message: impl Display) -> Failure {
        Failure {
            code: 3,
            ..Failure::new(message)
        }
    }

    /// Writing to stdout failed. A reader that has seen enough is no failure.
    pub(crate) fn stdout(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure {
                code: 0,
                message: String::new(),
            },
            _ => Failure::new(format!("stdout: {error}")),
        }
    }

    /// Prints the line and gives the code.
    pub(crate) fn report(self) -> ExitCode {
        if self.code != 0 {
            eprintln!("focus: {}", one_line(&self.message));
        }
        ExitCode::from(self.code)
    }
}

/// `message` as one line of bounded length. It may quote its input, so control characters are escaped, and where it is
/// too long the middle is left out: the beginning says where, the end what is wrong.
pub(crate) fn one_line(message: &str) -> String {
    let mut line = String::new();
    for (i, word) in message.split_whitespace().enumerate() {
        if i > 0 {
            line.push(' ');
        }
        for c in word.chars() {
            if c.is_control() {
                line.extend(c.escape_default());
            } else {
                line.push(c);
            }
        }
    }
    let half = LINE_CHARS / 2;
    let Some((head, _)) = line.char_indices().nth(half) else {
        return line;
    };
    match line.char_indices().nth_back(half) {
        Some((tail, _)) if tail > head => format!("{} … {}", &line[..head], &line[tail..]),
        _ => line,
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Failure {
        if error.is_mismatch() {
            Failure::mismatch(error)
        } else {
            Failure::new(error)
        }
    }
}

impl From<AcceleratorError> for Failure {
    fn from(error: AcceleratorError) -> Failure {
        match error {
            AcceleratorError::SelfTest(SelfTestError::Mismatch { .. }) => Failure::mismatch(error),
            _ => Failure::new(error),
        }
    }
}

/// Exit code 1 about a job: a device that does not do it says so, and what to do instead. Nothing runs it again unasked.
pub(crate) fn on_device(coprocessor: &dyn Coprocessor) -> impl FnOnce(JobError) -> Failure {
    let backend = coprocessor.info().backend;
    move |error| match error {
        JobError::Device(_) | JobError::NotSupported { .. } if backend != "cpu" => Failure::new(
            format_args!("{backend}: {error}; nothing was run elsewhere, --backend cpu does it"),
        ),
        _ => Failure::new(error),
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Failure {
        Failure::new(error)
    }
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Failure {
        Failure::new(error)
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Failure {
        Failure::new(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_short_harmless_line() {
        assert_eq!(one_line("a\nb\t c"), "a b c");
        assert_eq!(one_line("x \u{1b}[31m\u{7}"), "x \\u{1b}[31m\\u{7}");
        assert_eq!(one_line(&"y".repeat(LINE_CHARS)), "y".repeat(LINE_CHARS));
        for middle in ["z".repeat(1 << 20), "ü".repeat(1 << 20)] {
            let line = one_line(&format!("f.el: line 1: weight {middle} is too large"));
            assert!(line.chars().count() < LINE_CHARS + 10, "{}", line.len());
            assert!(line.starts_with("f.el: line 1: weight "), "{line}");
            assert!(line.ends_with(" is too large"), "{line}");
        }
    }
}
