//! From parsed definitions to a [`Book`]: order, references, copyability.

use std::collections::HashMap;

use super::book::{Book, Call, Definition};
use super::syntax::{self, MAX_TEXT, Unresolved};
use super::{LoadError, ReduceError, readback};
use crate::spec::number::Number;
use crate::spec::word::{Class, Term};

impl Book {
    /// Parses and validates a `.hvm` text; [`super::syntax`] has the grammar and the limits.
    pub fn parse(text: &str) -> Result<Book, LoadError> {
        link(syntax::parse(text)?)
    }

    /// Parses and validates the bytes of a `.hvm` file. Bytes beyond the limit are not looked at.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Book, LoadError> {
        syntax::check_size("text length", bytes.len(), MAX_TEXT)?;
        let text = core::str::from_utf8(bytes).map_err(|error| LoadError::NotUtf8 {
            offset: error.valid_up_to(),
        })?;
        Book::parse(text)
    }

    /// The call that runs `main`.
    pub fn main(&self) -> Result<Call, LoadError> {
        self.call("main", Vec::new())
    }

    /// The call that applies the definition called `name` to `arguments`, which are NUM terms.
    pub fn call(&self, name: &str, arguments: Vec<Term>) -> Result<Call, LoadError> {
        let entry = self.find(name).ok_or_else(|| LoadError::NoEntry {
            name: name.to_owned(),
        })?;
        Ok(Call { entry, arguments })
    }

    /// The first definition that holds a float or a cast to one, for callers that refuse floats.
    pub fn float_definition(&self) -> Option<&Definition> {
        self.definitions()
            .iter()
            .find(|d| d.terms().any(Term::is_float))
    }

    /// The book as text: one definition per line, variables named `x0`, `x1`, … Parsing it gives an equal book.
    pub fn to_text(&self) -> String {
        readback::book_text(self)
    }
}

impl Definition {
    /// Every term of the definition: the root, the redexes, the ports of the nodes.
    pub fn terms(&self) -> impl Iterator<Item = Term> + '_ {
        let redexes = self.redexes.iter().flat_map(|(a, b)| [*a, *b]);
        let ports = self.nodes.iter().flatten().copied();
        core::iter::once(self.root).chain(redexes).chain(ports)
    }

    pub(super) fn terms_mut(&mut self) -> impl Iterator<Item = &mut Term> {
        let redexes = self.redexes.iter_mut().flat_map(|(a, b)| [a, b]);
        let ports = self.nodes.iter_mut().flatten();
        core::iter::once(&mut self.root).chain(redexes).chain(ports)
    }
}

/// Sorts the definitions, resolves their references and decides which may be copied.
pub(super) fn link(parsed: Unresolved<'_>) -> Result<Book, LoadError> {
    let Unresolved {
        mut definitions,
        names,
    } = parsed;
    definitions.sort_unstable_by(|a, b| {
        let key = |d: &Definition| d.name != "main";
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    let resolved: Vec<Option<u32>> = {
        let index: HashMap<&str, u32> = (0..)
            .zip(&definitions)
            .map(|(i, d)| (&*d.name, i))
            .collect();
        names.iter().map(|name| index.get(name).copied()).collect()
    };
    for definition in &mut definitions {
        let mut missing = None;
        for term in definition.terms_mut().filter(|t| t.class() == Class::Ref) {
            match resolved[term.offset() as usize] {
                Some(target) => *term = Term::reference(target, false),
                None => missing = missing.or(Some(term.offset())),
            }
        }
        if let Some(name) = missing {
            return Err(LoadError::UndefinedReference {
                definition: definition.name.clone(),
                name: names[name as usize].to_owned(),
            });
        }
    }
    mark_copyable(&mut definitions);
    Ok(Book::new(definitions))
}

/// Marks each definition that holds no duplicator and reaches none, and every reference to one.
fn mark_copyable(definitions: &mut [Definition]) {
    let holds = |d: &Definition| d.terms().any(|t| t.class() == Class::Dup);
    let mut unsafe_to_copy: Vec<bool> = definitions.iter().map(holds).collect();
    let users = users(definitions);
    let mut work: Vec<usize> = (0..definitions.len())
        .filter(|i| unsafe_to_copy[*i])
        .collect();
    while let Some(definition) = work.pop() {
        for user in &users[definition] {
            let user = *user as usize;
            if !unsafe_to_copy[user] {
                unsafe_to_copy[user] = true;
                work.push(user);
            }
        }
    }
    for (i, definition) in definitions.iter_mut().enumerate() {
        definition.copyable = !unsafe_to_copy[i];
        for term in definition.terms_mut().filter(|t| t.class() == Class::Ref) {
            let target = term.offset();
            *term = Term::reference(target, !unsafe_to_copy[target as usize]);
        }
    }
}

/// For each definition, those that refer to it; one entry per reference.
fn users(definitions: &[Definition]) -> Vec<Vec<u32>> {
    let mut users = vec![Vec::new(); definitions.len()];
    for (user, definition) in (0..).zip(definitions) {
        for term in definition.terms().filter(|t| t.class() == Class::Ref) {
            let list: &mut Vec<u32> = &mut users[term.offset() as usize];
            if list.last() != Some(&user) {
                list.push(user);
            }
        }
    }
    users
}

impl Call {
    /// Checks that the call fits `book`: the entry exists and the arguments are numbers.
    pub fn check(&self, book: &Book) -> Result<(), ReduceError> {
        book.check_call(self.entry, &self.arguments)
    }
}

impl Book {
    /// [`Call::check`].
    pub(crate) fn check_call(&self, entry: u32, arguments: &[Term]) -> Result<(), ReduceError> {
        if entry as usize >= self.definitions().len() {
            let message = format!("no definition number {entry}");
            return Err(ReduceError::InvalidCall(message));
        }
        let is_number = |term: &Term| Number::from_term(*term).map(Number::term) == Some(*term);
        match arguments.iter().position(|argument| !is_number(argument)) {
            None => Ok(()),
            Some(at) => Err(ReduceError::InvalidCall(format!(
                "argument {at} is not a number"
            ))),
        }
    }
}
