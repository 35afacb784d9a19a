//! What this crate does with NVIDIA's driver, against one that has no device: `driver/cuda.cpp`. It
//! runs what is queued as late as it may, so that memory that is given back or written again too
//! early shows; and every call can be made to fail.
#![cfg(target_os = "linux")]

#[path = "driver/engines.rs"]
mod engines;
#[path = "driver/mod.rs"]
mod fake;

use std::sync::Arc;
use std::time::Duration;

use fake::{Fake, Setup, with_driver};
use ffcm_cuda::device::compile::Nvrtc;
use ffcm_cuda::device::{Buffer, CudaError, Gpu, Grid, Kernel, Options, Source, devices};
use ffcm_cuda::kernels;

const MIB: usize = 1 << 20;

/// The driver knows what these do.
const KERNELS: Source = Source {
    name: "test/driver",
    text: r#"
extern "C" __global__ void __launch_bounds__(256) add(unsigned long long* data, unsigned long long count, unsigned value) {
    for (unsigned long long i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) data[i] += value;
}
extern "C" __global__ void fault() {}
"#,
    entries: &["add", "fault"],
    defines: &[],
};

fn open() -> Result<Gpu, CudaError> {
    Gpu::open(&Options {
        device: None,
        // Beyond what the driver has, so that it is the driver that refuses.
        memory_limit: Some(1 << 40),
    })
}

fn numbers(count: usize) -> Vec<u64> {
    (0..count as u64)
        .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .collect()
}

/// Kernels need a compiler: this program has no assembly of these.
fn has_compiler() -> bool {
    match Nvrtc::find() {
        Ok(_) => true,
        Err(error) => {
            println!("kernels on the driver of the tests: NOT RUN ({error})");
            false
        }
    }
}

#[test]
fn devices_are_listed_and_chosen() {
    with_driver("devices_are_listed_and_chosen", Setup::default(), |fake| {
        let found = devices().expect("a list");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].index, found[1].index), (0, 1));
        assert_eq!(found[0].summary.name, "Old Card");
        let refused = found[0].refused.clone().expect("6.1 is too old");
        assert!(matches!(
            refused,
            CudaError::LimitTooSmall {
                has: 61,
                needs: 75,
                ..
            }
        ));
        assert_eq!(found[1].refused, None);
        let summary = &found[1].summary;
        assert_eq!(
            (summary.capability, summary.driver.as_str()),
            ((9, 0), "13.0")
        );
        assert_eq!(
            (summary.multiprocessors, summary.threads_per_multiprocessor),
            (4, 2048)
        );
        assert_eq!((summary.memory, summary.l2), (64 << 20, 1 << 20));
        assert_eq!(
            (summary.shared_per_block, summary.cooperative),
            (227 << 10, true)
        );
        let gpu = Gpu::open(&Options::default()).expect("the second serves");
        assert_eq!(gpu.summary(), summary);
        assert_eq!(gpu.memory_limit(), (64 << 20) / 10 * 9);
        drop(gpu);
        let open = |index| {
            Gpu::open(&Options {
                device: Some(index),
                ..Options::default()
            })
            .map(|_| ())
        };
        assert_eq!(open(0), Err(refused));
        assert_eq!(open(1), Ok(()));
        assert_eq!(open(7), Err(CudaError::NoSuchDevice { index: 7, count: 2 }));
        assert_eq!(fake.live(), "");
    });
}

#[test]
fn an_old_driver_is_named_as_such() {
    let setup = Setup {
        without: &["NO_LAUNCH"],
        variables: &[("FAKE_VERSION", "11080")],
    };
    with_driver("an_old_driver_is_named_as_such", setup, |_| {
        let (has, needs) = ("11.8".to_string(), "12.0".to_string());
        let expected = CudaError::DriverTooOld { has, needs };
        assert_eq!(devices(), Err(expected.clone()));
        assert_eq!(open().map(|_| ()), Err(expected));
    });
}

#[test]
fn a_function_that_is_missing_is_named() {
    let setup = Setup {
        without: &["NO_LAUNCH"],
        variables: &[],
    };
    with_driver("a_function_that_is_missing_is_named", setup, |_| {
        let error = devices().expect_err("a function is missing");
        assert!(error.to_string().contains("cuLaunchKernel"), "{error}");
    });
}

#[test]
fn a_driver_without_devices_has_none() {
    let setup = Setup {
        without: &[],
        variables: &[("FAKE_DEVICES", "0")],
    };
    with_driver("a_driver_without_devices_has_none", setup, |_| {
        assert_eq!(devices(), Ok(vec![]));
        assert!(matches!(open(), Err(CudaError::NoDevice { .. })));
    });
}

#[test]
fn a_driver_that_does_not_start_says_why() {
    with_driver(
        "a_driver_that_does_not_start_says_why",
        Setup::default(),
        |fake| {
            fake.fail("cuInit", 0, 100);
            let error = devices().expect_err("it does not start");
            assert!(matches!(error, CudaError::NoDevice { .. }), "{error}");
            assert!(error.to_string().contains("cuInit"), "{error}");
            assert_eq!(open().map(|_| ()), Err(error));
        },
    );
}

/// Copies of many sizes, one after the other and without anybody waiting in between.
fn copies(gpu: &Gpu) -> Result<(), CudaError> {
    let sizes = [1, 7, 8, 1000, MIB / 8, MIB / 2 + 1, 9 * MIB / 4, 3];
    let total: usize = sizes.iter().sum();
    let data = numbers(total);
    let buffer: Buffer<u64> = gpu.buffer("numbers", total as u64)?;
    let mut start = 0;
    for size in sizes {
        // The data is gone before anything is copied on the device.
        let part = data[start..start + size].to_vec();
        gpu.upload(&buffer, start as u64, &part)?;
        start += size;
    }
    assert!(gpu.read(&buffer, 0, total as u64)? == data, "all at once");
    assert!(gpu.read(&buffer, 5, 77)? == data[5..82], "a part");
    for i in 0..3000 {
        gpu.upload(&buffer, i, &[i])?;
    }
    gpu.fill(&buffer, 10, 20, 0x0102_0304)?;
    gpu.copy((&buffer, 0), (&buffer, 4000), 100)?;
    let found = gpu.read(&buffer, 0, 5000)?;
    let filled = |i: u64| {
        if (10..30).contains(&i) {
            0x0102_0304_0102_0304
        } else {
            i
        }
    };
    for i in 0..3000 {
        assert_eq!(found[i as usize], filled(i));
    }
    for i in 0..100 {
        assert_eq!(found[4000 + i as usize], filled(i));
    }
    let zeroed: Buffer<u8> = gpu.buffer("bytes", 1001)?;
    assert_eq!(gpu.read(&zeroed, 0, 1001)?, [0; 1001]);
    Ok(())
}

#[test]
fn what_is_copied_arrives_whatever_waits() {
    with_driver(
        "what_is_copied_arrives_whatever_waits",
        Setup::default(),
        |fake| {
            let gpu = open().expect("it opens");
            copies(&gpu).expect("it works");
            drop(gpu);
            assert_eq!(fake.live(), "");
        },
    );
}

#[test]
fn devices_without_pools_serve_too() {
    let setup = Setup {
        without: &[],
        variables: &[("FAKE_POOLS", "0")],
    };
    with_driver("devices_without_pools_serve_too", setup, |fake| {
        let gpu = open().expect("it opens");
        copies(&gpu).expect("it works");
        let calls = fake.calls();
        assert!(calls.iter().any(|call| call == "cuMemAlloc"));
        assert!(!calls.iter().any(|call| call == "cuMemAllocAsync"));
        drop(gpu);
        assert_eq!(fake.live(), "");
    });
}

#[test]
fn memory_that_is_given_back_is_there_again() {
    with_driver(
        "memory_that_is_given_back_is_there_again",
        Setup::default(),
        |fake| {
            let gpu = open().expect("it opens");
            let large = |what| gpu.buffer::<u8>(what, 40 << 20);
            let first = large("first").expect("there is room");
            match large("second") {
                Err(CudaError::OutOfMemory { what, bytes }) => {
                    assert_eq!((what.as_str(), bytes), ("second", 40 << 20));
                }
                other => panic!("{other:?}"),
            }
            drop(first);
            fake.calls();
            let third = large("third").expect("what is kept is given back first");
            assert!(fake.calls().iter().any(|call| call == "cuMemPoolTrimTo"));
            assert_eq!(gpu.read(&third, 12345, 3), Ok(vec![0; 3]));
            drop((third, gpu));
            assert_eq!(fake.live(), "");
        },
    );
}

/// Launches one by one, cooperatively, from a graph, with much shared memory, and takes the time.
fn launches(gpu: &Gpu) -> Result<(), CudaError> {
    let kernels = gpu.kernels(&KERNELS)?;
    let add: &Arc<Kernel> = &kernels[0];
    assert_eq!(add.name(), "test/driver:add");
    assert_eq!(add.resources().registers, 32);
    assert_eq!(add.resources().max_threads, 1024);
    assert_eq!(gpu.resident_blocks(add, 256, 0)?, 4 * 8);
    let buffer = gpu.buffer_of("numbers", &[1_u64, 2, 3])?;
    let arguments = [(&buffer).into(), 3_u64.into(), 10_u32.into()];
    gpu.launch(add, Grid::new(1, 256), &arguments)?;
    gpu.launch(add, Grid::new(8, 128).cooperative(), &arguments)?;
    gpu.launch(add, Grid::new(1, 32).shared(48 << 10), &arguments)?;
    gpu.launch(add, Grid::new(1, 32).shared(100 << 10), &arguments)?;
    assert_eq!(gpu.read(&buffer, 0, 3)?, [41, 42, 43]);
    let prepared = gpu.prepare(add, Grid::covering(3, 64), &arguments)?;
    let graph = gpu.graph(vec![prepared.clone(), prepared])?;
    assert_eq!(
        gpu.read(&buffer, 0, 1)?,
        [41],
        "nothing runs while it is recorded"
    );
    let ((), time) = gpu.timed(|| {
        gpu.replay(&graph)?;
        gpu.replay(&graph)
    })?;
    assert_eq!(time, Duration::from_micros(1500));
    // It may be dropped while it runs.
    gpu.replay(&graph)?;
    drop(graph);
    assert_eq!(gpu.read(&buffer, 0, 3)?, [101, 102, 103]);
    let empty = gpu.graph(vec![])?;
    gpu.replay(&empty)?;
    gpu.wait()
}

#[test]
fn kernels_run_in_order_and_from_graphs() {
    with_driver(
        "kernels_run_in_order_and_from_graphs",
        Setup::default(),
        |fake| {
            if !has_compiler() {
                return;
            }
            let cached = || {
                let root = std::env::var("XDG_CACHE_HOME").expect("the test's folder");
                let entries = std::fs::read_dir(format!("{root}/ffcm/cuda"));
                entries.into_iter().flatten().count()
            };
            assert_eq!(cached(), 0);
            for _ in 0..2 {
                let gpu = open().expect("it opens");
                launches(&gpu).expect("it works");
                drop(gpu);
                assert_eq!(fake.live(), "");
                assert_eq!(cached(), 1, "the second time it comes from the cache");
            }
        },
    );
}

#[test]
fn launches_that_cannot_be_are_refused() {
    with_driver(
        "launches_that_cannot_be_are_refused",
        Setup::default(),
        |_| {
            if !has_compiler() {
                return;
            }
            let gpu = open().expect("it opens");
            let add = &gpu.kernels(&KERNELS).expect("they load")[0];
            let refused = |grid, arguments: &[_]| match gpu.launch(add, grid, arguments) {
                Err(CudaError::BadLaunch { kernel, message }) => {
                    assert_eq!(kernel, "test/driver:add");
                    message
                }
                other => panic!("{other:?}"),
            };
            let one = Grid::new(1, 1);
            assert_eq!(refused(one, &[1_u64.into()]), "1 arguments, it takes 3");
            assert_eq!(refused(one, &[]), "0 arguments, it takes 3");
            let three = || [1_u64, 2, 3].map(Into::into);
            refused(Grid::new(0, 1), &three());
            refused(Grid::new(1, 1025), &three());
            refused(one.shared(228 << 10), &three());
            refused(Grid::new(33, 256).cooperative(), &three());
            assert_eq!(gpu.wait(), Ok(()), "the device is as it was");
        },
    );
}

#[test]
fn without_the_number_of_parameters_launches_work_too() {
    let setup = Setup {
        without: &["NO_PARAM_INFO"],
        variables: &[],
    };
    with_driver(
        "without_the_number_of_parameters_launches_work_too",
        setup,
        |_| {
            if has_compiler() {
                launches(&open().expect("it opens")).expect("it works");
            }
        },
    );
}

#[test]
fn units_that_do_not_load_are_errors_with_reasons() {
    with_driver(
        "units_that_do_not_load_are_errors_with_reasons",
        Setup::default(),
        |fake| {
            if !has_compiler() {
                return;
            }
            let gpu = open().expect("it opens");
            let refused = Source {
                name: "test/refused",
                text: "extern \"C\" __global__ void refused() {}",
                entries: &["refused"],
                defines: &[],
            };
            let absent = Source {
                text: "extern \"C\" __global__ void other() {}",
                entries: &["absent"],
                ..refused
            };
            let broken = Source {
                text: "not C++",
                ..refused
            };
            for (source, reason) in [
                (refused, "ptxas: it is refused"),
                (absent, "cuModuleGetFunction"),
                (broken, "refused.cu(1)"),
            ] {
                match gpu.kernels(&source) {
                    Err(CudaError::Kernel { kernel, message }) => {
                        assert_eq!(kernel, "test/refused");
                        assert!(message.contains(reason), "{message}");
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(!fake.live().contains("modules"), "{}", fake.live());
            launches(&gpu).expect("the device is as it was");
        },
    );
}

/// Every call fails.
fn is_lost(gpu: &Gpu, buffer: &Buffer<u64>) {
    let lost = |error| assert!(matches!(error, Some(CudaError::Lost { .. })), "{error:?}");
    lost(gpu.wait().err());
    lost(gpu.upload(buffer, 0, &[1]).err());
    lost(gpu.read(buffer, 0, 1).err());
    lost(gpu.fill(buffer, 0, 1, 0).err());
    lost(gpu.copy((buffer, 0), (buffer, 1), 1).err());
    lost(gpu.buffer::<u8>("another", 1).err());
    lost(
        gpu.kernels(&Source {
            name: "another",
            ..KERNELS
        })
        .err(),
    );
    lost(gpu.timed(|| Ok(())).err());
    lost(gpu.graph(vec![]).err());
}

#[test]
fn a_kernel_that_fails_loses_the_device() {
    with_driver(
        "a_kernel_that_fails_loses_the_device",
        Setup::default(),
        |_| {
            if !has_compiler() {
                return;
            }
            let gpu = open().expect("it opens");
            let buffer = gpu.buffer("numbers", 2).expect("there is room");
            let kernels = gpu.kernels(&KERNELS).expect("they load");
            let launch = gpu
                .prepare(&kernels[1], Grid::new(1, 1), &[])
                .expect("a launch");
            let graph = gpu.graph(vec![launch.clone()]).expect("a graph");
            gpu.run(&launch).expect("it is queued");
            match gpu.wait() {
                Err(CudaError::Lost { message }) => {
                    assert!(message.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{message}");
                }
                other => panic!("{other:?}"),
            }
            is_lost(&gpu, &buffer);
            let lost = |error| assert!(matches!(error, Err(CudaError::Lost { .. })), "{error:?}");
            lost(gpu.run(&launch));
            lost(gpu.replay(&graph));
        },
    );
}

#[test]
fn a_device_can_be_lost_for_a_test() {
    with_driver(
        "a_device_can_be_lost_for_a_test",
        Setup::default(),
        |fake| {
            let gpu = open().expect("it opens");
            let buffer = gpu.buffer("numbers", 2).expect("there is room");
            gpu.lose();
            is_lost(&gpu, &buffer);
            drop((gpu, buffer));
            assert_eq!(fake.live(), "", "everything is given back all the same");
        },
    );
}

/// Whether a call gives something back, or only helps to tell what is wrong: its failure is
/// nobody's.
fn gives_back(call: &str) -> bool {
    ["Destroy", "Free", "Unload", "Release", "GetParamInfo"]
        .iter()
        .any(|part| call.contains(part))
}

/// Lets every single call of some work fail, one in each run.
fn every_failure(fake: &Fake, work: impl Fn() -> Result<(), CudaError>) {
    // Once for what is done once in a process.
    work().expect("without failures it works");
    fake.calls();
    work().expect("without failures it works");
    let calls = fake.calls();
    assert!(calls.len() > 20, "{calls:?}");
    let mut counts = std::collections::BTreeMap::new();
    for call in calls {
        *counts.entry(call).or_insert(0_usize) += 1;
    }
    for (call, count) in counts {
        // The first ones and the last; those between are made from the same places.
        for at in (0..count.min(12)).chain([count - 1]) {
            for status in [1, 2, 999] {
                let before = fake.live();
                fake.fail(&call, at, status);
                let result = work();
                if gives_back(&call) {
                    continue;
                }
                assert_eq!(fake.live(), before, "{call} {at} {status}: {result:?}");
                // Memory that is short once is there when what is kept has been given back; waiting
                // before something is given back is part of that.
                let again = (call.as_str(), status) == ("cuMemAllocAsync", 2);
                let helps = ["cuCtxSetCurrent", "cuStreamSynchronize"].contains(&call.as_str());
                let failed = result.is_err();
                assert!(failed || again || helps, "{call} {at} {status}");
            }
        }
    }
}

#[test]
fn every_call_may_fail() {
    with_driver("every_call_may_fail", Setup::default(), |fake| {
        every_failure(fake, || {
            let gpu = Gpu::open(&Options {
                device: Some(1),
                ..Options::default()
            })?;
            let buffer = gpu.buffer_of("numbers", &numbers(10))?;
            gpu.fill(&buffer, 2, 3, 7)?;
            gpu.copy((&buffer, 0), (&buffer, 5), 5)?;
            gpu.read(&buffer, 0, 10)?;
            if Nvrtc::find().is_ok() {
                launches(&gpu)?;
            }
            gpu.wait()
        });
    });
}

#[test]
fn threads_share_a_device() {
    with_driver("threads_share_a_device", Setup::default(), |fake| {
        if !has_compiler() {
            return;
        }
        let gpu = open().expect("it opens");
        let add = gpu.kernels(&KERNELS).expect("they load").remove(0);
        let work = |seed: u64| -> Result<(), CudaError> {
            for round in 0..20 {
                let data: Vec<u64> = (0..2000).map(|i| i * seed + round).collect();
                let buffer = gpu.buffer_of("numbers", &data)?;
                let arguments = [(&buffer).into(), 2000_u64.into(), 5_u32.into()];
                let prepared = gpu.prepare(&add, Grid::covering(2000, 256), &arguments)?;
                gpu.run(&prepared)?;
                let graph = gpu.graph(vec![prepared])?;
                gpu.replay(&graph)?;
                let expected: Vec<u64> = data.iter().map(|value| value + 10).collect();
                assert!(gpu.read(&buffer, 0, 2000)? == expected, "{seed} {round}");
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..5).map(|seed| scope.spawn(move || work(seed))).collect();
            for thread in threads {
                thread.join().expect("no panic").expect("it works");
            }
        });
        drop((add, gpu));
        assert_eq!(fake.live(), "");
    });
}

/// Nothing is there, and nothing else is tried.
const NO_COMPILER: (&str, &str) = ("FFCM_NVRTC", "/absent/libnvrtc.so");

#[test]
fn without_a_compiler_the_assembly_of_this_crate_is_loaded() {
    let name = "without_a_compiler_the_assembly_of_this_crate_is_loaded";
    let setup = Setup {
        without: &[],
        variables: &[NO_COMPILER],
    };
    with_driver(name, setup, |fake| {
        let gpu = open().expect("it opens");
        for source in kernels::all() {
            let loaded = gpu.kernels(&source).expect("its file is fresh");
            assert_eq!(loaded.len(), source.entries.len());
        }
        match gpu.kernels(&KERNELS) {
            Err(CudaError::Kernel { message, .. }) => {
                assert!(message.contains("FFCM_NVRTC"), "{message}");
                assert!(message.contains("no PTX of it"), "{message}");
            }
            other => panic!("{other:?}"),
        }
        drop(gpu);
        assert_eq!(fake.live(), "");
    });
}

#[test]
fn a_compiler_that_is_too_new_for_the_driver_is_left_alone() {
    let name = "a_compiler_that_is_too_new_for_the_driver_is_left_alone";
    let setup = Setup {
        without: &[],
        variables: &[("FAKE_VERSION", "12000")],
    };
    with_driver(name, setup, |fake| {
        match Nvrtc::find_for(12) {
            Ok(nvrtc) if nvrtc.version().0 > 12 => {}
            _ => return println!("a compiler too new: NOT RUN (there is none)"),
        }
        let gpu = open().expect("it opens");
        for source in kernels::all() {
            gpu.kernels(&source).expect("the assembly is loaded");
        }
        let error = gpu.kernels(&KERNELS).expect_err("there is none of it");
        let error = error.to_string();
        assert!(
            error.contains("too new") && error.contains("12.0"),
            "{error}"
        );
        drop(gpu);
        assert_eq!(fake.live(), "");
    });
}
