//! Building nets from Rust: terms joined port by port, definitions, books, and calls with any arguments.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use super::LoadError;
use super::book::{Book, Call, Definition};
use super::data::Encode;
use super::load::link;
use super::syntax::{self, MAX_DEFINITIONS, MAX_NAME, MAX_NODES, MAX_TEXT, Unresolved};
use crate::spec::number::Number;
use crate::spec::word::{Class, LABEL_MAX, Term};

/// Why what was built is no net.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A port was left out, or one of another builder was put in.
    #[error("@{definition}: {part} {index} is used {count} time(s), must be used {expected}")]
    Unconnected {
        /// The definition.
        definition: String,
        /// `wire` or `node`.
        part: &'static str,
        /// Its number in the order in which it was made, from 0.
        index: u32,
        /// How many of its ports (wires: of two, nodes: of one) were joined to something.
        count: u32,
        /// How many there are.
        expected: u32,
    },
    /// A label that does not fit its bits.
    #[error("@{definition}: the label {label} is above {LABEL_MAX}")]
    Label {
        /// The definition.
        definition: String,
        /// The label.
        label: u32,
    },
    /// A name, the number of nodes or of definitions, or a reference that the loader refuses.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// A port that nothing is joined to yet. To be used once: the builder finds those that were not.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a port that is left out makes the net invalid"]
pub struct Port(Term);

/// Builds the net of one definition, from its leaves up.
///
/// ```
/// use ffcm::net::Book;
///
/// let mut book = Book::builder();
/// // @main = r & 20 ~ $([+] $(22 r))
/// book.define("main", |net| {
///     let (result, end) = net.wire();
///     let (plus, x, y) = (net.number("[+]")?, net.number("20")?, net.number("22")?);
///     let right = net.operator(y, end);
///     let sum = net.operator(plus, right);
///     net.connect(x, sum);
///     Ok(result)
/// })?;
/// let book = book.build()?;
/// assert_eq!(book, Book::parse("@main = r & 20 ~ $([+] $(22 r))")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct NetBuilder {
    nodes: Vec<[Term; 2]>,
    redexes: Vec<(Term, Term)>,
    wires: u32,
    /// Names referred to; a REF term holds an index into them.
    names: Vec<String>,
    index: HashMap<String, u32>,
    /// What to complain of in the end: so that building needs no error handling at every step.
    label: Option<u32>,
    too_large: bool,
}

impl NetBuilder {
    /// A wire, by its two ends.
    pub fn wire(&mut self) -> (Port, Port) {
        // A node takes at most two ends, so there are fewer useful wires than twice the nodes.
        if self.wires as usize > 2 * MAX_NODES {
            self.too_large = true;
            return (Port(Term::ERA), Port(Term::ERA));
        }
        let wire = Term::var(self.wires);
        self.wires += 1;
        (Port(wire), Port(wire))
    }

    /// `*`: takes whatever it meets away.
    pub fn eraser(&mut self) -> Port {
        Port(Term::ERA)
    }

    /// A number, operator or cast, as the text format writes it: `7`, `-3`, `1.5`, `7u32`, `[+]`, `[i24]`, `[+1]`.
    ///
    /// # Errors
    ///
    /// [`LoadError::Syntax`] if it is none.
    pub fn number(&mut self, text: &str) -> Result<Port, BuildError> {
        let book = format!("@number = {text}");
        let parsed = syntax::parse(&book).ok();
        let one = parsed.filter(|parsed| parsed.definitions.len() == 1);
        let plain = |d: &Definition| d.redexes.is_empty() && d.root.class() == Class::Num;
        match one.and_then(|mut one| one.definitions.pop()) {
            Some(definition) if plain(&definition) => Ok(Port(definition.root)),
            _ => {
                let text: String = text.chars().take(40).collect();
                Err(BuildError::Load(LoadError::Syntax {
                    line: 1,
                    column: 1,
                    message: format!("`{}` is no number, operator or cast", text.escape_debug()),
                }))
            }
        }
    }

    /// A number, operator, cast or partial application.
    pub fn numeral(&mut self, number: Number) -> Port {
        Port(number.term())
    }

    /// `@name`: the definition of that name, which the book has to have when it is complete.
    pub fn reference(&mut self, name: &str) -> Port {
        let index = match self.index.get(name) {
            Some(index) => *index,
            None => {
                // Nobody names 2^32 definitions: books end at 2^20.
                let index = self.names.len() as u32;
                self.names.push(name.to_owned());
                self.index.insert(name.to_owned(), index);
                index
            }
        };
        Port(Term::reference(index, false))
    }

    /// `(a b)`: a constructor. A pair; also λa.b, and the application of what meets it to a with the result b.
    pub fn pair(&mut self, a: Port, b: Port) -> Port {
        self.node(Class::Con, 0, a, b)
    }

    /// `{#label a b}`: a duplicator.
    pub fn duplicator(&mut self, label: u32, a: Port, b: Port) -> Port {
        if label > LABEL_MAX {
            self.label.get_or_insert(label);
            return self.node(Class::Dup, 0, a, b);
        }
        self.node(Class::Dup, label, a, b)
    }

    /// `$(a b)`: an operation on the number that it meets, with the operand a and the result b.
    pub fn operator(&mut self, a: Port, b: Port) -> Port {
        self.node(Class::Opr, 0, a, b)
    }

    /// `?(a b)`: a switch on the number that it meets: a is the pair of what zero gives and of what takes the predecessor,
    /// b is the result.
    pub fn switch(&mut self, a: Port, b: Port) -> Port {
        self.node(Class::Swi, 0, a, b)
    }

    /// `& a ~ b`: joins two ports. Where neither is a wire, that is an active pair.
    pub fn connect(&mut self, a: Port, b: Port) {
        match self.redexes.len() < MAX_NODES {
            true => self.redexes.push((a.0, b.0)),
            false => self.too_large = true,
        }
    }

    /// The result of a function applied to arguments, first to last.
    pub fn apply(&mut self, function: Port, arguments: impl IntoIterator<Item = Port>) -> Port {
        let arguments: Vec<Port> = arguments.into_iter().collect();
        let (result, end) = self.wire();
        let chain = self.chain(arguments, end);
        self.connect(function, chain);
        result
    }

    /// Constructor number `tag` of a data type, with its fields, in the encoding of [`super::data`]:
    /// `((tag (field … r)) r)`.
    pub fn constructor(&mut self, tag: u32, fields: impl IntoIterator<Item = Port>) -> Port {
        let fields: Vec<Port> = fields.into_iter().collect();
        let (result, end) = self.wire();
        let chain = self.chain(fields, end);
        let tag = Port(Term::u24(tag));
        let body = self.pair(tag, chain);
        self.pair(body, result)
    }

    /// A Rust value as a net.
    pub fn value<T: Encode + ?Sized>(&mut self, value: &T) -> Port {
        value.encode(self)
    }

    /// Whether so much was built that the net will be refused: who encodes something large may stop.
    pub fn is_full(&self) -> bool {
        self.too_large
    }

    /// `(a (b (… end)))`.
    fn chain(&mut self, ports: Vec<Port>, end: Port) -> Port {
        let ports = ports.into_iter().rev();
        ports.fold(end, |end, port| self.pair(port, end))
    }

    fn node(&mut self, class: Class, label: u32, a: Port, b: Port) -> Port {
        if self.nodes.len() == MAX_NODES {
            self.too_large = true;
            return Port(Term::ERA);
        }
        self.nodes.push([a.0, b.0]);
        Port(Term::node(class, label, self.nodes.len() as u32 - 1))
    }

    /// The definition with `root` for its root, as the parser would number it, and the names it refers to.
    fn finish(self, name: &str, root: Port) -> Result<(Definition, Vec<String>), BuildError> {
        check_name(name)?;
        self.names.iter().try_for_each(|name| check_name(name))?;
        let definition = || name.to_owned();
        if self.too_large {
            let what = format!("number of nodes in @{name}");
            syntax::check_size(&what, MAX_NODES + 1, MAX_NODES)?;
        }
        if let Some(label) = self.label {
            return Err(BuildError::Label {
                definition: definition(),
                label,
            });
        }
        let mut numbering = Numbering {
            built: &self,
            nodes: Vec::with_capacity(self.nodes.len()),
            wires: vec![(u32::MAX, 0); self.wires as usize],
            uses: vec![0; self.nodes.len()],
            wire_count: 0,
        };
        let unconnected = |(part, index, count)| BuildError::Unconnected {
            definition: definition(),
            part,
            index,
            count,
            expected: if part == "wire" { 2 } else { 1 },
        };
        let root = numbering.tree(root.0).map_err(unconnected)?;
        let mut redexes = Vec::with_capacity(self.redexes.len());
        for &(a, b) in &self.redexes {
            let a = numbering.tree(a).map_err(unconnected)?;
            redexes.push((a, numbering.tree(b).map_err(unconnected)?));
        }
        numbering.check().map_err(unconnected)?;
        let (nodes, wires) = (numbering.nodes, numbering.wire_count);
        let definition = Definition {
            name: definition(),
            root,
            nodes,
            redexes,
            wires,
            copyable: false,
        };
        Ok((definition, self.names))
    }
}

/// What is used how often, where it should be otherwise.
type Miscount = (&'static str, u32, u32);

/// Numbers wires and nodes anew, in the order in which the text of the net has them.
struct Numbering<'b> {
    built: &'b NetBuilder,
    nodes: Vec<[Term; 2]>,
    /// New number of each wire, and how many of its ends were met.
    wires: Vec<(u32, u32)>,
    /// How often each node was met.
    uses: Vec<u32>,
    wire_count: u32,
}

impl Numbering<'_> {
    /// The tree at `root`. Keeps its own stack: places that are still to be filled.
    fn tree(&mut self, root: Term) -> Result<Term, Miscount> {
        let mut renumbered = root;
        let mut open: Vec<(Term, Option<(u32, usize)>)> = vec![(root, None)];
        while let Some((term, place)) = open.pop() {
            let new = match term.class() {
                Class::Var => self.wire(term.offset())?,
                class if class.is_node() => {
                    let old = term.offset();
                    let known = self.uses.get_mut(old as usize);
                    let uses = known.ok_or(("node", old, 0))?;
                    *uses += 1;
                    if *uses > 1 {
                        return Err(("node", old, *uses));
                    }
                    // At most MAX_NODES, as each is met once.
                    let index = self.nodes.len() as u32;
                    let [a, b] = self.built.nodes[old as usize];
                    self.nodes.push([Term::ABSENT; 2]);
                    open.push((b, Some((index, 1))));
                    open.push((a, Some((index, 0))));
                    Term::node(class, term.label(), index)
                }
                _ => term,
            };
            match place {
                Some((node, port)) => self.nodes[node as usize][port] = new,
                None => renumbered = new,
            }
        }
        Ok(renumbered)
    }

    fn wire(&mut self, old: u32) -> Result<Term, Miscount> {
        let known = self.wires.get_mut(old as usize);
        let (new, ends) = known.ok_or(("wire", old, 0))?;
        *ends += 1;
        if *ends == 1 {
            *new = self.wire_count;
            self.wire_count += 1;
        }
        Ok(Term::var(*new))
    }

    /// Nothing was left out.
    fn check(&self) -> Result<(), Miscount> {
        let wires = (0..).zip(&self.wires);
        if let Some((wire, (_, ends))) = wires.into_iter().find(|(_, (_, ends))| *ends != 2) {
            return Err(("wire", wire, *ends));
        }
        match (0..).zip(&self.uses).find(|(_, uses)| **uses != 1) {
            Some((node, uses)) => Err(("node", node, *uses)),
            None => Ok(()),
        }
    }
}

/// A name that the text format can write.
fn check_name(name: &str) -> Result<(), LoadError> {
    syntax::check_size("length of a name", name.len(), MAX_NAME)?;
    if !name.is_empty() && name.bytes().all(syntax::is_name_byte) {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(LoadError::Syntax {
        line: 1,
        column: 1,
        message: format!("`{}` is no name", shown.escape_debug()),
    })
}

/// Builds a [`Book`] of texts and of definitions made in Rust, which may refer to each other.
#[derive(Debug, Default)]
pub struct BookBuilder {
    /// A REF term holds an index into `names`.
    definitions: Vec<Definition>,
    names: Vec<String>,
    defined: HashSet<String>,
}

impl BookBuilder {
    /// Adds the definitions of a text in the [text format](super::syntax). References may be to what is added later.
    ///
    /// # Errors
    ///
    /// What [`Book::parse`] refuses, references aside; then nothing was added.
    pub fn text(&mut self, text: &str) -> Result<&mut BookBuilder, BuildError> {
        let parsed = syntax::parse(text)?;
        for definition in &parsed.definitions {
            self.check_new(&definition.name)?;
        }
        let names = parsed.names.iter().map(|name| (*name).to_owned()).collect();
        self.add(parsed.definitions, names)?;
        Ok(self)
    }

    /// Adds a definition: `build` makes its net and returns the root.
    ///
    /// # Errors
    ///
    /// What `build` returns; a net with ports left over; a name that is taken or none. Then nothing was added.
    pub fn define(
        &mut self,
        name: &str,
        build: impl FnOnce(&mut NetBuilder) -> Result<Port, BuildError>,
    ) -> Result<&mut BookBuilder, BuildError> {
        self.check_new(name)?;
        let mut net = NetBuilder::default();
        let root = build(&mut net)?;
        let (definition, names) = net.finish(name, root)?;
        self.add(vec![definition], names)?;
        Ok(self)
    }

    /// The book.
    ///
    /// # Errors
    ///
    /// [`LoadError::UndefinedReference`] if something refers to what was not defined.
    pub fn build(self) -> Result<Book, BuildError> {
        Ok(link(Unresolved {
            definitions: self.definitions,
            names: self.names.iter().map(String::as_str).collect(),
        })?)
    }

    fn check_new(&self, name: &str) -> Result<(), BuildError> {
        match self.defined.contains(name) {
            false => Ok(()),
            true => Err(BuildError::Load(LoadError::DuplicateDefinition {
                name: name.to_owned(),
                line: 1,
            })),
        }
    }

    fn add(&mut self, new: Vec<Definition>, names: Vec<String>) -> Result<(), LoadError> {
        let count = self.definitions.len() + new.len();
        syntax::check_size("number of definitions", count, MAX_DEFINITIONS)?;
        // The names of every text and definition come one after the other; those of one text are bounded by its length.
        let total: usize = self.names.len() + names.len();
        syntax::check_size("number of references", total, MAX_TEXT)?;
        let first = self.names.len() as u32;
        self.names.extend(names);
        for mut definition in new {
            self.defined.insert(definition.name.clone());
            for term in definition.terms_mut().filter(|t| t.class() == Class::Ref) {
                *term = Term::reference(first + term.offset(), false);
            }
            self.definitions.push(definition);
        }
        Ok(())
    }
}

impl Book {
    /// For books of texts and of definitions made in Rust.
    pub fn builder() -> BookBuilder {
        BookBuilder::default()
    }

    /// This book and one more definition, which comes last and which nothing else refers to, and the call of it: the
    /// definition called `name`, applied to `arguments`.
    ///
    /// For arguments that are more than numbers, which are all that a [`Call`] holds. The book is copied.
    ///
    /// # Errors
    ///
    /// [`LoadError::NoEntry`] if there is no definition `name`; arguments that are too large, or that refer to definitions
    /// that do not exist.
    pub fn with_call(
        &self,
        name: &str,
        arguments: impl FnOnce(&mut NetBuilder) -> Result<Vec<Port>, BuildError>,
    ) -> Result<(Book, Call), BuildError> {
        let entry = self.call(name, Vec::new())?.entry;
        let mut net = NetBuilder::default();
        let arguments = arguments(&mut net)?;
        let function = net.reference(name);
        let root = net.apply(function, arguments);
        // Behind all others, so that no reference changes: they are sorted, and `main` comes first whatever its name.
        let last = self.definitions().last().map_or("", |last| &last.name);
        let own = match last == "main" && self.definitions().len() == 1 {
            true => "call".to_owned(),
            false => format!("{last}.call"),
        };
        let (mut definition, names) = net.finish(&own, root)?;
        let mut found = Vec::with_capacity(names.len());
        for wanted in &names {
            let index = if wanted == name {
                Some(entry)
            } else {
                self.find(wanted)
            };
            found.push(index.ok_or_else(|| LoadError::UndefinedReference {
                definition: own.clone(),
                name: wanted.clone(),
            })?);
        }
        let mut copyable = true;
        for term in definition.terms_mut() {
            match term.class() {
                Class::Ref => {
                    let target = found[term.offset() as usize];
                    let safe = self.definitions()[target as usize].copyable;
                    *term = Term::reference(target, safe);
                    copyable &= safe;
                }
                Class::Dup => copyable = false,
                _ => {}
            }
        }
        definition.copyable = copyable;
        let count = self.definitions().len() + 1;
        syntax::check_size("number of definitions", count, MAX_DEFINITIONS)?;
        let mut definitions = self.definitions().to_vec();
        definitions.push(definition);
        let call = Call {
            entry: count as u32 - 1,
            arguments: vec![],
        };
        Ok((Book::new(definitions), call))
    }
}
