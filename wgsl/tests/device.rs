//! The device layer, on the first adapter of this machine.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ffcm_wgsl::device::{Binding, Bound, Buffer, Gpu, GpuError, Groups, Options, Source, adapters};

fn open() -> Gpu {
    Gpu::open(&Options::default()).expect("an adapter")
}

fn source(name: &'static str, text: &str) -> Source {
    Source {
        name,
        text: text.into(),
        entry: "main",
        bindings: &[Binding::Write],
    }
}

fn triple() -> Source {
    source(
        "test.triple",
        "@group(0) @binding(0) var<storage, read_write> data: array<u32>;
        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if (id.x < arrayLength(&data)) { data[id.x] = data[id.x] * 3u + 1u; }
        }",
    )
}

/// Takes its time: 30 000 steps in each invocation.
fn slow() -> Source {
    source(
        "test.slow",
        "@group(0) @binding(0) var<storage, read_write> data: array<u32>;
        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            var x = id.x;
            for (var i = 0u; i < 30000u; i++) { x = x * 1664525u + 1013904223u; }
            if (id.x < arrayLength(&data)) { data[id.x] += x | 1u; }
        }",
    )
}

fn bound(gpu: &Gpu, source: &Source, buffer: &Buffer) -> Result<Bound, GpuError> {
    gpu.bind(&gpu.kernel(source)?, &[buffer.into()])
}

#[test]
fn a_kernel_runs_and_is_counted() {
    let gpu = open();
    println!("{:?}\n{:?}", gpu.adapter(), gpu.profile());
    let data: Vec<u32> = (0..1000).collect();
    let buffer = gpu.buffer_of("data", &data).unwrap();
    let bound = bound(&gpu, &triple(), &buffer).unwrap();
    let mut commands = gpu.commands("test");
    commands
        .dispatch(&bound, Groups::Count(16))
        .dispatch(&bound, Groups::Count(16))
        .dispatch(&bound, Groups::Count(0));
    let found = commands.submit_and_read(&buffer, 0, 1000).unwrap();
    let expected: Vec<u32> = data.iter().map(|x| (x * 3 + 1) * 3 + 1).collect();
    assert_eq!(found, expected);
    let stats = gpu.stats();
    assert_eq!(
        (stats.submissions, stats.dispatches, stats.round_trips),
        (1, 2, 1)
    );
    assert_eq!((stats.uploaded, stats.read_back), (4000, 4000));
    let names: Vec<_> = gpu.compile_times().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["test.triple"]);
}

#[test]
fn kernels_of_one_name_and_different_text_are_different() {
    let gpu = open();
    let buffer = gpu.buffer_of("data", &[5]).unwrap();
    let other = Source {
        text: triple().text.replace("3u", "7u"),
        ..triple()
    };
    let first = gpu.kernel(&triple()).unwrap();
    assert!(Arc::ptr_eq(&first, &gpu.kernel(&triple()).unwrap()));
    for (source, expected) in [(triple(), 16), (other, 113), (triple(), 340)] {
        let bound = bound(&gpu, &source, &buffer).unwrap();
        let mut commands = gpu.commands("test");
        commands.dispatch(&bound, Groups::Count(1));
        assert_eq!(commands.submit_and_read(&buffer, 0, 1).unwrap(), [expected]);
    }
}

#[test]
fn kernels_of_one_text_and_other_bindings_or_another_entry_are_different() {
    let gpu = open();
    gpu.kernel(&triple()).unwrap();
    let other = Source {
        bindings: &[Binding::Read],
        ..triple()
    };
    let error = gpu.kernel(&other).unwrap_err();
    assert!(matches!(error, GpuError::Kernel { .. }), "{error}");
    let other = Source {
        text: triple().text + "m",
        entry: "ain",
        ..triple()
    };
    assert!(gpu.kernel(&other).is_err());
}

#[test]
fn what_does_not_work_is_an_error_and_no_panic() {
    let gpu = open();
    let broken = source("test.broken", "fn main( {");
    let no_entry = source("test.no_entry", "@compute @workgroup_size(1) fn other() {}");
    let too_many = source(
        "test.too_many",
        "@compute @workgroup_size(257) fn main() {}",
    );
    for source in [broken, no_entry, too_many] {
        let error = gpu.kernel(&source).unwrap_err();
        assert!(
            matches!(error, GpuError::Kernel { kernel, .. } if kernel == source.name),
            "{error}"
        );
    }
    let limit = gpu.profile().binding_bytes;
    for words in [limit / 4 + 1, u64::MAX] {
        let error = gpu.buffer("huge", words).unwrap_err();
        assert!(matches!(error, GpuError::TooLarge { .. }), "{error}");
    }
    // The device still works.
    let zeros = gpu.buffer("zeros", 3).unwrap();
    assert_eq!(gpu.read(&zeros, 0, 3).unwrap(), [0; 3]);
    assert_eq!(gpu.read(&zeros, 3, 0).unwrap(), []);
}

#[test]
fn ranges_are_checked() {
    let gpu = open();
    let a = gpu.buffer_of("a", &[1; 100]).unwrap();
    let b = gpu.buffer_of("b", &[2; 50]).unwrap();
    let kernel = gpu.kernel(&triple()).unwrap();
    let full = gpu.bind(&kernel, &[(&a).into()]).unwrap();
    let copy = |start, at, words| {
        let mut commands = gpu.commands("copy");
        commands.copy(&a, start, &b, at, words);
        commands.submit()
    };
    let clear = |start, words| {
        let mut commands = gpu.commands("clear");
        commands.clear(&b, start, words);
        commands.submit()
    };
    let indirect = |word| {
        let mut commands = gpu.commands("indirect");
        commands.dispatch(&full, Groups::Indirect(&b, word));
        commands.submit_and_read(&b, 0, 1).map(drop)
    };
    let ranges = [
        gpu.upload(&a, 98, &[0; 3]),
        gpu.upload(&a, u64::MAX, &[0; 3]),
        gpu.upload(&a, 101, &[]),
        gpu.read(&a, 1, 100).map(drop),
        gpu.read(&a, u64::MAX, 2).map(drop),
        gpu.read(&a, 101, 0).map(drop),
        copy(60, 0, 41),
        copy(0, 20, 31),
        copy(u64::MAX, 0, 1),
        copy(0, u64::MAX, 1),
        clear(50, 1),
        clear(1, u64::MAX),
        indirect(48),
        indirect(u64::MAX),
        gpu.bind(&kernel, &[a.slice(64, 37)]).map(drop),
        gpu.bind(&kernel, &[a.slice(64, u64::MAX)]).map(drop),
    ];
    for (at, result) in ranges.iter().enumerate() {
        assert!(
            matches!(result, Err(GpuError::BadRange { .. })),
            "{at}: {result:?}"
        );
    }
    for (start, words) in [(1, 5), (63, 1), (64, 0)] {
        let result = gpu.bind(&kernel, &[a.slice(start, words)]);
        assert!(
            matches!(result, Err(GpuError::BadSlice { .. })),
            "{result:?}"
        );
    }
    let result = gpu.bind(&kernel, &[(&a).into(), (&b).into()]);
    let (needs, has) = (1, 2);
    assert!(
        matches!(result, Err(GpuError::BindingCount { needs: n, has: h, .. }) if n == needs && h == has)
    );
    // A bad command anywhere, and nothing of the list runs.
    let mut commands = gpu.commands("mixed");
    commands.clear(&b, 0, 50).clear(&b, 0, 51).clear(&b, 0, 1);
    let error = commands.submit_and_read(&b, 0, 1).unwrap_err();
    let expected = GpuError::BadRange {
        what: "b".into(),
        start: 0,
        words: 51,
        size: 50,
    };
    assert_eq!(error, expected);
    assert_eq!(gpu.read(&b, 0, 50).unwrap(), [2; 50]);
    assert_eq!(gpu.read(&a, 0, 100).unwrap(), [1; 100]);
    // What just fits does.
    copy(50, 0, 50).unwrap();
    clear(49, 1).unwrap();
    gpu.bind(&kernel, &[a.slice(64, 36)]).unwrap();
    assert_eq!(gpu.read(&b, 48, 2).unwrap(), [1, 0]);
}

#[test]
fn workgroups_beyond_one_dimension_are_each_run_once() {
    let gpu = open();
    let kernel = source(
        "test.cover",
        "@group(0) @binding(0) var<storage, read_write> seen: array<atomic<u32>>;
        @compute @workgroup_size(1)
        fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) all: vec3<u32>) {
            let index = id.x + id.y * all.x;
            atomicAdd(&seen[min(index, arrayLength(&seen) - 1u)], 1u);
        }",
    );
    for count in [65535, 65536, 70001, 2 * 65535 + 1] {
        let seen = gpu.buffer("seen", u64::from(count) + 1).unwrap();
        let bound = bound(&gpu, &kernel, &seen).unwrap();
        let mut commands = gpu.commands("cover");
        commands.dispatch(&bound, Groups::Count(count));
        let found = commands.submit_and_read(&seen, 0, seen.words()).unwrap();
        let (spare, found) = found.split_last().unwrap();
        assert!(found.iter().all(|times| *times == 1), "{count}");
        // Less than a row too many.
        assert!(*spare < 3, "{count}: {spare}");
    }
    let seen = gpu.buffer("seen", 1).unwrap();
    let bound = bound(&gpu, &kernel, &seen).unwrap();
    let mut commands = gpu.commands("too many");
    commands.dispatch(&bound, Groups::Count(u32::MAX));
    let error = commands.submit().unwrap_err();
    assert!(
        matches!(
            error,
            GpuError::TooManyGroups {
                count: u32::MAX,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn memory_beyond_the_options_is_refused_and_given_back() {
    let gpu = Gpu::open(&Options {
        memory_bytes_max: Some(1 << 20),
        ..Options::default()
    })
    .unwrap();
    let quarter = || gpu.buffer("quarter", 1 << 16);
    let mut held: Vec<Buffer> = (0..4).map(|_| quarter().unwrap()).collect();
    let copies = held.clone();
    assert_eq!(gpu.memory_in_use(), 1 << 20);
    let refused = GpuError::OutOfMemory {
        what: "quarter".into(),
        bytes: 1 << 18,
    };
    assert_eq!(quarter().unwrap_err(), refused);
    held.pop();
    assert_eq!(quarter().unwrap_err(), refused, "a copy holds it");
    drop(copies);
    held.push(quarter().unwrap());
    assert_eq!(gpu.read(&held[3], (1 << 16) - 1, 1).unwrap(), [0]);
    drop(held);
    assert_eq!(gpu.memory_in_use(), 0);
}

#[test]
fn after_a_loss_every_operation_says_so() {
    let gpu = open();
    let buffer = gpu.buffer_of("data", &[1; 64]).unwrap();
    let kernel = gpu.kernel(&triple()).unwrap();
    let bound = gpu.bind(&kernel, &[(&buffer).into()]).unwrap();
    let mut before = gpu.commands("before");
    before.dispatch(&bound, Groups::Count(1));
    // Under way when the device goes.
    let mut under_way = gpu.commands("under way");
    under_way.dispatch(&bound, Groups::Count(1));
    under_way.submit().unwrap();
    gpu.destroy();
    gpu.destroy();
    let mut after = gpu.commands("after");
    after
        .dispatch(&bound, Groups::Count(1))
        .copy(&buffer, 0, &buffer, 32, 8)
        .clear(&buffer, 0, 8);
    let mut timed = gpu.commands("timed");
    timed.dispatch(&bound, Groups::Count(1));
    let results = [
        gpu.check(),
        gpu.buffer("later", 1).map(drop),
        gpu.buffer_of("later", &[1]).map(drop),
        gpu.upload(&buffer, 0, &[1]),
        gpu.upload(&buffer, 0, &[]),
        gpu.read(&buffer, 0, 1).map(drop),
        gpu.read(&buffer, 0, 0).map(drop),
        gpu.kernel(&triple()).map(drop),
        gpu.kernel(&slow()).map(drop),
        gpu.bind(&kernel, &[(&buffer).into()]).map(drop),
        before.submit(),
        after.submit_and_read(&buffer, 0, 64).map(drop),
        timed.submit_and_read_timed(&buffer, 0, 64).map(drop),
        gpu.commands("empty").submit(),
    ];
    for (at, result) in results.iter().enumerate() {
        assert!(
            matches!(result, Err(GpuError::Lost { .. })),
            "{at}: {result:?}"
        );
    }
    // Another device of the same adapter is not concerned.
    let other = open();
    let buffer = other.buffer_of("data", &[4]).unwrap();
    assert_eq!(other.read(&buffer, 0, 1).unwrap(), [4]);
}

#[test]
fn a_loss_ends_a_wait_in_another_thread() {
    let gpu = open();
    let buffer = gpu.buffer("data", 64).unwrap();
    let bound = bound(&gpu, &slow(), &buffer).unwrap();
    let (started, starts) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            loop {
                let mut commands = gpu.commands("wait");
                (0..50).for_each(|_| {
                    commands.dispatch(&bound, Groups::Count(8));
                });
                started.send(()).unwrap();
                if let Err(error) = commands.submit_and_read(&buffer, 0, 1) {
                    return error;
                }
            }
        });
        starts.recv().unwrap();
        gpu.destroy();
        let error = waiter.join().unwrap();
        assert!(matches!(error, GpuError::Lost { .. }), "{error}");
    });
}

#[test]
fn a_device_that_does_not_answer_is_an_error_and_later_answers_are_right() {
    let gpu = Gpu::open(&Options {
        timeout: Duration::ZERO,
        ..Options::default()
    })
    .unwrap();
    let buffer = gpu.buffer("data", 64).unwrap();
    let bound = bound(&gpu, &slow(), &buffer).unwrap();
    let mut commands = gpu.commands("slow");
    (0..100).for_each(|_| {
        commands.dispatch(&bound, Groups::Count(8));
    });
    let error = commands.submit_and_read(&buffer, 0, 64).unwrap_err();
    assert_eq!(error, GpuError::Timeout { seconds: 0 });
    let data = loop {
        match gpu.read(&buffer, 0, 64) {
            Ok(data) => break data,
            Err(GpuError::Timeout { .. }) => thread::sleep(Duration::from_millis(5)),
            Err(other) => panic!("{other}"),
        }
    };
    let step = |x: u32, _| x.wrapping_mul(1664525).wrapping_add(1013904223);
    for (id, found) in (0..).zip(data) {
        let once = (0..30000).fold(id, step) | 1;
        assert_eq!(found, once.wrapping_mul(100));
    }
}

#[test]
fn devices_do_not_share_what_they_hold() {
    let (one, two) = (open(), open());
    let (a, b) = (
        one.buffer_of("a", &[1; 64]).unwrap(),
        two.buffer_of("b", &[2; 64]).unwrap(),
    );
    let (kernel, bound_two) = (
        one.kernel(&triple()).unwrap(),
        bound(&two, &triple(), &b).unwrap(),
    );
    let mut copy = one.commands("copy");
    copy.copy(&a, 0, &b, 0, 1);
    let mut dispatch = one.commands("dispatch");
    dispatch.dispatch(&bound_two, Groups::Count(1));
    let results = [
        one.upload(&b, 0, &[1]),
        one.read(&b, 0, 1).map(drop),
        one.bind(&kernel, &[(&b).into()]).map(drop),
        two.bind(&kernel, &[(&b).into()]).map(drop),
        copy.submit(),
        dispatch.submit(),
    ];
    for (at, result) in results.iter().enumerate() {
        assert!(
            matches!(result, Err(GpuError::Foreign { .. })),
            "{at}: {result:?}"
        );
    }
    thread::scope(|scope| {
        for (gpu, buffer, expected) in [(&one, &a, 4), (&two, &b, 7)] {
            scope.spawn(move || {
                let bound = bound(gpu, &triple(), buffer).unwrap();
                let mut commands = gpu.commands("both");
                commands.dispatch(&bound, Groups::Count(1));
                let found = commands.submit_and_read(buffer, 0, 64).unwrap();
                assert_eq!(found, [expected; 64]);
            });
        }
    });
}

#[test]
fn threads_that_share_a_device_get_their_own_answers_and_errors() {
    const THREADS: u32 = 4;
    const TURNS: u32 = 20;
    let gpu = open();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let gpu = &gpu;
            scope.spawn(move || {
                for turn in 0..TURNS {
                    let value = number * 1000 + turn;
                    let buffer = gpu.buffer_of("own", &[value; 100]).unwrap();
                    let bound = bound(gpu, &triple(), &buffer).unwrap();
                    let mut commands = gpu.commands("own");
                    commands.dispatch(&bound, Groups::Count(2));
                    let found = commands.submit_and_read(&buffer, 0, 100).unwrap();
                    assert_eq!(found, [value * 3 + 1; 100]);
                    // The driver refuses a copy within one buffer over itself.
                    let mut overlap = gpu.commands("overlap");
                    overlap.copy(&buffer, 0, &buffer, 1, 50);
                    assert!(matches!(overlap.submit(), Err(GpuError::Driver { .. })));
                    let broken = source("test.broken", "fn main( {");
                    assert!(matches!(gpu.kernel(&broken), Err(GpuError::Kernel { .. })));
                }
            });
        }
    });
    assert_eq!(gpu.check(), Ok(()));
    assert_eq!(gpu.stats().round_trips, u64::from(THREADS * TURNS));
    assert_eq!(gpu.memory_in_use(), 0);
}

#[test]
fn device_time_is_told_where_the_adapter_has_time_stamps() {
    let gpu = open();
    let buffer = gpu.buffer("data", 64).unwrap();
    let bound = bound(&gpu, &slow(), &buffer).unwrap();
    for passes in 1..4 {
        let mut commands = gpu.commands("timed");
        (0..passes).for_each(|_| {
            commands
                .dispatch(&bound, Groups::Count(8))
                .clear(&buffer, 0, 1);
        });
        let (data, time) = commands.submit_and_read_timed(&buffer, 0, 64).unwrap();
        assert_eq!((data[0], data[1] % 2), (0, passes % 2));
        assert_eq!(time.is_some(), gpu.adapter().timestamps);
        gpu.upload(&buffer, 0, &[0; 64]).unwrap();
        println!("device time of {passes} passes: {time:?}");
    }
    let mut no_kernel = gpu.commands("no kernel");
    no_kernel.clear(&buffer, 0, 64);
    let (data, time) = no_kernel.submit_and_read_timed(&buffer, 0, 2).unwrap();
    assert_eq!((data, time), (vec![0, 0], None));
}

#[test]
fn an_adapter_beyond_the_list_is_refused() {
    let count = adapters().len();
    let options = Options {
        adapter: Some(count as u32),
        ..Options::default()
    };
    let error = Gpu::open(&options).unwrap_err();
    assert_eq!(
        error,
        GpuError::NoSuchAdapter {
            index: count as u32,
            count
        }
    );
}

/// A sequence of numbers that looks random (Marsaglia's xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// One operation with arguments that are often wrong. `counts` is for indirect dispatches; nobody writes to it.
fn anything(
    gpu: &Gpu,
    counts: &Buffer,
    buffers: &mut Vec<Buffer>,
    random: &mut Random,
) -> Result<(), GpuError> {
    let mut word = || match random.below(8) {
        0 => u64::MAX,
        1 => 64,
        _ => random.below(160),
    };
    let (x, y, z) = (word(), word(), word());
    let pick = |at: u64| &buffers[at as usize % buffers.len()];
    let (a, b) = (pick(x), pick(y));
    match random.below(9) {
        0 => {
            let buffer = gpu.buffer("any", z)?;
            buffers.truncate(8);
            buffers.push(buffer);
            Ok(())
        }
        1 => gpu.upload(a, y, &vec![7; z.min(200) as usize]),
        2 => gpu.read(a, y, z).map(drop),
        3 => gpu.kernel(&triple()).map(drop),
        4 => gpu.kernel(&source("test.broken", "nothing")).map(drop),
        operation => {
            let kernel = gpu.kernel(&triple())?;
            let bound = gpu.bind(&kernel, &[a.slice(x & !63, y)])?;
            let mut commands = gpu.commands("any");
            match operation {
                5 => commands.copy(a, y, b, z, x),
                6 => commands.clear(a, y, z),
                7 => commands.dispatch(&bound, Groups::Indirect(counts, z)),
                _ => commands.dispatch(&bound, Groups::Count(z.min(1 << 20) as u32 % 5)),
            };
            match z % 3 {
                0 => commands.submit(),
                1 => commands.submit_and_read(b, x, y).map(drop),
                _ => commands.submit_and_read_timed(b, x, y).map(drop),
            }
        }
    }
}

#[test]
fn random_operations_and_a_loss_among_them_end_in_answers_or_errors() {
    const OPERATIONS: u64 = 300;
    for seed in 1..=4 {
        let gpu = Gpu::open(&Options {
            memory_bytes_max: Some(1 << 20),
            ..Options::default()
        })
        .unwrap();
        let random = &mut Random(0x9E37_79B9_7F4A_7C15 ^ (seed << 32));
        let mut buffers = vec![gpu.buffer_of("first", &[3; 128]).unwrap()];
        let counts = gpu.buffer_of("counts", &[2; 64]).unwrap();
        let (mut done, mut refused) = (0, 0);
        for _ in 0..OPERATIONS {
            match anything(&gpu, &counts, &mut buffers, random) {
                Ok(()) => done += 1,
                Err(error @ (GpuError::Lost { .. } | GpuError::Timeout { .. })) => {
                    panic!("seed {seed}: {error}")
                }
                Err(_) => refused += 1,
            }
        }
        assert!(done > 20 && refused > 20, "{done} done, {refused} refused");
        let buffer = gpu.buffer_of("after", &[5; 64]).unwrap();
        assert_eq!(gpu.read(&buffer, 0, 64).unwrap(), [5; 64]);
        // Now with a loss at some time, from another thread.
        thread::scope(|scope| {
            scope.spawn(|| gpu.destroy());
            for _ in 0..OPERATIONS {
                // Whatever the answer: no panic and no hang.
                let _ = anything(&gpu, &counts, &mut buffers, random);
            }
        });
        let error = gpu.check().unwrap_err();
        let message = "destroyed".to_string();
        assert_eq!(error, GpuError::Lost { message });
    }
}
