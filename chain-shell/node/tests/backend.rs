//! A chain on a device: the same roots as on the CPU, also when the device is lost on the way.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ffcm::coprocessor::{
    Coprocessor, DeviceInfo, FallbackEvent, FocusJob, HashJob, HashOutput, JobError,
    OracleCoprocessor, RewriteJob, RewriteOutput, WithFallback,
};
use ffcm::cpu::CpuCoprocessor;
use ffcm::focus::Ranking;
use ffcm::memory::{Memory, MemoryError, MemoryOp, SlotId};
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::shim::ShimOptions;
use ffcm_wgsl::WgpuCoprocessor;
use ffcm_wgsl::device::Options;
use focus_node::{Node, NodeOptions, replay_data};
use focus_types::Hash32;
use support::{create, genesis, key, next_block};

type Failures = Arc<Mutex<Vec<&'static str>>>;

/// A device that is broken by `fault` when it is asked for its k-th job.
struct Doomed<F> {
    device: Arc<dyn Coprocessor>,
    jobs: AtomicUsize,
    fails_at: usize,
    fault: F,
}

impl<F: Fn() -> Result<(), JobError> + Send + Sync> Doomed<F> {
    fn new(device: Arc<dyn Coprocessor>, fails_at: usize, fault: F) -> Doomed<F> {
        Doomed {
            device,
            jobs: AtomicUsize::new(0),
            fails_at,
            fault,
        }
    }

    fn next(&self) -> Result<&dyn Coprocessor, JobError> {
        if self.jobs.fetch_add(1, Ordering::Relaxed) == self.fails_at {
            (self.fault)()?;
        }
        Ok(&*self.device)
    }
}

impl<F: Fn() -> Result<(), JobError> + Send + Sync> Coprocessor for Doomed<F> {
    fn info(&self) -> DeviceInfo {
        self.device.info()
    }
    fn rewrite(&self, job: &RewriteJob) -> Result<RewriteOutput, JobError> {
        self.next()?.rewrite(job)
    }
    fn focus(&self, job: &FocusJob<'_>) -> Result<Ranking, JobError> {
        self.next()?.focus(job)
    }
    fn memory(
        &self,
        memory: &mut Memory,
        ops: &[(SlotId, MemoryOp)],
    ) -> Result<Vec<Result<(), MemoryError>>, JobError> {
        self.next()?.memory(memory, ops)
    }
    fn hash(&self, job: &HashJob<'_>) -> Result<HashOutput, JobError> {
        self.next()?.hash(job)
    }
}

/// `device` with the CPU behind it; the jobs in which a device is given up go to `failed`.
fn with_cpu(device: Arc<dyn Coprocessor>, failed: &Failures) -> Arc<WithFallback> {
    let cpu = Arc::new(CpuCoprocessor::new(1).unwrap());
    let failed = Arc::clone(failed);
    let observer = move |event: &FallbackEvent<'_>| {
        println!("{event:?}");
        if let FallbackEvent::FailedOver { job, .. } = event {
            failed.lock().unwrap().push(job);
        }
    };
    Arc::new(WithFallback::new(device, cpu, observer))
}

/// The state roots of `blocks` seeded blocks.
fn roots(data: &Path, coprocessor: Arc<dyn Coprocessor>, blocks: usize) -> Vec<Hash32> {
    let options = NodeOptions::default();
    let node = Node::create(data, &genesis(), key(100), coprocessor, options).unwrap();
    (0..blocks).map(|_| next_block(&node).state_root).collect()
}

/// The same, on the oracle.
fn reference(blocks: usize) -> Vec<Hash32> {
    let folder = tempfile::tempdir().unwrap();
    let node = create(folder.path(), &genesis());
    (0..blocks).map(|_| next_block(&node).state_root).collect()
}

#[test]
fn a_device_that_fails_at_any_job_of_a_block_changes_no_root() {
    const BLOCKS: usize = 8;
    let expected = reference(BLOCKS);
    let unplugged = || Err(JobError::Device("unplugged".into()));
    let failed = Failures::default();
    for fails_at in 6..12 {
        let folder = tempfile::tempdir().unwrap();
        let device = Doomed::new(Arc::new(OracleCoprocessor), fails_at, unplugged);
        let coprocessor = with_cpu(Arc::new(device), &failed);
        let found = roots(folder.path(), Arc::clone(&coprocessor) as _, BLOCKS);
        assert_eq!(found, expected, "{fails_at}");
        let state = coprocessor.state();
        assert_eq!((state.failovers, state.serving.as_str()), (1, "cpu"));
        if fails_at == 6 {
            // What was committed on two devices is one history.
            let oracle = Arc::new(OracleCoprocessor);
            let replayed = replay_data(folder.path(), oracle).unwrap();
            assert_eq!(replayed.state_root, expected[BLOCKS - 1]);
        }
    }
    let mut kinds = failed.lock().unwrap().clone();
    assert_eq!(kinds.len(), 6);
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["evaluate", "focus", "memory"]);
}

#[test]
fn without_a_fallback_a_failing_device_stops_the_block_and_nothing_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let unplugged = || Err(JobError::Device("unplugged".into()));
    let device = Arc::new(Doomed::new(Arc::new(OracleCoprocessor), 7, unplugged));
    let options = NodeOptions::default();
    let node = Node::create(folder.path(), &genesis(), key(100), device, options).unwrap();
    let mut height = 0;
    let error = loop {
        for n in 1..=support::ACCOUNTS {
            let nonce = node.account(&support::address(n)).unwrap().nonce;
            let body = support::link("a", &format!("b{nonce}"), 1_000 * u64::from(n));
            let tx = support::sign(node.chain_hash(), n, nonce, body);
            // After the failure the transactions are still waiting.
            let _ = node.submit(tx);
        }
        match node.produce() {
            Ok(_) => height += 1,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("unplugged"), "{error}");
    assert!(height > 0);
    assert_eq!(node.head().height, height);
    // The fault was a single one: the block comes after all.
    node.produce().unwrap().unwrap();
    assert_eq!(node.head().height, height + 1);
}

/// The first adapter of this machine.
fn adapter() -> WgpuCoprocessor {
    WgpuCoprocessor::open(&Options::default()).expect("an adapter")
}

/// The kernels of CUDA on the CPU.
fn shim() -> CudaCoprocessor {
    CudaCoprocessor::on(ffcm_cuda::device::shim::open(&ShimOptions::default()).unwrap())
}

/// Makes blocks on a device that keeps serving, and compares their roots.
fn same_roots(device: Arc<dyn Coprocessor>, blocks: usize) {
    let backend = device.info().backend;
    let folder = tempfile::tempdir().unwrap();
    let failed = Failures::default();
    let coprocessor = with_cpu(device, &failed);
    let start = std::time::Instant::now();
    let found = roots(folder.path(), Arc::clone(&coprocessor) as _, blocks);
    println!("{:?}", start.elapsed());
    assert_eq!(found, reference(blocks));
    let state = coprocessor.state();
    assert_eq!((state.serving, state.failure), (backend, None));
    assert_eq!((state.failovers, state.unsupported), (0, 0));
}

#[test]
fn two_hundred_blocks_on_webgpu_have_the_same_roots() {
    same_roots(Arc::new(adapter()), 200);
}

#[test]
fn fifty_blocks_on_the_kernels_of_cuda_have_the_same_roots() {
    same_roots(Arc::new(shim()), 50);
}

/// Makes blocks on a device that `destroy` has lost when it is asked for its k-th job.
fn lost_at(
    device: Arc<dyn Coprocessor>,
    fails_at: usize,
    destroy: impl Fn() + Send + Sync + 'static,
) {
    const BLOCKS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let fault = move || {
        destroy();
        Ok(())
    };
    let failed = Failures::default();
    let doomed = Doomed::new(device, fails_at, fault);
    let coprocessor = with_cpu(Arc::new(doomed), &failed);
    let found = roots(folder.path(), Arc::clone(&coprocessor) as _, BLOCKS);
    assert_eq!(found, reference(BLOCKS), "{fails_at}");
    let state = coprocessor.state();
    assert_eq!((state.failovers, state.serving.as_str()), (1, "cpu"));
    let reason = state.failure.unwrap();
    assert!(reason.contains("the device is lost"), "{reason}");
    assert_eq!(failed.lock().unwrap().len(), 1);
}

#[test]
fn a_gpu_lost_in_the_middle_is_replaced_and_no_root_changes() {
    for fails_at in [10, 11, 12] {
        let device = adapter();
        let gpu = Arc::clone(device.gpu());
        lost_at(Arc::new(device), fails_at, move || gpu.destroy());
        let device = shim();
        let gpu = Arc::clone(device.gpu());
        lost_at(Arc::new(device), fails_at, move || gpu.lose());
    }
}
