//! How a command fails: one line and an exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use ffcm::coprocessor::{AcceleratorError, JobError};
use ffcm_formats::FormatError;
use focus_node::NodeError;
use focus_rpc::ServeError;

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
            let line = self
                .message
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            eprintln!("focus: {line}");
        }
        ExitCode::from(self.code)
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
            AcceleratorError::SelfTest(_) => Failure::mismatch(error),
            _ => Failure::new(error),
        }
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
