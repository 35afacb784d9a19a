//! Random well-formed programs as text.

use crate::spec::number::{Kind, Operator};
use crate::spec::word::Term;
use crate::testing::Rng;

/// A program of a few definitions, `main` among them. Most references go to later ones, so that most nets end.
pub(super) fn program(rng: &mut Rng) -> String {
    let names = ["main", "f", "g", "h"];
    let count = 1 + rng.below(4) as usize;
    let names = &names[..count];
    names
        .iter()
        .map(|name| format!("@{name} = {}\n", net(rng, names)))
        .collect()
}

/// A root and up to four active pairs. Leaves are drawn first as holes; wires then join random pairs of them.
fn net(rng: &mut Rng, names: &[&str]) -> String {
    let mut pieces = vec![tree(rng, names, 2)];
    for _ in 0..rng.below(5) {
        let parallel = if rng.below(4) == 0 { "&!" } else { "&" };
        let (a, b) = (tree(rng, names, 3), tree(rng, names, 2));
        pieces.push(format!(" {parallel} {a} ~ {b}"));
    }
    let text = pieces.concat();
    let holes = text.matches('_').count();
    let mut wires: Vec<usize> = (0..holes).map(|hole| hole / 2).collect();
    for last in (1..holes).rev() {
        wires.swap(last, rng.below(last as u64 + 1) as usize);
    }
    // An odd hole out becomes an eraser.
    let odd = (holes % 2 == 1).then_some(holes / 2);
    let mut parts = text.split('_');
    let mut out = parts.next().unwrap_or("").to_string();
    for (wire, part) in wires.iter().zip(parts) {
        let leaf = if Some(*wire) == odd {
            "*".into()
        } else {
            format!("x{wire}")
        };
        out.push_str(&leaf);
        out.push_str(part);
    }
    out
}

/// A tree at most `depth` nodes deep; `_` is a hole.
fn tree(rng: &mut Rng, names: &[&str], depth: u32) -> String {
    if depth > 0 && rng.below(4) != 0 {
        let (a, b) = (tree(rng, names, depth - 1), tree(rng, names, depth - 1));
        return match rng.below(9) {
            0..4 => format!("({a} {b})"),
            4 => format!("{{{a} {b}}}"),
            5 => format!("{{#{} {a} {b}}}", 1 + rng.below(3)),
            6 => format!("$({a} {b})"),
            7 => format!("$({} {b})", symbol(rng)),
            _ => format!("?({a} {b})"),
        };
    }
    match rng.below(12) {
        0 => "*".into(),
        1 | 2 if !names.is_empty() => format!("@{}", names[rng.below(names.len() as u64) as usize]),
        3 => rng.below(4).to_string(),
        4 => literal(rng),
        5 => symbol(rng),
        _ => "_".into(),
    }
}

/// An operator, with or without an operand, or a cast.
fn symbol(rng: &mut Rng) -> String {
    let operator = Operator::ALL[rng.below(Operator::ALL.len() as u64) as usize].name();
    match rng.below(4) {
        0 => format!("[{}]", Kind::ALL[rng.below(6) as usize].name()),
        1 => format!("[{operator}{}]", rng.below(1 << 24)),
        _ => format!("[{operator}]"),
    }
}

fn literal(rng: &mut Rng) -> String {
    match rng.below(6) {
        0 => rng.below(1 << 24).to_string(),
        1 => format!("{:+}", rng.between(-(1 << 23), (1 << 23) - 1)),
        2 => format!("{}.{}", rng.below(1000), rng.below(1000)),
        3 => format!("{}u32", rng.below(1 << 32)),
        4 => format!("{:+}i32", rng.between(-(1 << 31), (1 << 31) - 1)),
        _ => format!("{}.{}f32", rng.below(1000), rng.below(1000)),
    }
}

/// A plain number of any kind.
pub(in crate::conformance) fn number(rng: &mut Rng) -> Term {
    let bits = rng.next_u64() as u32 >> rng.below(32);
    match rng.below(6) {
        0 => Term::u24(bits),
        1 => Term::i24(bits as i32),
        2 => Term::f24(f32::from_bits(bits)),
        3 => Term::u32(bits),
        4 => Term::i32(bits as i32),
        _ => Term::f32(f32::from_bits(bits)),
    }
}
