//! Weight nets.
//!
//! A link is weighed by reducing `root & @weight ~ (stake (age (kind root)))` with three u32 arguments. Its weight is the
//! number that remains: a u24 or u32, or an i24 or i32 that is not negative. A net that gives anything else, or does not
//! finish within its gas, weighs 0, and the [`WeightVerdict`] says why.
//!
//! # Numbers
//!
//! Stake and age are u64 outside and u32 inside. The stake is shifted right by the net's `stake_shift`, then saturates:
//! `min(stake >> stake_shift, 2^32 - 1)`; a weight is in units of `2^stake_shift` stake then, if the net keeps to the
//! stake's unit. The age saturates: `min(age, 2^32 - 1)`. Floats are refused when the net is loaded: no definition that
//! `@weight` reaches may hold one, nor a cast to one.
//!
//! # What can be a verdict
//!
//! Verdicts enter blocks, so they may depend on the net, the link and the gas alone. Running out of gas does: the number
//! of interactions of a net does not depend on their order. Running out of heap does depend on it, so it must not
//! happen: an interaction allocates at most [`WeightNet::nodes_per_interaction`] nodes, so a heap of
//! [`WeightNet::heap_nodes`] lasts longer than the gas does, in any order, without reusing one node, and if workers notice
//! the end of the gas only after as many interactions again. The gas and the size of definitions are capped to keep
//! that heap small. A coprocessor that reports it full all the same has failed,
//! and so does the call.

use std::sync::Arc;

use ffcm::coprocessor::{Argument, Coprocessor, EvaluateJob, EvaluateOutput, JobError};
use ffcm::net::{Book, Definition, Limits, LoadError, ReduceError};
use ffcm::spec::number::{Kind, sign_extend};
use ffcm::spec::word::{Class, Term};
use rayon::prelude::*;
use thiserror::Error;

/// The rule where none is chosen: the weight is the stake.
pub const STAKE: &str = include_str!("../nets/stake.hvm");
/// A rule under which links lose weight as they age: `stake / (1 + age / 1024)`.
pub const AGE_DECAY: &str = include_str!("../nets/age-decay.hvm");

/// Longest text of a net in bytes.
pub const MAX_TEXT_BYTES: usize = 64 << 10;
/// Most nodes and wires, taken together, of one definition that `@weight` reaches.
pub const MAX_DEFINITION_SIZE: u64 = 128;
/// Most gas for one edge, in interactions.
pub const MAX_GAS_PER_EDGE: u64 = 1 << 16;

/// Most nodes, wires included, that an interaction other than an expansion allocates.
const RULE_NODES: u64 = 8;
/// The net of the call itself: three constructors and the root wire, with room to spare.
const CALL_NODES: u64 = 8;
/// Nodes that workers may hold free while another runs out: engines hand them out in chunks.
const SLACK_NODES: u64 = 1 << 20;
/// Numbers are far shorter than this, and nothing longer is a weight.
const RESULT_BYTES: usize = 1 << 10;
/// Edges that are worth a thread of their own: to wake one takes as long as to weigh some thousands.
const PART_EDGES: usize = 1 << 16;

/// What a net knows of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgeAttributes {
    /// Stake behind the link, in the token's smallest unit.
    pub stake: u64,
    /// Blocks since the link was made.
    pub age: u64,
    /// Kind of link.
    pub kind: u32,
}

/// What a net says of a link: a function of the net, the link and the gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightVerdict {
    /// The weight; 0 removes the edge.
    Weight(u64),
    /// No weight, which counts as 0.
    Refused(Refusal),
}

impl WeightVerdict {
    /// The weight, 0 if refused.
    pub const fn weight(self) -> u64 {
        match self {
            WeightVerdict::Weight(weight) => weight,
            WeightVerdict::Refused(_) => 0,
        }
    }
}

/// A verdict and what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// The verdict.
    pub verdict: WeightVerdict,
    /// Interactions to charge: those made if there is a weight or a negative number, all the gas otherwise.
    pub interactions: u64,
}

/// Why a net gives a link no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The net needs more interactions than its gas.
    #[error("the weight net ran out of gas")]
    OutOfGas,
    /// The normal form is not a number; this includes one that contains itself.
    #[error("the weight net gave no number")]
    NotANumber,
    /// The number is below zero.
    #[error("the weight net gave a negative number")]
    Negative,
}

/// Why a program is no weight net.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadFailure {
    /// The text is no valid book.
    #[error(transparent)]
    Book(#[from] LoadError),
    /// There is no definition to call.
    #[error("a weight net needs a definition @weight")]
    NoWeight,
    /// A float, or a cast to one, that `@weight` reaches.
    #[error("@{definition} holds a float; weight nets use integers alone")]
    Float {
        /// The definition that holds it.
        definition: String,
    },
    /// Larger than allowed.
    #[error("{what}: {size}, the limit is {limit}")]
    TooLarge {
        /// What was measured.
        what: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
}

/// Why edges could not be weighed at all. Never the fault of a link, and never part of a block.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightFailure {
    /// The coprocessor failed.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The coprocessor answered what it cannot, such as a heap full before the gas was spent.
    #[error("the coprocessor failed to weigh edge {edge} of a batch: {message}")]
    Answer {
        /// Index in the batch.
        edge: usize,
        /// What it said.
        message: String,
    },
    /// More gas was asked for than an edge may have.
    #[error("{asked} interactions of gas for an edge, the limit is {MAX_GAS_PER_EDGE}")]
    Gas {
        /// The gas asked for.
        asked: u64,
    },
}

/// A program that weighs links, checked once.
#[derive(Clone, Debug)]
pub struct WeightNet {
    book: Arc<Book>,
    entry: u32,
    stake_shift: u32,
    nodes_per_interaction: u64,
}

impl WeightNet {
    /// Parses and checks a text; `stake_shift`, below 64, as the module documentation says.
    pub fn parse(text: &str, stake_shift: u32) -> Result<WeightNet, LoadFailure> {
        at_most("bytes of text", text.len() as u64, MAX_TEXT_BYTES as u64)?;
        WeightNet::new(Book::parse(text)?, stake_shift)
    }

    /// Checks a book; `stake_shift`, below 64, as the module documentation says.
    pub fn new(book: Book, stake_shift: u32) -> Result<WeightNet, LoadFailure> {
        at_most("shift of the stake", u64::from(stake_shift), 63)?;
        let entry = book.find("weight").ok_or(LoadFailure::NoWeight)?;
        let mut nodes_per_interaction = RULE_NODES;
        for definition in reachable(&book, entry) {
            if terms(definition).any(Term::is_float) {
                return Err(LoadFailure::Float {
                    definition: definition.name.clone(),
                });
            }
            let size = definition.nodes.len() as u64 + u64::from(definition.wires);
            let what = format!("nodes and wires of @{}", definition.name);
            at_most(what, size, MAX_DEFINITION_SIZE)?;
            nodes_per_interaction = nodes_per_interaction.max(size);
        }
        Ok(WeightNet {
            book: Arc::new(book),
            entry,
            stake_shift,
            nodes_per_interaction,
        })
    }

    /// Most nodes that one interaction of this net allocates.
    pub fn nodes_per_interaction(&self) -> u64 {
        self.nodes_per_interaction
    }

    /// Heap, in nodes of 16 bytes, that twice `gas` interactions cannot fill; `gas` is at most [`MAX_GAS_PER_EDGE`].
    pub fn heap_nodes(&self, gas: u64) -> u64 {
        2 * gas.min(MAX_GAS_PER_EDGE) * self.nodes_per_interaction + CALL_NODES + SLACK_NODES
    }

    /// Weighs `edges`, each with `gas_per_edge` interactions of gas. One verdict per edge, in order.
    pub fn evaluate(
        &self,
        coprocessor: &dyn Coprocessor,
        edges: &[EdgeAttributes],
        gas_per_edge: u64,
    ) -> Result<Vec<WeightVerdict>, WeightFailure> {
        let weighed = self.evaluate_metered(coprocessor, edges, gas_per_edge)?;
        Ok(weighed.into_iter().map(|edge| edge.verdict).collect())
    }

    /// [`WeightNet::evaluate`] that also says what each edge took.
    pub fn evaluate_metered(
        &self,
        coprocessor: &dyn Coprocessor,
        edges: &[EdgeAttributes],
        gas_per_edge: u64,
    ) -> Result<Vec<Weighed>, WeightFailure> {
        if gas_per_edge > MAX_GAS_PER_EDGE {
            return Err(WeightFailure::Gas {
                asked: gas_per_edge,
            });
        }
        if edges.is_empty() {
            return Ok(Vec::new());
        }
        let most = coprocessor.rows_at_once();
        let parts = match most {
            usize::MAX => 1,
            _ => (coprocessor.info().threads).clamp(1, (edges.len() / PART_EDGES).max(1)),
        };
        let weigh =
            |first, part, room| self.weigh_part(coprocessor, (first, part), gas_per_edge, room);
        if parts == 1 {
            return weigh(0, edges, edges.len());
        }
        let size = edges.len().div_ceil(parts);
        let parts = edges.par_chunks(size).enumerate().map(|(index, part)| {
            // The first has room for all.
            let room = if index == 0 { edges.len() } else { part.len() };
            weigh(index * size, part, room)
        });
        let parts: Vec<_> = parts.collect();
        let mut parts = parts.into_iter();
        let mut weighed = parts.next().unwrap_or_else(|| Ok(Vec::new()))?;
        for part in parts {
            weighed.extend(part?);
        }
        Ok(weighed)
    }

    /// Weighs the edges from number `first` on, and answers with room for so many verdicts.
    fn weigh_part(
        &self,
        coprocessor: &dyn Coprocessor,
        (mut first, edges): (usize, &[EdgeAttributes]),
        gas_per_edge: u64,
        room: usize,
    ) -> Result<Vec<Weighed>, WeightFailure> {
        let mut weighed = Vec::with_capacity(room);
        let (mut columns, mut answers) = (Columns::default(), EvaluateOutput::default());
        for chunk in edges.chunks(coprocessor.rows_at_once()) {
            columns.fill(chunk, self.stake_shift);
            coprocessor
                .evaluate_into(&self.job(&columns.arguments(), gas_per_edge), &mut answers)?;
            judge_all(
                (first, chunk.len()),
                &mut answers,
                gas_per_edge,
                &mut weighed,
            )?;
            first += chunk.len();
        }
        Ok(weighed)
    }

    /// The job that `@weight` is applied to some edges.
    fn job<'a>(&self, arguments: &'a [Argument<'a>], gas_per_edge: u64) -> EvaluateJob<'a> {
        EvaluateJob {
            book: Arc::clone(&self.book),
            entry: self.entry,
            arguments,
            limits: Limits {
                gas: gas_per_edge,
                nodes: self.heap_nodes(gas_per_edge),
                result_bytes: RESULT_BYTES,
            },
        }
    }
}

/// Adds the verdicts on the answers for `count` edges from number `first` on. Takes the failures out of the answers.
fn judge_all(
    (first, count): (usize, usize),
    answers: &mut EvaluateOutput,
    gas_per_edge: u64,
    weighed: &mut Vec<Weighed>,
) -> Result<(), WeightFailure> {
    let failure = |edge: usize, message: String| WeightFailure::Answer {
        edge: first + edge,
        message,
    };
    let (numbers, interactions) = (&answers.numbers, &answers.interactions);
    if numbers.len() != count || interactions.len() != count {
        let message = format!("{} answers for {count} calls", numbers.len());
        return Err(failure(numbers.len().min(count), message));
    }
    let before = weighed.len();
    if weigh_all(numbers, interactions, weighed) {
        for (edge, number) in numbers.iter().enumerate() {
            if number.w0() != STAKE_META {
                weighed[before + edge] = weigh(*number, interactions[edge], gas_per_edge);
            }
        }
    }
    for (edge, error) in std::mem::take(&mut answers.failures) {
        let refusal = refuse(error).map_err(|error| failure(edge, error.to_string()))?;
        let place = weighed.get_mut(before + edge);
        let place = place.ok_or_else(|| failure(edge, "there is no such call".into()))?;
        *place = Weighed {
            verdict: WeightVerdict::Refused(refusal),
            interactions: gas_per_edge,
        };
    }
    Ok(())
}

/// What `@weight` is applied to for some edges.
#[derive(Default)]
struct Columns {
    stakes: Vec<u32>,
    ages: Vec<u32>,
    kinds: Vec<u32>,
}

impl Columns {
    /// One column after the other: the first loop waits for memory, and the shorter its steps are, the more reads are on their way
    /// at the same time (a tenth of the time of all).
    fn fill(&mut self, edges: &[EdgeAttributes], stake_shift: u32) {
        let saturated = |value: u64| value.min(u32::MAX.into()) as u32;
        let stake = |edge: &EdgeAttributes| saturated(edge.stake >> stake_shift);
        refill(&mut self.stakes, edges.iter().map(stake));
        refill(&mut self.ages, edges.iter().map(|edge| saturated(edge.age)));
        refill(&mut self.kinds, edges.iter().map(|edge| edge.kind));
    }

    fn arguments(&self) -> [Argument<'_>; 3] {
        [&self.stakes, &self.ages, &self.kinds].map(|column| Argument::Plain(Kind::U32, column))
    }
}

fn refill(column: &mut Vec<u32>, values: impl ExactSizeIterator<Item = u32>) {
    column.clear();
    column.extend(values);
}

/// The verdict on the number that there is for one edge, and what to charge.
fn weigh(number: Term, interactions: u64, gas_per_edge: u64) -> Weighed {
    let verdict = judge(number);
    let interactions = match verdict {
        WeightVerdict::Weight(_) | WeightVerdict::Refused(Refusal::Negative) => interactions,
        WeightVerdict::Refused(_) => gas_per_edge,
    };
    Weighed {
        verdict,
        interactions,
    }
}

/// Adds the verdicts on answers as if they were weights of the stake's kind, as nearly all are; whether others are to be judged.
/// Without a branch, nor anything else from one verdict to the next, each goes straight to its place.
fn weigh_all(numbers: &[Term], interactions: &[u64], weighed: &mut Vec<Weighed>) -> bool {
    let answers = numbers.iter().zip(interactions);
    weighed.extend(answers.map(|(number, &interactions)| Weighed {
        verdict: WeightVerdict::Weight(number.w1().into()),
        interactions,
    }));
    let other = |number: &Term| number.w0() ^ STAKE_META;
    numbers
        .iter()
        .fold(0, |others, number| others | other(number))
        != 0
}

/// The meta word of a stake.
const STAKE_META: u32 = Term::u32(0).w0();

/// The verdict on a failure; those that are not the net's are failures of the coprocessor.
fn refuse(error: ReduceError) -> Result<Refusal, ReduceError> {
    match error {
        ReduceError::OutOfGas { .. } => Ok(Refusal::OutOfGas),
        // Both are normal forms that are no number; which of the two is found first is not agreed upon.
        ReduceError::ViciousCircle | ReduceError::ResultTooLong { .. } => Ok(Refusal::NotANumber),
        error => Err(error),
    }
}

/// The verdict on the number that a net gave, if it is one.
fn judge(number: Term) -> WeightVerdict {
    let signed = |value: i32| match u64::try_from(value) {
        Ok(weight) => WeightVerdict::Weight(weight),
        Err(_) => WeightVerdict::Refused(Refusal::Negative),
    };
    match number.as_plain() {
        Some((Kind::U24 | Kind::U32, bits)) => WeightVerdict::Weight(u64::from(bits)),
        Some((Kind::I24, bits)) => signed(sign_extend(bits)),
        Some((Kind::I32, bits)) => signed(bits as i32),
        Some((Kind::F24 | Kind::F32, _)) | None => WeightVerdict::Refused(Refusal::NotANumber),
    }
}

/// The definitions that `entry` may come to expand, itself included.
fn reachable(book: &Book, entry: u32) -> Vec<&Definition> {
    let definitions = book.definitions();
    let mut seen = vec![false; definitions.len()];
    let mut open = vec![entry as usize];
    let mut found = Vec::new();
    while let Some(index) = open.pop() {
        if std::mem::replace(&mut seen[index], true) {
            continue;
        }
        let definition = &definitions[index];
        found.push(definition);
        let references = terms(definition).filter(|term| term.class() == Class::Ref);
        open.extend(references.map(|term| term.offset() as usize));
    }
    found
}

/// Every term of a definition.
fn terms(definition: &Definition) -> impl Iterator<Item = Term> {
    let nodes = definition.nodes.iter().flatten().copied();
    let redexes = definition.redexes.iter().flat_map(|(a, b)| [*a, *b]);
    [definition.root].into_iter().chain(nodes).chain(redexes)
}

fn at_most(what: impl Into<String>, size: u64, limit: u64) -> Result<(), LoadFailure> {
    if size <= limit {
        return Ok(());
    }
    Err(LoadFailure::TooLarge {
        what: what.into(),
        size,
        limit,
    })
}
