//! The normal form as it lies on the device, for readback.

use ffcm::device::net::{PAGE, Pages};
use ffcm::net::readback::Heap;
use ffcm::spec::word::Term;

use super::buffers::Terms;
use crate::device::{Buffer, CudaError, Gpu};

/// The heap after the last interaction. An absent slot of a node is the cell of a wire that nothing has come to: there the
/// node holds an end of that wire.
pub(super) struct DeviceHeap<'a>(Pages<'a, u64, CudaError>);

impl<'a> DeviceHeap<'a> {
    /// References name one of so many `definitions`.
    pub(super) fn new(
        gpu: &'a Gpu,
        nodes: &'a Buffer<Terms>,
        definitions: usize,
    ) -> DeviceHeap<'a> {
        DeviceHeap(Pages::new(definitions, move |_, start| {
            let (first, most) = (start / 2, PAGE / 2);
            let count = nodes.len().saturating_sub(first).min(most);
            if count == 0 {
                return Ok(Vec::new());
            }
            Ok(gpu.read(nodes, first, count)?.as_flattened().to_vec())
        }))
    }

    /// What went wrong while pages were fetched. If anything did, what was read means nothing.
    pub(super) fn into_error(self) -> Option<CudaError> {
        self.0.into_error()
    }
}

impl Heap for DeviceHeap<'_> {
    fn wire(&self, var: Term) -> Option<Term> {
        let [term] = self.0.words(0, var.offset()).map(Term);
        (!term.is_absent()).then(|| self.0.checked(term.without_sub()))
    }

    fn node(&self, node: Term) -> [Term; 2] {
        let at = node.offset() & !1;
        let mut slot = at;
        self.0.words(0, at / 2).map(|word| {
            let here = Term::var(slot);
            slot += 1;
            let term = Term(word);
            if term.is_absent() {
                here
            } else {
                self.0.checked(term.without_sub())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use ffcm::device::net::Outside;
    use ffcm::net::Book;
    use ffcm::net::readback::readback;
    use ffcm::spec::word::Class;

    use super::*;
    use crate::device::shim::{ShimOptions, open};

    /// The root holds `term`, in a heap of two nodes. What readback makes of it.
    fn read(gpu: &Gpu, term: Term, ports: [Term; 2]) -> Result<String, CudaError> {
        let nodes = gpu.buffer_of("nodes", &[[term.0, 0], ports.map(|port| port.0)])?;
        let book = Book::parse("@main = 1").expect("a valid book");
        let heap = DeviceHeap::new(gpu, &nodes, book.definitions().len());
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
        let gpu = open(&ShimOptions::default()).expect("a device");
        let one = Term::u24(1);
        let node = |offset| at(Term::node(Class::Con, 0, 0), offset);
        let good = [one, Term::reference(0, true)];
        assert_eq!(read(&gpu, node(2), good), Ok("(1 @main)".into()));
        // A wire between the two ports, whose cell is the first.
        let wired = [Term::ABSENT, Term::var(2)];
        assert_eq!(read(&gpu, node(2), wired), Ok("(x0 x0)".into()));
        for (root, ports) in [
            (Term::reference(1, true), good),
            (node(4), good),
            (node(u32::MAX), good),
            (Term::var(4), good),
            (at(Term::var(0), u32::MAX), good),
            (node(2), [one, at(Term::reference(0, false), u32::MAX)]),
            (node(2), [one, node(1 << 20)]),
        ] {
            let found = read(&gpu, root, ports);
            assert_eq!(found, Err(Outside.into()), "{root:?} {ports:?}");
        }
    }
}
