//! Hashes on the device, against the CPU's.

use ffcm::coprocessor::{Coprocessor, HashJob, HashOutput, JobError};
use ffcm::hash;
use ffcm::testing::Rng;
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::shim::{self, ShimOptions};

/// The kernels on the CPU, with so many bytes of memory.
fn device(memory: u64, seed: u64) -> CudaCoprocessor {
    let options = ShimOptions {
        memory,
        seed,
        ..ShimOptions::default()
    };
    CudaCoprocessor::on(shim::open(&options).expect("a C++ compiler"))
}

fn open() -> CudaCoprocessor {
    device(1 << 30, 1)
}

fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Rng::new(seed).fill(&mut bytes);
    bytes
}

/// Both functions agree with the CPU on every input.
fn agree(device: &CudaCoprocessor, inputs: &[&[u8]]) {
    let jobs = [
        (HashJob::Blake3(inputs), hash::blake3(inputs)),
        (HashJob::Sha256(inputs), hash::sha256(inputs)),
    ];
    for (job, expected) in jobs {
        let HashOutput::Digests(found) = device.hash(&job).expect("the device answers") else {
            panic!("no digests");
        };
        assert_eq!(found.len(), expected.len());
        for ((input, found), expected) in inputs.iter().zip(found).zip(expected) {
            assert_eq!(found, expected, "{} bytes", input.len());
        }
    }
}

fn search(
    device: &CudaCoprocessor,
    header: &[u8],
    (start, count): (u64, u64),
    target: [u8; 32],
) -> Option<u64> {
    let job = HashJob::PowSearch {
        header,
        start,
        count,
        target,
    };
    match device.hash(&job).expect("the device answers") {
        HashOutput::Nonce(nonce) => nonce,
        other => panic!("no nonce: {other:?}"),
    }
}

/// A target that one hash in `2^bits` meets.
fn target(bits: u32) -> [u8; 32] {
    let mut target = [0xff; 32];
    target[..8].copy_from_slice(&(u64::MAX >> bits).to_be_bytes());
    target
}

#[test]
fn every_length_around_blocks_and_chunks() {
    let data = random(1, 4096 + 64);
    let near = |length: &usize| length % 64 < 3 || length % 64 > 53 || *length < 200;
    let inputs: Vec<&[u8]> = (0..=4096)
        .filter(near)
        .map(|length| &data[length % 61..][..length])
        .collect();
    for seed in 1..=2 {
        agree(&device(1 << 30, seed), &inputs);
    }
}

#[test]
fn long_inputs_among_short_ones() {
    let data = random(2, 300_000);
    let lengths = [
        0,
        5 << 10,
        131_072,
        131_073,
        131_071,
        1,
        300_000,
        64,
        65_537,
        1023,
        1024,
        17 << 10,
        1025,
        2049,
    ];
    let inputs: Vec<&[u8]> = lengths.iter().map(|length| &data[..*length]).collect();
    agree(&open(), &inputs);
}

/// Levels of more pairs than one block joins.
#[test]
fn wide_trees() {
    let data = random(5, (1 << 20) + 3 * 1024 + 1);
    let inputs: Vec<&[u8]> = vec![&data, &data[..1 << 20], &data[1..][..1 << 20]];
    let device = open();
    let before = device.gpu().stats();
    let found = device.hash(&HashJob::Blake3(&inputs)).expect("an answer");
    assert_eq!(found, HashOutput::Digests(hash::blake3(&inputs)));
    let after = device.gpu().stats();
    // The chunks, the one level of 3 · 512 pairs, and the rest.
    assert_eq!(after.launches - before.launches, 3);
    assert_eq!(after.round_trips - before.round_trips, 1);
}

#[test]
fn large_counts() {
    let data = random(6, 20_000);
    let inputs: Vec<&[u8]> = (0..15_000).map(|at| &data[at..][..at % 67]).collect();
    agree(&open(), &inputs);
}

#[test]
fn waves_of_a_small_device() {
    let data = random(3, 40_000);
    let lengths = [
        0, 40_000, 1, 2047, 2048, 2049, 4096, 39_937, 64, 512, 1024, 3, 8192, 8193, 16_384,
    ];
    let inputs: Vec<&[u8]> = lengths.iter().map(|length| &data[..*length]).collect();
    for bytes in [8 << 10, 20 << 10, 60 << 10, 150 << 10] {
        let device = device(bytes, bytes);
        agree(&device, &inputs);
        assert!(device.gpu().stats().round_trips > 4);
    }
}

#[test]
fn an_empty_batch_asks_nothing_of_the_device() {
    let device = open();
    agree(&device, &[]);
    assert_eq!(search(&device, b"x", (0, 0), [0xff; 32]), None);
    let stats = device.gpu().stats();
    assert_eq!(
        (stats.launches, stats.uploaded, stats.round_trips),
        (0, 0, 0)
    );
}

#[test]
fn the_search_finds_the_lowest_nonce() {
    let device = open();
    let headers = random(4, 200);
    // Every place of the nonce within its word and its block, and one block or two after the header.
    for length in (0..68).chain([119, 120, 127, 128, 200]) {
        let header = &headers[..length];
        let target = target(4);
        let nonce = hash::pow_search(header, 1 << 40, 10_000, &target);
        assert!(nonce.is_some());
        assert_eq!(
            search(&device, header, (1 << 40, 10_000), target),
            nonce,
            "{length}"
        );
    }
}

#[test]
fn a_search_goes_on_in_further_windows() {
    // Headers of which the lowest nonce is in the first window and in the second.
    let header = |bits, windows| {
        let lies = |name: &u8| {
            let lowest = hash::pow_search(&[*name], 0, u64::MAX, &target(bits));
            let window = if lowest < Some(1 << 14) { 1 } else { 2 };
            window == windows && lowest < Some(5 << 14)
        };
        [(0..=255).find(lies).expect("such a header")]
    };
    for (bits, windows) in [(13, 1), (15, 2)] {
        let header = &header(bits, windows);
        for seed in 1..=2 {
            let device = device(1 << 30, seed);
            let target = target(bits);
            let lowest = hash::pow_search(header, 0, u64::MAX, &target).expect("such a nonce");
            let before = device.gpu().stats();
            assert_eq!(search(&device, header, (0, u64::MAX), target), Some(lowest));
            let after = device.gpu().stats();
            assert_eq!(after.round_trips - before.round_trips, windows);
            assert_eq!(search(&device, header, (lowest, 1), target), Some(lowest));
            assert_eq!(
                search(&device, header, (lowest / 2, lowest / 2), target),
                None
            );
        }
    }
}

#[test]
fn the_bound_is_exclusive_and_ranges_may_cross_words_and_touch_the_end() {
    let device = open();
    for nonce in [5, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        let hash = hash::pow_hash(b"x", nonce);
        assert_eq!(search(&device, b"x", (nonce, 1), hash), None);
        // The last byte alone decides.
        let mut above = hash;
        above[31] += 1;
        assert_eq!(search(&device, b"x", (nonce, 1), above), Some(nonce));
    }
    let target = target(8);
    for start in [u64::from(u32::MAX) - 700, u64::MAX - 2000] {
        let expected = hash::pow_search(b"y", start, 3000, &target);
        assert!(expected.is_some());
        assert_eq!(search(&device, b"y", (start, 3000), target), expected);
    }
    assert_eq!(
        search(&device, b"x", (u64::MAX - 3, u64::MAX), [0; 32]),
        None
    );
    assert_eq!(
        search(&device, b"x", (u64::MAX, 10), [0xff; 32]),
        Some(u64::MAX)
    );
    // All nonces meet it: every thread finds one, and the lowest counts.
    assert_eq!(search(&device, b"x", (77, u64::MAX), [0xff; 32]), Some(77));
}

#[test]
fn a_lost_device_is_an_error() {
    let device = open();
    agree(&device, &[b"abc"]);
    device.gpu().lose();
    let jobs = [
        HashJob::Blake3(&[b"abc"]),
        HashJob::Sha256(&[b"abc"]),
        HashJob::PowSearch {
            header: b"",
            start: 0,
            count: 1,
            target: [0xff; 32],
        },
    ];
    for job in jobs {
        let error = device.hash(&job).expect_err("the device is gone");
        assert!(matches!(error, JobError::Device(_)), "{error}");
    }
}

#[test]
fn a_device_too_small_says_so() {
    let device = device(8000, 1);
    let error = device
        .hash(&HashJob::Blake3(&[b""]))
        .expect_err("too small");
    assert!(matches!(error, JobError::NotSupported { .. }), "{error}");
    assert!(error.to_string().contains("8192"), "{error}");
    // What needs less still works.
    let data = random(7, 2000);
    let inputs: [&[u8]; 3] = [&data, b"", &data[..55]];
    let found = device
        .hash(&HashJob::Sha256(&inputs))
        .expect("room for blocks");
    assert_eq!(found, HashOutput::Digests(hash::sha256(&inputs)));
}

#[test]
fn memory_that_others_hold_is_an_error() {
    let device = device(1 << 20, 1);
    let gpu = device.gpu();
    let held = gpu.buffer::<u8>("somebody else's", gpu.memory_limit() - 512);
    let held = held.expect("there is room");
    let data = random(8, 5000);
    let inputs: [&[u8]; 1] = [&data];
    for job in [HashJob::Blake3(&inputs), HashJob::Sha256(&inputs)] {
        let error = device.hash(&job).expect_err("no room");
        assert!(
            matches!(&error, JobError::Device(message) if message.contains("out of memory")),
            "{error}"
        );
    }
    drop(held);
    agree(&device, &inputs);
}
