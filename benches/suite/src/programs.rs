//! The six benchmark programs among the golden nets, at any size, each with its result computed independently.

/// One program whose size is set by one-line definitions.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Name, as in `ffcm/golden/nets/<name>.hvm`.
    pub name: &'static str,
    text: &'static str,
    /// Sizes for a benchmark: (definition, value).
    pub bench: &'static [(&'static str, u32)],
    /// Sizes for a quick run.
    pub tiny: &'static [(&'static str, u32)],
    expected: fn(&[(&'static str, u32)]) -> String,
}

/// The programs, in the order in which tables show them.
pub const PROGRAMS: [Program; 6] = [
    Program {
        name: "sum_rec",
        text: include_str!("../../../ffcm/golden/nets/sum_rec.hvm"),
        bench: &[("depth", 20)],
        tiny: &[("depth", 8)],
        expected: index_sum,
    },
    Program {
        name: "sum_tree",
        text: include_str!("../../../ffcm/golden/nets/sum_tree.hvm"),
        bench: &[("depth", 20)],
        tiny: &[("depth", 8)],
        expected: index_sum,
    },
    Program {
        name: "sort_bitonic",
        text: include_str!("../../../ffcm/golden/nets/sort_bitonic.hvm"),
        bench: &[("depth", 12)],
        tiny: &[("depth", 4)],
        expected: weighed_keys,
    },
    Program {
        name: "sort_radix",
        text: include_str!("../../../ffcm/golden/nets/sort_radix.hvm"),
        bench: &[("depth", 16)],
        tiny: &[("depth", 3)],
        expected: hashed_keys,
    },
    Program {
        name: "stress",
        text: include_str!("../../../ffcm/golden/nets/stress.hvm"),
        bench: &[("depth", 8), ("turns", 65536)],
        tiny: &[("depth", 2), ("turns", 100)],
        expected: |_| "0".to_owned(),
    },
    Program {
        name: "cnots",
        text: include_str!("../../../ffcm/golden/nets/cnots.hvm"),
        bench: &[("depth", 20)],
        tiny: &[("depth", 6)],
        expected: |_| "1".to_owned(),
    },
];

impl Program {
    /// The program's text with its sizes set to `sizes`.
    ///
    /// # Panics
    /// When the text lacks a line `@name = …` for one of the sizes.
    pub fn text(&self, sizes: &[(&str, u32)]) -> String {
        let mut text = self.text.to_owned();
        for (name, size) in sizes {
            text = with_size(&text, name, *size)
                .unwrap_or_else(|| panic!("{}.hvm has no line `@{name} = …`", self.name));
        }
        text
    }

    /// What the program must give at `sizes`, computed without nets.
    pub fn expected(&self, sizes: &[(&'static str, u32)]) -> String {
        (self.expected)(sizes)
    }

    /// This program, expected to give what `other` gives.
    #[cfg(test)]
    pub(crate) fn expecting(self, other: &Program) -> Program {
        Program {
            expected: other.expected,
            ..self
        }
    }
}

/// Replaces the line `@name = …`; none when there is no such line.
pub fn with_size(text: &str, name: &str, size: u32) -> Option<String> {
    let head = format!("@{name} = ");
    let mut found = false;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line.starts_with(&head) {
            found = true;
            out.push_str(&format!("{head}{size}"));
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    found.then_some(out)
}

/// Numbers in these programs have 24 bits.
const MODULUS: u64 = 1 << 24;

fn depth(sizes: &[(&'static str, u32)]) -> u32 {
    let depth = sizes.iter().find(|(name, _)| *name == "depth");
    depth.map_or(0, |(_, value)| *value)
}

/// Sum of 0 .. 2^depth - 1, modulo 2^24.
fn index_sum(sizes: &[(&'static str, u32)]) -> String {
    let n = 1u64 << depth(sizes);
    (n * (n - 1) / 2 % MODULUS).to_string()
}

fn sorted_keys(depth: u32) -> Vec<u64> {
    let mut keys: Vec<u64> = (0..1u64 << depth).map(|i| i * 40503 % 65536).collect();
    keys.sort_unstable();
    keys
}

/// Sum of position · key over the sorted keys, modulo 2^24.
fn weighed_keys(sizes: &[(&'static str, u32)]) -> String {
    let keys = sorted_keys(depth(sizes));
    let sum = (0u64..)
        .zip(keys)
        .fold(0, |sum, (i, key)| (sum + i * key) % MODULUS);
    sum.to_string()
}

/// `(h, 31^n)` with h = 31 h + key over the n distinct sorted keys, modulo 2^24.
fn hashed_keys(sizes: &[(&'static str, u32)]) -> String {
    let mut keys = sorted_keys(depth(sizes));
    keys.dedup();
    let (hash, power) = keys.iter().fold((0, 1), |(hash, power), key| {
        ((hash * 31 + key) % MODULUS, power * 31 % MODULUS)
    });
    format!("({hash} {power})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_replace_one_line() {
        let text = "// depth\n@depth = 3\n@main = @depth\n";
        assert_eq!(
            with_size(text, "depth", 12).as_deref(),
            Some("// depth\n@depth = 12\n@main = @depth\n")
        );
        assert_eq!(with_size(text, "turns", 1), None);
    }

    #[test]
    fn every_program_takes_its_sizes() {
        for program in PROGRAMS {
            for sizes in [program.bench, program.tiny] {
                let text = program.text(sizes);
                for (name, size) in sizes {
                    assert!(
                        text.contains(&format!("@{name} = {size}\n")),
                        "{}",
                        program.name
                    );
                }
            }
        }
    }

    #[test]
    fn known_results() {
        let expected: Vec<String> = PROGRAMS.iter().map(|p| p.expected(p.bench)).collect();
        let published = [
            "16252928",
            "16252928",
            "6004436",
            "(32768 14680065)",
            "0",
            "1",
        ];
        assert_eq!(expected, published);
    }
}
