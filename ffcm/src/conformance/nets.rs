//! Golden programs, random nets, batches of calls, and every error that is a property of the net.

mod golden;
pub(super) mod random;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Run, Stop, shorten};
use crate::coprocessor::{RewriteJob, RewriteOutput, ending, rewrite_digest};
use crate::net::{Book, Call, Limits};
use crate::spec::number::Operator;
use crate::spec::rules::Counts;
use crate::spec::word::Term;
use crate::testing::Rng;

pub(super) fn run(run: &mut Run<'_>) -> Result<(), Stop> {
    let suite = &mut Nets {
        run,
        counts: Counts::default(),
        endings: BTreeSet::new(),
    };
    for (name, text) in golden::PROGRAMS {
        let book = parse(name, text)?;
        let main = book.main().map_err(|e| failed(name, &e))?;
        exactly_its_gas(suite, name, &book, &main)?;
    }
    random_nets(suite)?;
    batches(suite)?;
    errors(suite)?;
    suite.reached_everything()
}

/// The run, and what its cases have reached so far.
struct Nets<'a, 'b> {
    run: &'a mut Run<'b>,
    counts: Counts,
    endings: BTreeSet<&'static str>,
}

impl Nets<'_, '_> {
    /// A suite whose programs miss an opcode or a kind of ending would prove nothing about it.
    fn reached_everything(&self) -> Result<(), Stop> {
        let opcodes = self
            .counts
            .iter()
            .filter(|(_, count)| *count == 0)
            .map(|(op, _)| op.name());
        let endings = [
            "ok",
            "out of gas",
            "vicious circle",
            "result too long",
            "invalid call",
        ];
        let endings = endings
            .into_iter()
            .filter(|ending| !self.endings.contains(ending));
        let missed: Vec<&str> = opcodes.chain(endings).collect();
        if missed.is_empty() {
            Ok(())
        } else {
            Err(failed(
                "coverage of the suite",
                &format!("no case reaches {}", missed.join(", ")),
            ))
        }
    }
}

fn failed(case: &str, error: &dyn std::fmt::Display) -> Stop {
    Stop::Failed {
        case: case.into(),
        message: error.to_string(),
    }
}

fn parse(name: &str, text: &str) -> Result<Arc<Book>, Stop> {
    Book::parse(text)
        .map(Arc::new)
        .map_err(|e| failed(&format!("{name}:\n{text}\n"), &e))
}

fn reduce(
    suite: &mut Nets<'_, '_>,
    case: &str,
    book: &Arc<Book>,
    calls: Vec<Call>,
    limits: Limits,
) -> Result<RewriteOutput, Stop> {
    let job = RewriteJob {
        book: Arc::clone(book),
        calls,
        limits,
    };
    let output = suite.run.compare(
        || {
            format!(
                "{case}, gas {}, program:\n{}",
                limits.gas,
                shorten(book.to_text())
            )
        },
        |backend| backend.rewrite(&job),
        |output| (rewrite_digest(output), shorten(format!("{output:?}"))),
    )?;
    for result in &output {
        suite.endings.insert(ending(result));
        if let Ok(outcome) = result {
            suite.counts.merge(&outcome.counts);
        }
    }
    Ok(output)
}

/// Runs with ample gas, with exactly what it needs, and with one less.
fn exactly_its_gas(
    suite: &mut Nets<'_, '_>,
    name: &str,
    book: &Arc<Book>,
    call: &Call,
) -> Result<(), Stop> {
    let limits = Limits {
        gas: 20_000_000,
        ..Limits::default()
    };
    let output = reduce(suite, name, book, vec![call.clone()], limits)?;
    let [Ok(outcome)] = &output[..] else {
        return Err(failed(name, &shorten(format!("no result: {output:?}"))));
    };
    let total = outcome.counts.total();
    for gas in [total, total.saturating_sub(1)] {
        reduce(
            suite,
            name,
            book,
            vec![call.clone()],
            Limits { gas, ..limits },
        )?;
    }
    Ok(())
}

/// Nets of every class with random wiring: most end, some circle, some never end and run out of gas.
fn random_nets(suite: &mut Nets<'_, '_>) -> Result<(), Stop> {
    for seed in 0..600 {
        let mut rng = Rng::new(seed);
        let name = format!("random net {seed}");
        let book = parse(&name, &random::program(&mut rng))?;
        let limits = Limits {
            gas: 3_000,
            result_bytes: 1 << 16,
            ..Limits::default()
        };
        let alone = book.main().map_err(|e| failed(&name, &e))?;
        let output = reduce(suite, &name, &book, vec![alone.clone()], limits)?;
        if let [Ok(outcome)] = &output[..] {
            let gas = outcome.counts.total().saturating_sub(1);
            reduce(
                suite,
                &name,
                &book,
                vec![alone.clone()],
                Limits { gas, ..limits },
            )?;
        }
        let applied = Call {
            arguments: vec![random::number(&mut rng); 2],
            ..alone.clone()
        };
        reduce(
            suite,
            &format!("{name}, batch"),
            &book,
            vec![alone.clone(), applied, alone],
            limits,
        )?;
    }
    Ok(())
}

/// Many calls of small definitions, as weight nets are called.
fn batches(suite: &mut Nets<'_, '_>) -> Result<(), Stop> {
    let mut text = String::from(
        "@fact = (?((1 @fact.s) r) r)\n@fact.s = ({a b} r) & @fact ~ (a $([*] $(c r))) & b ~ $([+1] c)\n",
    );
    for (index, operator) in Operator::ALL.into_iter().enumerate() {
        text.push_str(&format!(
            "@op{index} = ($([{}] $(b r)) (b r))\n",
            operator.name()
        ));
    }
    let book = parse("a batch", &text)?;
    let mut rng = Rng::new(0x4241_5443);
    let mut calls = Vec::new();
    for index in 0..Operator::ALL.len() {
        for _ in 0..40 {
            let arguments = vec![random::number(&mut rng), random::number(&mut rng)];
            calls.push(
                book.call(&format!("op{index}"), arguments)
                    .map_err(|e| failed("a batch", &e))?,
            );
        }
    }
    for n in 0..60 {
        calls.push(
            book.call("fact", vec![Term::u24(n)])
                .map_err(|e| failed("a batch", &e))?,
        );
    }
    for gas in [1_000_000, 400, 3] {
        reduce(
            suite,
            "a batch of calls",
            &book,
            calls.clone(),
            Limits {
                gas,
                ..Limits::default()
            },
        )?;
    }
    reduce(suite, "no calls", &book, vec![], Limits::default())?;
    Ok(())
}

/// Endless nets, long results, circles, and calls that do not fit the book.
fn errors(suite: &mut Nets<'_, '_>) -> Result<(), Stop> {
    let limits = Limits {
        gas: 50_000,
        result_bytes: 1 << 10,
        ..Limits::default()
    };
    let programs = [
        (
            "endless",
            "@main = r & @loop ~ (0 r)\n@loop = (a r) & @loop ~ (a r)\n",
        ),
        (
            "endless and growing",
            "@main = r & @grow ~ (0 r)\n@grow = ({a b} ((a c) r)) & @grow ~ (b (c r))\n",
        ),
        (
            "a long result",
            "@main = r & @list ~ (400 r)\n@list = (?((* @list.s) r) r)\n@list.s = (n (7 r)) & @list ~ (n r)\n",
        ),
        ("a circle", "@main = (a b) & (b x) ~ (x a)\n"),
        ("a circle of nothing", "@main = 1 & a ~ a\n"),
        ("a circle through a node", "@main = a & a ~ (a *)\n"),
    ];
    for (name, text) in programs {
        // What the grammar refuses is refused for every backend alike.
        let Ok(book) = Book::parse(text).map(Arc::new) else {
            continue;
        };
        let main = book.main().map_err(|e| failed(name, &e))?;
        reduce(suite, name, &book, vec![main.clone()], limits)?;
        reduce(
            suite,
            name,
            &book,
            vec![main.clone(), main],
            Limits { gas: 0, ..limits },
        )?;
    }
    let book = parse("invalid calls", "@main = (x x)\n")?;
    let calls = vec![
        Call {
            entry: 1,
            arguments: vec![],
        },
        Call {
            entry: u32::MAX,
            arguments: vec![],
        },
        Call {
            entry: 0,
            arguments: vec![Term::var(0)],
        },
        Call {
            entry: 0,
            arguments: vec![Term::u24(3)],
        },
    ];
    for call in &calls {
        reduce(suite, "an invalid call", &book, vec![call.clone()], limits)?;
    }
    reduce(suite, "invalid calls among others", &book, calls, limits)?;
    Ok(())
}
