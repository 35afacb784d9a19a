//! Devices that compute wrongly do not pass the self-test, and do not serve.

use std::sync::Arc;

use ffcm::coprocessor::{
    Accelerator, AcceleratorError, Coprocessor, JobError, ProvidedDevice, Provider, SelfTestError,
    self_test_jobs,
};
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::shim::{self, Edit, ShimOptions};

/// The kernels on the CPU, one of them changed.
fn device(edit: Option<Edit>) -> CudaCoprocessor {
    let options = ShimOptions {
        edit,
        ..ShimOptions::default()
    };
    CudaCoprocessor::on(shim::open(&options).expect("a C++ compiler"))
}

const fn edit(unit: &'static str, from: &'static str, to: &'static str) -> Edit {
    Edit { unit, from, to }
}

/// One bit less, or one more, in something of each kernel that the self-test runs, with the job that has to notice.
const LIES: &[(&str, Edit)] = &[
    (
        "rewrite",
        edit(
            "net/main",
            "add(heap, COUNTS + op, block.counted[op]);",
            "add(heap, COUNTS + op, block.counted[op] ^ 1u);",
        ),
    ),
    (
        "rewrite",
        edit(
            "net/calls",
            "a1 = operate(a, b1);",
            "a1 = operate(a, b1) ^ (u64)1 << 32;",
        ),
    ),
    (
        "focus",
        edit(
            "focus/gather",
            "sum += edge_term<WEIGHTED>(share[next], quota[next]);",
            "sum += edge_term<WEIGHTED>(share[next], quota[next]) & ~(u64)1;",
        ),
    ),
    (
        "focus",
        edit(
            "focus/pool_stakes",
            "const u64 pool = MASS - sums[SUM_ARRIVED];",
            "const u64 pool = (MASS - sums[SUM_ARRIVED]) ^ 1u << 20;",
        ),
    ),
    (
        "focus",
        edit(
            "focus/settle",
            "(node < left ? 1u : 0u)",
            "(node <= left ? 1u : 0u)",
        ),
    ),
    (
        "focus",
        edit(
            "focus/settle",
            "moved <= threshold * (ratio >> 38)",
            "moved <= 2 * threshold * (ratio >> 38)",
        ),
    ),
    (
        "focus",
        edit(
            "focus/commit",
            "mass[label] = here[label]",
            "mass[label] = (label & 1) + here[label]",
        ),
    ),
    (
        "memory",
        edit(
            "memory/apply",
            "                value = applied(op[i], value, itself ? value : operand[i]);\n",
            "                value = applied(op[i], value, itself ? value : operand[i]) ^ (lane == 31u);\n",
        ),
    ),
    (
        "memory",
        edit(
            "memory/apply",
            "applied(op[i], rows[target], other);",
            "applied(op[i], rows[target], other) ^ (lane == 7u);",
        ),
    ),
    (
        "memory",
        edit(
            "memory/apply",
            "over_one(part[i] * scalar)",
            "over_one(part[i] * scalar + 1)",
        ),
    ),
    (
        "memory",
        edit("memory/apply", "        scale(other);\n", ""),
    ),
    (
        "hash",
        edit(
            "hash/blake3_chunks",
            "left < 64u ? left",
            "left < 64u ? left | 1u",
        ),
    ),
    (
        "hash",
        edit(
            "hash/blake3_parents",
            "compress(initial(), block, 0u, 64u, PARENT | pair.d)",
            "compress(initial(), block, pair.d, 64u, PARENT | pair.d)",
        ),
    ),
    (
        "hash",
        edit(
            "hash/sha256_blocks",
            "w[4u * j + 3u] = four.d;",
            "w[4u * j + 3u] = four.d & ~(u32)(i == 1u);",
        ),
    ),
    (
        "hash",
        edit("hash/sha256_search", "w[15] = 256u;", "w[15] = 257u;"),
    ),
    (
        "hash",
        edit(
            "hash/sha256_search",
            "less = mine < bound ||",
            "less = mine > bound ||",
        ),
    ),
];

/// Runs the one job of the self-test. That it fails, because of what the kernels say, is noticed too.
fn passes(device: &CudaCoprocessor, job: &str) -> bool {
    let tried = self_test_jobs(device).find(|tried| tried.job == job);
    let tried = tried.expect("such a job");
    if let Err(error) = &tried.found {
        println!("{job}: {error}");
        let of_the_test = ["does not compile", "does not support", "is lost"];
        let error = error.to_string();
        assert!(
            !of_the_test.iter().any(|one| error.contains(one)),
            "{error}"
        );
    }
    tried.passed()
}

#[test]
fn every_lie_is_noticed() {
    let honest = device(None);
    for job in ["rewrite", "focus", "memory", "hash"] {
        assert!(passes(&honest, job), "{job}");
    }
    let passed: Vec<_> = LIES
        .iter()
        .filter(|(job, edit)| passes(&device(Some(*edit)), job))
        .collect();
    assert!(passed.is_empty(), "{passed:#?}");
}

/// One device, by the name of the family.
struct Family(Option<Edit>);

impl Provider for Family {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn devices(&self) -> Vec<ProvidedDevice> {
        vec![ProvidedDevice {
            index: 0,
            name: "CPU shim".into(),
            software: false,
            refused: None,
        }]
    }

    fn open(&self, _index: Option<u32>) -> Result<Arc<dyn Coprocessor>, JobError> {
        Ok(Arc::new(device(self.0)))
    }
}

#[test]
fn a_device_that_lies_does_not_serve() {
    let honest = Accelerator::Cuda(None).open(1, &[&Family(None)]);
    assert_eq!(
        honest.expect("it serves").accelerator,
        Accelerator::Cuda(None)
    );
    let first = |job| LIES.iter().find(|(name, _)| *name == job);
    for job in ["rewrite", "memory", "hash"] {
        let (name, lie) = *first(job).expect("such a lie");
        match Accelerator::Cuda(None).open(1, &[&Family(Some(lie))]) {
            Err(AcceleratorError::SelfTest(SelfTestError::Mismatch { job, .. })) => {
                assert_eq!(job, name);
            }
            other => panic!("{other:?}"),
        }
    }
}
