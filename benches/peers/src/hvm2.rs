//! The published runtime, crate `hvm`, driven in this process: its Rust backend is the reference for results and
//! interaction counts.
//!
//! Its evaluator is stepped one interaction at a time, because it would end this process on a duplicated reference whose
//! definition holds a duplicator, spin for ever on an endless net, and read a circular result back recursively.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Instant;

use ffcm::spec::rules::{Counts, Opcode};
use hvm::ast;
use hvm::hvm::{
    ANNI, Book, CALL, COMM, CON, DUP, ERA, ERAS, GNet, LINK, NONE, NUM, Numb, OP_ADD, OPER, OPR,
    Pair, Port, REF, ROOT, SWI, SWIT, TMem, TY_F24, VAR, VOID,
};
use thiserror::Error;

/// Version of the crate this is linked with, as golden records name it.
pub const VERSION: &str = "hvm 2.0.22";

/// Nodes and variables it may touch; its root variable has the highest index of 29 bits.
const CAPACITY: usize = 1 << 29;

/// What it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// Result, variables renamed `x0`, `x1`, … in order of first appearance.
    pub result: String,
    /// Interactions, by the opcodes of this project's rule table.
    pub counts: Counts,
    /// Arithmetic that gave a NaN with other bits than the canonical one, which took its place. There the bits are
    /// whatever the processor gives, and show when a switch or an operator of another kind reads them.
    pub foreign_nans: u64,
}

/// Why it gave nothing to compare with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It cannot parse the text.
    #[error("parse error: {0}")]
    Parse(String),
    /// It would print an error and end the process.
    #[error("duplicates a reference whose definition holds a duplicator")]
    ClonesNonAffine,
    /// It panicked, as on a division by zero.
    #[error("panicked: {0}")]
    Panicked(String),
    /// It used up the interactions it was given.
    #[error("more than {0} interactions")]
    OutOfGas(u64),
    /// A redex could not fire.
    #[error("stuck: a node of an active pair is missing")]
    Stuck,
    /// Its result contains itself or is larger than the limit.
    #[error("the result is circular or longer than {0} bytes")]
    Unreadable(usize),
}

/// Reduces `text` within `gas` interactions and reads the result back in canonical form.
pub fn reduce(text: &str, gas: u64, result_bytes: usize) -> Result<Reduced, Refusal> {
    let book = parse(text)?;
    let run = || {
        let (net, mut memory) = start(&book);
        let (counts, foreign_nans) = step_all(&net, &mut memory, &book, gas)?;
        let result = read_back(&net, &book, result_bytes)?;
        Ok(Reduced {
            result,
            counts,
            foreign_nans,
        })
    };
    quietly(run).unwrap_or_else(|message| Err(Refusal::Panicked(message)))
}

/// Result, interactions and seconds of its own evaluator, unobserved.
pub fn timed(text: &str) -> Result<(String, u64, f64), Refusal> {
    let book = parse(text)?;
    let (net, mut memory) = start(&book);
    let clock = Instant::now();
    memory.evaluator(&net, &book);
    let seconds = clock.elapsed().as_secs_f64();
    let interactions = net.itrs.load(Ordering::Relaxed);
    Ok((read_back(&net, &book, 1 << 20)?, interactions, seconds))
}

fn parse(text: &str) -> Result<Book, Refusal> {
    let parse = || ast::Book::parse(text).map(|book| book.build());
    match quietly(parse) {
        Ok(Ok(book)) => Ok(book),
        Ok(Err(error)) => Err(Refusal::Parse(format!("{error:?}"))),
        Err(message) => Err(Refusal::Parse(message)),
    }
}

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside the published runtime, whose panics are values here.
pub fn is_running() -> bool {
    RUNNING.get()
}

/// Runs `run`, turning a panic into its message.
fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    RUNNING.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    RUNNING.set(false);
    result.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        text.unwrap_or("unknown").to_owned()
    })
}

fn start(book: &Book) -> (GNet<'_>, TMem) {
    let net = GNet::new(CAPACITY, CAPACITY);
    let mut memory = TMem::new(0, 1);
    let main = book.defs.iter().position(|def| def.name == "main");
    let main = Port::new(REF, main.unwrap_or(0) as u32);
    memory.rbag.push_redex(Pair::new(main, ROOT));
    net.vars_create(ROOT.get_val() as usize, NONE);
    (net, memory)
}

/// Counts of all interactions, and of the NaNs made canonical.
fn step_all(
    net: &GNet<'_>,
    memory: &mut TMem,
    book: &Book,
    gas: u64,
) -> Result<(Counts, u64), Refusal> {
    let mut counts = Counts::default();
    let mut foreign_nans = 0;
    while let Some(redex) = memory.rbag.hi.last().or_else(|| memory.rbag.lo.last()) {
        let (a, b) = (redex.get_fst(), redex.get_snd());
        let opcode = opcode(a, b, book)?;
        if opcode != Opcode::Link && counts.total() == gas {
            return Err(Refusal::OutOfGas(gas));
        }
        if opcode == Opcode::Succ {
            foreign_nans += u64::from(keep_nan_canonical(net, memory, a, b));
        }
        if !memory.interact(net, book) {
            return Err(Refusal::Stuck);
        }
        counts.add(opcode, 1);
    }
    assert_eq!(
        counts.total(),
        u64::from(memory.itrs),
        "its own count differs"
    );
    Ok((counts, foreign_nans))
}

/// If the next step, of a number and an operator node, would give a NaN other than the canonical one: changes its operands
/// to canonical NaN and `+ 0.0`, which give the canonical one. Returns whether it did.
fn keep_nan_canonical(net: &GNet<'_>, memory: &mut TMem, a: Port, b: Port) -> bool {
    const CANONICAL: u32 = 0x007f_c001 << 5 | TY_F24 as u32;
    const PLUS_ZERO: u32 = OP_ADD as u32;
    let (number, node) = if a.get_tag() == NUM { (a, b) } else { (b, a) };
    let at = node.get_val() as usize;
    let slots = net.node_load(at);
    if slots.get_fst().get_tag() != NUM {
        return false;
    }
    let operand = Numb(slots.get_fst().get_val());
    let result = Numb::operate(Numb(number.get_val()), operand);
    let foreign = result.get_typ() == TY_F24 && result.get_f24().is_nan() && result.0 != CANONICAL;
    if foreign {
        assert_eq!(Numb::operate(Numb(CANONICAL), Numb(PLUS_ZERO)).0, CANONICAL);
        let bag = &mut memory.rbag;
        let bag = match bag.hi.is_empty() {
            true => &mut bag.lo,
            false => &mut bag.hi,
        };
        bag.pop();
        bag.push(Pair::new(Port::new(NUM, CANONICAL), node));
        net.node_store(at, Pair::new(Port::new(NUM, PLUS_ZERO), slots.get_snd()));
    }
    foreign
}

/// The opcode of this project's rule table that its next interaction is.
fn opcode(a: Port, b: Port, book: &Book) -> Result<Opcode, Refusal> {
    let (a, b) = if Port::should_swap(a, b) {
        (b, a)
    } else {
        (a, b)
    };
    if b == ROOT || a == ROOT {
        return Ok(Opcode::Specialize);
    }
    Ok(match Port::get_rule(a, b) {
        LINK => Opcode::Link,
        VOID => Opcode::Collapse,
        ERAS if a.get_tag() == ERA => Opcode::Collapse,
        ERAS => Opcode::Duplicate,
        CALL if b.get_tag() == DUP => {
            if !book.defs[(a.get_val() & 0x0fff_ffff) as usize].safe {
                return Err(Refusal::ClonesNonAffine);
            }
            Opcode::Duplicate
        }
        CALL => Opcode::Specialize,
        ANNI if a.get_tag() == DUP => Opcode::Duplicate,
        ANNI => Opcode::Apply,
        COMM => Opcode::Distribute,
        OPER => Opcode::Succ,
        SWIT => Opcode::Switch,
        rule => unreachable!("its table has no rule {rule}"),
    })
}

/// Reads the root back without recursion, in the canonical form of this project.
fn read_back(net: &GNet<'_>, book: &Book, limit: usize) -> Result<String, Refusal> {
    enum Item {
        Port(Port),
        Text(&'static str),
    }
    let mut names: BTreeMap<u32, usize> = BTreeMap::new();
    let mut text = String::new();
    let mut todo = vec![Item::Port(ROOT)];
    while let Some(item) = todo.pop() {
        if text.len() > limit {
            return Err(Refusal::Unreadable(limit));
        }
        let port = match item {
            Item::Text(piece) => {
                text.push_str(piece);
                continue;
            }
            Item::Port(port) => resolve(net, port).ok_or(Refusal::Unreadable(limit))?,
        };
        let (open, close) = match port.get_tag() {
            VAR => {
                let next = names.len();
                let name = names.entry(port.get_val()).or_insert(next);
                text.push_str(&format!("x{name}"));
                continue;
            }
            REF => {
                let def = &book.defs[(port.get_val() & 0x0fff_ffff) as usize];
                text.push_str(&format!("@{}", def.name));
                continue;
            }
            ERA => ("*", ""),
            NUM => {
                text.push_str(&ast::Numb(port.get_val()).show());
                continue;
            }
            CON => ("(", ")"),
            DUP => ("{", "}"),
            OPR => ("$(", ")"),
            SWI => ("?(", ")"),
            tag => unreachable!("no tag {tag} in three bits"),
        };
        text.push_str(open);
        if port.get_tag() != ERA {
            let node = net.node_load(port.get_val() as usize);
            todo.push(Item::Text(close));
            todo.push(Item::Port(node.get_snd()));
            todo.push(Item::Text(" "));
            todo.push(Item::Port(node.get_fst()));
        }
    }
    Ok(text)
}

/// Follows substitutions to a term or to the far end of a free wire; none when they run in a circle.
fn resolve(net: &GNet<'_>, mut port: Port) -> Option<Port> {
    for _ in 0..1 << 20 {
        if port.get_tag() != VAR {
            return Some(port);
        }
        let value = net.vars_load(port.get_val() as usize);
        if value == NONE || value == Port(0) {
            return Some(port);
        }
        port = value;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Reduced, Refusal> {
        reduce(text, 100_000, 10_000)
    }

    #[test]
    fn counts_by_opcode_are_those_of_a_hand_reduction() {
        // main ~ root, 2 ~ op, [+2] ~ op: one expansion, two arithmetic steps.
        let reduced = run("@main = x & 2 ~ $([+] $(3 x))").expect("it runs");
        assert_eq!(reduced.result, "5");
        assert_eq!(reduced.counts.get(Opcode::Specialize), 1);
        assert_eq!(reduced.counts.get(Opcode::Succ), 2);
        assert_eq!(reduced.counts.total(), 3);
    }

    #[test]
    fn variables_are_renamed_in_order() {
        assert_eq!(
            run("@main = (z ({b z} b))").map(|r| r.result),
            Ok("(x0 ({x1 x0} x1))".into())
        );
    }

    #[test]
    fn nans_with_foreign_bits_become_canonical() {
        // Bits of -1 read as a float are a NaN, and adding to a NaN keeps its bits.
        let run = |text| run(text).expect("it runs");
        let kept = run("@main = x & -1 ~ $([+] $(1.0 x))");
        assert_eq!(kept.foreign_nans, 1);
        let plain = run("@main = x & 1.0 ~ $([+] $(1.0 x))");
        assert_eq!(plain.foreign_nans, 0);
        assert_eq!(kept.counts, plain.counts);
        // The same bits shown as an integer: [&16777215] of an i24 and the float.
        let shown = run("@main = x & -1 ~ $([+] $(1.0 $([|] $(+0 x))))");
        let canonical = 0x7f_c001;
        assert_eq!(
            (shown.result, shown.foreign_nans),
            (format!("+{canonical}"), 1)
        );
    }

    #[test]
    fn refusals_are_values() {
        let clone = "@main = (a b) & {a b} ~ @f\n@f = ({x y} (x y))";
        assert_eq!(run(clone), Err(Refusal::ClonesNonAffine));
        let endless = "@main = x & @main ~ (x *)";
        assert_eq!(run(endless), Err(Refusal::OutOfGas(100_000)));
        assert!(matches!(
            run("@main = x & 1 ~ $([/] $(0 x))"),
            Err(Refusal::Panicked(_))
        ));
        assert!(matches!(run("@main = ("), Err(Refusal::Parse(_))));
        assert_eq!(run("@main = (a").map(|r| r.result).ok(), None);
    }
}
