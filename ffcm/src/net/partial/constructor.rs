//! Definitions that are data.

use crate::net::Definition;
use crate::spec::word::Class;

/// Most nodes of such a definition.
const NODES_MAX: usize = 8;

/// Whether a definition is a small tree of constructors.
pub fn is_constructor(definition: &Definition) -> bool {
    definition.root.class() == Class::Con
        && definition.redexes.is_empty()
        && definition.nodes.len() <= NODES_MAX
        && definition
            .terms()
            .all(|term| !term.class().is_node() || term.class() == Class::Con)
}
