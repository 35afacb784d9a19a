//! The texts of the parallel engine's kernels, put together.

use super::control;
use super::fire::FIRE;
use crate::device::{Binding, Source};
use crate::kernels::{NUMBER, RULES};

const HEAP: &str = include_str!("../kernels/net/heap.wgsl");
const ACCESS: &str = include_str!("../kernels/net/access.wgsl");
#[cfg(test)]
const ACCESS_RACE: &str = include_str!("../kernels/net/access_race.wgsl");
const COUNT_NONE: &str = include_str!("../kernels/net/count_none.wgsl");
const COUNT_BYTES: &str = include_str!("../kernels/net/count_bytes.wgsl");
const CALL_NONE: &str = include_str!("../kernels/net/call_none.wgsl");
const CALL: &str = include_str!("../kernels/net/call.wgsl");
const PROTOCOL: &str = include_str!("../kernels/net/protocol.wgsl");
const REDUCE: &str = include_str!("../kernels/net/reduce.wgsl");
const MAIN: &str = include_str!("../kernels/net/main.wgsl");
const PLAN: &str = include_str!("../kernels/net/plan.wgsl");
const SPREAD: &str = include_str!("../kernels/net/spread.wgsl");
const PROBE: &str = include_str!("../kernels/net/probe.wgsl");

/// Which build of the kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Build {
    /// The one that serves.
    #[default]
    Plain,
    /// It counts the bytes it reads and writes.
    Count,
    /// It looks for races.
    #[cfg(test)]
    Race,
    /// It looks for races, and has some: one rule is ignored.
    #[cfg(test)]
    Mutant(Mutant),
}

impl Build {
    fn count(self) -> &'static str {
        match self {
            Build::Count => COUNT_BYTES,
            _ => COUNT_NONE,
        }
    }

    /// Whether it has shadows.
    pub(crate) fn looks_for_races(self) -> bool {
        match self {
            Build::Plain | Build::Count => false,
            #[cfg(test)]
            Build::Race | Build::Mutant(_) => true,
        }
    }
}

/// A rule that a mutant ignores.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mutant {
    /// What is visible: everything at once.
    Everything,
    /// What is visible: what other lanes of the workgroup do in the same step.
    SameStep,
    /// What is visible: what other workgroups do in the same round.
    SameRound,
    /// A lane takes from the pool what was there when the step began.
    FreshPool,
    /// A workgroup takes from a ring what was there when the round began.
    FreshRing,
    /// Each workgroup has places of its own for the pairs that it leaves.
    SharedPlaces,
}

#[cfg(test)]
impl Mutant {
    fn name(self) -> &'static str {
        match self {
            Mutant::Everything => "net.main.mutant.everything",
            Mutant::SameStep => "net.main.mutant.same-step",
            Mutant::SameRound => "net.main.mutant.same-round",
            Mutant::FreshPool => "net.main.mutant.fresh-pool",
            Mutant::FreshRing => "net.main.mutant.fresh-ring",
            Mutant::SharedPlaces => "net.main.mutant.shared-places",
        }
    }

    /// The reducer without the rule.
    fn apply(self, text: &str) -> String {
        let (rule, instead) = match self {
            Mutant::Everything | Mutant::SameStep | Mutant::SameRound => {
                ("fn visible(", "fn visible_by_the_rules(")
            }
            Mutant::FreshPool => (
                "i32(pool_seen.x - at)",
                "i32(atomicLoad(&pool_put[0]) - at)",
            ),
            Mutant::FreshRing => (
                "let seen = word(NODE_SEEN + words);",
                "let seen = word(NODE_TAIL + words);",
            ),
            Mutant::SharedPlaces => (
                "word(DUMP_AT) + atomicAdd(&control[DUMPED], all)",
                "word(DUMP_AT) + min(atomicAdd(&control[DUMPED], all), 0u)",
            ),
        };
        assert_eq!(text.matches(rule).count(), 1, "the rule is where it was");
        let ignored = match self {
            Mutant::Everything => "judged != SEEN",
            Mutant::SameStep => "judged == NEXT_STEP",
            Mutant::SameRound => "judged == NEXT_ROUND",
            _ => return text.replace(rule, instead),
        };
        text.replace(rule, instead)
            + &format!(
                "fn visible(old: u32, now: u32) -> u32 {{
                    let judged = visible_by_the_rules(old, now);
                    return select(judged, SEEN, {ignored});
                }}\n"
            )
    }
}

/// The reducer. `calls` are the lane functions of a book, as [`render_calls`](ffcm_jit::lane::render_calls) has them, for a
/// build that runs them.
pub(crate) fn main(build: Build, calls: Option<&str>) -> Source {
    let (name, access) = match build {
        Build::Plain if calls.is_some() => ("net.main.calls", ACCESS),
        Build::Plain => ("net.main", ACCESS),
        Build::Count => ("net.main.count", ACCESS),
        #[cfg(test)]
        Build::Race => ("net.main.race", ACCESS_RACE),
        #[cfg(test)]
        Build::Mutant(mutant) => (mutant.name(), ACCESS_RACE),
    };
    let control = control::wgsl();
    let parts = [
        RULES,
        &control,
        build.count(),
        NUMBER,
        FIRE,
        HEAP,
        access,
        PROTOCOL,
        REDUCE,
        calls.map_or(CALL_NONE, |_| CALL),
        calls.unwrap_or_default(),
        MAIN,
    ];
    let text = parts.concat();
    Source {
        name,
        text: match build {
            #[cfg(test)]
            Build::Mutant(mutant) => mutant.apply(&text),
            _ => text,
        },
        entry: "main",
        bindings: if build.looks_for_races() {
            &BINDINGS
        } else {
            &BINDINGS[..7]
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
pub(crate) fn spread(build: Build) -> Source {
    Source {
        name: match build {
            Build::Count => "net.spread.count",
            _ => "net.spread",
        },
        text: [RULES, &control::wgsl(), build.count(), SPREAD].concat(),
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
