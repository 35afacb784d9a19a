//! The sequential definition of executing a block of tasks.
//!
//! A task runs in two parts. [`Executor::begin`] takes what the task costs (nonce and fee); if it refuses, the task leaves
//! nothing at all and has no place in the block. [`Executor::run`] does the work; if it fails, what it wrote is dropped
//! and only what `begin` wrote remains. A task that no longer fits the budget is deferred. Tasks of one lane (one sender)
//! build on each other, so a refused or deferred task defers the rest of its lane.

use std::collections::BTreeSet;

use crate::{Credits, Pending, ReadError, StateView, TaskView, WriteSet};

/// What a task may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Gas.
    pub gas: u64,
    /// Edge deltas.
    pub edges: u64,
    /// Encoded bytes.
    pub bytes: u64,
}

/// What one block may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Tasks.
    pub tasks: u64,
    /// Sum of all costs.
    pub cost: Cost,
}

impl Budget {
    /// The budget after a task of `cost`, or `None` if it does not fit.
    fn after(&self, cost: &Cost) -> Option<Budget> {
        Some(Budget {
            tasks: self.tasks.checked_sub(1)?,
            cost: Cost {
                gas: self.cost.gas.checked_sub(cost.gas)?,
                edges: self.cost.edges.checked_sub(cost.edges)?,
                bytes: self.cost.bytes.checked_sub(cost.bytes)?,
            },
        })
    }
}

/// Runs tasks of one kind. Everything must be a function of the task and of what the view returns.
pub trait Executor {
    /// A unit of work.
    type Task;
    /// Tasks with equal lanes depend on each other's order.
    type Lane: Ord;
    /// What a successful task yields for later phases of the block.
    type Output;
    /// Why a task failed.
    type Fault;
    /// Why a task has no place in the block.
    type Refusal;

    /// The most that `task` may use.
    fn cost(&self, task: &Self::Task) -> Cost;

    /// The lane of `task`.
    fn lane(&self, task: &Self::Task) -> Self::Lane;

    /// Takes nonce and fee.
    fn begin(
        &self,
        task: &Self::Task,
        view: &mut TaskView<'_>,
    ) -> Result<Result<(), Self::Refusal>, ReadError>;

    /// Does the work.
    fn run(
        &self,
        task: &Self::Task,
        view: &mut TaskView<'_>,
    ) -> Result<Result<Self::Output, Self::Fault>, ReadError>;
}

/// How one task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskOutcome<O, F, R> {
    /// It ran.
    Done(O),
    /// Its work failed; nonce and fee are taken.
    Failed(F),
    /// It cannot be in the block and left nothing.
    Refused(R),
    /// It has to wait and left nothing.
    Deferred,
}

/// [`TaskOutcome`] with the types of an executor.
pub type OutcomeOf<E> =
    TaskOutcome<<E as Executor>::Output, <E as Executor>::Fault, <E as Executor>::Refusal>;

/// Outcome of [`execute`], one [`TaskOutcome`] per task in order.
pub struct Execution<E: Executor> {
    /// How each task ended.
    pub outcomes: Vec<OutcomeOf<E>>,
    /// Merged changes of all tasks.
    pub writes: WriteSet,
    /// Merged credits of all tasks, to be settled at the end of the block.
    pub credits: Credits,
}

/// Executes `tasks` one after the other on top of `base`.
pub fn execute<E: Executor>(
    base: &dyn StateView,
    executor: &E,
    tasks: &[E::Task],
    budget: Budget,
) -> Result<Execution<E>, ReadError> {
    let mut left = budget;
    let mut waiting: BTreeSet<E::Lane> = BTreeSet::new();
    let mut execution = Execution {
        outcomes: Vec::with_capacity(tasks.len()),
        writes: WriteSet::new(),
        credits: Credits::new(),
    };
    for task in tasks {
        let lane = executor.lane(task);
        let outcome = if waiting.contains(&lane) {
            TaskOutcome::Deferred
        } else if let Some(after) = left.after(&executor.cost(task)) {
            let outcome = execute_one(base, executor, task, &mut execution)?;
            if !matches!(outcome, TaskOutcome::Refused(_)) {
                left = after;
            }
            outcome
        } else {
            TaskOutcome::Deferred
        };
        if matches!(outcome, TaskOutcome::Refused(_) | TaskOutcome::Deferred) {
            waiting.insert(lane);
        }
        execution.outcomes.push(outcome);
    }
    Ok(execution)
}

fn execute_one<E: Executor>(
    base: &dyn StateView,
    executor: &E,
    task: &E::Task,
    execution: &mut Execution<E>,
) -> Result<OutcomeOf<E>, ReadError> {
    let before = Pending {
        base,
        writes: &execution.writes,
    };
    let mut view = TaskView::new(&before);
    if let Err(refusal) = executor.begin(task, &mut view)? {
        return Ok(TaskOutcome::Refused(refusal));
    }
    let (writes, credits) = view.into_changes();
    execution.writes.merge(writes);
    execution.credits.merge(credits);

    let charged = Pending {
        base,
        writes: &execution.writes,
    };
    let mut view = TaskView::new(&charged);
    match executor.run(task, &mut view)? {
        Ok(output) => {
            let (writes, credits) = view.into_changes();
            execution.writes.merge(writes);
            execution.credits.merge(credits);
            Ok(TaskOutcome::Done(output))
        }
        Err(fault) => Ok(TaskOutcome::Failed(fault)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::CreditError;

    struct Base(BTreeMap<Vec<u8>, Vec<u8>>);

    impl StateView for Base {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
            Ok(self.0.get(key).cloned())
        }
    }

    fn counter(bytes: Option<Vec<u8>>) -> u64 {
        bytes.map_or(0, |b| u64::from_le_bytes(b.try_into().unwrap()))
    }

    /// Moves `amount` between counters, for a fee that goes to the key `fee` at the end of the block.
    #[derive(Clone, Debug)]
    struct Move {
        from: u8,
        to: u8,
        amount: u64,
        fee: u64,
        size: u64,
    }

    struct Mover;

    impl Executor for Mover {
        type Task = Move;
        type Lane = u8;
        type Output = u64;
        type Fault = &'static str;
        type Refusal = &'static str;

        fn cost(&self, task: &Move) -> Cost {
            Cost {
                gas: task.size,
                edges: 0,
                bytes: 1,
            }
        }

        fn lane(&self, task: &Move) -> u8 {
            task.from
        }

        fn begin(
            &self,
            task: &Move,
            view: &mut TaskView<'_>,
        ) -> Result<Result<(), &'static str>, ReadError> {
            let Some(rest) = counter(view.get(&[task.from])?).checked_sub(task.fee) else {
                return Ok(Err("cannot pay"));
            };
            view.put([task.from], rest.to_le_bytes());
            view.credit(*b"fee", task.fee);
            Ok(Ok(()))
        }

        fn run(
            &self,
            task: &Move,
            view: &mut TaskView<'_>,
        ) -> Result<Result<u64, &'static str>, ReadError> {
            let to = counter(view.get(&[task.to])?);
            view.put([task.to], (to + task.amount).to_le_bytes());
            let from = counter(view.get(&[task.from])?);
            let Some(rest) = from.checked_sub(task.amount) else {
                return Ok(Err("too little"));
            };
            view.put([task.from], rest.to_le_bytes());
            Ok(Ok(rest))
        }
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = (0u8..5, 0u8..5, 0u64..60, 0u64..8, 1u64..10).prop_map(
            |(from, to, amount, fee, size)| Move {
                from,
                to,
                amount,
                fee,
                size,
            },
        );
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        #[test]
        fn equals_a_plain_map(tasks in moves(), gas in 0u64..200) {
            let start: BTreeMap<u8, u64> = (0..5).map(|k| (k, 50)).collect();
            let base = Base(start.iter().map(|(k, v)| (vec![*k], v.to_le_bytes().to_vec())).collect());
            let budget = Budget { tasks: 40, cost: Cost { gas, edges: 0, bytes: 1000 } };
            let done = execute(&base, &Mover, &tasks, budget).unwrap();

            let (mut model, mut fees, mut used, mut count) = (start, 0, 0, 0);
            let mut waiting = BTreeSet::new();
            for (task, outcome) in tasks.iter().zip(&done.outcomes) {
                if waiting.contains(&task.from) || used + task.size > gas || count == 40 {
                    prop_assert_eq!(outcome, &TaskOutcome::Deferred);
                    waiting.insert(task.from);
                    continue;
                }
                if model[&task.from] < task.fee {
                    prop_assert_eq!(outcome, &TaskOutcome::Refused("cannot pay"));
                    waiting.insert(task.from);
                    continue;
                }
                used += task.size;
                count += 1;
                *model.get_mut(&task.from).unwrap() -= task.fee;
                fees += task.fee;
                let mut moved = model.clone();
                *moved.get_mut(&task.to).unwrap() += task.amount;
                if let Some(rest) = moved[&task.from].checked_sub(task.amount) {
                    moved.insert(task.from, rest);
                    model = moved;
                    prop_assert_eq!(outcome, &TaskOutcome::Done(rest));
                } else {
                    prop_assert_eq!(outcome, &TaskOutcome::Failed("too little"));
                }
            }
            let mut writes = done.writes;
            done.credits.settle(&base, &mut writes).unwrap();
            let pending = Pending { base: &base, writes: &writes };
            for (key, value) in &model {
                prop_assert_eq!(counter(pending.get(&[*key]).unwrap()), *value);
            }
            prop_assert_eq!(counter(pending.get(b"fee").unwrap()), fees);
            prop_assert!(writes.iter().map(|(k, _)| k.to_vec()).is_sorted());
        }
    }

    #[test]
    fn reads_are_recorded_below_own_writes_only() {
        let base = Base(BTreeMap::from([(vec![1], vec![7])]));
        let mut view = TaskView::new(&base);
        view.put([2], [9]);
        assert_eq!(view.get(&[2]).unwrap(), Some(vec![9]));
        assert_eq!(view.get(&[1]).unwrap(), Some(vec![7]));
        view.delete([1]);
        assert_eq!(view.get(&[1]).unwrap(), None);
        assert_eq!(view.get(&[3]).unwrap(), None);
        assert_eq!(view.reads().collect::<Vec<_>>(), [[1].as_slice(), &[3]]);
    }

    #[test]
    fn credits_refuse_overflow_and_foreign_values() {
        let base = Base(BTreeMap::from([
            (b"full".to_vec(), u64::MAX.to_le_bytes().to_vec()),
            (b"text".to_vec(), b"abc".to_vec()),
        ]));
        let mut credits = Credits::new();
        credits.add(*b"full", 1);
        let overflow = credits.settle(&base, &mut WriteSet::new());
        assert!(matches!(overflow, Err(CreditError::Overflow)));
        let mut credits = Credits::new();
        credits.add(*b"text", 1);
        let foreign = credits.settle(&base, &mut WriteSet::new());
        assert!(matches!(
            foreign,
            Err(CreditError::NotACounter { length: 3 })
        ));
    }

    #[test]
    fn a_failed_read_stops_the_block() {
        struct Broken;
        impl StateView for Broken {
            fn get(&self, _: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
                Err(ReadError("disk".into()))
            }
        }
        let task = Move {
            from: 0,
            to: 1,
            amount: 1,
            fee: 1,
            size: 1,
        };
        let budget = Budget {
            tasks: 1,
            cost: Cost {
                gas: 1,
                edges: 0,
                bytes: 1,
            },
        };
        assert!(execute(&Broken, &Mover, &[task], budget).is_err());
    }
}
