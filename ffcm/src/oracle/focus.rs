//! π, one edge at a time: the definition in [`crate::focus`] written down as plainly as it can be.

use crate::focus::{FocusError, FocusParams, MASS, Ranking};
use crate::graph::Graph;

/// π of `graph`, bit for bit as [`crate::focus::rank`] gives it, in sequential `u128` arithmetic.
pub fn rank(
    graph: &Graph,
    params: &FocusParams,
    start: Option<&[u64]>,
) -> Result<Ranking, FocusError> {
    params.check()?;
    let start = start.unwrap_or(&[]);
    let missing = crate::focus::missing_mass(graph.node_count(), start)?;
    let nodes = graph.node_count() as usize;
    let mut ranking = Ranking::of_empty_graph();
    if nodes == 0 {
        return Ok(ranking);
    }
    let teleport = teleport(graph);
    let mut x = vec![0; nodes];
    x[..start.len()].copy_from_slice(start);
    spread(missing, &teleport, &mut x);

    let warm = !start.is_empty() && params.epsilon > 0;
    let edges = graph.edge_count().max(1);
    // (1 - d) / 2 of the mass.
    let residual_max = ((1 << 32) - u64::from(params.damping)) << 29;
    // Residual of the iteration before, and how often it has hardly fallen.
    let (mut before, mut failures) = (params.epsilon.saturating_mul(128), 0);
    ranking.converged = false;
    while ranking.iterations < params.max_iterations && !ranking.converged {
        let mut threshold = 0;
        if warm && before <= residual_max && failures < 4 {
            let each = before / edges;
            threshold = (each + each / 4) >> failures;
        }
        let y = step(graph, params.damping, &teleport, &x);
        let moved: u64 = x.iter().zip(&y).map(|(&x, &y)| x.abs_diff(y)).sum();
        ranking.residual = moved + MASS.abs_diff(x.iter().sum());
        if ranking.residual > before - before / 32 {
            failures += if ranking.residuals.is_empty() { 4 } else { 1 };
        }
        before = ranking.residual;
        ranking.residuals.push(ranking.residual);
        ranking.iterations += 1;
        ranking.converged = ranking.residual < params.epsilon;
        for (node, (x, y)) in (0..).zip(x.iter_mut().zip(&y)) {
            let degree = u64::from(graph.out_degree(node)).min((1 << 26) - 1);
            if x.abs_diff(*y) > threshold * degree {
                *x = *y;
            }
        }
        ranking.mass = y;
    }
    Ok(ranking)
}

/// The teleport distribution: stakes scaled to sum to exactly [`MASS`], or uniform when all are zero.
fn teleport(graph: &Graph) -> Vec<u64> {
    let mut stakes: Vec<u128> = (0..graph.node_count())
        .map(|node| u128::from(graph.stake(node)))
        .collect();
    if stakes.iter().all(|&stake| stake == 0) {
        stakes.fill(1);
    }
    let total: u128 = stakes.iter().sum();
    let mut scaled: Vec<u64> = stakes
        .iter()
        .map(|stake| (stake * u128::from(MASS) / total) as u64)
        .collect();
    let mut units = MASS - scaled.iter().sum::<u64>();
    for (scaled, stake) in scaled.iter_mut().zip(&stakes) {
        if *stake > 0 && units > 0 {
            *scaled += 1;
            units -= 1;
        }
    }
    scaled
}

/// Adds `pool` to `y`: each node its teleport share rounded down, what is left one unit each to the first nodes.
fn spread(pool: u64, teleport: &[u64], y: &mut [u64]) {
    let mut left = pool;
    for (y, &teleport) in y.iter_mut().zip(teleport) {
        let part = (u128::from(pool) * u128::from(teleport) / u128::from(MASS)) as u64;
        *y += part;
        left -= part;
    }
    for y in &mut y[..left as usize] {
        *y += 1;
    }
}

/// One iteration.
fn step(graph: &Graph, damping: u32, teleport: &[u64], x: &[u64]) -> Vec<u64> {
    let mut y = vec![0u64; x.len()];
    for source in 0..graph.node_count() {
        let total: u128 = graph
            .out_edges(source)
            .map(|(_, weight)| u128::from(weight))
            .sum();
        let Some(largest) = graph
            .out_edges(source)
            .map(|(_, weight)| u128::from(weight))
            .max()
        else {
            continue;
        };
        // Share of the heaviest edge: damped mass times largest / total, the ratio rounded down to 32 bits.
        let mut scale = 31;
        while ((largest << scale) / total) < 1 << 31 {
            scale += 1;
        }
        let ratio = (largest << scale) / total;
        let damped = (u128::from(damping) * u128::from(x[source as usize])) >> 32;
        let mut share = (damped * ratio) >> scale;
        // Keep the 27 bits from an even position up.
        let mut even = 0;
        while share >> even >= 1 << 27 {
            even += 2;
        }
        share = share >> even << even;
        for (target, weight) in graph.out_edges(source) {
            let quota = (u128::from(weight) << 31) / largest;
            y[target as usize] += ((share * quota) >> 31) as u64;
        }
    }
    let delivered: u64 = y.iter().sum();
    spread(MASS - delivered, teleport, &mut y);
    assert_eq!(y.iter().sum::<u64>(), MASS, "mass is conserved");
    y
}
