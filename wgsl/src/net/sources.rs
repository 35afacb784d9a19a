//! The texts of the parallel engine's kernels, put together.

use super::control;
use super::fire::FIRE;
use crate::device::{Binding, Source};
use crate::kernels::RULES;

const NUMBER: &str = include_str!("../kernels/number.wgsl");
const HEAP: &str = include_str!("../kernels/net/heap.wgsl");
const ACCESS: &str = include_str!("../kernels/net/access.wgsl");
#[cfg(test)]
const ACCESS_RACE: &str = include_str!("../kernels/net/access_race.wgsl");
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
    /// It looks for races.
    #[cfg(test)]
    Race,
    /// It looks for races, and has some: a rule of the protocol is ignored.
    #[cfg(test)]
    Mutant(Mutant),
}

/// A rule of `visible` that a mutant ignores.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mutant {
    /// Everything is visible at once.
    Everything,
    /// What other lanes of the workgroup do in the same step.
    SameStep,
    /// What other workgroups do in the same round.
    SameRound,
}

#[cfg(test)]
impl Mutant {
    fn name(self) -> &'static str {
        match self {
            Mutant::Everything => "net.main.mutant.everything",
            Mutant::SameStep => "net.main.mutant.same-step",
            Mutant::SameRound => "net.main.mutant.same-round",
        }
    }

    /// The protocol without the rule.
    fn protocol(self) -> String {
        let ignored = match self {
            Mutant::Everything => "judged != SEEN",
            Mutant::SameStep => "judged == NEXT_STEP",
            Mutant::SameRound => "judged == NEXT_ROUND",
        };
        let protocol = PROTOCOL.replace("fn visible(", "fn visible_by_the_rules(");
        assert_ne!(protocol, PROTOCOL, "the rule is where it was");
        protocol
            + &format!(
                "fn visible(old: u32, now: u32) -> u32 {{
                    let judged = visible_by_the_rules(old, now);
                    return select(judged, SEEN, {ignored});
                }}\n"
            )
    }
}

/// The reducer.
pub(crate) fn main(build: Build) -> Source {
    let (name, access, protocol) = match build {
        Build::Plain => ("net.main", ACCESS, PROTOCOL.to_string()),
        #[cfg(test)]
        Build::Race => ("net.main.race", ACCESS_RACE, PROTOCOL.to_string()),
        #[cfg(test)]
        Build::Mutant(mutant) => (mutant.name(), ACCESS_RACE, mutant.protocol()),
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
            &protocol,
            REDUCE,
            MAIN,
        ]
        .concat(),
        entry: "main",
        bindings: match build {
            Build::Plain => &BINDINGS[..7],
            #[cfg(test)]
            _ => &BINDINGS,
        },
    }
}

/// The buffers of `heap.wgsl`, and the shadows of the build that looks for races.
const BINDINGS: [Binding; 8] = {
    let mut bindings = [Binding::Write; 8];
    bindings[6] = Binding::Read;
    bindings
};

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
