//! `focus bench`: the engines and devices of this machine, measured.

mod compare;
mod contenders;
mod cpu;
mod matrix;

use clap::{Args, Subcommand};
use ffcm_suite::failure::Failure as SuiteFailure;

use super::failure::Failure;

/// Measure suites on every backend, results checked first
///
/// Each suite runs in every size on every backend: a first run that prepares and uploads, a warm-up, then timed runs in
/// turns. A row shows the median with its spread, transfers apart where they can be told, the share of the backend's own
/// ceiling, and a digest that is compared with the oracle's; one that differs is exit code 3. A device that is
/// missing or lost is a row that says so.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  focus bench --quick\n  \
                  focus bench --suite nets,focus --backend cpu,wgpu --size 1e6 --json now.json\n  \
                  focus bench --suite focus --sizes 1e3,1e4,1e5,1e6,1e7 --html report.html\n  \
                  focus bench --edges my-edges.tsv --threads 1,2\n  \
                  focus bench run program.hvm --backend all\n  \
                  focus bench compare before.json now.json --threshold 5% --fail\n  \
                  focus bench history *.json --html history.html\n  \
                  focus bench cpu"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    matrix: Box<matrix::MatrixArguments>,
}

#[derive(Debug, Subcommand)]
enum What {
    Cpu(Box<cpu::Cpu>),
    Run(Box<matrix::RunArguments>),
    Compare(compare::Compare),
    History(compare::HistoryArguments),
}

/// Runs the verb.
pub(crate) fn bench(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.what {
        None => matrix::matrix(&arguments.matrix),
        Some(What::Cpu(arguments)) => cpu::cpu(arguments),
        Some(What::Run(arguments)) => matrix::run(arguments),
        Some(What::Compare(arguments)) => compare::compare(arguments),
        Some(What::History(arguments)) => compare::history(arguments),
    }
}

fn failure(failure: SuiteFailure) -> Failure {
    match failure {
        SuiteFailure::Mismatch(_) => Failure::mismatch(failure),
        SuiteFailure::Failed(_) => Failure::new(failure),
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use super::*;

    #[test]
    fn a_wrong_result_is_not_any_failure() {
        let code = |inner| format!("{:?}", failure(inner).report());
        let wrong = code(SuiteFailure::Mismatch("x".into()));
        assert_eq!(wrong, format!("{:?}", ExitCode::from(3)));
        let failed = code(SuiteFailure::Failed("x".into()));
        assert_eq!(failed, format!("{:?}", ExitCode::from(1)));
    }
}
