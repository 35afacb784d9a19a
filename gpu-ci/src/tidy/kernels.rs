//! Checks on the WGSL kernels. All of them declare `Exact`: their results may reach a committed byte.

use std::path::{Component, Path, PathBuf};

use super::{File, Problems};

/// Kernels may lie anywhere in the crate's sources.
const SOURCES: &str = "wgsl/src/";

fn kernels(files: &[File]) -> impl Iterator<Item = &File> {
    let is_kernel = |file: &&File| file.path.starts_with(SOURCES) && file.path.ends_with(".wgsl");
    files.iter().filter(is_kernel)
}

/// Scalar float types. Their vector and matrix short forms are told by their shape.
const FLOAT_TYPES: [&str; 3] = ["f16", "f32", "f64"];
/// Built-in functions that give or take floats in any of their overloads a kernel could mean.
const FLOAT_FUNCTIONS: [&str; 66] = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "cross",
    "degrees",
    "determinant",
    "distance",
    "dpdx",
    "dpdxCoarse",
    "dpdxFine",
    "dpdy",
    "dpdyCoarse",
    "dpdyFine",
    "exp",
    "exp2",
    "faceForward",
    "floor",
    "fma",
    "fract",
    "frexp",
    "fwidth",
    "fwidthCoarse",
    "fwidthFine",
    "inverseSqrt",
    "ldexp",
    "length",
    "log",
    "log2",
    "mix",
    "modf",
    "normalize",
    "pack2x16float",
    "pack2x16snorm",
    "pack2x16unorm",
    "pack4x8snorm",
    "pack4x8unorm",
    "pow",
    "quantizeToF16",
    "radians",
    "reflect",
    "refract",
    "round",
    "saturate",
    "sin",
    "sinh",
    "smoothstep",
    "sqrt",
    "step",
    "tan",
    "tanh",
    "textureLoad",
    "textureSample",
    "transpose",
    "trunc",
    "unpack2x16float",
    "unpack2x16snorm",
    "unpack2x16unorm",
    "unpack4x8snorm",
    "unpack4x8unorm",
];

/// No float type, float literal or float function in any kernel: drivers round, contract and reassociate as they like.
pub fn no_floats(files: &[File]) -> Problems {
    let mut problems = Vec::new();
    for file in kernels(files) {
        let Some(text) = file.text() else {
            problems.push(format!("{}: not UTF-8", file.path));
            continue;
        };
        for (number, line) in (1..).zip(without_comments(text).lines()) {
            let found = tokens(line);
            for (at, token) in found.iter().enumerate() {
                let called = found.get(at + 1) == Some(&"(");
                if is_float_type(token)
                    || is_float_literal(token)
                    || (called && FLOAT_FUNCTIONS.contains(token))
                {
                    problems.push(format!("{}:{number}: `{token}`", file.path));
                }
            }
        }
    }
    problems
}

/// What WGSL takes for the end of a line, and so of a comment.
fn is_line_break(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The text with comments blanked and lines kept. Block comments nest.
fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut depth = 0_usize;
    let mut in_line = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match (c, next) {
            (c, _) if is_line_break(c) => {
                in_line = false;
                kept.push(c);
            }
            _ if in_line => {}
            ('/', Some('*')) => {
                chars.next();
                depth += 1;
                kept.push(' ');
            }
            ('*', Some('/')) if depth > 0 => {
                chars.next();
                depth -= 1;
            }
            _ if depth > 0 => {}
            ('/', Some('/')) => in_line = true,
            _ => kept.push(c),
        }
    }
    kept
}

/// Names, numbers and single other characters of a line.
pub(super) fn tokens(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let second = rest[first.len_utf8()..].chars().next();
        let starts_fraction = first == '.' && second.is_some_and(|c| c.is_ascii_digit());
        let length = if first.is_ascii_digit() || starts_fraction {
            number_length(rest)
        } else if is_name(first) {
            rest.find(|c| !is_name(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of the number that `text` begins with: letters, digits and points, and a sign behind an exponent's letter.
fn number_length(text: &str) -> usize {
    let hexadecimal = is_hexadecimal(text);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let exponent = matches!(
            (before, hexadecimal),
            ('e' | 'E', false) | ('p' | 'P', true)
        );
        if !(is_name(c) || c == '.' || (exponent && matches!(c, '+' | '-'))) {
            return at;
        }
        before = c;
    }
    text.len()
}

fn is_hexadecimal(token: &str) -> bool {
    token.starts_with("0x") || token.starts_with("0X")
}

pub(super) fn is_float_literal(token: &str) -> bool {
    let is_number = token
        .trim_start_matches('.')
        .starts_with(|c: char| c.is_ascii_digit());
    let marks: &[char] = match is_hexadecimal(token) {
        true => &['.', 'p', 'P'],
        false => &['.', 'e', 'E', 'f', 'h'],
    };
    is_number && token.contains(marks)
}

/// `f32`, `vec3f`, `vec2h`, `mat4x4`, `mat2x3f`: a matrix always holds floats.
fn is_float_type(token: &str) -> bool {
    let vector = |rest: &str| matches!(rest, "2f" | "3f" | "4f" | "2h" | "3h" | "4h");
    let matrix = |rest: &str| {
        let size = |c: u8| (b'2'..=b'4').contains(&c);
        matches!(rest.as_bytes(), [c, b'x', r] | [c, b'x', r, b'f' | b'h'] if size(*c) && size(*r))
    };
    FLOAT_TYPES.contains(&token)
        || token.strip_prefix("vec").is_some_and(vector)
        || token.strip_prefix("mat").is_some_and(matrix)
}

/// Every kernel file is part of the crate by an `include_str!`. What nobody includes, nobody tests.
pub fn included(files: &[File]) -> Problems {
    let sources = files
        .iter()
        .filter(|file| file.path.starts_with(SOURCES) && file.is_rust());
    let used: Vec<PathBuf> = sources.flat_map(inclusions).collect();
    let unused = kernels(files).filter(|file| !used.contains(&PathBuf::from(&file.path)));
    unused
        .map(|file| format!("{}: no source includes it", file.path))
        .collect()
}

/// Paths in the `include_str!`s of a source, from the repository's root.
pub(super) fn inclusions(source: &File) -> Vec<PathBuf> {
    let text = source.text().unwrap_or("");
    let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    let parts = text.split("include_str!(").skip(1);
    let names = parts.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    names.map(|name| plain(&folder.join(name))).collect()
}

/// The path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn floats_of(text: &str) -> Problems {
        no_floats(&[file("wgsl/src/kernels/net/a.wgsl", text)])
    }

    #[test]
    fn floats_are_found() {
        for planted in [
            "var x: f32;",
            "var x: array<f16, 2>;",
            "let x = vec3<f32>();",
            "let x = vec4f();",
            "let x: vec2h = y;",
            "var m: mat4x4f;",
            "alias m = mat2x3<T>;",
            "let x = 1.0;",
            "let x = y*.5;",
            "let x = 1.;",
            "let x = 3f;",
            "let x = 3h;",
            "let x = 1e3;",
            "let x = 1E-3;",
            "let x = 0x1p4;",
            "let x = 0x1.8p-1;",
            "let x = bitcast<f32>(y);",
            "let x = u32(sqrt(y));",
            "let x = floor (y);",
            "/* a /* b */ c */ let x = unpack2x16float(y); // why",
            "// a\rlet x = 1.0;",
            "// a\u{2028}let x = 1.0;",
        ] {
            assert_eq!(floats_of(planted).len(), 1, "{planted}");
        }
        assert_eq!(
            floats_of("let a = 1u;\n/* two\nlines */ let b = 2.5;"),
            ["wgsl/src/kernels/net/a.wgsl:3: `2.5`"]
        );
    }

    #[test]
    fn whole_numbers_and_comments_are_no_floats() {
        for text in [
            "let x = 0xffe1fu + 0xe - 0x1f3;",
            "let x = 12u - 7i + 3;",
            "let e1 = vec2f_like + xf32 + v.xy + a_f16;",
            "let step = length + floor;",
            "// 1.5 f32 sqrt(x)",
            "/* 1.5 /* f32 */ sqrt(x) */",
            "let x = array<vec2u, 2>(); let y = matrix;",
            "@workgroup_size(256) fn mat() {}",
        ] {
            assert_eq!(floats_of(text), [] as [String; 0], "{text}");
        }
        assert!(no_floats(&[file("wgsl/tests/a.wgsl", "let x = 1.0;")]).is_empty());
        assert_eq!(
            no_floats(&[file("wgsl/src/net/a.wgsl", "let x = 1.0;")]).len(),
            1
        );
    }

    #[test]
    fn a_kernel_that_nobody_includes_is_found() {
        let kernel = file("wgsl/src/kernels/net/a.wgsl", "// A.\n");
        let check = |path: &str, text: &str| included(&[kernel.clone(), file(path, text)]).len();
        let near = "const A: &str = include_str!(\"../kernels/net/a.wgsl\");";
        assert_eq!(check("wgsl/src/net/mod.rs", near), 0);
        assert_eq!(
            check(
                "wgsl/src/kernels.rs",
                "include_str!(\n    \"kernels/net/a.wgsl\"\n)"
            ),
            0
        );
        assert_eq!(check("wgsl/src/kernels.rs", near), 1);
        assert_eq!(check("wgsl/tests/net/mod.rs", near), 1);
        assert_eq!(check("wgsl/src/net/mod.rs", ""), 1);
    }
}
