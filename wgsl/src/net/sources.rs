//! The texts of the parallel engine's kernels, put together.

use super::control;
use super::fire::FIRE;
use crate::device::{Binding, Source};
use crate::kernels::RULES;

const NUMBER: &str = include_str!("../kernels/number.wgsl");
const HEAP: &str = include_str!("../kernels/net/heap.wgsl");
const ACCESS: &str = include_str!("../kernels/net/access.wgsl");
const PROTOCOL: &str = include_str!("../kernels/net/protocol.wgsl");
const REDUCE: &str = include_str!("../kernels/net/reduce.wgsl");
const MAIN: &str = include_str!("../kernels/net/main.wgsl");
const PLAN: &str = include_str!("../kernels/net/plan.wgsl");
const SPREAD: &str = include_str!("../kernels/net/spread.wgsl");
const PROBE: &str = include_str!("../kernels/net/probe.wgsl");

/// Which build of the reducer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Build {
    /// The one that serves.
    #[default]
    Plain,
}

/// The reducer.
pub(crate) fn main(build: Build) -> Source {
    let (name, access, protocol) = match build {
        Build::Plain => ("net.main", ACCESS, PROTOCOL),
    };
    Source {
        name,
        text: [
            RULES,
            &control::wgsl(),
            NUMBER,
            FIRE,
            HEAP,
            access,
            protocol,
            REDUCE,
            MAIN,
        ]
        .concat(),
        entry: "main",
        bindings: &[
            Binding::Write,
            Binding::Write,
            Binding::Write,
            Binding::Write,
            Binding::Write,
            Binding::Write,
            Binding::Read,
        ],
    }
}

/// Decides on the next round.
pub(crate) fn plan() -> Source {
    Source {
        name: "net.plan",
        text: [&control::wgsl(), PLAN].concat(),
        entry: "main",
        bindings: &[Binding::Write, Binding::Write, Binding::Read],
    }
}

/// Packs the bag, expands large definitions.
pub(crate) fn spread() -> Source {
    Source {
        name: "net.spread",
        text: [RULES, &control::wgsl(), SPREAD].concat(),
        entry: "main",
        bindings: &[
            Binding::Write,
            Binding::Write,
            Binding::Read,
            Binding::Write,
            Binding::Read,
        ],
    }
}

/// Counts the trips a driver makes.
pub(crate) fn probe() -> Source {
    Source {
        name: "net.probe",
        text: PROBE.into(),
        entry: "main",
        bindings: &[Binding::Write],
    }
}
