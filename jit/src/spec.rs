//! What the rules header holds, in order, taken from `ffcm`.

use ffcm::focus::{self, FocusParams};
use ffcm::memory;
use ffcm::spec::number::{self, Kind, Operator};
use ffcm::spec::rules::{Opcode, TABLE};
use ffcm::spec::word::{Class, LABEL_MAX, OFFSET_MAX, Term, variant};

/// One entry of the header.
pub(crate) enum Item {
    /// A comment line that opens a group.
    Section(&'static str),
    /// A `u32`, with a comment or an empty one.
    Constant(String, u32, String),
    /// An array of `u32`, printed in rows of the given length.
    Table(&'static str, Vec<u32>, usize),
}

fn constant(name: impl Into<String>, value: u32) -> Item {
    Item::Constant(name.into(), value, String::new())
}

/// A 64-bit number as two constants.
fn wide(name: &str, value: u64) -> [Item; 2] {
    [
        constant(format!("{name}_LOW"), value as u32),
        constant(format!("{name}_HIGH"), (value >> 32) as u32),
    ]
}

/// Every entry, in the order of the header.
pub(crate) fn items() -> Vec<Item> {
    let mut items = word();
    items.extend(rules());
    items.extend(numbers());
    items.extend(focus());
    items.extend(memory());
    items
}

/// The word layout, read off terms that hold one field each.
fn word() -> Vec<Item> {
    let tag = Term::new(Class::Var, 1, 0, 0, 0).w0();
    let class = Term::new(Class::Ref, 0, 0, 0, 0).w0();
    let label = Term::new(Class::Var, 0, 1, 0, 0).w0();
    let mut items = vec![
        Item::Section(
            "Word: w0 = sub | tag | label | ext, w1 = offset or immediate; tag = class << 2 | variant.",
        ),
        constant("SUB", Term::ABSENT.with_sub().w0()),
        constant("CLASS_SHIFT", class.trailing_zeros()),
        constant("CLASS_MASK", Class::ALL.len() as u32 - 1),
        constant("VARIANT_SHIFT", tag.trailing_zeros()),
        constant("VARIANT_MASK", (class >> tag.trailing_zeros()) - 1),
        constant("LABEL_SHIFT", label.trailing_zeros()),
        constant("LABEL_MASK", LABEL_MAX),
        constant("EXT_MASK", label - 1),
        constant("OFFSET_MASK", OFFSET_MAX),
        Item::Section("Classes."),
    ];
    items.extend(Class::ALL.map(|class| constant(format!("CLASS_{}", class.name()), class as u32)));
    items.extend([
        Item::Section("Variants."),
        constant("VARIANT_PLAIN", variant::PLAIN.into()),
        constant("VARIANT_WIRE", variant::WIRE.into()),
        constant("VARIANT_COPYABLE", variant::COPYABLE.into()),
    ]);
    items
}

/// Opcodes with what they allocate, and the table.
fn rules() -> Vec<Item> {
    let opcodes = || std::iter::once(Opcode::Link).chain(Opcode::COUNTED);
    let mut items = vec![Item::Section("Opcodes. All but LINK are counted.")];
    items.extend(
        opcodes().map(|op| constant(format!("OP_{}", op.name().to_uppercase()), op as u32)),
    );
    items.extend([
        Item::Section("Most nodes and redexes that an interaction allocates, by opcode; SPECIALIZE: see the definition."),
        Item::Table("NEED_NODES", opcodes().map(|op| op.need().0).collect(), 8),
        Item::Table("NEED_REDEXES", opcodes().map(|op| op.need().1).collect(), 8),
        Item::Section("Rules: an opcode in the low bits, or one of two flags that decide between it and DUPLICATE."),
        constant("RULE_OPCODE_MASK", 7),
        Item::Constant("RULE_BY_LABEL".into(), 8, "equal labels: DUPLICATE".into()),
        Item::Constant("RULE_BY_COPYABLE".into(), 16, "a copyable reference: DUPLICATE".into()),
        Item::Section("RULES[class of one term * 8 + class of the other]."),
        Item::Table("RULES", TABLE.as_flattened().iter().map(|rule| rule.code().into()).collect(), 8),
    ]);
    items
}

/// Number kinds, operators, and the marks around them.
fn numbers() -> Vec<Item> {
    let mut items = vec![
        Item::Section("Numbers: ext of a NUM term."),
        constant("NUM_SYMBOL", number::SYMBOL.into()),
        constant("NUM_WIDE", number::WIDE.into()),
        constant("NUM_NARROW_MASK", Term::u24(u32::MAX).w1()),
        constant("NUM_NAN_F24", Term::f24(f32::NAN).w1()),
        constant("NUM_NAN_F32", Term::f32(f32::NAN).w1()),
    ];
    items.extend(
        Kind::ALL.map(|kind| constant(format!("NUM_{}", kind.name().to_uppercase()), kind as u32)),
    );
    items.push(Item::Section(
        "Operators: ext of a partial number, payload of a symbol.",
    ));
    items.extend(Operator::ALL.map(|operator| {
        let name = snake_case(&format!("{operator:?}"));
        Item::Constant(
            format!("OPERATOR_{name}"),
            operator as u32,
            operator.name().into(),
        )
    }));
    items
}

fn focus() -> Vec<Item> {
    let mut items = vec![Item::Section(
        "Focus: mass of 1 as two words, damping as a Q32 fraction.",
    )];
    items.extend(wide("FOCUS_MASS", focus::MASS));
    items.push(constant(
        "FOCUS_DAMPING_DEFAULT",
        FocusParams::default().damping,
    ));
    items
}

fn memory() -> Vec<Item> {
    vec![
        Item::Section("Memory Arithmetic."),
        constant("MEMORY_SCALE", memory::SCALE as u32),
        constant("MEMORY_CLIP", memory::CLIP as u32),
        constant("MEMORY_LAYERS", memory::LAYERS.into()),
        constant("MEMORY_SLOTS", memory::SLOTS.into()),
        constant("MEMORY_DIMENSION", memory::DIMENSION as u32),
        constant("MEMORY_SCALAR_ONE", memory::SCALAR_ONE.into()),
        constant("MEMORY_DELTA_NORM_MAX", memory::DELTA_NORM_MAX as u32),
        constant("MEMORY_DECAY_MIN", memory::DECAY_MIN.into()),
        constant("MEMORY_DECAY_MAX", memory::DECAY_MAX.into()),
        constant("MEMORY_DECAY_DEFAULT", memory::DECAY_DEFAULT.into()),
    ]
}

/// `FlipSub` as `FLIP_SUB`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}
