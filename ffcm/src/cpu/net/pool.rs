//! What the workers of one reduction share: work to hand over, the end of the run, and gas.

use std::collections::VecDeque;
use std::time::Duration;

use super::Progress;
use super::sync::{self, AtomicU32, AtomicU64, Condvar, Mutex, MutexGuard, Ordering};
use crate::net::ReduceError;
use crate::spec::word::Term;

/// An active pair: two principal ports, at least one of them of a node.
pub(super) type Redex = (Term, Term);

/// Interactions between two looks at the gas meter, at most.
pub(super) const QUANTUM_MAX: u64 = 8192;
/// Redexes a bag must have led to before its receiver may ask again at once.
const TINY: u64 = 512;
/// Interactions for each exchange, at least, in a part of the net that is worth a worker of its own. Where two workers
/// meet at every other step, each waits for the other's cache line, and one alone would be as fast.
const TANGLED: u64 = 2;
/// First and longest rest of a worker whose last bags were tiny.
const REST: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(2));

/// Set in [`Pool::signal`] when every worker has to stop.
const STOP: u32 = 1 << 31;
/// Set there when all workers but one are idle, for that one.
const ALONE: u32 = 1 << 30;

/// Why a run stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Gas,
    Heap,
    Cancelled,
}

/// The meeting point of the workers. All scheduling decisions are made under one lock; busy workers only read
/// `signal`.
#[repr(align(128))]
pub(super) struct Pool<'p> {
    /// Number of workers that want a bag, and [`ALONE`]; or [`STOP`]. Written under the lock only.
    signal: AtomicU32,
    /// Interactions that workers have reported.
    spent: AtomicU64,
    /// Blocks of numbers of periods that workers have taken.
    periods: AtomicU32,
    gas: u64,
    workers: u64,
    progress: Option<&'p Progress>,
    board: Mutex<Board>,
    wake: Condvar,
}

/// What a worker that waits goes on with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// What another one gave.
    Bag(Vec<Redex>),
    /// The frames that it holds. Another worker has made all that it had to make meanwhile.
    Again {
        /// Nobody else goes on: what is not there will not come.
        rests: bool,
        /// Nobody else has any work, nor frames; the caller sees all that they have done.
        alone: bool,
    },
}

struct Board {
    workers: usize,
    /// Workers without work: at the condition variable, or about to look at the board again.
    idle: usize,
    /// Idle workers that do not ask for work for a while, because what they got was too small to be worth it.
    resting: usize,
    /// Idle workers that hold frames whose arguments others make.
    holding: usize,
    /// How often a worker has become idle that holds nothing: all that it had to make has been made then.
    emptied: u64,
    bags: VecDeque<Vec<Redex>>,
    stop: Option<Stop>,
    /// All workers were idle and there was no bag, or one of them panicked.
    finished: bool,
}

impl Board {
    /// Number of workers that want a bag for which there is none yet.
    fn asking(&self) -> usize {
        (self.idle - self.resting).saturating_sub(self.bags.len())
    }

    /// Whether at most one worker has work.
    fn leaves_one(&self) -> bool {
        self.idle + 1 >= self.workers && self.holding == 0 && self.bags.is_empty()
    }

    /// Whether nobody does anything, and nobody will if nobody is told to.
    fn rests(&self) -> bool {
        self.idle == self.workers && self.bags.is_empty()
    }
}

impl<'p> Pool<'p> {
    pub(super) fn new(workers: usize, gas: u64, progress: Option<&'p Progress>) -> Pool<'p> {
        Pool {
            signal: AtomicU32::new(0),
            spent: AtomicU64::new(0),
            periods: AtomicU32::new(0),
            gas,
            workers: workers as u64,
            progress,
            board: Mutex::new(Board {
                workers,
                idle: 0,
                resting: 0,
                holding: 0,
                emptied: 0,
                bags: VecDeque::new(),
                stop: None,
                finished: false,
            }),
            wake: Condvar::new(),
        }
    }

    /// Ready for the next run of a worker that is alone, with the same gas.
    pub(super) fn reset(&self) {
        debug_assert!(self.workers == 1 && self.progress.is_none());
        self.spent.store(0, Ordering::Relaxed);
        if self.signal.load(Ordering::Relaxed) != 0 {
            let mut board = self.board();
            board.stop = None;
            self.publish(&board);
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        sync::lock(&self.board)
    }

    /// Publishes what busy workers have to know; called after every change of the board.
    fn publish(&self, board: &Board) {
        let over = board.stop.is_some() || board.finished;
        let alone = if board.leaves_one() { ALONE } else { 0 };
        let signal = if over {
            STOP
        } else {
            alone | board.asking() as u32
        };
        self.signal.store(signal, Ordering::Relaxed);
    }

    /// How many workers there were to be.
    pub(super) fn workers(&self) -> usize {
        self.workers as usize
    }

    /// Another of the blocks 1 to `blocks - 1`, unless all are taken.
    pub(super) fn periods(&self, blocks: u32) -> Option<u32> {
        let next = |taken: u32| Some(taken + 1).filter(|&block| block < blocks);
        let taken = self
            .periods
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.ok().map(|block| block + 1)
    }

    /// Whether a worker wants work, or the run is to stop, or the caller, who believes that `others` have work, is alone.
    #[inline(always)]
    pub(super) fn signalled(&self, others: bool) -> bool {
        let ignored = if others { 0 } else { ALONE };
        self.signal.load(Ordering::Relaxed) & !ignored != 0
    }

    /// Whether all workers but one were idle lately.
    pub(super) fn calls_alone(&self) -> bool {
        self.signal.load(Ordering::Relaxed) & ALONE != 0
    }

    /// Whether a worker wants work.
    pub(super) fn asked(&self) -> bool {
        self.signal.load(Ordering::Relaxed) & !(STOP | ALONE) != 0
    }

    /// Whether the run is to stop, or its caller wants it to.
    pub(super) fn stops(&self) -> bool {
        let cancelled = |progress: &Progress| progress.cancel.load(Ordering::Relaxed);
        self.stopped() || self.progress.is_some_and(cancelled)
    }

    /// How many interactions a worker may make, those included that it has not reported, before it has to report.
    pub(super) fn allowance(&self) -> u64 {
        self.portion(self.spent.load(Ordering::Relaxed))
    }

    /// A worker's part of the gas that is left.
    fn portion(&self, spent: u64) -> u64 {
        self.gas.saturating_sub(spent) / self.workers + 1
    }

    /// Whether the run is to stop.
    pub(super) fn stopped(&self) -> bool {
        self.signal.load(Ordering::Relaxed) & STOP != 0
    }

    /// Stops every worker soon. The first reason is kept.
    pub(super) fn stop(&self, reason: Stop) {
        let mut board = self.board();
        board.stop.get_or_insert(reason);
        self.publish(&board);
        self.wake.notify_all();
    }

    /// Ends the run without a reason of the net's own: a worker is unwinding.
    fn abandon(&self) {
        let mut board = self.board();
        board.finished = true;
        self.publish(&board);
        self.wake.notify_all();
    }

    /// One worker fewer than announced: its thread could not be started.
    pub(super) fn leave(&self) {
        let mut board = self.board();
        board.workers -= 1;
        self.finish_if_done(&mut board);
    }

    fn finish_if_done(&self, board: &mut Board) {
        if board.rests() {
            board.finished = board.holding == 0;
            self.publish(board);
            self.wake.notify_all();
        }
    }

    /// Hands what `bag` gives to whoever asks. Returns whether no worker but the caller has any work, and sees
    /// everything done by those who had some.
    pub(super) fn offer(&self, bag: impl FnOnce() -> Vec<Redex>) -> bool {
        let mut board = self.board();
        if board.asking() > 0 {
            let bag = bag();
            if !bag.is_empty() {
                board.bags.push_back(bag);
                self.publish(&board);
                self.wake.notify_one();
            }
        }
        board.leaves_one()
    }

    /// Waits for work. `None` when the run is over: every worker is idle and no bag is left, or it was stopped. A worker that
    /// `holds` frames waits for their arguments, too.
    ///
    /// Termination: a worker counts as idle only from here on, when its own stack is empty, and stops counting when
    /// it takes a bag or looks at its frames again, both under the lock; bags change hands under the lock. So `idle == workers`
    /// with no bag and nobody holding means that no redex exists anywhere, and no worker is left to make one. If somebody
    /// holds frames then, one of them reduces what it holds, whatever is there: what is an argument is a guess.
    pub(super) fn wait(&self, patience: &mut Patience, holds: bool) -> Option<Work> {
        let mut board = self.board();
        board.idle += 1;
        board.holding += usize::from(holds);
        if !holds {
            board.emptied += 1;
            if board.holding > 0 {
                self.wake.notify_all();
            }
        }
        let emptied = board.emptied;
        self.finish_if_done(&mut board);
        if let Some(rest) = patience.rest() {
            board.resting += 1;
            self.publish(&board);
            if !(board.finished || board.stop.is_some() || !board.bags.is_empty() || board.rests())
            {
                board = sync::wait_at_most(&self.board, &self.wake, board, rest);
            }
            board.resting -= 1;
        }
        loop {
            if board.finished || board.stop.is_some() {
                return None;
            }
            let bag = board.bags.pop_front();
            let again = holds && (board.rests() || board.emptied != emptied);
            if bag.is_some() || again {
                let rests = board.rests();
                board.idle -= 1;
                board.holding -= usize::from(holds);
                self.publish(&board);
                let alone = board.leaves_one();
                return Some(bag.map_or(Work::Again { rests, alone }, Work::Bag));
            }
            self.publish(&board);
            board = sync::wait(&self.wake, board);
        }
    }

    /// Reports interactions made since the last report and returns after how many more to report again. Stops the run
    /// when the gas is gone or the caller asked for it.
    pub(super) fn report(&self, interactions: u64) -> u64 {
        // Alone there is nobody to race with. An exchange would be a tenth of the time of a short call.
        let spent = match self.workers {
            1 => self.spent.load(Ordering::Relaxed) + interactions,
            _ => self.spent.fetch_add(interactions, Ordering::Relaxed) + interactions,
        };
        if self.workers == 1 {
            self.spent.store(spent, Ordering::Relaxed);
        }
        if let Some(progress) = self.progress {
            progress
                .interactions
                .fetch_add(interactions, Ordering::Relaxed);
            if progress.cancel.load(Ordering::Relaxed) {
                self.stop(Stop::Cancelled);
            }
        }
        if spent > self.gas {
            self.stop(Stop::Gas);
        }
        self.portion(spent).min(QUANTUM_MAX)
    }

    /// The outcome once all workers have returned, having made `spent` interactions together.
    ///
    /// Gas comes first: more interactions than allowed were made, hence the net needs more, whatever else happened.
    pub(super) fn verdict(&self, spent: u64, nodes: u64) -> Result<(), ReduceError> {
        // A worker that ran out of nodes in native code has forgotten what it made since it last reported.
        let spent = spent.max(self.spent.load(Ordering::Relaxed));
        if spent > self.gas {
            return Err(ReduceError::OutOfGas { limit: self.gas });
        }
        // Every reason to stop is published, and a worker that was alone is the one that did. Saves a lock, which would be a
        // tenth of the time of a short call.
        if !self.stopped() {
            return Ok(());
        }
        match self.board().stop {
            None => Ok(()),
            Some(Stop::Gas) => Err(ReduceError::OutOfGas { limit: self.gas }),
            Some(Stop::Heap) => Err(ReduceError::OutOfHeap { limit: nodes }),
            Some(Stop::Cancelled) => Err(ReduceError::Cancelled {
                interactions: spent,
            }),
        }
    }
}

/// How eagerly one worker asks for more work. Only speed depends on it.
#[derive(Default)]
pub(super) struct Patience {
    /// Redexes reduced since the last bag arrived.
    pub(super) reduced: u64,
    /// Exchanges made meanwhile in cells that other workers may have had an end of.
    pub(super) exchanged: u64,
    rest: Option<Duration>,
}

impl Patience {
    /// How long to rest before asking for more, if what was got last was not worth it.
    fn rest(&mut self) -> Option<Duration> {
        let worth = self.reduced >= TINY && self.exchanged <= self.reduced / TANGLED;
        let longer = self.rest.map_or(REST.0, |rest| (2 * rest).min(REST.1));
        self.rest = (!worth).then_some(longer);
        (self.reduced, self.exchanged) = (0, 0);
        self.rest
    }
}

/// Lets the other workers go if this one unwinds.
pub(super) struct Watch<'w, 'p>(pub(super) &'w Pool<'p>);

impl Drop for Watch<'_, '_> {
    fn drop(&mut self) {
        if sync::panicking() {
            self.0.abandon();
        }
    }
}
