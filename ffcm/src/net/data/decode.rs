//! Normal forms as Rust values. Every step is counted, and every nesting.

use std::cell::Cell;

use thiserror::Error;

use super::{CONS, F24, FIRST, I24, NIL, Numeric, SECOND, U24};
use crate::net::syntax;
use crate::net::{Book, Definition, LoadError, Outcome};
use crate::spec::number::Number;
use crate::spec::word::{Class, Term};

/// Why a normal form is not a value of the type asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Something else is there.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What the type asks for.
        expected: &'static str,
        /// What there is.
        found: String,
    },
    /// The data type has no such constructor.
    #[error("{of} has no constructor number {tag}")]
    UnknownConstructor {
        /// The data type.
        of: &'static str,
        /// The number.
        tag: u32,
    },
    /// A definition stands there that still has to be reduced. Lazy parts of a normal form are references; those to
    /// definitions that are data are followed.
    #[error("@{name} is not reduced: it stands where nothing has asked for it")]
    NotReduced {
        /// The definition.
        name: String,
    },
    /// An item of a list is not a value of its type.
    #[error("item {index}: {source}")]
    Item {
        /// Which, from 0.
        index: usize,
        /// What is wrong with it.
        source: Box<DecodeError>,
    },
    /// Nested deeper than allowed.
    #[error("nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: u32,
    },
    /// Larger than allowed.
    #[error("more than {limit} steps are needed to read it")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The text is not that of a normal form.
    #[error("not a normal form: {0}")]
    Text(#[from] LoadError),
}

/// Bounds on what decoding may cost. A result of some bytes may stand for much more, as its references do for definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Deepest nesting of pairs and constructors, of references behind each other too. A list is one level, however long.
    pub depth: u32,
    /// Most steps: each pair, constructor, field, reference and number is one.
    pub steps: u64,
}

impl Default for DecodeLimits {
    /// 1024 levels, which the stack of any thread holds, and 2^25 steps: lists of eight million numbers.
    fn default() -> DecodeLimits {
        DecodeLimits {
            depth: 1024,
            steps: 1 << 25,
        }
    }
}

/// A value that a normal form may be: see the [module](super).
pub trait Decode: Sized {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// What there is, is no such value, or more than the limits allow.
    fn decode(value: Value<'_>) -> Result<Self, DecodeError>;
}

/// A normal form that was read from its text.
#[derive(Debug)]
pub struct NormalForm<'b> {
    book: &'b Book,
    tree: Definition,
    /// What the tree refers to, by the numbers of its REF terms.
    targets: Vec<Option<u32>>,
    names: Vec<String>,
    limits: DecodeLimits,
    steps: Cell<u64>,
}

impl<'b> NormalForm<'b> {
    /// From the canonical text of a result; its references are to definitions of `book`.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Text`] if it is none.
    pub fn parse(book: &'b Book, text: &str) -> Result<NormalForm<'b>, DecodeError> {
        let text = format!("@result = {text}");
        let parsed = syntax::parse(&text)?;
        let names: Vec<String> = parsed.names.iter().map(|name| (*name).to_owned()).collect();
        let targets = names.iter().map(|name| book.find(name)).collect();
        let mut definitions = parsed.definitions;
        let tree = definitions.pop().filter(|_| definitions.is_empty());
        let tree = tree.filter(|tree| tree.redexes.is_empty());
        let tree = tree.ok_or_else(|| {
            DecodeError::Text(LoadError::Syntax {
                line: 1,
                column: 1,
                message: "expected one tree".into(),
            })
        })?;
        Ok(NormalForm {
            book,
            tree,
            targets,
            names,
            limits: DecodeLimits::default(),
            steps: Cell::new(0),
        })
    }

    /// The same under other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: DecodeLimits) -> NormalForm<'b> {
        self.limits = limits;
        self
    }

    /// As a Rust value.
    ///
    /// # Errors
    ///
    /// It is no such value, or more than the limits allow.
    pub fn decode<T: Decode>(&self) -> Result<T, DecodeError> {
        self.steps.set(0);
        T::decode(Value {
            form: self,
            definition: &self.tree,
            term: self.tree.root,
            depth: 0,
        })
    }

    fn step(&self) -> Result<(), DecodeError> {
        let limit = self.limits.steps;
        let steps = self.steps.get();
        if steps >= limit {
            return Err(DecodeError::TooLarge { limit });
        }
        self.steps.set(steps + 1);
        Ok(())
    }

    fn check_depth(&self, depth: u32) -> Result<(), DecodeError> {
        let limit = self.limits.depth;
        match depth > limit {
            true => Err(DecodeError::TooDeep { limit }),
            false => Ok(()),
        }
    }
}

/// A part of a normal form.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    form: &'a NormalForm<'a>,
    /// Where `term` belongs to.
    definition: &'a Definition,
    term: Term,
    depth: u32,
}

impl<'a> Value<'a> {
    /// A plain number, as the type that is asked for.
    ///
    /// # Errors
    ///
    /// It is another kind of number, does not fit, or is none.
    pub fn number<T: Numeric>(self) -> Result<T, DecodeError> {
        let value = self.resolve()?;
        let plain = value.term.as_plain();
        let number = plain.and_then(|(kind, bits)| T::from_plain(kind, bits));
        number.ok_or_else(|| value.unexpected(T::NAME))
    }

    /// The two parts of a pair.
    ///
    /// # Errors
    ///
    /// It is no pair.
    pub fn pair(self) -> Result<(Value<'a>, Value<'a>), DecodeError> {
        let value = self.resolve()?;
        let [a, b] = value.con("a pair")?;
        let depth = value.depth + 1;
        self.form.check_depth(depth)?;
        let part = |term| Value {
            term,
            depth,
            ..value
        };
        Ok((part(a), part(b)))
    }

    /// A value of a data type, `((tag (field … r)) r)`.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn constructor(self) -> Result<Constructor<'a>, DecodeError> {
        const WHAT: &str = "a constructor";
        let value = self.resolve()?;
        let [body, end] = value.con(WHAT)?;
        if end.class() != Class::Var {
            return Err(value.unexpected(WHAT));
        }
        let depth = value.depth + 1;
        self.form.check_depth(depth)?;
        let part = |term| Value {
            term,
            depth,
            ..value
        };
        let [tag, rest] = part(body).con(WHAT)?;
        let tag = part(tag).number::<U24>()?.get();
        Ok(Constructor {
            tag,
            rest: part(rest),
            end,
        })
    }

    /// The items of a list, one after the other.
    pub fn list(self) -> List<'a> {
        List {
            rest: Some(self),
            depth: self.depth,
        }
    }

    /// Nothing: `*`.
    ///
    /// # Errors
    ///
    /// It is something.
    pub fn unit(self) -> Result<(), DecodeError> {
        let value = self.resolve()?;
        match value.term.class() {
            Class::Era => Ok(()),
            _ => Err(value.unexpected("*")),
        }
    }

    /// The ports of a CON node.
    fn con(self, expected: &'static str) -> Result<[Term; 2], DecodeError> {
        match self.term.class() {
            Class::Con => Ok(self.definition.nodes[self.term.offset() as usize]),
            _ => Err(self.unexpected(expected)),
        }
    }

    /// Follows references to data.
    fn resolve(mut self) -> Result<Value<'a>, DecodeError> {
        self.form.step()?;
        while self.term.class() == Class::Ref {
            self.form.step()?;
            self.depth += 1;
            self.form.check_depth(self.depth)?;
            let definition = self.target()?;
            if !definition.redexes.is_empty() {
                return Err(DecodeError::NotReduced {
                    name: definition.name.clone(),
                });
            }
            (self.definition, self.term) = (definition, definition.root);
        }
        Ok(self)
    }

    fn target(self) -> Result<&'a Definition, DecodeError> {
        let at = self.term.offset() as usize;
        let definitions = self.form.book.definitions();
        if !std::ptr::eq(self.definition, &self.form.tree) {
            // Books are checked when they are loaded.
            return Ok(&definitions[at]);
        }
        let found = self.form.targets[at].map(|target| &definitions[target as usize]);
        found.ok_or_else(|| {
            DecodeError::Text(LoadError::UndefinedReference {
                definition: "result".into(),
                name: self.form.names[at].clone(),
            })
        })
    }

    fn unexpected(self, expected: &'static str) -> DecodeError {
        let found = match self.term.class() {
            Class::Num => match Number::from_term(self.term) {
                Some(number) => format!("`{number}`"),
                None => "an unknown number".into(),
            },
            Class::Var => "a variable".into(),
            Class::Ref => "a reference".into(),
            Class::Era => "`*`".into(),
            Class::Con => "a pair `(a b)`".into(),
            Class::Dup => "a duplicator `{a b}`".into(),
            Class::Opr => "an operation `$(a b)`".into(),
            Class::Swi => "a switch `?(a b)`".into(),
        };
        DecodeError::Unexpected { expected, found }
    }
}

/// A value of a data type, of which field after field is read.
#[derive(Clone, Copy, Debug)]
pub struct Constructor<'a> {
    tag: u32,
    rest: Value<'a>,
    /// The variable behind the last field.
    end: Term,
}

impl<'a> Constructor<'a> {
    /// Which constructor, from 0 in the order of the data type's definition.
    pub fn tag(&self) -> u32 {
        self.tag
    }

    /// The next field.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn field(&mut self) -> Result<Value<'a>, DecodeError> {
        self.rest.form.step()?;
        let [field, rest] = self.rest.con("another field")?;
        let value = Value {
            term: field,
            ..self.rest
        };
        self.rest.term = rest;
        Ok(value)
    }

    /// The next field as a Rust value.
    ///
    /// # Errors
    ///
    /// There is none, or it is no such value.
    pub fn decode<T: Decode>(&mut self) -> Result<T, DecodeError> {
        T::decode(self.field()?)
    }

    /// Checks that no field is left.
    ///
    /// # Errors
    ///
    /// One is.
    pub fn end(self) -> Result<(), DecodeError> {
        match self.rest.term == self.end {
            true => Ok(()),
            false => Err(self.rest.unexpected("no more fields")),
        }
    }

    /// The error of a constructor that `of` does not have.
    pub fn unknown(&self, of: &'static str) -> DecodeError {
        DecodeError::UnknownConstructor { of, tag: self.tag }
    }
}

/// Items of a list as they come; ends after an error.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    rest: Option<Value<'a>>,
    depth: u32,
}

impl<'a> List<'a> {
    fn advance(&mut self) -> Result<Option<Value<'a>>, DecodeError> {
        let Some(rest) = self.rest.take() else {
            return Ok(None);
        };
        let mut fields = rest.constructor()?;
        match fields.tag() {
            NIL => fields.end().map(|()| None),
            CONS => {
                let (head, tail) = (fields.field()?, fields.field()?);
                fields.end()?;
                // However long it is, a list is one level.
                let depth = self.depth;
                self.rest = Some(Value { depth, ..tail });
                Ok(Some(head))
            }
            _ => Err(fields.unknown("List")),
        }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = Result<Value<'a>, DecodeError>;

    fn next(&mut self) -> Option<Result<Value<'a>, DecodeError>> {
        self.advance().transpose()
    }
}

impl Outcome {
    /// The result as a Rust value, within the default [`DecodeLimits`]. `book` is the one that was run.
    ///
    /// # Errors
    ///
    /// It is no such value, or more than the limits allow.
    ///
    /// ```
    /// use ffcm::cpu::NetEngine;
    /// use ffcm::net::{Book, Limits};
    ///
    /// let book = Book::parse("@main = (a ((1 (7 (@List/Nil r))) r)) & 20 ~ $([+] $(22 a)) @List/Nil = ((0 r) r)")?;
    /// let outcome = NetEngine::new(&book).reduce(&book.main()?, &Limits::default(), 1, None)?;
    /// assert_eq!(outcome.decode::<(u8, Vec<u8>)>(&book)?, (42, vec![7]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode<T: Decode>(&self, book: &Book) -> Result<T, DecodeError> {
        NormalForm::parse(book, &self.result)?.decode()
    }
}

macro_rules! decode_numbers {
    ($($type:ty)*) => {
        $(impl Decode for $type {
            fn decode(value: Value<'_>) -> Result<$type, DecodeError> {
                value.number()
            }
        })*
    };
}

decode_numbers!(U24 I24 F24 u8 u16 u32 i8 i16 i32 f32 bool);

impl Decode for () {
    fn decode(value: Value<'_>) -> Result<(), DecodeError> {
        value.unit()
    }
}

macro_rules! decode_tuples {
    ($($name:ident)+; $last:ident) => {
        impl<$($name: Decode,)+ $last: Decode> Decode for ($($name,)+ $last) {
            #[allow(non_snake_case, reason = "values are called as their types")]
            fn decode(value: Value<'_>) -> Result<Self, DecodeError> {
                let rest = value;
                $(
                    let (field, rest) = rest.pair()?;
                    let $name = $name::decode(field)?;
                )+
                Ok(($($name,)+ $last::decode(rest)?))
            }
        }
    };
}

decode_tuples!(A; B);
decode_tuples!(A B; C);
decode_tuples!(A B C; D);
decode_tuples!(A B C D; E);
decode_tuples!(A B C D E; F);

impl<T: Decode> Decode for Box<T> {
    fn decode(value: Value<'_>) -> Result<Box<T>, DecodeError> {
        Ok(Box::new(T::decode(value)?))
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(value: Value<'_>) -> Result<Vec<T>, DecodeError> {
        let mut items = Vec::new();
        for (index, item) in value.list().enumerate() {
            let item = T::decode(item?);
            items.push(item.map_err(|source| DecodeError::Item {
                index,
                source: Box::new(source),
            })?);
        }
        Ok(items)
    }
}

impl Decode for String {
    fn decode(value: Value<'_>) -> Result<String, DecodeError> {
        let mut text = String::new();
        for item in value.list() {
            let item = item?;
            let character = char::from_u32(item.number::<U24>()?.get());
            text.push(character.ok_or_else(|| item.unexpected("a code point"))?);
        }
        Ok(text)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(value: Value<'_>) -> Result<Option<T>, DecodeError> {
        let mut fields = value.constructor()?;
        let option = match fields.tag() {
            FIRST => Some(fields.decode()?),
            SECOND => None,
            _ => return Err(fields.unknown("Maybe")),
        };
        fields.end()?;
        Ok(option)
    }
}

impl<T: Decode, E: Decode> Decode for Result<T, E> {
    fn decode(value: Value<'_>) -> Result<Result<T, E>, DecodeError> {
        let mut fields = value.constructor()?;
        let result = match fields.tag() {
            FIRST => Ok(fields.decode()?),
            SECOND => Err(fields.decode()?),
            _ => return Err(fields.unknown("Result")),
        };
        fields.end()?;
        Ok(result)
    }
}
