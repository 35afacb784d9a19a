//! Rows of numbers by native code, by the engine and by the oracle.

#![cfg(feature = "native")]
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

use std::fmt::Write;
use std::sync::Arc;

use ffcm::coprocessor::{
    Argument, Columns, Coprocessor, EvaluateJob, EvaluateOutput, OracleCoprocessor, evaluate_digest,
};
use ffcm::cpu::CpuCoprocessor;
use ffcm::net::{Book, Limits};
use ffcm::spec::number::{Kind, Number, Operator};
use ffcm::spec::word::Term;
use ffcm::testing::Rng;
use ffcm_jit::native::{Native, Options};

const PROGRAMS: &str = "\
@stake = (stake (* (* stake)))
@decay = (stake (age (* weight)))
  & age ~ $([:/1024] spans) & spans ~ $([+1] divisor) & stake ~ $([/] $(divisor weight))
@either = (?((1 @either.s) (b (c r))) (b (c r)))
@either.s = (p (b (c r))) & b ~ $([*] $(p x)) & x ~ $([+] $(c r))
@nested = (a (b r)) & a ~ ?((@nested.z @nested.s) (b r))
@nested.z = (b b)
@nested.s = (p (?((@nested.z @nested.t) (p r)) r))
@nested.t = (q (p r)) & q ~ $([-] $(p r))
@constant = (* (* 7))
@partial = (a (* r)) & a ~ $([+] r)
@float = (a (b r)) & a ~ $([f32] x) & x ~ $([+] $(b r))
@pair = (a (b (a b)))
";

/// Rows after which native code is made, and more than one thread takes at once.
const MANY: usize = 9000;

/// Every operator on the same two numbers, and all results in one.
fn every_operator() -> String {
    let last = Operator::ALL.len() - 1;
    let copies = |name: &str| {
        let opened: String = (0..last).map(|i| format!("{{{name}{i} ")).collect();
        format!("{opened}{name}{last}{}", "}".repeat(last))
    };
    let mut text = format!("@every = ({} ({} y{last}))", copies("a"), copies("b"));
    for (i, operator) in Operator::ALL.into_iter().enumerate() {
        let result = if i == 0 { "y0".into() } else { format!("x{i}") };
        write!(
            text,
            "\n  & a{i} ~ $([{}] $(b{i} {result}))",
            operator.name()
        )
        .unwrap();
        if i > 0 {
            write!(text, " & y{} ~ $([^] $(x{i} y{i}))", i - 1).unwrap();
        }
    }
    text + "\n"
}

struct Suite {
    book: Arc<Book>,
    fuser: Arc<Native>,
    devices: Vec<CpuCoprocessor>,
    rng: Rng,
}

fn suite() -> Suite {
    let fuser = Arc::new(Native::new(Options::default()).unwrap());
    let native = |threads| CpuCoprocessor::with_fuser(threads, fuser.clone()).unwrap();
    Suite {
        book: Arc::new(Book::parse(&format!("{PROGRAMS}{}", every_operator())).unwrap()),
        devices: vec![native(1), native(2), CpuCoprocessor::new(2).unwrap()],
        fuser,
        rng: Rng::new(0x726f_7773),
    }
}

const AMPLE: Limits = Limits {
    gas: 100_000,
    nodes: 1 << 20,
    result_bytes: 1 << 10,
};

impl Suite {
    fn job<'a>(&self, name: &str, arguments: &'a [Argument<'a>]) -> EvaluateJob<'a> {
        EvaluateJob {
            book: Arc::clone(&self.book),
            entry: self.book.find(name).unwrap(),
            arguments,
            limits: AMPLE,
        }
    }

    fn rows(&mut self, kinds: &[Kind], count: usize) -> Vec<Term> {
        let rng = &mut self.rng;
        (0..count)
            .flat_map(|_| {
                kinds
                    .iter()
                    .map(|&kind| number(rng, kind))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// All devices give what the oracle gives.
    fn check(&self, job: &EvaluateJob<'_>) -> EvaluateOutput {
        let expected = OracleCoprocessor.evaluate(job).unwrap();
        for (device, coprocessor) in self.devices.iter().enumerate() {
            let found = coprocessor.evaluate(job).unwrap();
            let what = || format!("{} {:?} on {device}", job.entry, job.limits);
            let rows =
                |output: &EvaluateOutput| (output.numbers.clone(), output.interactions.clone());
            assert_eq!(rows(&found), rows(&expected), "{}", what());
            assert_eq!(found.counts, expected.counts, "{}", what());
            assert_eq!(
                evaluate_digest(&found),
                evaluate_digest(&expected),
                "{}",
                what()
            );
        }
        expected
    }

    /// The same for rows, in columns of numbers of one kind where they are, and in columns of terms.
    fn check_rows(&self, name: &str, arity: usize, rows: &[Term]) {
        let [plain, terms] = [Columns::of_rows, Columns::of_terms].map(|of| of(rows, arity));
        let expected = self.check(&self.job(name, &plain.arguments()));
        let found = self.check(&self.job(name, &terms.arguments()));
        assert_eq!(evaluate_digest(&found), evaluate_digest(&expected));
    }

    /// Lets the devices make native code for rows of these kinds: whether there is some.
    fn warm(&mut self, name: &str, kinds: &[Kind]) -> bool {
        let before = self.fuser.statistics().rows;
        let columns = Columns::of_rows(&self.rows(kinds, MANY), kinds.len());
        let arguments = columns.arguments();
        let job = self.job(name, &arguments);
        let [first, others @ ..] = &self.devices[..] else {
            panic!("there are devices")
        };
        let expected = first.evaluate(&job).unwrap();
        for device in others {
            assert_eq!(device.evaluate(&job).unwrap(), expected);
        }
        self.fuser.statistics().rows > before
    }
}

/// A number of this kind, often one where something changes.
fn number(rng: &mut Rng, kind: Kind) -> Term {
    let bits: u32 = if kind.is_wide() { 32 } else { 24 };
    let random = rng.next_u64() as u32;
    let value = match rng.below(6) {
        0 => rng.below(3) as u32,
        1 => (rng.below(3) as u32).wrapping_neg(),
        2 => (1 << (bits - 1)) - rng.below(2) as u32,
        _ => random >> rng.below(bits.into()),
    };
    Number::Plain(kind, value & (u32::MAX >> (32 - bits))).term()
}

/// Any argument: numbers of every kind, symbols, partial applications, and what is none.
fn any(rng: &mut Rng) -> Term {
    let operator = Operator::ALL[rng.below(Operator::ALL.len() as u64) as usize];
    match rng.below(10) {
        0 => Number::Operator(operator).term(),
        1 => Number::Cast(Kind::ALL[rng.below(6) as usize]).term(),
        2 => Number::Partial {
            operator,
            bits: rng.below(1 << 24) as u32,
            wide: false,
        }
        .term(),
        3 => [
            Term::ERA,
            Term::ABSENT,
            Term::var(4),
            Term::reference(0, false),
        ][rng.below(4) as usize],
        4 => Term(rng.next_u64()),
        _ => {
            let kind =
                [Kind::U24, Kind::I24, Kind::U32, Kind::I32, Kind::F24][rng.below(5) as usize];
            number(rng, kind)
        }
    }
}

const U32S: [Kind; 3] = [Kind::U32; 3];

#[test]
fn weights_gas_and_heap() {
    let mut suite = suite();
    for name in ["stake", "decay", "either"] {
        assert!(suite.warm(name, &U32S), "@{name}");
        let rows = suite.rows(&U32S, 60);
        let columns = Columns::of_rows(&rows, 3);
        let arguments = columns.arguments();
        let mut job = suite.job(name, &arguments);
        let most = *suite.check(&job).interactions.iter().max().unwrap();
        for gas in 0..=most + 1 {
            job.limits.gas = gas;
            let failed = suite.check(&job).failures.len();
            assert_eq!(failed == 0, gas >= most);
        }
        // A heap that is too small for any row, and a text that is.
        job.limits = Limits { nodes: 1, ..AMPLE };
        let without = suite.devices[2].evaluate(&job).unwrap();
        assert_eq!(suite.devices[0].evaluate(&job).unwrap(), without);
        job.limits = Limits {
            result_bytes: 2,
            ..AMPLE
        };
        suite.check(&job);
        // The last row is short; there are no rows.
        for end in [180 - 1, 180 - 2, 2, 0] {
            suite.check_rows(name, 3, &rows[..end]);
        }
    }
}

/// Numbers that are too wide for the kind of their column are none.
#[test]
fn bits_that_are_too_many() {
    let mut suite = suite();
    assert!(suite.warm("nested", &[Kind::U24; 2]));
    let mut bits: Vec<u32> = (0..300).collect();
    let good = bits.clone();
    for wrong in [7, 8, 120, 299] {
        bits[wrong] |= 1 << 24;
    }
    let column = |bits| Argument::Plain(Kind::U24, bits);
    let arguments = [column(&good), column(&bits)];
    let failures = suite.check(&suite.job("nested", &arguments)).failures;
    let rows: Vec<usize> = failures.into_iter().map(|(row, _)| row).collect();
    assert_eq!(rows, [7, 8, 120, 299]);
    // Columns of different lengths: rows without the later arguments.
    suite.check(&suite.job("nested", &[column(&good), column(&bits[..250])]));
    suite.check(&suite.job("nested", &[column(&good[..250]), column(&bits)]));
    suite.check(&suite.job("nested", &[column(&good), column(&bits), column(&[])]));
    suite.check(&suite.job("nested", &[]));
}

#[test]
fn every_operator_on_every_kind() {
    let mut suite = suite();
    let kinds = [Kind::U24, Kind::I24, Kind::U32, Kind::I32];
    for (a, b) in kinds
        .into_iter()
        .zip(kinds)
        .chain([(Kind::I24, Kind::U32), (Kind::I32, Kind::U24)])
    {
        for name in ["every", "nested"] {
            suite.warm(name, &[a, b]);
            let rows = suite.rows(&[a, b], 250);
            suite.check_rows(name, 2, &rows);
        }
    }
    assert!(suite.fuser.statistics().rows > 6);
}

/// Rows that the code was not made for stay with the engine, whatever they are, and do not count twice.
#[test]
fn other_arguments_and_other_results() {
    let mut suite = suite();
    for name in ["decay", "constant", "partial", "float", "pair"] {
        let arity = if name == "decay" { 3 } else { 2 };
        let made = suite.warm(name, &U32S[..arity]);
        assert!(!(made && ["float", "pair"].contains(&name)), "@{name}");
        for round in 0..4 {
            let mut rows = suite.rows(&U32S[..arity], 150);
            for term in &mut rows[arity..] {
                if suite.rng.below(4) < round {
                    *term = any(&mut suite.rng);
                }
            }
            suite.check_rows(name, arity, &rows);
        }
    }
}
