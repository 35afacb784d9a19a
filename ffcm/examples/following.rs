//! Keep π of a graph of your own up to date while its links change.
//!
//! A web of pages is ranked once. Then batches of new, changed and removed links arrive: the ranker follows each, and the
//! next ranking starts from the last one instead of from nothing.

use std::error::Error;
use std::io::Write;

use ffcm::focus::{FocusParams, MASS, Ranker, rank};
use ffcm::graph::{EdgeDelta, Graph};

/// How many pages there are at first.
const PAGES: u32 = 20_000;

/// Runs it.
pub fn main() -> Result<(), Box<dyn Error>> {
    run(&mut std::io::stdout().lock())
}

/// Says what it finds to `out`.
pub fn run(out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let mut graph = Graph::new();
    graph.add_nodes(PAGES)?;
    // Every page links to the front page, to the next one, and to one far away.
    let links = (0..PAGES).flat_map(|page| [(page, 0), (page, page + 1), (page, page * 7)]);
    let links = links.map(|(from, to)| link(from, to % PAGES, 1));
    graph.apply(&links.collect::<Vec<_>>())?;

    let params = FocusParams::default();
    let mut ranker = Ranker::new(&graph, params.shards)?;
    let mut ranking = ranker.rank(&params, None)?;
    writeln!(out, "{} iterations from nothing", ranking.iterations)?;

    for day in 1..=3 {
        // A few pages link to another one; one old link counts more, another is gone.
        let page = 1000 * day + 500;
        let news = (1..=5).map(|blog| link(page + 10 * blog, page, 1));
        let changes = [link(page + 7, page + 8, 4), link(page, page + 1, 0)];
        graph.apply(&news.chain(changes).collect::<Vec<_>>())?;

        ranker.refresh(&graph)?;
        let (next, effort) = ranker.rank_counted(&params, Some(&ranking.mass))?;
        ranking = next;
        writeln!(
            out,
            "day {day}: page {page} has {:.6}, after {} iterations over {} of {} edges on average",
            share(ranking.mass[page as usize]),
            ranking.iterations,
            effort.edge_visits / u64::from(ranking.iterations),
            graph.edge_count(),
        )?;
    }

    // The mass is exact, and from nothing it comes to the same, up to what the residual allows.
    assert_eq!(ranking.mass.iter().sum::<u64>(), MASS);
    let fresh = rank(&graph, &params, None)?;
    let pairs = ranking.mass.iter().zip(&fresh.mass);
    let apart: u64 = pairs.map(|(&a, &b)| a.abs_diff(b)).sum();
    writeln!(
        out,
        "{:.1e} apart from a ranking from nothing",
        share(apart)
    )?;
    assert!(apart < MASS / 50_000);
    Ok(())
}

fn link(source: u32, target: u32, weight: u64) -> EdgeDelta {
    EdgeDelta {
        source,
        target,
        weight,
    }
}

/// For display: units of mass as a share of all.
fn share(units: u64) -> f64 {
    units as f64 / MASS as f64
}
