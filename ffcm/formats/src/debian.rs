//! Debian `Packages` index: stanzas of `Field: value` lines.

use crate::builder::{Builder, Interner};
use crate::input::Input;
use crate::{FormatError, LabeledGraph, Limits, LineError};

/// What is kept of a stanza.
#[derive(Default)]
struct Stanza {
    /// Line of its first field, 0 for none.
    line: u64,
    package: Option<String>,
    depends: String,
    /// Whether a continuation line belongs to `depends`.
    in_depends: bool,
}

pub(crate) fn read(input: &mut Input<'_>, limits: &Limits) -> Result<LabeledGraph, FormatError> {
    let mut names = Interner::new(limits);
    let mut builder = Builder::new(limits);
    let mut stanza = Stanza::default();
    loop {
        let line = input.line() + 1;
        let Some(text) = input.next_line()? else {
            break;
        };
        if text.trim_ascii().is_empty() {
            add(std::mem::take(&mut stanza), &mut names, &mut builder)?;
        } else if !text.starts_with('#') {
            stanza.push(text, line, limits)?;
        }
    }
    add(stanza, &mut names, &mut builder)?;
    builder.finish(names.into_labels())
}

impl Stanza {
    fn push(&mut self, text: &str, line: u64, limits: &Limits) -> Result<(), FormatError> {
        let refuse = FormatError::at(line);
        let value = if text.starts_with([' ', '\t']) {
            if self.line == 0 {
                return Err(refuse(LineError::NoField));
            }
            text
        } else {
            let (field, value) = text
                .split_once(':')
                .ok_or_else(|| refuse(LineError::NoField))?;
            if self.line == 0 {
                self.line = line;
            }
            let is = |name| field.eq_ignore_ascii_case(name);
            if is("Package") && self.package.is_none() && !value.trim_ascii().is_empty() {
                self.package = Some(value.trim_ascii().to_owned());
            }
            self.in_depends = is("Depends") || is("Pre-Depends");
            value
        };
        if self.in_depends {
            // A list goes on as a longer list; a stanza's lists together are bounded as a line is.
            if self.depends.len() + value.len() > limits.line_bytes {
                return Err(refuse(LineError::TooLong(limits.line_bytes)));
            }
            let begins = !text.starts_with([' ', '\t']);
            self.depends.push_str(if begins { "," } else { " " });
            self.depends.push_str(value);
        }
        Ok(())
    }
}

fn add(stanza: Stanza, names: &mut Interner, builder: &mut Builder) -> Result<(), FormatError> {
    if stanza.line == 0 {
        return Ok(());
    }
    let refuse = FormatError::at(stanza.line);
    let package = stanza.package.ok_or_else(|| refuse(LineError::NoPackage))?;
    let source = names.node(&package)?;
    for dependency in stanza.depends.split(',') {
        if let Some(name) = first_name(dependency) {
            builder.link(source, names.node(name)?)?;
        }
    }
    Ok(())
}

/// The name in `name:arch (>= version) [arch] <profile> | other`.
fn first_name(dependency: &str) -> Option<&str> {
    let end = |c: char| c.is_ascii_whitespace() || "|:([<".contains(c);
    dependency
        .trim_ascii()
        .split(end)
        .next()
        .filter(|name| !name.is_empty())
}
