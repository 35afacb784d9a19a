//! Find communities by label propagation, then rank the whole graph from one community's point of view.
//!
//! Both run on the layouts that operators make once; no number depends on threads.

use std::error::Error;
use std::io::Write;

use ffcm::focus::{FocusParams, MASS};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::operators::Operators;

/// People in a club.
const CLUB: u32 = 8;
const CLUBS: u32 = 5;

/// Runs it.
pub fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout().lock())
}

/// Says what it finds to `out`.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let operators = Operators::builder().threads(2).prepare(&clubs()?)?;

    let communities = operators.cdlp(10)?;
    writeln!(out, "communities: {communities:?}")?;
    let coefficients = operators.lcc()?;
    let (inner, gate) = (coefficients[3], coefficients[0]);
    writeln!(
        out,
        "{} of {} pairs that person 3 knows know each other, {} of {} for person 0",
        inner.numerator, inner.denominator, gate.numerator, gate.denominator
    )?;

    // Who matters to the people of the third club?
    let club = communities[2 * CLUB as usize];
    let members = (0..).zip(&communities).filter(|(_, label)| **label == club);
    let interests: Vec<(u32, u64)> = members.map(|(person, _)| (person, 1)).collect();
    let ranking = operators.personalised(&interests, &FocusParams::default())?;
    for (person, mass) in ranking.top(3) {
        writeln!(
            out,
            "person {person:>2} of club {}: {:.4}",
            person / CLUB,
            mass as f64 / MASS as f64
        )?;
    }

    // Everybody has a community, its members are ranked first, and further away matters less.
    assert!((0..CLUBS * CLUB).all(|person| communities[person as usize] / CLUB == person / CLUB));
    let top = ranking.top(CLUB as usize);
    assert!(top.iter().all(|(person, _)| person / CLUB == 2), "{top:?}");
    assert!(ranking.mass[3 * CLUB as usize + 4] > ranking.mass[4 * CLUB as usize + 4]);
    Ok(())
}

/// In a club everybody knows everybody. The first of each knows the first of the next club, and of the one before.
fn clubs() -> Result<Graph, ffcm::graph::GraphError> {
    let mut graph = Graph::new();
    graph.add_nodes(CLUBS * CLUB)?;
    let mut edges = Vec::new();
    let mut know = |a, b| {
        for (source, target) in [(a, b), (b, a)] {
            edges.push(EdgeDelta {
                source,
                target,
                weight: 1,
            });
        }
    };
    for club in 0..CLUBS {
        let first = club * CLUB;
        for a in first..first + CLUB {
            (a + 1..first + CLUB).for_each(|b| know(a, b));
        }
        if club + 1 < CLUBS {
            know(first, first + CLUB);
        }
    }
    graph.apply(&edges)?;
    Ok(graph)
}
