//! Definitions that choose.

use super::CON;
use crate::net::Definition;
use crate::spec::word::Class;

/// Most arguments of a selector.
const ARGUMENTS_MAX: usize = 8;

/// A definition that takes arguments, erases all but one of them and gives that back: `(yes (* yes))` or `(* (no no))`, the
/// Church booleans; the constructors without fields of data in Scott's or Church's encoding; the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector {
    /// How many arguments it takes, at least one and at most eight.
    pub arguments: u8,
    /// Which of them it gives back, from 0.
    pub chosen: u8,
}

impl Selector {
    /// The selector that a definition is, if it is one.
    pub fn of(definition: &Definition) -> Option<Selector> {
        let arguments = definition.nodes.len();
        if arguments > ARGUMENTS_MAX || !definition.redexes.is_empty() {
            return None;
        }
        let (mut rest, mut chosen) = (definition.root, None);
        for i in 0..arguments {
            if rest.w0() != CON {
                return None;
            }
            let [argument, next] = definition.nodes[rest.offset() as usize];
            match argument.class() {
                Class::Era => {}
                Class::Var if chosen.is_none() => chosen = Some((i, argument)),
                _ => return None,
            }
            rest = next;
        }
        let (chosen, result) = chosen?;
        (rest == result).then_some(Selector {
            arguments: arguments as u8,
            chosen: chosen as u8,
        })
    }
}
