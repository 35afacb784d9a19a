//! `peers state`: suite `state` with crates nomt and jmt among the contenders.

mod jellyfish;
mod nomt;

use std::path::Path;

use ffcm_suite::failure::Failure;
use ffcm_suite::state::{self, Contenders, Housed, sub_folder};

/// Arguments of `peers state`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    suite: state::Arguments,
    /// Rivals to leave out; jmt takes most of the time.
    #[arg(long, value_delimiter = ',')]
    without: Vec<Rival>,
}

/// A rival that may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Rival {
    /// Crate nomt.
    Nomt,
    /// Crate jmt.
    Jmt,
}

/// Runs the suite.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let kept = [Rival::Nomt, Rival::Jmt].into_iter();
    let kept: Vec<Rival> = kept
        .filter(|rival| !arguments.without.contains(rival))
        .collect();
    state::run(&arguments.suite, |folder| {
        let make = |&rival| make(rival, folder);
        kept.iter().map(make).collect()
    })
}

/// A rival in a new folder of its own below `folder`.
fn make(rival: Rival, folder: &Path) -> Result<Housed, Failure> {
    let own = |name| sub_folder(folder, name);
    Ok(match rival {
        Rival::Nomt => {
            let own = own("nomt")?;
            let contender = nomt::NomtStore::create(&own)?;
            (own, Box::new(contender))
        }
        Rival::Jmt => {
            let own = own("jmt")?;
            let contender = jellyfish::Jmt::create(&own)?;
            (own, Box::new(contender))
        }
    })
}

/// Every rival that can be opened, and why the others cannot.
pub fn all(folder: &Path) -> (Contenders, Vec<(&'static str, String)>) {
    let (mut opened, mut missing) = (vec![], vec![]);
    for (rival, name) in [(Rival::Nomt, "crate nomt"), (Rival::Jmt, "crate jmt, redb")] {
        match make(rival, folder) {
            Ok(contender) => opened.push(contender),
            Err(error) => missing.push((name, error.to_string())),
        }
    }
    (opened, missing)
}
