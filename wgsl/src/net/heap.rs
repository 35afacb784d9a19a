//! The normal form as it lies on the device, for readback.

use std::cell::RefCell;
use std::collections::HashMap;

use ffcm::net::readback::Heap;
use ffcm::spec::word::Term;

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
    pages: RefCell<HashMap<(Table, u64), Vec<u32>>>,
    error: RefCell<Option<GpuError>>,
}

impl<'a> DeviceHeap<'a> {
    /// `buffers`: nodes, stamps, payloads.
    pub(super) fn new(gpu: &'a Gpu, buffers: [&'a Buffer; 3]) -> DeviceHeap<'a> {
        DeviceHeap {
            gpu,
            buffers,
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

    /// `N` words of a table; zeros after an error. `N` divides the size of a page.
    fn words<const N: usize>(&self, table: Table, index: u32) -> [u32; N] {
        let at = u64::from(index) * N as u64;
        let (page, within) = (at / PAGE, (at % PAGE) as usize);
        let pick = |words: &[u32]| {
            let mut found = [0; N];
            if let Some(words) = words.get(within..within + N) {
                found.copy_from_slice(words);
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
        Some(term(w0, w1))
    }

    fn node(&self, node: Term) -> [Term; 2] {
        let [a, b, c, d] = self.words(Table::Nodes, node.offset());
        if a == 0 || c == 0 {
            // After an error; an eraser ends every path.
            return [Term::ERA; 2];
        }
        [term(a, b), term(c, d)]
    }
}
