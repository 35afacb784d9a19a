//! Comparing a decoded rules header with `ffcm`, value by value and by use, not by rendering again.

use std::collections::BTreeMap;

use ffcm::focus::{self, FocusParams};
use ffcm::memory;
use ffcm::spec::number::{self, Kind, Number, Operator};
use ffcm::spec::rules::{Opcode, opcode};
use ffcm::spec::word::{Class, LABEL_MAX, OFFSET_MAX, Term, variant};

/// What a header says against what `ffcm` says: one line per difference, empty if there is none. `decoded` maps each
/// name in the header to its value, or to its values in order for a table.
pub fn differences(decoded: &BTreeMap<String, Vec<u32>>) -> Vec<String> {
    let mut check = Check {
        decoded,
        differences: Vec::new(),
    };
    check.word();
    check.rules();
    check.numbers();
    check.constants();
    check.differences
}

struct Check<'a> {
    decoded: &'a BTreeMap<String, Vec<u32>>,
    differences: Vec<String>,
}

impl Check<'_> {
    /// Value `index` of `name`; a name that is missing is a difference of its own.
    fn get(&mut self, name: &str, index: usize) -> u32 {
        match self.decoded.get(name).and_then(|values| values.get(index)) {
            Some(value) => *value,
            None => {
                self.differences.push(format!("{name}[{index}] is missing"));
                0
            }
        }
    }

    fn expect(&mut self, name: &str, expected: u32) {
        let found = self.get(name, 0);
        self.same(name, found, expected);
    }

    fn same(&mut self, what: &str, found: u32, expected: u32) {
        if found != expected {
            self.differences
                .push(format!("{what} is {found}, not {expected}"));
        }
    }

    /// Unpacks terms with the header's shifts and masks.
    fn word(&mut self) {
        for class in Class::ALL {
            self.expect(&format!("CLASS_{}", class.name()), class as u32);
            for (variant, label, ext) in [
                (0, 0, 0),
                (3, LABEL_MAX, u8::MAX),
                (1, 0x2_aaaa, 0x55),
                (2, 0x1_5555, 0xaa),
            ] {
                for term in [Term::new(class, variant, label, ext, OFFSET_MAX)].map(Term::with_sub)
                {
                    let field = |check: &mut Self, shift: &str, mask: &str| {
                        let shift = if shift.is_empty() {
                            0
                        } else {
                            check.get(shift, 0)
                        };
                        term.w0().checked_shr(shift).unwrap_or(0) & check.get(mask, 0)
                    };
                    let found = [
                        field(self, "CLASS_SHIFT", "CLASS_MASK"),
                        field(self, "VARIANT_SHIFT", "VARIANT_MASK"),
                        field(self, "LABEL_SHIFT", "LABEL_MASK"),
                        field(self, "", "EXT_MASK"),
                        term.w1() & self.get("OFFSET_MASK", 0),
                        term.w0() & !self.get("SUB", 0),
                    ];
                    let expected = [
                        term.class() as u32,
                        term.variant().into(),
                        term.label(),
                        term.ext().into(),
                        term.offset(),
                        term.without_sub().w0(),
                    ];
                    let names = ["class", "variant", "label", "ext", "offset", "sub"];
                    for ((name, found), expected) in names.into_iter().zip(found).zip(expected) {
                        self.same(&format!("{name} of {term:?}"), found, expected);
                    }
                }
            }
        }
        self.expect("VARIANT_PLAIN", variant::PLAIN.into());
        self.expect("VARIANT_WIRE", variant::WIRE.into());
        self.expect("VARIANT_COPYABLE", variant::COPYABLE.into());
    }

    /// Resolves every meeting of two classes, with equal and unequal labels and both kinds of reference.
    fn rules(&mut self) {
        for (index, op) in std::iter::once(Opcode::Link)
            .chain(Opcode::COUNTED)
            .enumerate()
        {
            self.expect(&format!("OP_{}", op.name().to_uppercase()), op as u32);
            let (nodes, redexes) = (
                self.get("NEED_NODES", index),
                self.get("NEED_REDEXES", index),
            );
            self.same(&format!("nodes of {}", op.name()), nodes, op.need().0);
            self.same(&format!("redexes of {}", op.name()), redexes, op.need().1);
        }
        for a in Class::ALL {
            for b in Class::ALL {
                for (label_a, label_b) in [(0, 0), (5, 5), (5, 6)] {
                    for copyable in [0, variant::COPYABLE] {
                        let term = |class, label| {
                            let variant = if class == Class::Ref { copyable } else { 0 };
                            Term::new(class, variant, label, 0, 0)
                        };
                        let (x, y) = (term(a, label_a), term(b, label_b));
                        let found = self.resolve(x, y);
                        self.same(
                            &format!("opcode of {x:?} and {y:?}"),
                            found,
                            opcode(x, y) as u32,
                        );
                    }
                }
            }
        }
    }

    /// What a kernel would do with the header's table.
    fn resolve(&mut self, a: Term, b: Term) -> u32 {
        let rule = self.get("RULES", a.class() as usize * 8 + b.class() as usize);
        let reference = if a.class() == Class::Ref { a } else { b };
        let copyable = self.get("VARIANT_COPYABLE", 0);
        let by_label = rule & self.get("RULE_BY_LABEL", 0) != 0 && a.label() == b.label();
        let by_copyable = rule & self.get("RULE_BY_COPYABLE", 0) != 0
            && u32::from(reference.variant()) == copyable;
        if by_label || by_copyable {
            self.get("OP_DUPLICATE", 0)
        } else {
            rule & self.get("RULE_OPCODE_MASK", 0)
        }
    }

    fn numbers(&mut self) {
        self.expect("NUM_SYMBOL", number::SYMBOL.into());
        self.expect("NUM_WIDE", number::WIDE.into());
        // 0 - 1 in 24 bits, and 0 / 0 in both widths.
        let zero = |operator| {
            Number::Partial {
                operator,
                bits: 0,
                wide: true,
            }
            .term()
        };
        let step = |operator, right| number::operate(zero(operator), right).w1();
        self.expect("NUM_NARROW_MASK", step(Operator::Sub, Term::u24(1)));
        self.expect("NUM_NAN_F24", step(Operator::Div, Term::f24(0.0)));
        self.expect("NUM_NAN_F32", step(Operator::Div, Term::f32(0.0)));
        for kind in Kind::ALL {
            self.expect(&format!("NUM_{}", kind.name().to_uppercase()), kind as u32);
        }
        for operator in Operator::ALL {
            let value = operator as u32;
            let named = |(name, values): &(&String, &Vec<u32>)| {
                name.starts_with("OPERATOR_") && values[..] == [value]
            };
            let count = self.decoded.iter().filter(named).count() as u32;
            self.same(&format!("number of operators with code {value}"), count, 1);
        }
    }

    fn constants(&mut self) {
        self.expect("FOCUS_MASS_LOW", focus::MASS as u32);
        self.expect("FOCUS_MASS_HIGH", (focus::MASS >> 32) as u32);
        self.expect("FOCUS_DAMPING_DEFAULT", FocusParams::default().damping);
        self.expect("MEMORY_SCALE", memory::SCALE as u32);
        self.expect("MEMORY_CLIP", memory::CLIP as u32);
        self.expect("MEMORY_LAYERS", memory::LAYERS.into());
        self.expect("MEMORY_SLOTS", memory::SLOTS.into());
        self.expect("MEMORY_DIMENSION", memory::DIMENSION as u32);
        self.expect("MEMORY_SCALAR_ONE", memory::SCALAR_ONE.into());
        self.expect("MEMORY_DELTA_NORM_MAX", memory::DELTA_NORM_MAX as u32);
        self.expect("MEMORY_DECAY_MIN", memory::DECAY_MIN.into());
        self.expect("MEMORY_DECAY_MAX", memory::DECAY_MAX.into());
        self.expect("MEMORY_DECAY_DEFAULT", memory::DECAY_DEFAULT.into());
    }
}
