//! The device under measurement, with the kernels on the CPU.

use std::time::Duration;

use ffcm::device::meter::{Meter, timed};
use ffcm_cuda::device::Gpu;
use ffcm_cuda::device::shim::{self, ShimOptions};

fn open() -> Gpu {
    shim::open(&ShimOptions::default()).expect("a C++ compiler")
}

#[test]
fn copies_atomics_and_the_wire_are_timed_and_checked() {
    let gpu = open();
    assert!(gpu.most_words() >= 1 << 20);
    assert!(gpu.time_copies(1 << 12, 2, 1).expect("copies") > Duration::ZERO);
    assert!(gpu.time_atomics(100, 1).expect("atomics") > Duration::ZERO);
    let (up, down) = gpu.time_wire(1 << 12, 1).expect("the wire");
    assert!(up > Duration::ZERO && down > Duration::ZERO);
}

#[test]
fn only_copies_between_host_and_device_count_and_only_when_asked() {
    let gpu = open();
    let buffer = gpu.buffer::<u32>("data", 100).expect("a buffer");
    gpu.upload(&buffer, 0, &[7; 100]).expect("an upload");
    assert_eq!(
        gpu.read(&buffer, 99, 1).expect("a word"),
        [7],
        "not timed, all the same there"
    );
    let before = gpu.transfers();
    assert_eq!((before.uploaded, before.read_back), (400, 4));
    assert_eq!(
        (before.upload_time, before.read_time),
        (Duration::ZERO, Duration::ZERO)
    );
    let upload = || Ok(gpu.upload(&buffer, 0, &[8; 100])?);
    let ((), up) = timed(&gpu, upload).expect("a timed upload");
    assert!(up.upload_time > Duration::ZERO && up.read_time == Duration::ZERO);
    let (found, down) = timed(&gpu, || Ok(gpu.read(&buffer, 0, 100)?)).expect("a timed read");
    assert_eq!(found, [8; 100]);
    assert!(down.read_time > Duration::ZERO && down.upload_time == Duration::ZERO);
    let last = gpu.transfers();
    gpu.upload(&buffer, 0, &[9; 100]).expect("an upload");
    let after = gpu.transfers().since(last);
    assert_eq!((after.uploaded, after.upload_time), (400, Duration::ZERO));
}

#[test]
fn a_lost_device_is_an_error() {
    let gpu = open();
    gpu.lose();
    assert!(gpu.time_copies(16, 1, 1).is_err());
    assert!(gpu.time_wire(16, 1).is_err());
    assert!(gpu.time_atomics(64, 1).is_err());
}
