//! What the suites do not ask for: jobs that are not taken, bad adapters, graphs that change, threads.

use std::sync::Arc;

use ffcm::coprocessor::{
    Accelerator, AcceleratorError, Coprocessor, FocusJob, HashJob, JobError, Provider, RewriteJob,
};
use ffcm::focus::{FocusError, FocusParams, Ranking, rank};
use ffcm::graph::{EdgeDelta, Graph};
use ffcm::memory::{Memory, MemoryOp, SlotId};
use ffcm::net::{Book, Limits};
use ffcm::testing::Rng;
use ffcm_cubecl::{CubeclCoprocessor, CubeclProvider, DeviceError};

fn device() -> CubeclCoprocessor {
    CubeclCoprocessor::open(None).expect("an adapter for the tests")
}

/// Random edges with equal weights of each source, or with any.
fn graph(rng: &mut Rng, nodes: u32, edges: usize, weighted: bool) -> Graph {
    let mut graph = Graph::new();
    graph.add_nodes(nodes).expect("so many nodes fit");
    let edge = |rng: &mut Rng| EdgeDelta {
        source: rng.below(nodes.into()) as u32,
        target: rng.below(nodes.into()) as u32,
        weight: if weighted { 1 + rng.below(1000) } else { 1 },
    };
    let deltas: Vec<EdgeDelta> = (0..edges).map(|_| edge(rng)).collect();
    graph.apply(&deltas).expect("every node is there");
    graph
}

fn focus(device: &CubeclCoprocessor, graph: &Graph, start: Option<&[u64]>) -> Ranking {
    let params = FocusParams::default();
    let job = FocusJob {
        graph,
        params,
        start,
    };
    device.focus(&job).expect("the device ranks")
}

#[test]
fn other_jobs_are_not_supported() {
    let device = device();
    let book = Arc::new(Book::parse("@main = *").unwrap());
    let job = RewriteJob {
        calls: vec![book.main().unwrap()],
        book,
        limits: Limits::default(),
    };
    let rewriting = device.rewrite(&job).unwrap_err();
    let hashing = device.hash(&HashJob::Sha256(&[b"a"])).unwrap_err();
    for (error, job) in [(rewriting, "rewriting"), (hashing, "hashing")] {
        assert!(matches!(error, JobError::NotSupported { .. }), "{error}");
        assert!(error.to_string().ends_with(job), "{error}");
    }
}

#[test]
fn it_opens_by_name_and_passes_the_self_test() {
    let opened = Accelerator::Cubecl(Some(0))
        .open(1, &[&CubeclProvider])
        .unwrap();
    let info = opened.coprocessor.info();
    assert_eq!(info.backend, "cubecl:0");
    let devices = CubeclProvider.devices();
    assert!(info.device.starts_with(&devices[0].name), "{}", info.device);
}

#[test]
fn an_adapter_that_is_not_there_is_an_error() {
    let error = CubeclCoprocessor::open(Some(4000)).unwrap_err();
    let is_it = matches!(error, DeviceError::NoSuchAdapter { index: 4000, .. });
    assert!(is_it, "{error}");
    let error = Accelerator::Cubecl(Some(4000)).open(1, &[&CubeclProvider]);
    assert!(matches!(error, Err(AcceleratorError::Start { .. })));
}

#[test]
fn what_is_wrong_with_a_job_is_told() {
    let graph = graph(&mut Rng::new(1), 10, 30, false);
    let mut params = FocusParams::default();
    let job = FocusJob {
        graph: &graph,
        params,
        start: Some(&[1; 11]),
    };
    let error = device().focus(&job).unwrap_err();
    assert!(matches!(
        error,
        JobError::Focus(FocusError::InvalidStart(_))
    ));
    params.max_iterations = 0;
    let job = FocusJob { params, ..job };
    let error = device().focus(&job).unwrap_err();
    assert!(matches!(
        error,
        JobError::Focus(FocusError::InvalidParameter(_))
    ));
}

/// More rows than cubes along one axis take are not reached here; rows of many segments and several parts of a cube are.
#[test]
fn larger_graphs_and_their_changes_give_the_bits_of_the_cpu() {
    let mut rng = Rng::new(2);
    let device = device();
    for weighted in [false, true] {
        let mut graph = graph(&mut rng, 20_000, 200_000, weighted);
        // A hub of many segments.
        let hub: Vec<EdgeDelta> = (0..5_000)
            .map(|source| EdgeDelta {
                source,
                target: 7,
                weight: 1,
            })
            .collect();
        graph.apply(&hub).unwrap();
        let expected = |graph: &Graph, start: Option<&[u64]>| {
            rank(graph, &FocusParams::default(), start).unwrap()
        };
        let first = focus(&device, &graph, None);
        assert!(first == expected(&graph, None));
        assert!(
            focus(&device, &graph, None) == first,
            "the same graph again"
        );
        // The same numbers of nodes and edges, other weights and stakes.
        let (target, weight) = graph.out_edges(9).next().unwrap();
        graph
            .apply(&[EdgeDelta {
                source: 9,
                target,
                weight: weight + 5,
            }])
            .unwrap();
        graph.set_stake(3, 10).unwrap();
        let changed = focus(&device, &graph, Some(&first.mass));
        assert!(changed == expected(&graph, Some(&first.mass)));
        assert!(changed.mass != first.mass);
    }
}

#[test]
fn threads_share_a_device() {
    let device = device();
    let graphs: Vec<Graph> = (0..3)
        .map(|seed| graph(&mut Rng::new(seed), 500, 3_000, seed == 1))
        .collect();
    std::thread::scope(|scope| {
        for graph in &graphs {
            let device = &device;
            scope.spawn(move || {
                let expected = rank(graph, &FocusParams::default(), None).unwrap();
                for _ in 0..3 {
                    assert!(focus(device, graph, None) == expected);
                }
            });
        }
    });
}

#[test]
fn a_list_longer_than_a_launch_goes_on_in_the_next() {
    let target = SlotId {
        shard: 0,
        layer: 1,
        slot: 3,
    };
    let other = SlotId { slot: 4, ..target };
    let mut ops = vec![(other, MemoryOp::Clip)];
    ops.extend((0..40_000).map(|step| match step % 4 {
        0 => {
            let vector = vec![7 - (step % 15) as i16; 128];
            (target, MemoryOp::Add { vector })
        }
        1 => (target, MemoryOp::Decay { factor: 9_999 }),
        _ => (target, MemoryOp::Clip),
    }));
    let mut expected = Memory::from_seed(1, [5; 32]);
    let mut found = expected.clone();
    let results: Vec<_> = ops.iter().map(|(at, op)| expected.apply(*at, op)).collect();
    assert_eq!(device().memory(&mut found, &ops).unwrap(), results);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(found.slot(target), expected.slot(target));
    assert_eq!(found.slot(other), expected.slot(other));
}

#[test]
fn transfers_are_counted_and_bounded() {
    let device = device();
    let gpu = device.gpu();
    let buffer = gpu.upload("a", &[1, 2, 3, 4, 5]).unwrap();
    let copy = gpu.buffer("b", 5).unwrap();
    gpu.copy(&buffer, &copy).unwrap();
    assert_eq!(gpu.read(&copy, 0, 5).unwrap(), [1, 2, 3, 4, 5]);
    gpu.write(&copy, &[9, 8]).unwrap();
    assert_eq!(gpu.read(&copy, 0, 5).unwrap(), [9, 8, 3, 4, 5]);
    assert!(gpu.read(&copy, 4, 2).is_err());
    assert!(gpu.write(&copy, &[0; 6]).is_err());
    let short = gpu.buffer("c", 2).unwrap();
    assert!(gpu.copy(&buffer, &short).is_err());
    let error = gpu.buffer("d", u64::MAX / 4).unwrap_err();
    assert!(matches!(error, DeviceError::TooLarge { .. }), "{error}");
    let (uploaded, read_back) = gpu.sent();
    assert!(uploaded >= 28 && read_back >= 40);
}
