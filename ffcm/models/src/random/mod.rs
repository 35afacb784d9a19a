//! The engine on shuttle.

#[path = "../../../src/cpu/net/compile.rs"]
mod compile;
#[path = "../../../src/cpu/net/exec.rs"]
mod exec;
#[path = "../../../src/cpu/net/fused.rs"]
mod fused;
#[path = "../../../src/cpu/net/heap.rs"]
mod heap;
#[path = "../../../src/cpu/net/misses.rs"]
mod misses;
#[path = "../../../src/cpu/net/order.rs"]
mod order;
#[path = "../../../src/cpu/net/pool.rs"]
mod pool;
#[path = "../../../src/cpu/net/program.rs"]
mod program;
#[path = "../reduction.rs"]
mod reduction;
#[path = "../../../src/cpu/net/share.rs"]
mod share;
mod sync;
#[path = "../../../src/cpu/net/template.rs"]
mod template;
#[path = "../../../src/cpu/net/wires.rs"]
mod wires;
#[path = "../../../src/cpu/net/worker.rs"]
mod worker;

use std::sync::Arc as StdArc;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use self::reduction::{Case, run};
use self::sync::Progress;

/// Reduces `case` in `schedules` random schedules of each kind, with two and with three workers.
fn reduce(case: Case, schedules: usize) {
    let case = StdArc::new(case);
    for workers in [2, 3] {
        let run = |case: &StdArc<Case>| {
            let case = case.clone();
            move || run(&case, workers)
        };
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        // Orderings are the other models' part.
        config.silence_warnings = true;
        let uniform = RandomScheduler::new(schedules);
        Runner::new(uniform, config.clone()).run(run(&case));
        // Few changes of priority at random steps, which finds what needs one worker to be far behind.
        let rare = PctScheduler::new(3, schedules);
        Runner::new(rare, config).run(run(&case));
    }
}

/// Sum of 2^depth ones, by recursion on the depth.
#[test]
fn recursion() {
    let text = "@sum = (?((1 @more) r) r)
        @more = ({n m} r) & @sum ~ (n $([+] $(x r))) & @sum ~ (m x)
        @main = r & @sum ~ (4 r)";
    reduce(Case::new(text, 10_000, 1 << 10), 300);
}

/// A list is made by one worker and folded by another.
#[test]
fn a_producer_and_a_consumer() {
    let text = "@gen = (?((0 @link) l) l)
        @link = ({n m} (m l)) & @gen ~ (n l)
        @fold = (?(((x x) @add) k) k)
        @add = (n ((h t) r)) & @fold ~ (n (t $([+] $(h r))))
        @main = r & @gen ~ (12 l) & @fold ~ (12 (l r))";
    reduce(Case::new(text, 10_000, 1 << 10), 300);
}

/// Numerals of functions: duplicators commute with constructors.
#[test]
fn commutation() {
    let text = "@two = ({(a b) (b c)} (a c))\n@due = ({#1 (a b) (b c)} (a c))\n@inc = ($([+1] r) r)
        @main = r & @two ~ (@due (@inc (0 r)))";
    reduce(Case::new(text, 10_000, 1 << 10), 300);
    let text = "@main = (a b) & {#3 a b} ~ {#4 (1 2) (x x)}";
    reduce(Case::new(text, 100, 64), 300);
}

/// Wires joined in every direction.
#[test]
fn tail_loops() {
    let text = "@main = r & @loop ~ (9 r)\n@loop = (?((@done @next) r) r)\n@done = 42
        @next = (n r) & @loop ~ (n a) & @id ~ (b r) & @id ~ (c b) & @two ~ (a c)
        @id = (x x)\n@two = (x y) & @id ~ (x y)";
    reduce(Case::new(text, 10_000, 256), 300);
}
