//! The kernels in a browser: another compiler and another WebGPU. The product's host drives a page that has the device.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(unix)]

mod jobs;
mod page;
mod process;
mod server;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ffcm_wgsl::device::{Binding, Gpu, GpuError, Groups, Options, Source};
use ffcm_wgsl::kernels;
use page::Browser;

/// A lock of which the data stays valid whatever happened to its last holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one browser at a time, and leaves none behind.
fn in_browser(test: impl FnOnce(&Arc<Browser>)) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = lock(&ONE);
    let browser = Browser::start();
    test(&browser);
    let shown = browser.text();
    assert!(shown.contains(&browser.adapter), "{shown}");
    println!("{shown}");
    browser.stop().unwrap();
}

/// The page's device, with the limits that every WebGPU has.
fn open(browser: &Arc<Browser>) -> Gpu {
    let options = Options {
        binding_bytes_max: Some(128 << 20),
        ..Options::default()
    };
    Gpu::open_remote(&options, browser.clone()).unwrap()
}

fn source(text: &str) -> Source {
    Source {
        name: "test.step",
        text: text.into(),
        entry: "main",
        bindings: &[Binding::Write, Binding::Read, Binding::Uniform],
    }
}

const STEP: &str = "
    @group(0) @binding(0) var<storage, read_write> data: array<u32>;
    @group(0) @binding(1) var<storage, read> add: array<u32>;
    @group(0) @binding(2) var<uniform> factor: vec4<u32>;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        if (id.x < arrayLength(&data)) { data[id.x] = data[id.x] * factor.x + add[id.x]; }
    }";

#[test]
fn the_page_does_what_the_host_orders() {
    in_browser(|browser| {
        let gpu = open(browser);
        let numbers: Vec<u32> = (0..1000)
            .map(|i: u32| i.wrapping_mul(0x9e37_79b9))
            .collect();
        let data = gpu.buffer_of("data", &numbers).unwrap();
        let spare = gpu.buffer("spare", 1000).unwrap();
        let add = gpu
            .buffer_of("add", &[&[7; 64][..], &numbers].concat())
            .unwrap();
        let factor = gpu.buffer_of("factor", &[3, 0, 0, 0]).unwrap();
        let groups = gpu.buffer_of("groups", &[9, 1, 1, 1]).unwrap();
        let kernel = gpu.kernel(&source(STEP)).unwrap();
        let buffers = [(&data).into(), add.slice(64, 1000), (&factor).into()];
        let bound = gpu.bind(&kernel, &buffers).unwrap();
        let mut commands = gpu.commands("step");
        commands
            .dispatch(&bound, Groups::Count(16))
            .dispatch(&bound, Groups::Indirect(&groups, 1))
            .copy(&data, 0, &spare, 500, 100)
            .clear(&data, 0, 10);
        let found = commands.submit_and_read(&data, 0, 1000).unwrap();
        let twice = numbers.iter().map(|&x| {
            let once = x.wrapping_mul(3).wrapping_add(x);
            once.wrapping_mul(3).wrapping_add(x)
        });
        let once = numbers.iter().map(|&x| x.wrapping_mul(4));
        // The second dispatch has one workgroup.
        let expected: Vec<u32> = twice.take(64).chain(once.skip(64)).collect();
        assert_eq!(found[..10], [0; 10]);
        assert_eq!(found[10..], expected[10..]);
        let copied = gpu.read(&spare, 499, 102).unwrap();
        assert_eq!(copied[0], 0);
        assert_eq!(copied[1..101], expected[..100]);
        assert_eq!(copied[101], 0);
        let digest = browser.digest(&[("data", 0, 1000), ("spare", 499, 102)]);
        browser.show("one step", &digest, &sha256(&[found, copied].concat()));
        assert!(browser.text().contains(&format!("one step\t{digest}\tyes")));
        let stats = gpu.stats();
        assert_eq!(
            (stats.submissions, stats.dispatches, stats.round_trips),
            (2, 2, 2)
        );
    });
}

#[test]
fn what_the_page_cannot_do_is_an_error() {
    in_browser(|browser| {
        let gpu = open(browser);
        // A barrier that not every invocation reaches: the language forbids it, not every compiler finds it.
        let text = STEP.replace(
            "if (id.x",
            "if (data[id.x] > 1u) { workgroupBarrier(); } if (id.x",
        );
        let error = gpu.kernel(&source(&text)).unwrap_err();
        let GpuError::Kernel { kernel, message } = error else {
            panic!("{error}");
        };
        assert_eq!(kernel, "test.step");
        assert!(
            message.contains("error at 7:") && message.contains("uniform"),
            "{message}"
        );
        // The page goes on.
        let kernel = gpu.kernel(&source(STEP)).unwrap();
        let small = gpu.buffer("small", 1).unwrap();
        let buffers = [(&small).into(), (&small).into(), (&small).into()];
        let bound = gpu.bind(&kernel, &buffers).unwrap();
        let mut commands = gpu.commands("step");
        commands.dispatch(&bound, Groups::Count(1));
        let error = commands.submit_and_read(&small, 0, 1).unwrap_err();
        assert!(matches!(error, GpuError::Driver { .. }), "{error}");
        assert_eq!(gpu.read(&small, 0, 1).unwrap(), [0]);
    });
}

#[test]
fn every_kernel_compiles() {
    in_browser(|browser| {
        let gpu = open(browser);
        let mut refused = Vec::new();
        for source in kernels::all() {
            match gpu.kernel(&source) {
                Ok(_) => println!("{}: {} bytes", source.name, source.text.len()),
                Err(error) => refused.push(error.to_string()),
            }
        }
        assert!(refused.is_empty(), "{}", refused.join("\n\n"));
        let messages = browser.messages();
        assert!(messages.is_empty(), "{}", messages.join("\n\n"));
    });
}

/// SHA-256 of words, little-endian.
fn sha256(words: &[u32]) -> String {
    use sha2::Digest;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    sha2::Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
