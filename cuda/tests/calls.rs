//! Batches of calls through the coprocessor, their kernels run on the processor, against the oracle.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use ffcm::coprocessor::{Coprocessor, RewriteJob, RewriteOutput};
use ffcm::net::{Book, Call, Limits, ReduceError};
use ffcm::oracle;
use ffcm::spec::number::Operator;
use ffcm::spec::word::Term;
use ffcm::testing::Rng;
use ffcm_cuda::CudaCoprocessor;
use ffcm_cuda::device::shim::{self, ShimOptions};

/// One for all tests, so that the kernels are compiled once.
fn device() -> &'static CudaCoprocessor {
    static DEVICE: OnceLock<CudaCoprocessor> = OnceLock::new();
    DEVICE.get_or_init(|| {
        CudaCoprocessor::on(shim::open(&ShimOptions::default()).expect("a C++ compiler"))
    })
}

fn parse(text: &str) -> Arc<Book> {
    Arc::new(Book::parse(text).expect("a valid book"))
}

fn limits(gas: u64) -> Limits {
    Limits {
        gas,
        ..Limits::default()
    }
}

/// Runs the batch and compares every call with the oracle.
fn agree(book: &Arc<Book>, calls: Vec<Call>, limits: Limits) -> RewriteOutput {
    let job = RewriteJob {
        book: Arc::clone(book),
        calls,
        limits,
    };
    let found = device().rewrite(&job).expect("the device works");
    assert_eq!(found.len(), job.calls.len());
    for (index, (found, call)) in found.iter().zip(&job.calls).enumerate() {
        let expected = oracle::reduce(book, call, &limits);
        assert_eq!(*found, expected, "call {index}: {call:?}, {limits:?}");
    }
    found
}

/// The nets that weigh links, for every stake and age that is special and many that are not.
#[test]
fn weight_nets_weigh_as_on_the_processor() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vm-sandboxes/nets");
    let mut nets = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "hvm") {
            continue;
        }
        nets += 1;
        let book = parse(&std::fs::read_to_string(&path).expect("text"));
        let mut rng = Rng::new(nets);
        let special = [0, 1, 2, 1023, 1024, 1025, 1 << 24, u32::MAX - 1, u32::MAX];
        let mut calls = Vec::new();
        let mut call = |stake, age, kind| {
            let arguments = [stake, age, kind].map(Term::u32).to_vec();
            calls.push(book.call("weight", arguments).expect("@weight"));
        };
        for stake in special {
            for age in special {
                call(stake, age, 0);
            }
        }
        for _ in 0..900 {
            let word = |rng: &mut Rng| rng.next_u64() as u32 >> rng.below(32);
            call(word(&mut rng), word(&mut rng), word(&mut rng));
        }
        let outcomes = agree(&book, calls.clone(), limits(1 << 16));
        let most = outcomes
            .iter()
            .map(|outcome| outcome.as_ref().expect("it ends").counts.total())
            .max()
            .expect("there are calls");
        // The gas of the longest, and one less.
        agree(&book, calls.clone(), limits(most));
        let short = agree(&book, calls, limits(most - 1));
        assert!(short.contains(&Err(ReduceError::OutOfGas { limit: most - 1 })));
    }
    assert!(nets >= 2, "{nets} nets");
}

#[test]
fn thousands_of_calls_of_every_operator() {
    let mut text = String::new();
    for (index, operator) in Operator::ALL.into_iter().enumerate() {
        let name = operator.name();
        text.push_str(&format!(
            "@do{index} = (x (y r)) & x ~ $([{name}] $(y r))\n"
        ));
    }
    text.push_str("@count = (?((0 @count.s) r) r)\n@count.s = (n r) & @count ~ (n $([+1] r))\n");
    let book = parse(&text);
    let mut rng = Rng::new(77);
    let calls = (0..10_000).map(|index| {
        if index % 50 == 0 {
            return book.call("count", vec![Term::u24(rng.below(60) as u32)]);
        }
        let name = format!("do{}", index % Operator::ALL.len());
        let mut number = || {
            let bits = rng.next_u64() as u32 >> rng.below(32);
            match rng.below(4) {
                0 => Term::u24(bits),
                1 => Term::i24(bits as i32),
                2 => Term::u32(bits),
                _ => Term::i32(bits as i32),
            }
        };
        book.call(&name, vec![number(), number()])
    });
    let calls: Result<Vec<Call>, _> = calls.collect();
    agree(&book, calls.expect("they are defined"), limits(1000));
}
/// Calls that are too large for a thread, arithmetic that is left to the host, errors, and small ones, in one batch.
#[test]
fn what_is_handed_over_comes_back_in_its_place() {
    let book = parse(
        "@tree = (?(((* 1) @tree.s) r) r)\n\
         @tree.s = ({a b} (l r)) & @tree ~ (a l) & @tree ~ (b r)\n\
         @sum = (?(((* 1) @sum.s) r) r)\n\
         @sum.s = ({a b} r) & @sum ~ (a $([+] $(c r))) & @sum ~ (b c)\n\
         @sine = (x r) & x ~ $([<<] $(0.5f32 r))\n\
         @endless = (a r) & @endless ~ (a r)\n\
         @circle = (* a) & b ~ (b a)\n",
    );
    let mut calls = Vec::new();
    for turn in 0..4 {
        let mut call = |name, argument| {
            let call = book.call(name, vec![argument]);
            calls.push(call.expect("it is defined"));
        };
        call("sum", Term::u24(turn));
        call("tree", Term::u24(9));
        call("sine", Term::f32(turn as f32));
        call("endless", Term::u24(0));
        call("circle", Term::u24(0));
        call("sum", Term::u24(9));
        calls.push(Call {
            entry: 100 + turn,
            arguments: vec![],
        });
    }
    let output = agree(&book, calls, limits(20_000));
    assert!(output.iter().filter(|ending| ending.is_ok()).count() == 16);
    assert_eq!(output[4], Err(ReduceError::ViciousCircle));
}
