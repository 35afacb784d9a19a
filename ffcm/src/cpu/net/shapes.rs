//! Entries for the calls of functions that match their argument.
//!
//! Such a function is a tree of constructors, and is compiled into whoever calls it: so it is never entered but by its base
//! entry, where an argument is a node of the heap. Native code that calls itself wants to be given the arguments in
//! registers. Entries for that come after all others, which do not change.

use super::compile::Compiler;
use crate::net::partial::{CON, Net, Shape, is_constructor};

impl Compiler<'_> {
    /// Makes entries for the calls, as they are written, of definitions that are trees of constructors and lead to themselves.
    pub(super) fn enter_calls(&mut self) {
        for definition in self.definitions {
            let mut net = Net::default();
            net.instantiate(definition, 0);
            for call in &net.calls {
                let callee = call.reference.offset();
                let matches = is_constructor(&self.definitions[callee as usize])
                    && !self.finite[callee as usize];
                if matches && net.nodes[call.node as usize].w0 == CON {
                    let shape = self.shape_taken(callee, Shape::of(&net, call.node));
                    self.entry(callee, shape);
                }
            }
        }
    }
}
