//! The normal form as it lies on the device, for readback.

use std::cell::RefCell;
use std::collections::HashMap;

use ffcm::net::readback::Heap;
use ffcm::spec::word::{Class, Term};

use crate::device::{Buffer, Gpu, GpuError};

/// Words of a page.
const PAGE: u64 = 1 << 16;
/// Most pages that are kept.
const PAGES_MAX: usize = 512;

/// The three tables of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Table {
    /// Four words for each node.
    Nodes,
    /// One word for each wire.
    Stamps,
    /// Two words for each wire.
    Payloads,
}

/// The heap after the last interaction. Pages are fetched when they are needed.
pub(super) struct DeviceHeap<'a> {
    gpu: &'a Gpu,
    buffers: [&'a Buffer; 3],
    /// Of the book.
    definitions: usize,
    pages: RefCell<HashMap<(Table, u64), Vec<u32>>>,
    error: RefCell<Option<GpuError>>,
}

impl<'a> DeviceHeap<'a> {
    /// `buffers`: nodes, stamps, payloads. References name one of so many `definitions`.
    pub(super) fn new(
        gpu: &'a Gpu,
        buffers: [&'a Buffer; 3],
        definitions: usize,
    ) -> DeviceHeap<'a> {
        DeviceHeap {
            gpu,
            buffers,
            definitions,
            pages: RefCell::default(),
            error: RefCell::default(),
        }
    }

    /// Puts in the beginning of a table that has been read already. Nothing beyond it may be asked for.
    pub(super) fn insert(&self, table: Table, words: Vec<u32>) {
        debug_assert!(words.len() as u64 <= PAGE);
        self.pages.borrow_mut().insert((table, 0), words);
    }

    /// What went wrong while pages were fetched. If anything did, what was read means nothing.
    pub(super) fn into_error(self) -> Option<GpuError> {
        self.error.into_inner()
    }

    /// The device left what cannot be.
    fn damaged(&self) {
        self.error.borrow_mut().get_or_insert_with(outside);
    }

    /// A term that is safe to read back.
    fn checked(&self, term: Term) -> Term {
        if names_nothing(term, self.definitions) {
            self.damaged();
            return Term::ERA;
        }
        term
    }

    /// `N` words of a table; zeros after an error. `N` divides the size of a page.
    fn words<const N: usize>(&self, table: Table, index: u32) -> [u32; N] {
        let at = u64::from(index) * N as u64;
        let (page, within) = (at / PAGE, (at % PAGE) as usize);
        let pick = |words: &[u32]| {
            let mut found = [0; N];
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
            return [0; N];
        }
        let buffer = self.buffers[table as usize];
        let start = page * PAGE;
        let length = buffer.words().saturating_sub(start).min(PAGE);
        if length == 0 {
            self.damaged();
            return [0; N];
        }
        match self.gpu.read(buffer, start, length) {
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
                [0; N]
            }
        }
    }
}

/// What a heap is that has terms which lead out of it.
pub(super) fn outside() -> GpuError {
    GpuError::Driver {
        message: "a net in device memory points outside of it".into(),
    }
}

/// Whether `term` refers to a definition beyond the last one.
pub(super) fn names_nothing(term: Term, definitions: usize) -> bool {
    term.class() == Class::Ref && term.offset() as usize >= definitions
}

/// A term from its two words.
pub(super) fn term(w0: u32, w1: u32) -> Term {
    Term(u64::from(w1) << 32 | u64::from(w0))
}

impl Heap for DeviceHeap<'_> {
    fn wire(&self, var: Term) -> Option<Term> {
        let [stamp] = self.words(Table::Stamps, var.offset());
        if stamp == 0 {
            return None;
        }
        let [w0, w1] = self.words(Table::Payloads, var.offset());
        Some(self.checked(term(w0, w1)))
    }

    fn node(&self, node: Term) -> [Term; 2] {
        let [a, b, c, d] = self.words(Table::Nodes, node.offset());
        if a == 0 || c == 0 {
            // No node is without ports; an eraser ends every path.
            self.damaged();
            return [Term::ERA; 2];
        }
        [term(a, b), term(c, d)].map(|term| self.checked(term))
    }
}

#[cfg(test)]
mod tests {
    use ffcm::net::Book;
    use ffcm::net::readback::readback;

    use super::*;
    use crate::device::Options;

    /// The root holds `term`, in a heap of one node and two wires. What readback makes of it.
    fn read(gpu: &Gpu, term: Term, ports: [Term; 2]) -> Result<String, GpuError> {
        let words = |terms: &[Term]| -> Vec<u32> {
            terms
                .iter()
                .flat_map(|term| [term.w0(), term.w1()])
                .collect()
        };
        let nodes = gpu.buffer_of("nodes", &words(&ports))?;
        let stamps = gpu.buffer_of("stamps", &[1, 0])?;
        let payloads = gpu.buffer_of("payloads", &words(&[term, Term::ABSENT]))?;
        let book = Book::parse("@main = 1").expect("a valid book");
        let heap = DeviceHeap::new(gpu, [&nodes, &stamps, &payloads], book.definitions().len());
        let found = readback(&book, &heap, Term::var(0), 1000);
        match heap.into_error() {
            Some(error) => Err(error),
            None => Ok(found.expect("a normal form").text),
        }
    }

    /// `term`, pointing somewhere else.
    fn at(term: Term, offset: u32) -> Term {
        Term(u64::from(offset) << 32 | u64::from(term.w0()))
    }

    #[test]
    fn a_net_that_leads_out_of_its_memory_is_an_error() {
        let gpu = Gpu::open(&Options::default()).expect("an adapter");
        let one = Term::u24(1);
        let node = |offset| at(Term::node(Class::Con, 0, 0), offset);
        let good = [one, Term::reference(0, true)];
        assert_eq!(read(&gpu, node(0), good), Ok("(1 @main)".into()));
        for (root, ports) in [
            (Term::reference(1, true), good),
            (node(1), good),
            (node(u32::MAX), good),
            (Term::var(2), good),
            (at(Term::var(0), u32::MAX), good),
            (node(0), [one, at(Term::reference(0, false), u32::MAX)]),
            (node(0), [one, node(1 << 20)]),
            (node(0), [Term::ABSENT, one]),
            (node(0), [one, Term::ABSENT]),
        ] {
            assert_eq!(
                read(&gpu, root, ports),
                Err(outside()),
                "{root:?} {ports:?}"
            );
        }
    }
}
