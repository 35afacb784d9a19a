//! A heap that a device leaves, for readback: fetched page by page, checked word by word.

use std::cell::RefCell;
use std::collections::HashMap;

use thiserror::Error;

use crate::net::readback::Heap;
use crate::spec::word::{Class, Term};

/// Words of a page.
pub const PAGE: u64 = 1 << 16;
/// Most pages that are kept.
const PAGES_MAX: usize = 512;

/// A net in device memory has terms that lead out of it: the device is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a net in device memory points outside of it")]
pub struct Outside;

/// Whether `term` refers to a definition beyond the last one.
pub fn names_nothing(term: Term, definitions: usize) -> bool {
    term.class() == Class::Ref && term.offset() as usize >= definitions
}

/// A term from its two words.
pub fn term(w0: u32, w1: u32) -> Term {
    Term(u64::from(w1) << 32 | u64::from(w0))
}

/// The heap below an atom, or below a wire that nothing was substituted for.
pub struct Bare;

impl Heap for Bare {
    fn wire(&self, _: Term) -> Option<Term> {
        None
    }

    fn node(&self, _: Term) -> [Term; 2] {
        [Term::ABSENT; 2]
    }
}

/// What fetches words: of a table, from a word on, [`PAGE`] words or those that are left. None beyond the end.
type Fetch<'a, W, E> = dyn Fn(usize, u64) -> Result<Vec<W>, E> + 'a;

/// Tables of words in device memory. Pages are fetched when they are needed.
///
/// The first error is kept, and what is asked for afterwards is answered with zeros, because [`Heap`] knows no errors:
/// whoever reads a net back looks at [`Pages::into_error`] before the result.
pub struct Pages<'a, W, E> {
    fetch: Box<Fetch<'a, W, E>>,
    /// Of the book.
    definitions: usize,
    pages: RefCell<HashMap<(usize, u64), Vec<W>>>,
    error: RefCell<Option<E>>,
}

impl<'a, W: Copy + Default, E: From<Outside>> Pages<'a, W, E> {
    /// References name one of so many `definitions`. `fetch` is given the number of a table and the word to begin at; it
    /// gives [`PAGE`] words, or those that are left.
    pub fn new(
        definitions: usize,
        fetch: impl Fn(usize, u64) -> Result<Vec<W>, E> + 'a,
    ) -> Pages<'a, W, E> {
        Pages {
            fetch: Box::new(fetch),
            definitions,
            pages: RefCell::default(),
            error: RefCell::default(),
        }
    }

    /// Puts in the beginning of a table that has been read already: a page at most. Nothing beyond it may be asked for.
    pub fn insert(&self, table: usize, words: Vec<W>) {
        debug_assert!(words.len() as u64 <= PAGE);
        self.pages.borrow_mut().insert((table, 0), words);
    }

    /// What went wrong while pages were fetched. If anything did, what was read means nothing.
    pub fn into_error(self) -> Option<E> {
        self.error.into_inner()
    }

    /// The device left what cannot be.
    pub fn damaged(&self) {
        self.error
            .borrow_mut()
            .get_or_insert_with(|| Outside.into());
    }

    /// A term that is safe to read back.
    pub fn checked(&self, term: Term) -> Term {
        if names_nothing(term, self.definitions) {
            self.damaged();
            return Term::ERA;
        }
        term
    }

    /// The `N` words of entry `index` of a table; zeros after an error. `N` divides [`PAGE`].
    pub fn words<const N: usize>(&self, table: usize, index: u32) -> [W; N] {
        const { assert!((PAGE as usize).is_multiple_of(N)) };
        let at = u64::from(index) * N as u64;
        let (page, within) = (at / PAGE, (at % PAGE) as usize);
        let pick = |words: &[W]| {
            let mut found = [W::default(); N];
            if let Some(words) = words.get(within..within + N) {
                found.copy_from_slice(words);
            } else {
                self.damaged();
            }
            found
        };
        if let Some(words) = self.pages.borrow().get(&(table, page)) {
            return pick(words);
        }
        if self.error.borrow().is_some() {
            return [W::default(); N];
        }
        match (self.fetch)(table, page * PAGE) {
            Ok(words) => {
                let found = pick(&words);
                let mut pages = self.pages.borrow_mut();
                if pages.len() >= PAGES_MAX {
                    pages.clear();
                }
                pages.insert((table, page), words);
                found
            }
            Err(error) => {
                *self.error.borrow_mut() = Some(error);
                [W::default(); N]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[derive(Debug, PartialEq)]
    enum Failure {
        Outside,
        Device,
    }

    impl From<Outside> for Failure {
        fn from(_: Outside) -> Failure {
            Failure::Outside
        }
    }

    /// Words `0..length` of each of two tables; table 2 fails.
    fn counting(length: u64, fetched: &Cell<u32>) -> Pages<'_, u32, Failure> {
        Pages::new(3, move |table, start| {
            fetched.set(fetched.get() + 1);
            if table == 2 {
                return Err(Failure::Device);
            }
            Ok((start..(start + PAGE).min(length))
                .map(|word| word as u32)
                .collect())
        })
    }

    #[test]
    fn words_come_from_their_pages_each_fetched_once() {
        let fetched = Cell::new(0);
        let pages = counting(3 * PAGE + 4, &fetched);
        let last = 3 * PAGE as u32 / 4;
        for _ in 0..2 {
            for index in [0, 1, PAGE as u32 / 4 - 1, PAGE as u32 / 4, last] {
                let at = 4 * index;
                assert_eq!(pages.words(0, index), [at, at + 1, at + 2, at + 3]);
            }
            assert_eq!(pages.words(1, 5), [10, 11]);
        }
        assert_eq!(fetched.get(), 4);
        pages.insert(7, vec![40, 50]);
        assert_eq!(pages.words(7, 1), [50]);
        assert_eq!((fetched.get(), pages.into_error()), (4, None));
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let fetched = Cell::new(0);
        for (table, index) in [(0, 1), (0, u32::MAX), (1, 1 << 20)] {
            let pages = counting(4, &fetched);
            assert_eq!(pages.words(table, index), [0; 4]);
            assert_eq!(pages.into_error(), Some(Failure::Outside));
        }
        let pages = counting(PAGE, &fetched);
        assert_eq!(pages.words(2, 0), [0]);
        // The first error stays, and nothing is fetched after it.
        let before = fetched.get();
        pages.damaged();
        assert_eq!(pages.words(0, 1), [0]);
        assert_eq!(fetched.get(), before);
        assert_eq!(pages.into_error(), Some(Failure::Device));
    }

    #[test]
    fn references_are_those_of_the_book() {
        let fetched = Cell::new(0);
        let pages = counting(4, &fetched);
        let good = Term::reference(2, true);
        assert_eq!(pages.checked(good), good);
        assert_eq!(pages.checked(Term::u32(u32::MAX)), Term::u32(u32::MAX));
        let bad = Term::reference(3, false);
        assert_eq!(term(bad.w0(), bad.w1()), bad);
        assert_eq!(pages.checked(bad), Term::ERA);
        assert_eq!(pages.into_error(), Some(Failure::Outside));
    }
}
