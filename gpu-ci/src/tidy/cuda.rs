//! Checks on the CUDA kernels. All of them declare `Exact`, as their WGSL siblings do.

use super::kernels::{inclusions, is_float_literal, tokens};
use super::{File, Problems};

/// Kernels of the crate: units and their headers.
const KERNELS: &str = "cuda/src/kernels/";
/// What lies below is rendered: checked by its renderer, and read by nobody.
const GENERATED: &str = "cuda/src/kernels/generated/";
/// The one header that may speak to the machine directly.
const DEVICE: &str = "cuda/src/kernels/device.cuh";
/// Where the siblings lie.
const SIBLINGS: &str = "wgsl/src/kernels/";

fn is_unit(file: &File) -> bool {
    file.path.starts_with("cuda/src/") && file.path.ends_with(".cu")
}

fn is_header(file: &File) -> bool {
    file.path.starts_with("cuda/src/") && file.path.ends_with(".cuh")
}

/// Units and headers that people write.
fn kernels(files: &[File]) -> impl Iterator<Item = &File> {
    let written = |file: &&File| !file.path.starts_with(GENERATED);
    files
        .iter()
        .filter(|file| is_unit(file) || is_header(file))
        .filter(written)
}

const FLOAT_TYPES: [&str; 12] = [
    "float",
    "double",
    "half",
    "half2",
    "__half",
    "__half2",
    "__nv_bfloat16",
    "__nv_bfloat162",
    "float1",
    "float2",
    "float3",
    "float4",
];
/// Intrinsics of CUDA and functions of C that give or take floats begin with these or are these, where they are called.
const FLOAT_FUNCTIONS: [&str; 30] = [
    "acos", "asin", "atan", "atan2", "cbrt", "ceil", "copysign", "cos", "cosh", "erf", "exp",
    "exp2", "fabs", "floor", "fma", "fmax", "fmin", "fmod", "frexp", "hypot", "ldexp", "log",
    "log10", "log2", "pow", "round", "rsqrt", "sin", "sqrt", "tan",
];
/// Beginnings and ends of the names of conversions: `__uint_as_float`, `__float2int_rn`, `__fadd_rn`, `__dmul_rn`.
const FLOAT_PARTS: [&str; 6] = ["float", "double", "__fadd", "__fmul", "__fdiv", "__fsqrt"];

fn is_float(token: &str, called: bool) -> bool {
    let intrinsic = token.starts_with("__") && FLOAT_PARTS.iter().any(|part| token.contains(part));
    let function = || {
        let plain = token.strip_suffix('f').unwrap_or(token);
        FLOAT_FUNCTIONS.contains(&token) || FLOAT_FUNCTIONS.contains(&plain)
    };
    FLOAT_TYPES.contains(&token) || intrinsic || is_float_literal(token) || (called && function())
}

/// No floating-point type, literal or function in any kernel.
pub fn no_floats(files: &[File]) -> Problems {
    in_code(files, |tokens, at| {
        let called = tokens.get(at + 1) == Some(&"(");
        is_float(tokens[at], called)
    })
}

/// Assembly and clocks only in the header that has a counterpart on the CPU for what it does.
pub fn no_assembly(files: &[File]) -> Problems {
    const WORDS: [&str; 7] = [
        "asm",
        "__asm",
        "__asm__",
        "clock",
        "clock64",
        "__nanosleep",
        "globaltimer",
    ];
    let mut problems = in_code(files, |tokens, at| WORDS.contains(&tokens[at]));
    problems.retain(|problem| !problem.starts_with(DEVICE));
    problems
}

/// Tokens of written kernels that `is_wrong`, comments and text aside.
fn in_code(files: &[File], is_wrong: impl Fn(&[&str], usize) -> bool) -> Problems {
    let mut problems = Vec::new();
    for file in kernels(files) {
        let Some(text) = file.text() else {
            problems.push(format!("{}: not UTF-8", file.path));
            continue;
        };
        for (number, line) in (1..).zip(code(text).lines()) {
            let found = tokens(line);
            for at in 0..found.len() {
                if is_wrong(&found, at) {
                    problems.push(format!("{}:{number}: `{}`", file.path, found[at]));
                }
            }
        }
    }
    problems
}

/// The text with comments and the inside of literals blanked, and lines kept. Block comments do not nest; a line that ends
/// in a backslash goes on in the next, comments too.
fn code(text: &str) -> String {
    #[derive(PartialEq)]
    enum In {
        Code,
        Line,
        Block,
        Literal(char),
    }
    let mut kept = String::with_capacity(text.len());
    let mut state = In::Code;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match (&state, c) {
            (In::Line, '\n') => state = In::Code,
            (In::Line | In::Literal(_), '\\') => {
                // What is escaped ends nothing; lines stay as many as they are.
                if chars.next() == Some('\n') {
                    kept.push('\n');
                }
                continue;
            }
            (In::Block, '*') if next == Some('/') => {
                chars.next();
                state = In::Code;
                kept.push(' ');
                continue;
            }
            (In::Literal(end), c) if c == *end || c == '\n' => state = In::Code,
            (In::Code, '/') if next == Some('/') => state = In::Line,
            (In::Code, '/') if next == Some('*') => {
                chars.next();
                state = In::Block;
                continue;
            }
            // An apostrophe between digits separates them.
            (In::Code, '\'') if kept.ends_with(|c: char| c.is_ascii_hexdigit()) => continue,
            (In::Code, '"' | '\'') => {
                kept.push(c);
                state = In::Literal(c);
                continue;
            }
            _ => {}
        }
        if state == In::Code || c == '\n' {
            kept.push(c);
        }
    }
    kept
}

/// Every unit and every header is part of the crate by an `include_str!`. What nobody includes, nobody tests.
pub fn included(files: &[File]) -> Problems {
    let sources = files
        .iter()
        .filter(|file| file.path.starts_with("cuda/src/") && file.is_rust());
    let used: Vec<_> = sources.flat_map(inclusions).collect();
    let unused = files
        .iter()
        .filter(|file| is_unit(file) || is_header(file))
        .filter(|file| !used.contains(&std::path::PathBuf::from(&file.path)));
    unused
        .map(|file| format!("{}: no source includes it", file.path))
        .collect()
}

/// A unit does the job of the WGSL kernel of the same part and stem, so that who knows one finds the other.
pub fn siblings(files: &[File]) -> Problems {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| is_unit(file)) {
        let Some(stem) = file.path.strip_prefix(KERNELS) else {
            problems.push(format!("{}: units lie below {KERNELS}", file.path));
            continue;
        };
        let stem = stem.trim_end_matches(".cu");
        let sibling = format!("{SIBLINGS}{stem}.wgsl");
        if !files.iter().any(|other| other.path == sibling) {
            problems.push(format!("{}: there is no {sibling}", file.path));
        }
    }
    problems
}

/// Rendered assembly says by what and from what it was made: its second line is the digest of that.
pub fn assembly(files: &[File]) -> Problems {
    let is_assembly = |file: &&File| file.path.ends_with(".ptx");
    let mut problems = Vec::new();
    for file in files.iter().filter(is_assembly) {
        if !file.path.starts_with(GENERATED) {
            problems.push(format!("{}: assembly lies below {GENERATED}", file.path));
            continue;
        }
        let mut lines = file.text().unwrap_or("").lines();
        let (first, second) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
        let is_digest =
            |text: &str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
        if !first.starts_with("// Rendered by ") {
            problems.push(format!("{}:1: it does not say what renders it", file.path));
        }
        if !second.strip_prefix("// ").is_some_and(is_digest) {
            problems.push(format!(
                "{}:2: no digest of what it was made from",
                file.path
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn kernel(text: &str) -> [File; 1] {
        [file("cuda/src/kernels/net/a.cu", text)]
    }

    #[test]
    fn floats_are_found() {
        for planted in [
            "float x;",
            "double* x;",
            "__half2 h;",
            "float4 v;",
            "u32 x = 1.0;",
            "u32 x = y*.5;",
            "u32 x = 1e3;",
            "u32 x = 2.f;",
            "u32 x = sqrtf(y);",
            "u32 x = floor (y);",
            "u32 x = __float_as_uint(y);",
            "u32 x = __fadd_rn(y, z);",
            "/* a */ u32 x = 1.5; // why",
            "u32 x = \"float\"[0] + 1.5;",
            "// a\nfloat x;",
        ] {
            assert_eq!(no_floats(&kernel(planted)).len(), 1, "{planted}");
        }
        let lines = "u32 a = 1u;\n/* two\nlines */ u32 b = 2.5;";
        assert_eq!(
            no_floats(&kernel(lines)),
            ["cuda/src/kernels/net/a.cu:3: `2.5`"]
        );
    }

    #[test]
    fn whole_numbers_comments_and_text_are_no_floats() {
        for text in [
            "u32 x = 0xffe1fu + 0xe - 0x1f3ull;",
            "u64 x = 12ull - 7 + 1'000'000u;",
            "u32 step = round + floor + log;",
            "u32 f = number_float(x); // float",
            "// 1.5 float \\\n sqrt(x) double",
            "/* 1.5 float\n */",
            "#include \"float.cuh\"",
            "char c = '\\'', d = '\"'; u32 e = '.';",
        ] {
            let found = no_floats(&kernel(text));
            assert_eq!(found, [] as [String; 0], "{text}");
        }
        assert!(no_floats(&[file("cuda/shim/a.hpp", "float x;")]).is_empty());
        let generated = "cuda/src/kernels/generated/rules.cuh";
        assert!(no_floats(&[file(generated, "float x;")]).is_empty());
    }

    #[test]
    fn assembly_in_kernels_is_found() {
        for planted in [
            "asm volatile(\"x\");",
            "u64 t = clock64();",
            "__nanosleep(20);",
        ] {
            assert_eq!(no_assembly(&kernel(planted)).len(), 1, "{planted}");
            assert!(no_assembly(&[file(DEVICE, planted)]).is_empty());
        }
        assert!(no_assembly(&kernel("// asm\nu32 clock_ = 1;")).is_empty());
    }

    #[test]
    fn a_file_that_nobody_includes_is_found() {
        let files = [
            file("cuda/src/kernels/net/a.cu", "// A.\n"),
            file("cuda/src/kernels/b.cuh", "// B.\n"),
        ];
        let with = |text: &str| {
            let source = file("cuda/src/net/mod.rs", text);
            included(&[&files[..], &[source]].concat()).len()
        };
        let (a, b) = (
            "include_str!(\"../kernels/net/a.cu\")",
            "include_str!(\"../kernels/b.cuh\")",
        );
        assert_eq!(with(&format!("{a} {b}")), 0);
        assert_eq!(with(a), 1);
        assert_eq!(with(""), 2);
    }

    #[test]
    fn a_unit_without_a_sibling_is_found() {
        let unit = |path: &str| file(path, "// A.\n");
        let check = |path: &str| siblings(&[unit(path), unit("wgsl/src/kernels/net/a.wgsl")]).len();
        assert_eq!(check("cuda/src/kernels/net/a.cu"), 0);
        assert_eq!(check("cuda/src/kernels/net/a.cuh"), 0);
        assert_eq!(check("cuda/src/kernels/net/b.cu"), 1);
        assert_eq!(check("cuda/src/kernels/a.cu"), 1);
        assert_eq!(check("cuda/src/net/a.cu"), 1);
    }

    #[test]
    fn assembly_without_its_origin_is_found() {
        let digest = "0f".repeat(32);
        let check = |path: &str, text: &str| assembly(&[file(path, text)]).len();
        let path = "cuda/src/kernels/generated/ptx/net-a.ptx";
        let good = format!("// Rendered by `x`.\n// {digest}\n.version 9.0\n");
        assert_eq!(check(path, &good), 0);
        assert_eq!(check("cuda/src/kernels/net/a.ptx", &good), 1);
        assert_eq!(check(path, &good.replace(&digest, "none")), 1);
        assert_eq!(check(path, &good.replacen("// R", "// r", 1)), 1);
        assert_eq!(check(path, ""), 2);
    }
}
