//! The device layer, on the first adapter of this machine.

use ffcm_wgsl::device::{Binding, Gpu, GpuError, Groups, Options, Source, adapters};

fn open() -> Gpu {
    Gpu::open(&Options::default()).expect("an adapter")
}

fn triple() -> Source {
    Source {
        name: "test.triple",
        text: "@group(0) @binding(0) var<storage, read_write> data: array<u32>;
            @compute @workgroup_size(64)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
                if (id.x < arrayLength(&data)) { data[id.x] = data[id.x] * 3u + 1u; }
            }"
        .into(),
        entry: "main",
        bindings: &[Binding::Write],
    }
}

#[test]
fn a_kernel_runs_and_is_counted() {
    let gpu = open();
    println!("{:?}\n{:?}", gpu.adapter(), gpu.profile());
    let data: Vec<u32> = (0..1000).collect();
    let buffer = gpu.buffer_of("data", &data).unwrap();
    let kernel = gpu.kernel(&triple()).unwrap();
    let bound = gpu.bind(&kernel, &[(&buffer).into()]).unwrap();
    let mut commands = gpu.commands("test");
    commands
        .dispatch(&bound, Groups::Count(16))
        .dispatch(&bound, Groups::Count(16));
    let found = commands.submit_and_read(&buffer, 0, 1000).unwrap();
    let expected: Vec<u32> = data.iter().map(|x| (x * 3 + 1) * 3 + 1).collect();
    assert_eq!(found, expected);
    let stats = gpu.stats();
    assert_eq!(
        (stats.submissions, stats.dispatches, stats.round_trips),
        (1, 2, 1)
    );
    assert_eq!((stats.uploaded, stats.read_back), (4000, 4000));
}

#[test]
fn what_does_not_work_is_an_error_and_no_panic() {
    let gpu = open();
    let broken = Source {
        name: "test.broken",
        text: "fn main( {".into(),
        ..triple()
    };
    assert!(matches!(
        gpu.kernel(&broken),
        Err(GpuError::Kernel {
            kernel: "test.broken",
            ..
        })
    ));
    let limit = gpu.profile().binding_bytes;
    let error = gpu.buffer("huge", limit / 4 + 1).unwrap_err();
    assert!(matches!(error, GpuError::TooLarge { .. }), "{error}");
    // The device still works.
    assert_eq!(
        gpu.read(&gpu.buffer("zeros", 3).unwrap(), 0, 3).unwrap(),
        [0; 3]
    );
    gpu.destroy();
    let error = gpu.buffer("later", 1).unwrap_err();
    assert!(matches!(error, GpuError::Lost { .. }), "{error}");
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
