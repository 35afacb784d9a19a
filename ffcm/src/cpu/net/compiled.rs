//! A book lowered and compiled: made once, shared by all engines that run the book.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::program::Program;
use super::rows::{RowCode, RowKinds};
use super::template::{self, Lowered, Template};
use super::{NetEngine, compile};
use crate::coprocessor::EvaluateJob;
use crate::cpu::native::{Fused, Fuser};
use crate::net::Book;
use crate::net::partial::Shape;

/// What an engine needs of a book besides the book itself. It owns all it holds and does not change, so an [`Arc`] of it
/// serves any number of engines at once.
pub struct Compiled {
    /// [`Book::digest`] of the book that it was made from.
    digest: [u8; 32],
    /// Memory that it takes.
    bytes: usize,
    pub(super) lowered: Vec<Lowered>,
    pub(super) program: Program,
}

impl Compiled {
    /// Lowers and compiles `book`.
    pub fn new(book: &Book) -> Compiled {
        let lowered = template::lower(book.definitions());
        let program = compile::compile(book.definitions());
        Compiled {
            digest: book.digest(),
            bytes: lowered_bytes(&lowered) + program_bytes(&program),
            lowered,
            program,
        }
    }

    /// [`Book::digest`] of the book that this was made from.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The entries that the book was compiled to: a definition and the shape of its argument each. The entry with the number of a
    /// definition is its *base* entry, one constructor of two leaves, by which it meets a node of the heap.
    pub fn entries(&self) -> &[(u32, Shape)] {
        &self.program.shapes
    }
}

fn lowered_bytes(lowered: &[Lowered]) -> usize {
    let template = |template: &Template| {
        size_of_val(&*template.nodes)
            + size_of_val(&*template.redexes)
            + size_of_val(&*template.joins)
    };
    let both = |one: &Lowered| template(&one.plain) + template(&one.opened);
    size_of_val(lowered) + lowered.iter().map(both).sum::<usize>()
}

fn program_bytes(program: &Program) -> usize {
    size_of_val(&*program.ops)
        + size_of_val(&*program.tallies)
        + size_of_val(&*program.entries)
        + size_of_val(&*program.shapes)
        + size_of_val(&*program.tables)
        + size_of_val(&*program.bases)
        + size_of_val(&*program.constructors)
}

/// Most books kept.
const BOOKS_MAX: usize = 16;
/// Most memory that the books kept take together (32 MiB). A book beyond that is compiled whenever it is asked for.
const BYTES_MAX: usize = 32 << 20;

/// A book's compiled form and its native code.
struct Kept {
    compiled: Arc<Compiled>,
    /// Asked for when the book is first run; none if there is none for it.
    fused: OnceLock<Option<Arc<dyn Fused>>>,
    rows: RowKinds,
}

/// The books asked for lately, compiled. Few enough to be looked through, the one asked for last at the end.
///
/// A panic while they are locked leaves them usable: whatever the order they are in, each is whole.
/// They are told apart by [`Book::digest`], so equal books share one form however often they are parsed.
#[derive(Default)]
pub(crate) struct CompiledBooks {
    kept: Mutex<Vec<Arc<Kept>>>,
    fuser: Option<Arc<dyn Fuser>>,
}

impl fmt::Debug for CompiledBooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledBooks")
            .field("kept", &self.lock().len())
            .field("fuses", &self.fuser.is_some())
            .finish()
    }
}

impl CompiledBooks {
    /// None yet. Native code for them is made by `fuser`, if there is one.
    pub(crate) fn new(fuser: Option<Arc<dyn Fuser>>) -> CompiledBooks {
        CompiledBooks {
            kept: Mutex::default(),
            fuser,
        }
    }

    /// Whether there can be native code.
    pub(crate) fn fuses(&self) -> bool {
        self.fuser.is_some()
    }

    /// An engine for `book`.
    pub(crate) fn engine<'b>(&self, book: &'b Book) -> NetEngine<'b> {
        self.engine_of(book, &self.get(book))
    }

    /// An engine for the book of a job, and native code for its rows, if there is some by now.
    pub(crate) fn rows<'b>(
        &self,
        job: &'b EvaluateJob<'_>,
    ) -> (NetEngine<'b>, Option<Arc<RowCode>>) {
        let kept = self.get(&job.book);
        // Code for a book that is too large to be kept would be made again and again.
        let fuser = self.fuser.as_deref().filter(|_| kept.fits());
        let code = fuser.and_then(|fuser| kept.rows.code(job, &kept.compiled, fuser));
        (self.engine_of(&job.book, &kept), code)
    }

    fn engine_of<'b>(&self, book: &'b Book, kept: &Kept) -> NetEngine<'b> {
        let engine = NetEngine::with(book, Arc::clone(&kept.compiled));
        let fused = self.fuser.as_ref().and_then(|fuser| {
            let fuse = || fuser.fuse(book, &kept.compiled);
            // A book that is too large to be kept would be fused again and again.
            kept.fused.get_or_init(|| kept.fits().then(fuse)?).clone()
        });
        match fused {
            Some(fused) => engine.clone().with_fused(fused).unwrap_or(engine),
            None => engine,
        }
    }

    /// The compiled form of `book`: the one kept, or a new one.
    fn get(&self, book: &Book) -> Arc<Kept> {
        if let Some(found) = self.find(book.digest()) {
            return found;
        }
        // Not under the lock: others go on with their books meanwhile, and a panic leaves nothing behind.
        self.keep(Compiled::new(book))
    }

    fn find(&self, digest: [u8; 32]) -> Option<Arc<Kept>> {
        touch(&mut self.lock(), digest)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps `made`, or the form of the same book that another thread made meanwhile, and lets go of what was not asked for
    /// the longest as far as the bounds ask for it.
    fn keep(&self, made: Compiled) -> Arc<Kept> {
        let made = Arc::new(Kept {
            compiled: Arc::new(made),
            fused: OnceLock::new(),
            rows: RowKinds::default(),
        });
        if !made.fits() {
            return made;
        }
        let mut kept = self.lock();
        if let Some(found) = touch(&mut kept, made.compiled.digest) {
            return found;
        }
        kept.push(Arc::clone(&made));
        let mut bytes: usize = kept.iter().map(|one| one.compiled.bytes).sum();
        let mut surplus = 0;
        while bytes > BYTES_MAX || kept.len() - surplus > BOOKS_MAX {
            bytes -= kept[surplus].compiled.bytes;
            surplus += 1;
        }
        kept.drain(..surplus);
        made
    }
}

/// Finds a book, which is then the one asked for last.
fn touch(kept: &mut [Arc<Kept>], digest: [u8; 32]) -> Option<Arc<Kept>> {
    let at = kept.iter().rposition(|one| one.compiled.digest == digest)?;
    let last = kept.len() - 1;
    kept[at..].rotate_left(1);
    Some(Arc::clone(&kept[last]))
}

impl Kept {
    fn fits(&self) -> bool {
        self.compiled.bytes <= BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(number: usize) -> Book {
        Book::parse(&format!("@main = {number}")).unwrap()
    }

    fn digests(books: &CompiledBooks) -> Vec<[u8; 32]> {
        let kept = books.kept.lock().unwrap();
        kept.iter().map(|one| one.compiled.digest).collect()
    }

    #[test]
    fn equal_books_share_one_form_and_others_do_not() {
        let books = CompiledBooks::default();
        let first = books.get(&book(1));
        assert!(Arc::ptr_eq(&first, &books.get(&book(1))));
        assert!(!Arc::ptr_eq(&first, &books.get(&book(2))));
        assert!(Arc::ptr_eq(&first, &books.get(&book(1))));
        assert_eq!(first.compiled.digest(), book(1).digest());
        assert_eq!(digests(&books), [book(2).digest(), book(1).digest()]);
    }

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first() {
        let books = CompiledBooks::default();
        let first = books.get(&book(0));
        for number in 1..BOOKS_MAX {
            books.get(&book(number));
        }
        assert!(Arc::ptr_eq(&first, &books.get(&book(0))));
        books.get(&book(BOOKS_MAX));
        let expected = (2..BOOKS_MAX).chain([0, BOOKS_MAX]);
        assert_eq!(
            digests(&books),
            expected.map(|n| book(n).digest()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn books_kept_are_bounded_in_memory_too() {
        let sized = |number, bytes| Compiled {
            bytes,
            ..Compiled::new(&book(number))
        };
        let books = CompiledBooks::default();
        let small = books.get(&book(0));
        assert!(small.compiled.bytes > 0 && small.compiled.bytes < 1 << 12);
        // Too large to be kept: nothing has to go for it.
        books.keep(sized(1, BYTES_MAX + 1));
        assert_eq!(digests(&books), [book(0).digest()]);
        books.keep(sized(2, BYTES_MAX / 2));
        assert_eq!(digests(&books), [book(0).digest(), book(2).digest()]);
        books.keep(sized(3, BYTES_MAX / 2 + 1));
        assert_eq!(digests(&books), [book(3).digest()]);
        // The same book compiled twice is kept once.
        books.keep(sized(3, BYTES_MAX));
        assert_eq!(digests(&books), [book(3).digest()]);
        books.keep(sized(4, BYTES_MAX));
        assert_eq!(digests(&books), [book(4).digest()]);
    }

    #[test]
    fn a_larger_book_takes_more() {
        let bytes = |text: &str| Compiled::new(&Book::parse(text).unwrap()).bytes;
        let [one, two] = ["@main = 1", "@main = (1 2)\n@next = (((a 3) b) (b a))"].map(bytes);
        assert!(one < two);
    }

    #[test]
    fn a_thread_that_panicked_with_the_lock_does_not_end_keeping() {
        let books = CompiledBooks::default();
        let first = books.get(&book(1));
        let locked = std::thread::scope(|scope| {
            let panic = || {
                let _kept = books.kept.lock();
                panic!("on purpose");
            };
            scope.spawn(panic).join()
        });
        assert!(locked.is_err() && books.kept.is_poisoned());
        assert!(Arc::ptr_eq(&first, &books.get(&book(1))));
    }
}
