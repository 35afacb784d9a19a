//! The device as the host sees it.

use std::process::Command;

use ffcm_cuda::device::shim::{self, ShimOptions};
use ffcm_cuda::device::{Argument, CudaError, Grid, Source};

use crate::blocks::{BASICS, GRIDS};
use crate::{gpu, kernel};

#[test]
fn what_does_not_compile_says_so() {
    let gpu = gpu(1);
    let source = Source {
        text: "this is no kernel",
        ..BASICS
    };
    let error = gpu.kernels(&source).unwrap_err();
    assert!(matches!(error, CudaError::Kernel { .. }), "{error}");
    assert!(error.to_string().contains("tests/basics.cu:1:"), "{error}");
    let source = Source {
        entries: &["reduce", "absent"],
        ..BASICS
    };
    let error = gpu.kernels(&source).unwrap_err();
    assert!(matches!(error, CudaError::Kernel { .. }), "{error}");
    assert!(error.to_string().contains("absent"), "{error}");
    // The device is as good as before.
    assert_eq!(gpu.kernels(&BASICS).unwrap().len(), BASICS.entries.len());
}

/// What happens where there is no compiler, in a process of its own.
#[test]
fn a_missing_compiler_is_named() {
    const NONE: &str = "/no/such/compiler";
    if std::env::var_os("CXX").is_some_and(|name| name == NONE) {
        let error = shim::open(&ShimOptions::default()).unwrap_err();
        assert!(matches!(error, CudaError::NoDriver { .. }), "{error}");
        assert!(error.to_string().contains("install `g++`"), "{error}");
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host::a_missing_compiler_is_named"])
        .env("CXX", NONE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn graphs_repeat() {
    let gpu = gpu(6);
    let cells = gpu.buffer::<u32>("cells", 64).unwrap();
    let (add, double) = (
        kernel(&gpu, &GRIDS, "add_one"),
        kernel(&gpu, &GRIDS, "double_it"),
    );
    let grid = Grid::covering(64, 32);
    let add = gpu
        .prepare(&add, grid, &[(&cells).into(), 64u32.into()])
        .unwrap();
    let double = gpu
        .prepare(&double, Grid::new(1, 64), &[(&cells).into()])
        .unwrap();
    let graph = gpu.graph(vec![add.clone(), double, add]).unwrap();
    gpu.fill(&cells, 0, 64, 3).unwrap();
    for _ in 0..3 {
        gpu.replay(&graph).unwrap();
    }
    // 3, 9, 21, 45: twice what comes after it is one more, and one.
    assert_eq!(gpu.read(&cells, 0, 64).unwrap(), [45; 64]);
    assert_eq!(gpu.stats().launches, 9);
    // It keeps its buffers.
    drop(cells);
    gpu.replay(&graph).unwrap();
    let error = crate::gpu(6).replay(&graph).unwrap_err();
    assert!(matches!(error, CudaError::Foreign { .. }), "{error}");
}

#[test]
fn launches_are_checked() {
    let gpu = gpu(7);
    let cells = gpu.buffer::<u32>("cells", 64).unwrap();
    let (add, double) = (
        kernel(&gpu, &GRIDS, "add_one"),
        kernel(&gpu, &GRIDS, "double_it"),
    );
    assert_eq!(double.resources().max_threads, 64);
    assert_eq!(add.resources().max_threads, 1024);
    let of = Argument::from(&cells);
    let refused = |kernel, grid, arguments: &[Argument]| {
        let error = gpu.launch(kernel, grid, arguments).unwrap_err();
        let CudaError::BadLaunch { message, .. } = error else {
            panic!("{error}")
        };
        message
    };
    refused(&double, Grid::new(1, 65), std::slice::from_ref(&of));
    refused(&add, Grid::new(0, 32), &[of.clone(), 1u32.into()]);
    refused(&add, Grid::new(1, 0), &[of.clone(), 1u32.into()]);
    refused(
        &add,
        Grid::covering(u64::MAX, 1),
        &[of.clone(), 1u32.into()],
    );
    let message = refused(&add, Grid::new(1, 32), std::slice::from_ref(&of));
    assert_eq!(message, "1 arguments for 2 parameters");
    let message = refused(&add, Grid::new(1, 32), &[of.clone(), (1u64 << 32).into()]);
    assert_eq!(message, "argument 1 is 0x100000000 for a Bits32");
    let message = refused(&add, Grid::new(1, 32), &[5u64.into(), 1u32.into()]);
    assert_eq!(message, "argument 0 is 0x5 for a Pointer");
    let error = crate::gpu(7).launch(&add, Grid::new(1, 32), &[of, 1u32.into()]);
    assert!(matches!(error, Err(CudaError::Foreign { .. })), "{error:?}");
    // Nothing of that harmed the device.
    assert_eq!(gpu.read(&cells, 0, 64).unwrap(), [0; 64]);
}

#[test]
fn buffers_of_nothing_and_ranges_beyond() {
    let gpu = gpu(8);
    let none = gpu.buffer::<u32>("none", 0).unwrap();
    assert!(none.is_empty());
    assert_eq!(gpu.read(&none, 0, 0).unwrap(), []);
    gpu.upload(&none, 0, &[]).unwrap();
    gpu.fill(&none, 0, 0, 1).unwrap();
    gpu.copy((&none, 0), (&none, 0), 0).unwrap();
    let add = kernel(&gpu, &GRIDS, "add_one");
    gpu.launch(&add, Grid::new(2, 32), &[(&none).into(), 0u32.into()])
        .unwrap();

    let some = gpu.buffer_of("some", &[1u64, 2, 3]).unwrap();
    let beyond = |error: Result<(), CudaError>| {
        assert!(
            matches!(error, Err(CudaError::BadRange { .. })),
            "{error:?}"
        );
    };
    beyond(gpu.read(&some, 1, 3).map(drop));
    beyond(gpu.read(&some, u64::MAX, 2).map(drop));
    beyond(gpu.upload(&some, 3, &[1]));
    beyond(gpu.fill(&some, 2, 2, 0));
    beyond(gpu.copy((&some, 0), (&some, 1), 2));
    gpu.copy((&some, 0), (&some, 2), 1).unwrap();
    gpu.fill(&some, 1, 1, 5).unwrap();
    assert_eq!(gpu.read(&some, 0, 3).unwrap(), [1, 5 << 32 | 5, 1]);
    gpu.fill(&some, 0, 3, 0x0102_0304).unwrap();
    assert_eq!(gpu.read(&some, 0, 3).unwrap(), [0x0102_0304_0102_0304; 3]);
}

#[test]
fn memory_is_counted_and_zeroed() {
    let gpu = shim::open(&ShimOptions {
        memory: 1 << 20,
        ..ShimOptions::default()
    })
    .unwrap();
    let too_large = gpu.buffer::<u8>("large", (1 << 20) + 1).unwrap_err();
    assert!(
        matches!(too_large, CudaError::TooLarge { .. }),
        "{too_large}"
    );
    let first = gpu.buffer::<u8>("first", 1 << 19).unwrap();
    gpu.fill(&gpu.buffer::<u32>("dirty", 100).unwrap(), 0, 100, u32::MAX)
        .unwrap();
    let full = gpu.buffer::<u8>("second", (1 << 19) + 1).unwrap_err();
    assert!(matches!(full, CudaError::OutOfMemory { .. }), "{full}");
    assert_eq!(gpu.memory_in_use(), 1 << 19);
    drop(first);
    let whole = gpu.buffer::<u32>("whole", 1 << 18).unwrap();
    assert!(
        gpu.read(&whole, 0, 1 << 18)
            .unwrap()
            .iter()
            .all(|&word| word == 0)
    );
}

#[test]
fn a_device_is_lost_when_asked() {
    let gpu = shim::open(&ShimOptions {
        lose_after_launches: Some(2),
        ..ShimOptions::default()
    })
    .unwrap();
    let cells = gpu.buffer::<u32>("cells", 32).unwrap();
    let add = kernel(&gpu, &GRIDS, "add_one");
    let launch = || gpu.launch(&add, Grid::new(1, 32), &[(&cells).into(), 32u32.into()]);
    launch().unwrap();
    launch().unwrap();
    let lost = |error: CudaError| assert!(matches!(error, CudaError::Lost { .. }), "{error}");
    lost(launch().unwrap_err());
    lost(gpu.read(&cells, 0, 1).unwrap_err());
    lost(gpu.upload(&cells, 0, &[1]).unwrap_err());
    lost(gpu.buffer::<u32>("more", 1).unwrap_err());
    lost(gpu.wait().unwrap_err());
    lost(gpu.kernels(&BASICS).unwrap_err());

    let gpu = crate::gpu(1);
    gpu.wait().unwrap();
    gpu.lose();
    lost(gpu.wait().unwrap_err());
}

#[test]
fn a_device_that_cannot_be_is_refused() {
    for (multiprocessors, shake_one_in, memory) in
        [(0, 1, 1), (257, 1, 1), (1, 0, 1), (1, 1, u64::MAX)]
    {
        let options = ShimOptions {
            multiprocessors,
            shake_one_in,
            memory,
            ..ShimOptions::default()
        };
        let error = shim::open(&options).unwrap_err();
        assert!(matches!(error, CudaError::Open { .. }), "{error}");
    }
}

/// Many devices at once, each with cooperative launches: helpers of one do not starve the others.
#[test]
fn devices_do_not_hold_each_other_up() {
    std::thread::scope(|scope| {
        for seed in 0..8 {
            scope.spawn(move || {
                let gpu = gpu(seed);
                let kernel = kernel(&gpu, &GRIDS, "grid_barrier");
                let arrived = gpu.buffer::<u32>("arrived", 1).unwrap();
                let cells = gpu.buffer::<u32>("cells", 3 * 32).unwrap();
                let wrong = gpu.buffer::<u32>("wrong", 1).unwrap();
                for _ in 0..20 {
                    gpu.fill(&arrived, 0, 1, 0).unwrap();
                    let arguments = [
                        (&arrived).into(),
                        (&cells).into(),
                        (&wrong).into(),
                        3u32.into(),
                    ];
                    gpu.launch(&kernel, Grid::new(3, 32).cooperative(), &arguments)
                        .unwrap();
                }
                assert_eq!(gpu.read(&arrived, 0, 1).unwrap(), [9]);
            });
        }
    });
}
