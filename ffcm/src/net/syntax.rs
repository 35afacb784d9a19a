//! The `.hvm` grammar: HVM2's, with labels and 32-bit numbers added.
//!
//! ```text
//! book   ::= ( "@" name "=" net )*
//! net    ::= tree ( "&" ["!"] tree "~" tree )*      "!" is a scheduling hint and means nothing here
//! tree   ::= "(" tree tree ")"  |  "{" ["#" digits] tree tree "}"  |  "$" "(" tree tree ")"  |  "?" "(" tree tree ")"
//!          | "@" name  |  "*"  |  number            number starts with one of 0-9 + - [
//!          | name                                   a variable
//! number ::= literal  |  "[" cast "]"  |  "[" operator [literal] "]"     in brackets also `0x7FFFFF9` for -7, as HVM2 prints it
//! name   ::= one or more of A-Z a-z 0-9 _ . - / $
//! trivia ::= ASCII whitespace  |  "//" to the end of the line; allowed between tokens
//! ```
//!
//! `/` is a name character, so `a//x` is one name and a comment needs a space before it.
//!
//! The parser keeps its own stack, so nesting is bounded by memory only; sizes are bounded by the constants below.

use std::collections::{HashMap, HashSet};

use super::LoadError;
use super::book::Definition;
use super::numeral;
use crate::spec::number::{Kind, Number};
use crate::spec::word::{Class, LABEL_MAX, Term};

/// Longest text in bytes.
pub const MAX_TEXT: usize = 1 << 26;
/// Most definitions in a book.
pub const MAX_DEFINITIONS: usize = 1 << 20;
/// Most nodes in one definition.
pub const MAX_NODES: usize = 1 << 24;
/// Longest name in bytes.
pub const MAX_NAME: usize = 256;

/// A book before its references are resolved: a REF term holds an index into `names`.
pub(super) struct Unresolved<'t> {
    pub(super) definitions: Vec<Definition>,
    pub(super) names: Vec<&'t str>,
}

/// Parses a whole book and checks each definition by itself.
pub(super) fn parse(text: &str) -> Result<Unresolved<'_>, LoadError> {
    check_size("text length", text.len(), MAX_TEXT)?;
    let mut parser = Parser {
        text,
        bytes: text.as_bytes(),
        at: 0,
        names: Names::default(),
    };
    let mut definitions = Vec::new();
    let mut defined: HashSet<&str> = HashSet::new();
    loop {
        parser.trivia();
        if parser.at == parser.bytes.len() {
            break;
        }
        let start = parser.at;
        parser.expect("@")?;
        let name = parser.name("a definition's name")?;
        check_size(
            "number of definitions",
            definitions.len() + 1,
            MAX_DEFINITIONS,
        )?;
        if !defined.insert(name) {
            let (line, _) = parser.position(start);
            return Err(LoadError::DuplicateDefinition {
                name: name.to_owned(),
                line,
            });
        }
        parser.expect("=")?;
        definitions.push(parser.definition(name)?);
    }
    Ok(Unresolved {
        definitions,
        names: parser.names.list,
    })
}

/// The error of `size` exceeding `limit`.
pub(super) fn check_size(what: &str, size: usize, limit: usize) -> Result<(), LoadError> {
    if size <= limit {
        return Ok(());
    }
    Err(LoadError::TooLarge {
        what: what.to_owned(),
        size: size as u64,
        limit: limit as u64,
    })
}

/// Referenced names in order of first appearance.
#[derive(Default)]
struct Names<'t> {
    list: Vec<&'t str>,
    index: HashMap<&'t str, u32>,
}

impl<'t> Names<'t> {
    fn intern(&mut self, name: &'t str) -> u32 {
        let list = &mut self.list;
        *self.index.entry(name).or_insert_with(|| {
            list.push(name);
            list.len() as u32 - 1
        })
    }
}

/// The definition being read.
#[derive(Default)]
struct Builder<'t> {
    name: &'t str,
    nodes: Vec<[Term; 2]>,
    redexes: Vec<(Term, Term)>,
    wires: HashMap<&'t str, u32>,
    /// Name and number of occurrences of each wire.
    seen: Vec<(&'t str, usize)>,
}

impl<'t> Builder<'t> {
    fn variable(&mut self, name: &'t str) -> Term {
        let seen = &mut self.seen;
        let wire = *self.wires.entry(name).or_insert_with(|| {
            seen.push((name, 0));
            seen.len() as u32 - 1
        });
        self.seen[wire as usize].1 += 1;
        Term::var(wire)
    }

    fn finish(self, root: Term) -> Result<Definition, LoadError> {
        if let Some((variable, count)) = self.seen.iter().find(|(_, count)| *count != 2) {
            return Err(LoadError::NotAffine {
                definition: self.name.to_owned(),
                variable: (*variable).to_owned(),
                count: *count,
            });
        }
        Ok(Definition {
            name: self.name.to_owned(),
            root,
            nodes: self.nodes,
            redexes: self.redexes,
            wires: self.seen.len() as u32,
            copyable: false,
        })
    }
}

/// A node whose closing bracket has not been read.
struct Open {
    class: Class,
    label: u32,
    index: u32,
    /// Whether the first of its two trees is complete.
    half: bool,
}

struct Parser<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    names: Names<'t>,
}

impl<'t> Parser<'t> {
    fn definition(&mut self, name: &'t str) -> Result<Definition, LoadError> {
        let mut builder = Builder {
            name,
            ..Builder::default()
        };
        let root = self.tree(&mut builder)?;
        self.trivia();
        while self.peek() == Some(b'&') {
            self.at += 1;
            if self.peek() == Some(b'!') {
                self.at += 1;
            }
            let a = self.tree(&mut builder)?;
            self.expect("~")?;
            let b = self.tree(&mut builder)?;
            builder.redexes.push((a, b));
            self.trivia();
        }
        builder.finish(root)
    }

    /// Reads one tree. Nodes are numbered in order of their opening brackets.
    fn tree(&mut self, builder: &mut Builder<'t>) -> Result<Term, LoadError> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            self.trivia();
            if let Some((class, label)) = self.opening()? {
                let index = builder.nodes.len();
                if index == MAX_NODES {
                    let what = format!("number of nodes in @{}", builder.name);
                    check_size(&what, MAX_NODES + 1, MAX_NODES)?;
                }
                builder.nodes.push([Term::ABSENT; 2]);
                open.push(Open {
                    class,
                    label,
                    index: index as u32,
                    half: false,
                });
                continue;
            }
            let mut term = self.leaf(builder)?;
            // Closes every node that this leaf completes.
            loop {
                let Some(top) = open.last_mut() else {
                    return Ok(term);
                };
                let slots = &mut builder.nodes[top.index as usize];
                if !top.half {
                    slots[0] = term;
                    top.half = true;
                    break;
                }
                slots[1] = term;
                term = Term::node(top.class, top.label, top.index);
                let closing = if top.class == Class::Dup { "}" } else { ")" };
                open.pop();
                self.expect(closing)?;
            }
        }
    }

    /// Reads an opening bracket with its prefix and label, if one comes next.
    fn opening(&mut self) -> Result<Option<(Class, u32)>, LoadError> {
        let class = match self.peek() {
            Some(b'(') => Class::Con,
            Some(b'{') => Class::Dup,
            Some(b'$') => Class::Opr,
            Some(b'?') => Class::Swi,
            _ => return Ok(None),
        };
        self.at += 1;
        if matches!(class, Class::Opr | Class::Swi) {
            self.expect("(")?;
        }
        let label = if class == Class::Dup {
            self.label()?
        } else {
            0
        };
        Ok(Some((class, label)))
    }

    fn label(&mut self) -> Result<u32, LoadError> {
        self.trivia();
        if self.peek() != Some(b'#') {
            return Ok(0);
        }
        self.at += 1;
        let start = self.at;
        let digits = self.take_while(is_name_byte);
        digits
            .parse()
            .ok()
            .filter(|label| *label <= LABEL_MAX && digits.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| self.error(start, format!("expected a label from 0 to {LABEL_MAX}")))
    }

    /// Reads a tree that is no node.
    fn leaf(&mut self, builder: &mut Builder<'t>) -> Result<Term, LoadError> {
        match self.peek() {
            Some(b'@') => {
                self.at += 1;
                let name = self.name("a definition's name")?;
                Ok(Term::reference(self.names.intern(name), false))
            }
            Some(b'*') => {
                self.at += 1;
                Ok(Term::ERA)
            }
            Some(b'[') => self.symbol(),
            Some(b'0'..=b'9' | b'+' | b'-') => Ok(self.literal(numeral::literal)?.term()),
            _ => {
                let name =
                    self.name("a tree: `(`, `{`, `$(`, `?(`, `@`, `*`, a number or a name")?;
                Ok(builder.variable(name))
            }
        }
    }

    /// Reads `[cast]`, `[operator]` or `[operator literal]`.
    fn symbol(&mut self) -> Result<Term, LoadError> {
        self.at += 1;
        let rest = &self.bytes[self.at..];
        let number = if let Some(kind) = numeral::cast_prefix(rest) {
            self.at += kind.name().len();
            Number::Cast(kind)
        } else if let Some(operator) = numeral::operator_prefix(rest) {
            self.at += operator.name().len();
            self.trivia();
            if self.peek() == Some(b']') {
                Number::Operator(operator)
            } else {
                let (kind, bits): (Kind, u32) = self
                    .literal(numeral::operand)?
                    .term()
                    .as_plain()
                    .expect("plain");
                Number::Partial {
                    operator,
                    bits,
                    wide: kind.is_wide(),
                }
            }
        } else {
            return Err(self.expected("an operator or a cast"));
        };
        self.expect("]")?;
        Ok(number.term())
    }

    fn literal(&mut self, read: fn(&str) -> Result<Number, String>) -> Result<Number, LoadError> {
        let start = self.at;
        let text =
            self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if text.is_empty() {
            return Err(self.expected("a number"));
        }
        check_size("length of a number", text.len(), MAX_NAME)?;
        read(text).map_err(|message| self.error(start, message))
    }

    fn name(&mut self, what: &str) -> Result<&'t str, LoadError> {
        self.trivia();
        let name = self.take_while(is_name_byte);
        if name.is_empty() {
            return Err(self.expected(what));
        }
        check_size("length of a name", name.len(), MAX_NAME)?;
        Ok(name)
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'t str {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|b| !accept(*b)).unwrap_or(rest.len());
        let start = self.at;
        self.at += length;
        // Only ASCII bytes are accepted, so both ends are character boundaries.
        &self.text[start..self.at]
    }

    fn trivia(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r' | b'\x0c') => self.at += 1,
                Some(b'/') if self.bytes.get(self.at + 1) == Some(&b'/') => {
                    let rest = &self.bytes[self.at..];
                    self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, token: &str) -> Result<(), LoadError> {
        self.trivia();
        if !self.bytes[self.at..].starts_with(token.as_bytes()) {
            return Err(self.expected(&format!("`{token}`")));
        }
        self.at += token.len();
        Ok(())
    }

    fn expected(&self, what: &str) -> LoadError {
        let found = match self.text[self.at..].chars().next() {
            Some(c) => format!("`{}`", c.escape_debug()),
            None => "the end of the text".to_owned(),
        };
        self.error(self.at, format!("expected {what}, found {found}"))
    }

    fn error(&self, at: usize, message: String) -> LoadError {
        let (line, column) = self.position(at);
        LoadError::Syntax {
            line,
            column,
            message,
        }
    }

    /// Line and column of a byte, both from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.bytes[..at];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |n| n + 1);
        (line, at - start + 1)
    }
}

pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b'$')
}
