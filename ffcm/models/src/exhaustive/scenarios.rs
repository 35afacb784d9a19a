//! What happens between two or three workers. Each scenario is run in all its interleavings.

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ffcm::spec::word::{Class, Term};

use super::Progress;
use super::heap::Heap;
use super::pool::{Patience, Pool, Redex, Stop, Watch, Work};
use super::reduction::{Case, run};
use super::sync::{self, Arc, spawn};

/// Runs `scenario` in all its interleavings with at most `preemptions` switches away from a thread that could go on.
fn explore(preemptions: Option<usize>, scenario: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.max_branches = 10_000;
    let scenario = StdArc::new(scenario);
    let runs = StdArc::new(AtomicUsize::new(0));
    let count = runs.clone();
    model.check(move || {
        count.fetch_add(1, Relaxed);
        // The model's own thread has little stack.
        let scenario = scenario.clone();
        spawn(move || scenario()).join().unwrap();
    });
    let runs = runs.load(Relaxed);
    println!("{runs} interleavings");
    assert!(runs > 5, "the threads do not meet");
}

/// A whole reduction by two workers.
fn reduce(preemptions: usize, text: &str) {
    let case = StdArc::new(Case::new(text, 1000, 32));
    explore(Some(preemptions), move || run(&case, 2));
}

// ---- the wire protocol ----------------------------------------------------------------------------------------------

/// One arrival at cell 0, of which another worker has an end.
fn arrive(heap: &Heap, term: Term) -> Term {
    match heap.load(0) {
        met if met.is_absent() => heap.exchange(0, term.with_sub()),
        met => met,
    }
}

/// Each worker writes a node and arrives with it. One of them finds the other's, with its contents, and frees the cell.
pub(super) fn two_arrivals_at_a_cell() {
    explore(None, || {
        let heap = Arc::new(Heap::reserve(3).unwrap());
        let meet = |heap: &Heap, node: u32| {
            heap.store(2 * node, Term::u24(node));
            heap.store(2 * node + 1, Term::u24(10 * node));
            let met = arrive(heap, Term::node(Class::Con, 0, 2 * node));
            if met.is_absent() {
                return false;
            }
            let other = met.offset();
            assert_eq!(other, 2 * (3 - node));
            assert_eq!(heap.load(other), Term::u24(other / 2));
            assert_eq!(heap.load(other + 1), Term::u24(10 * other / 2));
            heap.retire(0);
            true
        };
        heap.store(0, Term::ABSENT);
        heap.store(1, Term::ERA);
        let theirs = heap.clone();
        let other = spawn(move || meet(&theirs, 2));
        assert!(meet(&heap, 1) != other.join().unwrap(), "one meets");
    });
    // The same by the workers themselves; the second one's node is made on the way.
    reduce(
        3,
        "@main = r & @one ~ (x *) & @two ~ (x r)\n@one = (1 *)\n@two = ($([+2] r) r)",
    );
}

/// A node with a cell is opened while the other end of the cell's wire arrives.
pub(super) fn arrival_against_opening() {
    reduce(3, "@main = r & (x *) ~ (r *) & @one ~ (x *)\n@one = (1 *)");
    reduce(3, "@main = r & (x *) ~ ($([*] $(3 r)) *) & (2 *) ~ (x *)");
}

/// A worker makes cells in its own period, and then gives a redex with an end of one away, or puts off leaving a node with
/// an end of one where the other worker finds it.
pub(super) fn arrival_at_a_cell_that_was_ones_own() {
    let callees = "@g = (n r) & n ~ $([+1] r)\n@h = (x r) & x ~ $([*] $(x2 r)) & x2 ~ 5";
    for f in ["@g ~ (n x) & @h ~ (x r)", "@h ~ (x r) & @g ~ (n x)"] {
        // What is given at first begins a period.
        let main = "@main = r & * ~ (1 *) & * ~ (2 *) & @f ~ (1 r)";
        reduce(3, &format!("{main}\n@f = (n r) & {f}\n{callees}"));
    }
    reduce(
        3,
        "@main = r & @f ~ (x r) & @g ~ (7 x)\n@f = ((y *) out) & @k ~ (y out)
         @k = ($([+2] r) r)\n@g = (n (n *))",
    );
}

/// A worker leaves a tree where the other worker finds it, and has an end of a wire that leads into it. Two nodes are few
/// enough for the worker to make their cells nobody's own; three are so many that it ends its period.
pub(super) fn arrival_behind_a_term_that_was_let_go() {
    for [tree, seven] in [
        ["((y *) *)", "((n *) *)"],
        ["(((y *) *) *)", "(((n *) *) *)"],
    ] {
        let main = "@main = r & @f ~ (x r) & @g ~ (7 x)\n@k = ($([+2] r) r)";
        let f = format!("@f = ({tree} out) & @k ~ (y out)");
        reduce(3, &format!("{main}\n{f}\n@g = (n {seven})"));
    }
}

/// Neighbours on a chain of nodes are opened from both sides.
pub(super) fn two_openings_along_a_chain() {
    reduce(2, "@main = r & {x y} ~ {1 y} & {x z} ~ {w z} & w ~ r");
}

/// A duplicator goes down a spine, one of whose ports another worker arrives at.
pub(super) fn a_spine_against_an_arrival() {
    reduce(
        2,
        "@main = r & {(p *) (q *)} ~ (x *) & (x *) ~ (1 *) & p ~ $([+] $(q r))",
    );
}

/// Both ends of two wires are joined by both workers, and there are loops.
pub(super) fn joined_wires() {
    reduce(
        3,
        "@main = r & (a b) ~ (b c) & (d c) ~ (s e) & (e 7) ~ (8 d) & a ~ $([+] $(s r))",
    );
    for [a, b] in [["x", "y"], ["y", "x"]] {
        let text = format!("@main = r & ({a} *) ~ ({b} *) & (x *) ~ (1 *) & (y *) ~ ($([+2] r) *)");
        reduce(3, &text);
    }
    let text = "@main = 3 & (a b) ~ (b c) & (c d) ~ (d a)";
    let case = StdArc::new(Case::new(text, 1000, 32).with_loops());
    explore(Some(3), move || run(&case, 2));
}

/// A node that one worker freed is another's next one, by way of the heap's lists; a third has an end of a wire in it.
pub(super) fn a_freed_node_is_reused_by_another() {
    explore(Some(3), || {
        let heap = Arc::new(Heap::reserve(3).unwrap());
        let mut own = Vec::new();
        assert!(heap.take(&mut own, 2));
        heap.store(0, Term::ABSENT);
        heap.store(2, Term::ABSENT);
        // Two workers meet at cell 0. The second frees it and puts what it met into cell 2 by a node in place of it.
        let meet = |heap: &Heap, term: Term| {
            let met = arrive(heap, term);
            if met.is_absent() {
                return;
            }
            heap.retire(0);
            heap.give([0].chunks(1));
        };
        let workers = [1, 2].map(|i| {
            let heap = heap.clone();
            spawn(move || meet(&heap, Term::u24(i)))
        });
        let mut free = Vec::new();
        assert!(heap.take(&mut free, 1));
        let node = free[0];
        heap.store(node, Term::u24(5));
        heap.store(node + 1, Term::u24(6));
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(heap.load(node), Term::u24(5));
        assert_eq!(heap.load(node + 1), Term::u24(6));
    });
    // Nodes freed in the first steps are those of the later ones.
    reduce(
        2,
        "@main = r & @id ~ (x *) & @k ~ (1 (x r))\n@id = ($([+1] y) z) & (y z) ~ (w w)\n@k = (a (b c)) & @f ~ (a (b c))\n@f = (a ($(a c) c))",
    );
}

// ---- the pool -------------------------------------------------------------------------------------------------------

fn redex(i: u32) -> Redex {
    (Term::u24(i), Term::u24(i))
}

/// Takes bags until the run is over; the number of redexes.
fn consume(pool: &Pool<'_>) -> usize {
    let mut patience = Patience::default();
    let mut redexes = 0;
    while let Some(work) = pool.wait(&mut patience, false) {
        let Work::Bag(bag) = work else {
            panic!("who holds nothing is not told to look again");
        };
        redexes += bag.len();
    }
    redexes
}

/// What is offered to who asks is taken, once, and then the run is over. Who waits takes it also when who offers is
/// busy for ever.
pub(super) fn a_bag_reaches_who_waits() {
    explore(None, || {
        let pool = Arc::new(Pool::new(2, 10, None));
        let theirs = pool.clone();
        let other = spawn(move || consume(&theirs));
        let mut offered = 0;
        for i in 0..2 {
            if pool.signalled(false) {
                pool.offer(|| {
                    offered += 1;
                    vec![redex(i)]
                });
            }
        }
        let own = consume(&pool);
        assert_eq!(other.join().unwrap() + own, offered, "nothing is lost");
        assert_eq!(pool.verdict(0, 0), Ok(()));
    });
    explore(None, || {
        let pool = Arc::new(Pool::new(2, 10, None));
        let theirs = pool.clone();
        let other = spawn(move || theirs.wait(&mut Patience::default(), false));
        if pool.signalled(false) {
            pool.offer(|| vec![redex(1)]);
            assert_eq!(other.join().unwrap(), Some(Work::Bag(vec![redex(1)])));
        } else {
            assert_eq!(consume(&pool), 0);
            assert_eq!(other.join().unwrap(), None);
        }
    });
}

/// Holds a frame until told to look again, as often as that is; whether nobody else went on when it was reduced.
fn hold(pool: &Pool<'_>) -> (usize, bool) {
    let mut patience = Patience::default();
    let mut redexes = 0;
    loop {
        match pool.wait(&mut patience, true) {
            Some(Work::Bag(bag)) => redexes += bag.len(),
            Some(Work::Again { rests: false, .. }) => {}
            Some(Work::Again { rests: true, alone }) => {
                assert_eq!(consume(pool), 0, "the frame leads to nothing");
                return (redexes, alone);
            }
            None => panic!("the run is over before the frame is reduced"),
        }
    }
}

/// Who holds a frame is told when nobody goes on any more, and the run does not end before. Who is told that it is
/// alone is.
pub(super) fn a_frame_that_is_held() {
    explore(None, || {
        let pool = Arc::new(Pool::new(2, 10, None));
        let theirs = pool.clone();
        let other = spawn(move || hold(&theirs));
        if pool.signalled(false) {
            let alone = pool.offer(Vec::new);
            assert!(!alone, "the other one has a frame");
        }
        assert_eq!(consume(&pool), 0);
        assert_eq!(other.join().unwrap(), (0, true));
    });
    explore(Some(2), || {
        let pool = Arc::new(Pool::new(2, 10, None));
        let theirs = pool.clone();
        let other = spawn(move || hold(&theirs));
        let (_, own) = hold(&pool);
        let (_, others) = other.join().unwrap();
        assert!(own || others, "the last one is alone");
    });
}

/// A stop reaches who waits and who works; the first reason is the one that is told.
pub(super) fn everybody_stops() {
    explore(None, || {
        let progress: &'static Progress = Box::leak(Box::new(Progress::new()));
        let pool = Arc::new(Pool::new(3, 100, Some(progress)));
        let waiting = [(); 2].map(|()| {
            let pool = pool.clone();
            spawn(move || consume(&pool))
        });
        pool.stop(Stop::Heap);
        assert!(pool.signalled(true) && pool.stopped());
        progress.cancel.store(true, sync::Ordering::Relaxed);
        pool.report(1);
        assert_eq!(waiting.map(|worker| worker.join().unwrap()), [0, 0]);
        let told = pool.verdict(1, 7);
        assert_eq!(told, Err(ffcm::net::ReduceError::OutOfHeap { limit: 7 }));
    });
}

/// The last worker to become idle ends the run for all, and not before the bags are empty.
pub(super) fn the_run_ends_when_all_are_idle() {
    explore(Some(3), || {
        let pool = Arc::new(Pool::new(3, 100, None));
        let helpers = [0, 1].map(|i| {
            let pool = pool.clone();
            spawn(move || {
                let mut offered = 0;
                if pool.signalled(false) {
                    pool.offer(|| {
                        offered = 1;
                        vec![redex(i)]
                    });
                }
                (offered, consume(&pool))
            })
        });
        let mut taken = consume(&pool);
        let mut offered = 0;
        for (gave, took) in helpers.map(|worker| worker.join().unwrap()) {
            offered += gave;
            taken += took;
        }
        assert_eq!(taken, offered, "nothing is lost");
    });
}

/// Who announced more workers than there are takes one back, before or after the others have become idle.
pub(super) fn a_worker_that_was_never_started() {
    explore(None, || {
        let pool = Arc::new(Pool::new(3, 100, None));
        let others = [(); 2].map(|()| {
            let pool = pool.clone();
            spawn(move || consume(&pool))
        });
        pool.leave();
        assert_eq!(others.map(|other| other.join().unwrap()), [0, 0]);
    });
}

/// A worker that unwinds lets the others go.
pub(super) fn a_worker_that_panics() {
    explore(None, || {
        let pool = Arc::new(Pool::new(3, 100, None));
        let waiting = pool.clone();
        let waiting = spawn(move || consume(&waiting));
        let unwinding = pool.clone();
        let unwinding = spawn(move || {
            let _watch = Watch(&unwinding);
            sync::panic();
        });
        assert_eq!(consume(&pool), 0);
        assert_eq!(waiting.join().unwrap(), 0);
        unwinding.join().unwrap();
    });
}

/// Gas that suffices for the net suffices however the workers report it, and one less never does.
pub(super) fn gas_of_two_workers() {
    let text = "@main = r & (x *) ~ (r *) & @one ~ (x *)\n@one = (1 *)";
    for gas in [4, 5, 6] {
        let case = StdArc::new(Case::new(text, gas, 32));
        explore(Some(2), move || run(&case, 2));
    }
}
