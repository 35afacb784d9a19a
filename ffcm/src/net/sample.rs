//! Random valid books, for tests that compare engines: one seed, one text, on every platform.
//!
//! The nets are small and wild: dead and endless ones, vicious circles, operators meeting switches, every pair of the
//! rule table. Whether one terminates is not known beforehand, so run them with little gas.

use crate::spec::number::{Kind, Number, Operator};
use crate::spec::word::Term;

/// What may occur in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Everything but floats: labels, both widths of integers, casts between them, references of every kind.
    Integers,
    /// Also floats and casts to them.
    Floats,
    /// What HVM2 defines and runs: one label, u24 without division, no reference to a definition with duplicators.
    Hvm2,
}

/// The book of a seed, as text. It always parses.
pub fn book(seed: u64, dialect: Dialect) -> String {
    let mut random = Random(seed ^ 0x9e37_79b9_7f4a_7c15);
    let definitions = 2 + random.below(4);
    let mut text = String::new();
    for index in 0..definitions {
        let mut net = Net {
            random: &mut random,
            dialect,
            definitions,
            is_main: index == 0,
            pieces: Vec::new(),
        };
        net.tree(4);
        let least = if net.is_main { 2 } else { 0 };
        for _ in 0..least + net.random.below(4) {
            net.push(" & ");
            net.tree(4);
            net.push(" ~ ");
            net.tree(4);
        }
        text += &format!("@{} = {}\n", definition_name(index), net.finish());
    }
    text
}

fn definition_name(index: u64) -> String {
    match index {
        0 => "main".to_owned(),
        _ => format!("f{index}"),
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    /// A number below `n`, which is small.
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// The text of one definition; `None` stands for a variable that has no name yet.
struct Net<'r> {
    random: &'r mut Random,
    dialect: Dialect,
    definitions: u64,
    is_main: bool,
    pieces: Vec<Option<String>>,
}

impl Net<'_> {
    fn push(&mut self, text: &str) {
        self.pieces.push(Some(text.to_owned()));
    }

    fn tree(&mut self, depth: u64) {
        if depth == 0 || self.random.below(3) == 0 {
            return self.leaf();
        }
        let hvm2 = self.dialect == Dialect::Hvm2;
        let (open, close) = match self.random.below(8) {
            0..=2 if hvm2 && !self.is_main => ("(".to_owned(), ")"),
            0 | 1 => ("{".to_owned(), "}"),
            2 if hvm2 => ("{".to_owned(), "}"),
            2 => (format!("{{#{} ", self.random.below(3)), "}"),
            3 => ("$(".to_owned(), ")"),
            4 => ("?(".to_owned(), ")"),
            _ => ("(".to_owned(), ")"),
        };
        self.push(&open);
        self.tree(depth - 1);
        self.push(" ");
        self.tree(depth - 1);
        self.push(close);
    }

    fn leaf(&mut self) {
        match self.random.below(8) {
            0 => self.push("*"),
            1 => {
                let first = u64::from(self.dialect == Dialect::Hvm2);
                let index = first + self.random.below(self.definitions - first);
                self.push(&format!("@{}", definition_name(index)));
            }
            2 | 3 => {
                let number = self.number();
                self.push(&number.to_string());
            }
            _ => self.pieces.push(None),
        }
    }

    fn number(&mut self) -> Number {
        const INTEGERS: [Kind; 4] = [Kind::U24, Kind::I24, Kind::U32, Kind::I32];
        let value = self.random.choose(&[0, 1, 2, 3, 9, 100, -1]);
        let operator = self.random.choose(&Operator::ALL);
        if self.dialect == Dialect::Hvm2 {
            return match self.random.below(2) {
                0 => plain(Kind::U24, value),
                _ if operator.can_divide() => Number::Operator(Operator::Add),
                _ => Number::Operator(operator),
            };
        }
        let kind = if self.dialect == Dialect::Floats {
            self.random.choose(&Kind::ALL)
        } else {
            self.random.choose(&INTEGERS)
        };
        match self.random.below(8) {
            0 => Number::Cast(kind),
            1..=3 => Number::Operator(operator),
            4 => Number::Partial {
                operator,
                bits: value as u32 & 0x00ff_ffff,
                wide: kind.is_wide(),
            },
            _ => plain(kind, value),
        }
    }

    /// Names the variables, two of each name in a random order, and erases an odd one.
    fn finish(self) -> String {
        let variables = self.pieces.iter().filter(|piece| piece.is_none()).count();
        let mut names: Vec<String> = (0..variables & !1).map(|i| format!("v{}", i / 2)).collect();
        if variables % 2 == 1 {
            names.push("*".to_owned());
        }
        for last in (1..names.len()).rev() {
            names.swap(last, self.random.below(last as u64 + 1) as usize);
        }
        let mut names = names.into_iter();
        let pieces = self.pieces.into_iter();
        pieces
            .filter_map(|piece| piece.or_else(|| names.next()))
            .collect()
    }
}

fn plain(kind: Kind, value: i32) -> Number {
    let term = match kind {
        Kind::U24 => Term::u24(value as u32),
        Kind::I24 => Term::i24(value),
        Kind::F24 => Term::f24(value as f32 / 4.0),
        Kind::U32 => Term::u32(value as u32),
        Kind::I32 => Term::i32(value),
        Kind::F32 => Term::f32(value as f32 / 4.0),
    };
    Number::Plain(kind, term.w1())
}

impl Operator {
    fn can_divide(self) -> bool {
        use Operator::{Div, FlipDiv, FlipRem, Rem};
        matches!(self, Div | FlipDiv | Rem | FlipRem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Book, Limits, ReduceError};
    use crate::oracle;

    #[test]
    fn samples_reach_every_ending_and_every_opcode() {
        let limits = Limits {
            gas: 500,
            nodes: 100_000,
            result_bytes: 100_000,
        };
        for dialect in [Dialect::Integers, Dialect::Floats, Dialect::Hvm2] {
            let (mut done, mut gas, mut circle) = (0, 0, 0);
            let mut counts = crate::spec::rules::Counts::default();
            for seed in 0..1000 {
                let text = book(seed, dialect);
                let book = Book::parse(&text).expect("a valid book");
                let floats = book.float_definition().is_some();
                assert!(dialect == Dialect::Floats || !floats, "{text}");
                match oracle::reduce(&book, &book.main().expect("main"), &limits) {
                    Ok(outcome) => {
                        done += 1;
                        counts.merge(&outcome.counts);
                    }
                    Err(ReduceError::OutOfGas { .. }) => gas += 1,
                    Err(ReduceError::ViciousCircle) => circle += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            assert!(
                done > 100 && gas > 10 && circle > 10,
                "{done} {gas} {circle}"
            );
            assert!(counts.iter().all(|(_, n)| n > 100), "{counts:?}");
        }
    }
}
