//! The engine on loom.

#[path = "../../../src/cpu/net/compile.rs"]
mod compile;
#[path = "../../../src/cpu/net/copy.rs"]
mod copy;
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
mod scenarios;
#[path = "../../../src/cpu/net/select.rs"]
mod select;
#[path = "../../../src/cpu/net/shapes.rs"]
mod shapes;
#[path = "../../../src/cpu/net/share.rs"]
mod share;
mod sync;
#[path = "../../../src/cpu/net/template.rs"]
mod template;
#[path = "../../../src/cpu/net/wires.rs"]
mod wires;
#[path = "../../../src/cpu/net/worker.rs"]
mod worker;

use self::sync::Progress;

/// A test for each scenario.
macro_rules! hold {
    ($($scenario:ident)*) => {
        $(
            #[test]
            fn $scenario() {
                scenarios::$scenario();
            }
        )*
    };
}

hold! {
    two_arrivals_at_a_cell
    arrival_against_opening
    arrival_at_a_cell_that_was_ones_own
    arrival_behind_a_term_that_was_let_go
    two_openings_along_a_chain
    a_spine_against_an_arrival
    joined_wires
    a_freed_node_is_reused_by_another
    a_bag_reaches_who_waits
    a_frame_that_is_held
    everybody_stops
    the_run_ends_when_all_are_idle
    a_worker_that_was_never_started
    a_worker_that_panics
    gas_of_two_workers
}
