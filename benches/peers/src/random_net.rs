//! Random well-formed nets, one seed each: every variable twice, every reference defined, mostly without recursion.

use ffcm_suite::random::SplitMix64;

/// The text of net number `seed`.
pub fn text(seed: u64) -> String {
    let mut random = SplitMix64::new(seed);
    let definitions = 1 + random.below(5) as usize;
    let later_duplicators = if random.chance(25) { 15 } else { 0 };
    let mut text = String::new();
    for index in 0..definitions {
        let mut definition = Definition {
            random: &mut random,
            index,
            definitions,
            // The published runtime refuses to copy references to definitions that hold duplicators.
            duplicators: if index == 0 { 15 } else { later_duplicators },
            pieces: Vec::new(),
        };
        definition.net();
        text.push_str(&definition.finish());
    }
    text
}

/// Name of a definition; number 0 is the program.
fn name(index: usize) -> String {
    if index == 0 {
        "main".to_owned()
    } else {
        format!("f{index}")
    }
}

/// A piece of text: fixed, or the place of a variable that gets its name when all places are known.
enum Piece {
    Text(String),
    Variable,
}

struct Definition<'r> {
    random: &'r mut SplitMix64,
    index: usize,
    definitions: usize,
    /// How many of a hundred branches are duplicators.
    duplicators: u64,
    pieces: Vec<Piece>,
}

impl Definition<'_> {
    fn push(&mut self, text: &str) {
        self.pieces.push(Piece::Text(text.to_owned()));
    }

    /// `@name = tree & …`: more active pairs in the program than in the others.
    fn net(&mut self) {
        self.push(&format!("@{} = ", name(self.index)));
        self.tree(3);
        let pairs = if self.index == 0 {
            2 + self.random.below(5)
        } else {
            self.random.below(4)
        };
        for _ in 0..pairs {
            self.push("\n  & ");
            self.pair();
        }
        self.push("\n");
    }

    /// An active pair, mostly of kinds that have something to do with each other.
    fn pair(&mut self) {
        match self.random.below(8) {
            0 => {
                self.number();
                self.push(" ~ ");
                self.operator(2);
            }
            1 => {
                self.number();
                self.push(" ~ ");
                self.switch(2);
            }
            2 | 3 => {
                self.reference();
                self.push(" ~ ");
                self.branch("(", 2);
            }
            4 => {
                self.branch(if self.duplicators > 0 { "{" } else { "(" }, 2);
                self.push(" ~ ");
                self.tree(2);
            }
            5 => {
                self.branch("(", 2);
                self.push(" ~ ");
                self.branch("(", 2);
            }
            _ => {
                self.tree(2);
                self.push(" ~ ");
                self.tree(2);
            }
        }
    }

    fn tree(&mut self, depth: u32) {
        if depth == 0 || self.random.chance(30) {
            return self.leaf();
        }
        if self.random.chance(self.duplicators) {
            return self.branch("{", depth - 1);
        }
        match self.random.below(20) {
            0..12 => self.branch("(", depth - 1),
            12..17 => self.operator(depth - 1),
            _ => self.switch(depth - 1),
        }
    }

    fn branch(&mut self, open: &str, depth: u32) {
        let close = if open == "{" { "}" } else { ")" };
        self.push(open);
        self.tree(depth);
        self.push(" ");
        self.tree(depth);
        self.push(close);
    }

    /// An OPR node, its first slot mostly an operator or a number.
    fn operator(&mut self, depth: u32) {
        self.push("$(");
        if self.random.chance(75) {
            self.number();
        } else {
            self.tree(depth);
        }
        self.push(" ");
        if depth > 0 && self.random.chance(50) {
            self.operator(depth - 1);
        } else {
            self.tree(depth);
        }
        self.push(")");
    }

    /// A SWI node, its first slot mostly a pair of branches.
    fn switch(&mut self, depth: u32) {
        self.push("?(");
        if self.random.chance(85) {
            self.branch("(", depth);
        } else {
            self.tree(depth);
        }
        self.push(" ");
        self.tree(depth);
        self.push(")");
    }

    fn leaf(&mut self) {
        match self.random.below(20) {
            0..12 => self.pieces.push(Piece::Variable),
            12..16 => self.number(),
            16..18 => self.push("*"),
            _ => self.reference(),
        }
    }

    /// Mostly a later definition, so that most nets end; the last one refers to nothing unless by recursion.
    fn reference(&mut self) {
        let later = self.definitions - self.index - 1;
        if self.random.chance(3) {
            let any = self.random.below(self.definitions as u64) as usize;
            self.push(&format!("@{}", name(any)));
        } else if later == 0 {
            self.push("*");
        } else {
            let target = self.index + 1 + self.random.below(later as u64) as usize;
            self.push(&format!("@{}", name(target)));
        }
    }

    fn number(&mut self) {
        let text = match self.random.below(20) {
            0..12 => self.literal(),
            12..16 => format!("[{}]", self.operator_symbol()),
            16..19 => {
                let symbol = self.operator_symbol();
                format!("[{symbol}{}]", self.literal())
            }
            _ => (*self.random.pick(&["[u24]", "[i24]", "[f24]"])).to_owned(),
        };
        self.push(&text);
    }

    /// Division and shifts are rarer, because the rival panics on some of their operands.
    fn operator_symbol(&mut self) -> &'static str {
        const COMMON: [&str; 12] = ["+", "-", ":-", "*", "=", "!", "<", ">", "&", "|", "^", "+"];
        const RARE: [&str; 8] = ["/", ":/", "%", ":%", "<<", ":<<", ">>", ":>>"];
        if self.random.chance(75) {
            COMMON[self.random.below(COMMON.len() as u64) as usize]
        } else {
            RARE[self.random.below(RARE.len() as u64) as usize]
        }
    }

    fn literal(&mut self) -> String {
        let random = &mut *self.random;
        match random.below(10) {
            0..3 => random.below(4).to_string(),
            3 => (*random.pick(&["16777215", "8388608", "65536", "24", "31"])).to_owned(),
            4 => random.below(1 << 24).to_string(),
            5 => (*random.pick(&["+0", "-1", "+1", "+8388607", "-8388608"])).to_owned(),
            6 => format!("{:+}", random.below(1 << 24) as i64 - (1 << 23)),
            7 => (*random.pick(&["0.0", "1.0", "-1.5", "0.1", "1000000.0", "+inf", "-inf"]))
                .to_owned(),
            8 => format!("{:.4}", random.below(1 << 20) as f64 / 1024.0 - 512.0),
            _ => random.below(100).to_string(),
        }
    }

    /// Names the places of variables in random pairs; of an odd number, one becomes an eraser.
    fn finish(self) -> String {
        let count = self
            .pieces
            .iter()
            .filter(|p| matches!(p, Piece::Variable))
            .count();
        let mut places: Vec<usize> = (0..count).collect();
        self.random.shuffle(&mut places);
        let mut text = String::new();
        let mut place = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable => {
                    let rank = places[place];
                    place += 1;
                    if rank == count - 1 && count % 2 == 1 {
                        text.push('*');
                    } else {
                        text.push_str(&format!("v{}", rank / 2));
                    }
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffcm::net::Book;

    #[test]
    fn every_seed_gives_a_valid_book_and_always_the_same() {
        for seed in 0..500 {
            let net = text(seed);
            assert!(
                Book::parse(&net).is_ok(),
                "seed {seed}: {:?}\n{net}",
                Book::parse(&net)
            );
            assert_eq!(net, text(seed));
        }
    }
}
