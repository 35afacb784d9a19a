//! Writes broken variants of the engine's sources, each with one fault, and a test that the models find it.

use std::path::Path;
use std::{env, fs};

/// One fault: what it is called, where it is made, the text that is replaced (once), what replaces it, the scenario that
/// finds it, and part of what that says.
struct Fault {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    found_by: &'static str,
    says: &'static str,
}

const FILES: [&str; 15] = [
    "compile", "copy", "exec", "fused", "heap", "misses", "order", "pool", "program", "select",
    "shapes", "share", "template", "wires", "worker",
];

const FAULTS: &[Fault] = &[
    Fault {
        name: "reads_do_not_acquire",
        file: "heap",
        from: "Term(self.slot(at).load(Ordering::Acquire))",
        to: "Term(self.slot(at).load(Ordering::Relaxed))",
        found_by: "two_arrivals_at_a_cell",
        says: "left == right",
    },
    Fault {
        name: "exchanges_do_not_release",
        file: "heap",
        from: "swap(term.0, Ordering::AcqRel)",
        to: "swap(term.0, Ordering::Acquire)",
        found_by: "two_arrivals_at_a_cell",
        says: "left == right",
    },
    Fault {
        name: "exchanges_do_not_acquire",
        file: "heap",
        from: "swap(term.0, Ordering::AcqRel)",
        to: "swap(term.0, Ordering::Release)",
        found_by: "two_arrivals_at_a_cell",
        says: "left == right",
    },
    Fault {
        name: "a_check_and_a_store_for_an_exchange",
        file: "heap",
        from: "let met = Term(self.slot(at).swap(term.0, Ordering::AcqRel));",
        to: "let met = self.load(at); self.slot(at).store(term.0, Ordering::Release);",
        found_by: "two_arrivals_at_a_cell",
        says: "one meets",
    },
    Fault {
        name: "a_mark_over_an_arrival",
        file: "heap",
        from: "slot.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)\n            .is_ok()",
        to: "{ let _ = from; slot.store(to.0, Ordering::Release); true }",
        found_by: "joined_wires",
        says: "reduction.rs",
    },
    Fault {
        name: "an_opened_node_is_freed_with_its_cell",
        file: "worker",
        from: "first = Term::var(at);\n",
        to: "first = Term::var(at); self.free(at);\n",
        found_by: "arrival_against_opening",
        says: "a freed node is not read",
    },
    Fault {
        name: "a_term_is_let_go_within_a_period",
        file: "wires",
        from: "            self.let_go(term);",
        to: "",
        found_by: "arrival_behind_a_term_that_was_let_go",
        says: "panicked",
    },
    Fault {
        name: "cells_that_a_term_leads_to_stay_ones_own",
        file: "wires",
        from: "self.disown(at, met);",
        to: "",
        found_by: "arrival_behind_a_term_that_was_let_go",
        says: "panicked",
    },
    Fault {
        name: "a_term_is_not_followed",
        file: "wires",
        from: "terms[count] = met.without_sub();\n                    count += 1;",
        to: "terms[count] = met.without_sub();",
        found_by: "arrival_behind_a_term_that_was_let_go",
        says: "panicked",
    },
    Fault {
        name: "a_term_that_leads_to_much_is_let_go_within_a_period",
        file: "wires",
        from: "                return;\n            }\n        }\n        self.end_period();",
        to: "                return;\n            }\n        }",
        found_by: "arrival_behind_a_term_that_was_let_go",
        says: "panicked",
    },
    Fault {
        name: "a_duplicator_is_left_before_its_cells_are_written",
        file: "copy",
        from: "self.pair(s, absent, b.1);\n                self.link_to(duplicator(x), a)?;",
        to: "self.link_to(duplicator(x), a)?;\n                self.pair(s, absent, b.1);",
        found_by: "a_spine_against_an_arrival",
        says: "panicked",
    },
    Fault {
        name: "nobody_is_woken_for_a_bag",
        file: "pool",
        from: "self.wake.notify_one();",
        to: "",
        found_by: "a_bag_reaches_who_waits",
        says: "deadlock",
    },
    Fault {
        name: "the_run_ends_with_a_frame_held",
        file: "pool",
        from: "board.finished = board.holding == 0;",
        to: "board.finished = true;",
        found_by: "a_frame_that_is_held",
        says: "the run is over before the frame is reduced",
    },
    Fault {
        name: "who_holds_a_frame_counts_for_nobody",
        file: "pool",
        from: "self.idle + 1 >= self.workers && self.holding == 0 && self.bags.is_empty()",
        to: "self.idle + 1 >= self.workers && self.bags.is_empty()",
        found_by: "a_frame_that_is_held",
        says: "the other one has a frame",
    },
    Fault {
        name: "who_takes_a_bag_counts_as_idle",
        file: "pool",
        from: "board.idle -= 1;",
        to: "",
        found_by: "the_run_ends_when_all_are_idle",
        says: "deadlock",
    },
    Fault {
        name: "who_leaves_tells_nobody",
        file: "pool",
        from: "board.workers -= 1;\n        self.finish_if_done(&mut board);",
        to: "board.workers -= 1;",
        found_by: "a_worker_that_was_never_started",
        says: "deadlock",
    },
    Fault {
        name: "who_unwinds_wakes_nobody",
        file: "pool",
        from: "board.finished = true;\n        self.publish(&board);\n        self.wake.notify_all();",
        to: "board.finished = true;\n        self.publish(&board);",
        found_by: "a_worker_that_panics",
        says: "deadlock",
    },
];

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let (here, out) = (Path::new(&here), Path::new(&out));
    let engine = here.join("../src/cpu/net");
    let own = here.join("src");
    let mut modules = String::new();
    for fault in FAULTS {
        let folder = out.join(fault.name);
        fs::create_dir_all(&folder).expect("cargo's folder can be written");
        modules.push_str(&format!("mod {} {{\n", fault.name));
        let mut module = |name: &str, path: &Path| {
            modules.push_str(&format!("    #[path = {path:?}]\n    mod {name};\n"));
        };
        for file in FILES {
            let source = engine.join(format!("{file}.rs"));
            if file != fault.file {
                module(file, &source);
                continue;
            }
            let text = fs::read_to_string(&source).expect("the engine's sources are there");
            let places = text.matches(fault.from).count();
            assert!(places == 1, "{}: {places} places for the fault", fault.name);
            let broken = folder.join(format!("{file}.rs"));
            fs::write(&broken, text.replace(fault.from, fault.to)).expect("it can be written");
            module(file, &broken);
        }
        module("sync", &own.join("exhaustive/sync.rs"));
        module("reduction", &own.join("reduction.rs"));
        module("scenarios", &own.join("exhaustive/scenarios.rs"));
        let Fault {
            name,
            found_by,
            says,
            ..
        } = fault;
        modules.push_str(&format!(
            r#"    use self::sync::Progress;

    #[test]
    #[ignore = "must fail"]
    fn {found_by}() {{
        scenarios::{found_by}();
    }}

    #[test]
    fn is_found() {{
        crate::must_fail("faults::{name}::{found_by}", {says:?});
    }}
}}
"#
        ));
    }
    fs::write(out.join("faults.rs"), modules).expect("it can be written");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", engine.display());
}
