//! The normal form as it lies on the device, for readback.

use ffcm::device::net::{Outside, PAGE, Pages, term};
use ffcm::net::readback::Heap;
use ffcm::spec::word::Term;

use crate::device::{Buffer, Gpu, GpuError};

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

/// The heap after the last interaction.
pub(super) struct DeviceHeap<'a>(Pages<'a, u32, GpuError>);

impl<'a> DeviceHeap<'a> {
    /// `buffers`: nodes, stamps, payloads. References name one of so many `definitions`.
    pub(super) fn new(
        gpu: &'a Gpu,
        buffers: [&'a Buffer; 3],
        definitions: usize,
    ) -> DeviceHeap<'a> {
        DeviceHeap(Pages::new(definitions, move |table, start| {
            let buffer = buffers[table];
            match buffer.words().saturating_sub(start).min(PAGE) {
                0 => Ok(Vec::new()),
                length => gpu.read(buffer, start, length),
            }
        }))
    }

    /// Puts in the beginning of a table that has been read already. Nothing beyond it may be asked for.
    pub(super) fn insert(&self, table: Table, words: Vec<u32>) {
        self.0.insert(table as usize, words);
    }

    /// What went wrong while pages were fetched. If anything did, what was read means nothing.
    pub(super) fn into_error(self) -> Option<GpuError> {
        self.0.into_error()
    }

    fn words<const N: usize>(&self, table: Table, index: u32) -> [u32; N] {
        self.0.words(table as usize, index)
    }
}

impl From<Outside> for GpuError {
    fn from(error: Outside) -> GpuError {
        GpuError::Driver {
            message: error.to_string(),
        }
    }
}

impl Heap for DeviceHeap<'_> {
    fn wire(&self, var: Term) -> Option<Term> {
        let [stamp] = self.words(Table::Stamps, var.offset());
        if stamp == 0 {
            return None;
        }
        let [w0, w1] = self.words(Table::Payloads, var.offset());
        Some(self.0.checked(term(w0, w1)))
    }

    fn node(&self, node: Term) -> [Term; 2] {
        let [a, b, c, d] = self.words(Table::Nodes, node.offset());
        if a == 0 || c == 0 {
            // No node is without ports; an eraser ends every path.
            self.0.damaged();
            return [Term::ERA; 2];
        }
        [term(a, b), term(c, d)].map(|term| self.0.checked(term))
    }
}

#[cfg(test)]
mod tests {
    use ffcm::net::Book;
    use ffcm::net::readback::readback;
    use ffcm::spec::word::Class;

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
                Err(Outside.into()),
                "{root:?} {ports:?}"
            );
        }
    }
}
