use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::coprocessor::{
    Crossover, DeviceInfo, HashOutput, JobKind, OracleCoprocessor, ProvidedDevice, RewriteOutput,
};
use crate::focus::Ranking;
use crate::memory::{Memory, MemoryError, MemoryOp, SlotId};

/// Microseconds on the clock of these tests: only a job moves it, by what its device claims to need.
type Now = Arc<AtomicU64>;

/// The oracle with a price per job. One kind of job may be wrong or fail; the self-test alone may be, too.
#[derive(Clone)]
struct Priced {
    now: Now,
    jobs: Arc<AtomicU64>,
    price: u64,
    fault: &'static str,
}

impl Priced {
    fn new(now: &Now, price: u64, fault: &'static str) -> Priced {
        Priced {
            now: Arc::clone(now),
            jobs: Arc::default(),
            price,
            fault,
        }
    }

    fn pay(&self) {
        self.jobs.fetch_add(1, Ordering::Relaxed);
        self.now.fetch_add(self.price, Ordering::Relaxed);
    }
}

impl Coprocessor for Priced {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "wgpu:9".into(),
            ..OracleCoprocessor.info()
        }
    }

    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        self.pay();
        OracleCoprocessor.rewrite(job)
    }

    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.pay();
        let mut ranking = OracleCoprocessor.focus(job)?;
        match self.fault {
            "wrong" => ranking.mass[5] ^= 1,
            "fails" => return Err(JobError::Device("unplugged\n  by\tnight".into())),
            _ => {}
        }
        Ok(ranking)
    }

    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        let mut results = OracleCoprocessor.memory(memory, ops)?;
        if self.fault == "self-test" {
            results[0] = Err(MemoryError::BadScalar);
        }
        Ok(results)
    }

    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        self.pay();
        OracleCoprocessor.hash(job)
    }
}

/// Devices of these tests: each a coprocessor, or what its start says.
struct Shelf(Vec<Result<Priced, &'static str>>);

impl Provider for Shelf {
    fn name(&self) -> &'static str {
        "wgpu"
    }

    fn devices(&self) -> Vec<ProvidedDevice> {
        let device = |(index, device): (u32, &Result<Priced, &'static str>)| ProvidedDevice {
            index,
            name: format!("card {index}"),
            software: index == 1,
            refused: (*device == Err("refused")).then(|| "it has no compute shaders".into()),
        };
        (0..).zip(&self.0).map(device).collect()
    }

    fn open(&self, index: Option<u32>) -> Result<Arc<dyn Coprocessor>, JobError> {
        let device = &self.0[index.expect("calibration names a device") as usize];
        match device {
            Ok(device) => Ok(Arc::new(device.clone())),
            Err(message) => Err(JobError::Device((*message).into())),
        }
    }
}

impl PartialEq for Priced {
    fn eq(&self, other: &Priced) -> bool {
        Arc::ptr_eq(&self.jobs, &other.jobs)
    }
}

/// A CPU of 10 ms a job against devices with a price in microseconds and a fault.
fn auto(devices: &[(u64, &'static str)]) -> (Accelerator, String, Vec<u64>) {
    auto_known(devices, &|_| None)
}

/// The same with devices that were measured before.
fn auto_known(
    devices: &[(u64, &'static str)],
    known: &Known<'_>,
) -> (Accelerator, String, Vec<u64>) {
    let now = Now::default();
    let shelf = Shelf(
        devices
            .iter()
            .map(|(price, fault)| match *fault {
                "refused" | "broken" => Err(*fault),
                _ => Ok(Priced::new(&now, *price, fault)),
            })
            .collect(),
    );
    let cpu = Arc::new(Priced::new(&now, 10_000, ""));
    let clock = || Duration::from_micros(now.load(Ordering::Relaxed));
    let (accelerator, coprocessor, line) = choose(cpu, &[&shelf], &clock, known).unwrap();
    assert_eq!(coprocessor.info().backend, "wgpu:9");
    let jobs = shelf.0.iter().flatten();
    let jobs = jobs.map(|device| device.jobs.load(Ordering::Relaxed));
    (accelerator, line, jobs.collect())
}

#[test]
fn the_fastest_that_is_right_is_chosen_and_all_others_are_named() {
    let (accelerator, line, _) = auto(&[(4_000, ""), (2_500, ""), (100_000, "")]);
    assert_eq!(accelerator, Accelerator::Wgpu(Some(1)));
    assert_eq!(
        line,
        "auto chose wgpu:1 (card 1, software): 7.5 ms, cpu 30.0 ms; \
         wgpu:2 (card 2): too slow, 100.0 ms up to search, cpu 30.0 ms up to rewrite; wgpu:0 (card 0): 12.0 ms"
    );
}

#[test]
fn a_slow_device_is_dropped_at_once_and_an_equal_one_is_not_chosen() {
    let (accelerator, line, jobs) = auto(&[(40_000, ""), (5_000, ""), (10_000, "")]);
    assert_eq!(accelerator, Accelerator::Cpu);
    assert_eq!(
        line,
        "auto chose cpu; wgpu:0 (card 0): too slow, 40.0 ms up to search, cpu 30.0 ms up to rewrite; \
         wgpu:1 (card 1, software): too slow, 5.0 ms up to search, cpu 10.0 ms up to search; \
         wgpu:2 (card 2): too slow, 30.0 ms up to rewrite, cpu 30.0 ms up to rewrite"
    );
    assert_eq!(jobs, [2, 2, 2 + 2 * REPEATS as u64 + 2]);
}

#[test]
fn whatever_is_wrong_with_a_device_it_is_not_chosen() {
    let (accelerator, line, _) = auto(&[
        (10, "wrong"),
        (20, "fails"),
        (30, "self-test"),
        (0, "refused"),
        (0, "broken"),
    ]);
    assert_eq!(accelerator, Accelerator::Cpu);
    let notes: Vec<&str> = line.split("; wgpu:").collect();
    assert_eq!(notes.len(), 6, "{line}");
    assert_eq!(notes[0], "auto chose cpu");
    assert_eq!(
        notes[1],
        "0 (card 0): wrong focus result, it cannot be trusted"
    );
    assert_eq!(
        notes[2],
        "1 (card 1, software): focus: device: unplugged by night"
    );
    assert_eq!(notes[3], "3 (card 3): it has no compute shaders");
    assert_eq!(notes[4], "4 (card 4): does not start: device: broken");
    assert!(notes[5].starts_with("2 (card 2): self-test of `wgpu:9`: wrong memory result"));
    let (accelerator, line, _) = auto(&[(30, "self-test"), (40, "")]);
    assert_eq!(accelerator, Accelerator::Wgpu(Some(1)), "{line}");
}

/// Devices that rank and nothing else.
struct Partial(Shelf);

impl Provider for Partial {
    fn name(&self) -> &'static str {
        "cubecl"
    }

    fn jobs(&self) -> &'static [&'static str] {
        &["focus"]
    }

    fn devices(&self) -> Vec<ProvidedDevice> {
        panic!("nobody asks")
    }

    fn open(&self, index: Option<u32>) -> Result<Arc<dyn Coprocessor>, JobError> {
        self.0.open(index)
    }
}

#[test]
fn a_family_that_does_not_take_every_job_is_never_asked() {
    let cpu = || Arc::new(Priced::new(&Now::default(), 10_000, ""));
    let now = Now::default();
    let partial = Partial(Shelf(vec![Ok(Priced::new(&now, 1, ""))]));
    let clock = || Duration::ZERO;
    let (accelerator, _, line) = choose(cpu(), &[&partial], &clock, &|_| None).unwrap();
    assert_eq!(accelerator, Accelerator::Cpu);
    assert_eq!(line, "auto chose cpu: this version has no GPU backend");
    let (_, _, line) = choose(cpu(), &[&partial, &Shelf(Vec::new())], &clock, &|_| None).unwrap();
    assert_eq!(line, "auto chose cpu: no GPU was found");
    // By name it is started all the same.
    let opened = Accelerator::Cubecl(Some(0)).open(1, &[&partial]).unwrap();
    assert_eq!(opened.accelerator, Accelerator::Cubecl(Some(0)));
}

#[test]
fn a_provider_without_devices_leaves_the_cpu() {
    let (accelerator, line, _) = auto(&[]);
    assert_eq!(accelerator, Accelerator::Cpu);
    assert_eq!(line, "auto chose cpu: no GPU was found");
}

#[test]
fn a_device_that_was_measured_to_win_on_larger_jobs_is_for_those() {
    let mut large = Crossovers::default();
    large.set(JobKind::Focus, Crossover::From(1_000_000));
    let known = move |_: &DeviceInfo| Some(large);
    let slow = (40_000, "");
    let (accelerator, line, _) = auto_known(&[slow, slow, slow], &known);
    assert_eq!(accelerator, Accelerator::Wgpu(Some(0)));
    assert!(
        line.starts_with(
            "auto chose wgpu:0 for large jobs: focus from 1000000 edges; wgpu:0 (card 0): too slow"
        ),
        "{line}"
    );
    // Neither a wrong one nor one whose self-test fails; not software; who is faster now comes first.
    for (devices, expected) in [
        (&[(40_000, "wrong")][..], Accelerator::Cpu),
        (&[(40_000, "self-test")], Accelerator::Cpu),
        (&[(40_000, "refused"), slow], Accelerator::Cpu),
        (
            &[slow, (0, "refused"), (30, "")],
            Accelerator::Wgpu(Some(2)),
        ),
    ] {
        let (accelerator, line, _) = auto_known(devices, &known);
        assert_eq!(accelerator, expected, "{line}");
    }
    let never = |_: &DeviceInfo| Some(Crossovers::default());
    assert_eq!(auto_known(&[slow], &never).0, Accelerator::Cpu);
}
