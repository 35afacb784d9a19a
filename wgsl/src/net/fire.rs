//! The rewrite rules as WGSL: one function that every kernel which fires interactions includes.

/// Text after [`crate::RULES`] and the arithmetic.
pub(crate) const FIRE: &str = include_str!("../kernels/net/fire.wgsl");

#[cfg(test)]
mod tests {
    use ffcm::spec::rules;
    use ffcm::spec::word::{Class, Term};

    use super::*;
    use crate::device::{Binding, Gpu, Groups, Options, Source};

    /// Writes the opcode of every pair of terms of a list.
    const OPCODES: &str = "
        @group(0) @binding(0) var<storage, read> terms: array<vec2<u32>>;
        @group(0) @binding(1) var<storage, read_write> opcodes: array<u32>;
        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            let count = arrayLength(&terms);
            if id.x < count * count {
                opcodes[id.x] = opcode(terms[id.x / count], terms[id.x % count]);
            }
        }";

    /// The opcode needs no arithmetic; what fires an interaction is tested by the kernels that do.
    const NO_ARITHMETIC: &str = "
        fn operate(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return vec2<u32>(); }
        fn predecessor(number: vec2<u32>) -> vec2<u32> { return vec2<u32>(); }";

    #[test]
    fn every_pair_of_terms_has_the_opcode_of_the_machine() {
        let mut terms = vec![
            Term::var(5),
            Term::ERA,
            Term::u24(7),
            Term::reference(3, false),
            Term::reference(3, true),
        ];
        for class in [Class::Con, Class::Dup, Class::Opr, Class::Swi] {
            for label in [0, 1, (1 << 18) - 1] {
                terms.push(Term::node(class, label, 9));
            }
        }
        let words: Vec<u32> = terms.iter().flat_map(|t| [t.w0(), t.w1()]).collect();
        let gpu = Gpu::open(&Options::default()).expect("an adapter");
        let source = Source {
            name: "test.opcodes",
            text: [crate::RULES, NO_ARITHMETIC, FIRE, OPCODES].concat(),
            entry: "main",
            bindings: &[Binding::Read, Binding::Write],
        };
        let kernel = gpu.kernel(&source).expect("the rules are WGSL");
        let pairs = terms.len() * terms.len();
        let input = gpu.buffer_of("terms", &words).unwrap();
        let output = gpu.buffer("opcodes", pairs as u64).unwrap();
        let bound = gpu
            .bind(&kernel, &[(&input).into(), (&output).into()])
            .unwrap();
        let mut commands = gpu.commands("opcodes");
        commands.dispatch(&bound, Groups::Count(pairs.div_ceil(64) as u32));
        let found = commands.submit_and_read(&output, 0, pairs as u64).unwrap();
        for (index, op) in found.into_iter().enumerate() {
            let (a, b) = (terms[index / terms.len()], terms[index % terms.len()]);
            assert_eq!(op, rules::opcode(a, b) as u32, "{a:?} ~ {b:?}");
        }
    }
}
