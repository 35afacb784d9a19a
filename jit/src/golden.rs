//! The functions of the golden programs as text, kept under version control: whoever changes the compiler sees what the
//! change does. `cargo xtask codegen` writes the files.

use ffcm::cpu::Compiled;
use ffcm::net::{Book, LoadError};

/// The programs of `ffcm/golden/nets` whose functions are kept.
pub const PROGRAMS: [&str; 9] = [
    "church",
    "cnots",
    "lists",
    "sort_bitonic",
    "sort_radix",
    "stress",
    "sum_rec",
    "sum_tree",
    "tuples",
];

/// Where the text of a program is, and where that of its functions, from the root of the repository.
pub fn paths(name: &str) -> [String; 2] {
    [
        format!("ffcm/golden/nets/{name}.hvm"),
        format!("jit/golden/{name}.ir"),
    ]
}

/// The functions of a program, given as text.
pub fn functions(program: &str) -> Result<String, LoadError> {
    let book = Book::parse(program)?;
    let compiled = Compiled::new(&book);
    Ok(crate::fuse(book.definitions(), compiled.entries()).to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn functions_of_golden_programs_are_those_kept() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for name in PROGRAMS {
            let [program, kept] =
                paths(name).map(|path| fs::read_to_string(root.join(path)).unwrap());
            let found = functions(&program).unwrap();
            let differs = found.lines().zip(kept.lines()).position(|(a, b)| a != b);
            assert!(
                found == kept,
                "jit/golden/{name}.ir is stale from line {:?}: run `cargo xtask codegen`",
                differs.map(|line| line + 1)
            );
        }
    }
}
