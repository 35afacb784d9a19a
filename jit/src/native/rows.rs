//! Lane functions for rows of numbers as machine code: a loop over the rows, without a heap, a stack or an engine.
//!
//! A row whose arguments are not of the kinds that the function was made for, or that stops, is left to the engine. The code
//! counts how often each path came to its end, which is all that has to be known for the counts by opcode.

use std::io;
use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{self as clif, AbiParam, Block, BlockArg, InstBuilder, MemFlagsData};
use cranelift_codegen::ir::{Signature, Value};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use ffcm::coprocessor::Evaluated;
use ffcm::cpu::Compiled;
use ffcm::cpu::native::{FusedRows, LEFT};
use ffcm::net::Book;
use ffcm::net::partial::Tally;
use ffcm::spec::number::Kind;
use ffcm::spec::rules::Counts;
use ffcm::spec::word::Term;
use memmap2::Mmap;

use super::arith::{self, Payload, plain_w0};
use super::code::executable;
use super::{RenderError, Renderer};
use crate::lane::{self, Body, Column, End, Expr, Output, Program, Refusal, Step, Var, Word};

/// Terms are read and written as two words, the meta word first.
const _: () = assert!(
    cfg!(target_endian = "little") || !cfg!(any(target_arch = "x86_64", target_arch = "aarch64"))
);
/// Most paths through a function.
const PATHS_MAX: usize = 256;
/// Bytes of an argument and of an answer.
const SIZES: (i32, i32) = (size_of::<Term>() as i32, size_of::<Evaluated>() as i32);

/// Why there is no code for rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowsError {
    /// There is no lane function.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The lane function is not one that code is written for.
    #[error("{0}")]
    Unsuitable(&'static str),
    /// The code generator failed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// There is no memory for the code.
    #[error(transparent)]
    Memory(#[from] io::Error),
}

/// Arguments, how many rows, answers, and the counters of the paths, for how many rows were left.
type Code = unsafe extern "C" fn(*const Term, u64, *mut Evaluated, *mut u64) -> u64;

/// A definition applied to rows of numbers, as code.
pub struct Rows {
    map: Mmap,
    arity: usize,
    /// What the end of each path has counted.
    paths: Vec<Counts>,
    most: u64,
}

impl Rows {
    /// Code for a definition of a book, applied to numbers of these kinds.
    ///
    /// # Errors
    /// Where there can be none, or it would be of no use: for floats, and for functions that call any.
    pub fn of_book(
        book: &Book,
        compiled: &Compiled,
        entry: u32,
        columns: &[Kind],
    ) -> Result<Rows, RowsError> {
        if columns.iter().any(|kind| kind.is_float()) {
            return Err(RowsError::Unsuitable("an argument is a float"));
        }
        let columns: Vec<Column> = { columns.iter() }
            .map(|&kind| Column::Plain(kind as u8))
            .collect();
        let program = lane::of_compiled(book, compiled, entry, &columns)?;
        Rows::new(&program)
    }

    /// Code for a lane function.
    ///
    /// # Errors
    /// As [`Rows::of_book`].
    pub fn new(program: &Program) -> Result<Rows, RowsError> {
        let (code, paths) = Renderer::new()?.render_rows(program)?;
        let paths: Vec<Counts> = paths.into_iter().map(Tally::counts).collect();
        Ok(Rows {
            map: executable(&code)?,
            arity: program.columns.len(),
            most: paths.iter().map(Counts::total).max().unwrap_or(0),
            paths,
        })
    }

    /// Bytes of code.
    pub fn bytes(&self) -> usize {
        self.map.len()
    }
}

impl FusedRows for Rows {
    fn most(&self) -> u64 {
        self.most
    }

    fn run(&self, arguments: &[Term], answers: &mut [Evaluated], counts: &mut Counts) -> usize {
        let rows = answers.len().min(arguments.len() / self.arity);
        answers[rows..].fill(LEFT);
        let mut ends = vec![0_u64; self.paths.len()];
        // SAFETY: the map begins with a function of this type, and lives longer than the call. That reads `arity` arguments and
        // writes an answer for each of as many rows as there are, and a counter for each path.
        let left = unsafe {
            let code = std::mem::transmute::<*const u8, Code>(self.map.as_ptr());
            code(
                arguments.as_ptr(),
                rows as u64,
                answers.as_mut_ptr(),
                ends.as_mut_ptr(),
            )
        };
        let counted: u64 = ends.iter().sum();
        debug_assert!(left + counted <= rows as u64);
        if let Some(first) = ends.first_mut() {
            *first = rows as u64 - left - counted;
        }
        for (path, times) in self.paths.iter().zip(ends) {
            for (opcode, made) in path.iter() {
                counts.add(opcode, made * times);
            }
        }
        left as usize + answers.len() - rows
    }
}

/// Writes the loop into `to`, which is empty. What the ends of the paths count.
pub(super) fn write(
    program: &Program,
    to: &mut clif::Function,
    scratch: &mut FunctionBuilderContext,
    (convention, frontend): (CallConv, TargetFrontendConfig),
) -> Result<Vec<Tally>, RowsError> {
    let meta = match (program.output, &program.segments[..]) {
        (Output::Number(meta), [_]) => meta,
        (Output::Constant([meta, _]), [_]) => meta,
        _ => {
            return Err(RowsError::Unsuitable(
                "it has calls, or no number as result",
            ));
        }
    };
    if !program.is_straight() || Term(u64::from(meta)).as_plain().is_none() {
        return Err(RowsError::Unsuitable(
            "it has calls, or no number as result",
        ));
    }
    to.signature = Signature::new(convention);
    to.signature.params = vec![AbiParam::new(I64); 4];
    to.signature.returns = vec![AbiParam::new(I64)];
    let mut b = FunctionBuilder::new(to, scratch);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let params = b.block_params(entry).to_vec();
    let (arguments, answers) = (params[0], params[2]);
    let length = b.ins().imul_imm_s(params[1], i64::from(SIZES.1));
    let end = b.ins().iadd(answers, length);
    let none = b.ins().iconst(I64, 0);
    let [head, row, done] = [(); 3].map(|()| b.create_block());
    let passed = [arguments, answers, none].map(BlockArg::from);
    b.ins().jump(head, &passed);

    // Where the row's arguments and its answer are, and how many rows were left.
    let [arguments, answer, left] = [(); 3].map(|()| b.append_block_param(head, I64));
    b.switch_to_block(head);
    let over = b.ins().icmp(IntCC::Equal, answer, end);
    b.ins().brif(over, done, &[], row, &[]);
    b.switch_to_block(done);
    b.ins().return_(&[left]);

    b.switch_to_block(row);
    let leave = b.create_block();
    let mut writer = Writer {
        b,
        program,
        meta,
        vars: Vec::new(),
        paths: Vec::new(),
        ends: params[3],
        head,
        leave,
        arguments,
        answer,
        left,
    };
    writer.columns()?;
    writer.body(&program.segments[0].body)?;
    let paths = writer.leave();
    writer.b.seal_all_blocks();
    writer.b.finalize(frontend);
    Ok(paths)
}

/// Memory that nothing else looks at meanwhile.
fn flags() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// The loop being written.
struct Writer<'p, 'b> {
    b: FunctionBuilder<'b>,
    program: &'p Program,
    /// The meta word of the results.
    meta: u32,
    /// By variable, as far as it is known.
    vars: Vec<Option<Value>>,
    paths: Vec<Tally>,
    /// The counters of the paths.
    ends: Value,
    head: Block,
    leave: Block,
    arguments: Value,
    answer: Value,
    left: Value,
}

impl Writer<'_, '_> {
    /// Reads the arguments, which are as the columns say or the row is left.
    fn columns(&mut self) -> Result<(), RowsError> {
        let b = &mut self.b;
        let mut payloads = Vec::new();
        for (index, column) in self.program.columns.iter().enumerate() {
            let kind = match column {
                Column::Plain(ext) => Kind::from_ext(*ext),
                Column::Any => None,
            };
            let kind = kind.filter(|kind| !kind.is_float());
            let kind = kind.ok_or(RowsError::Unsuitable("an argument is of no known kind"))?;
            // A comparison with memory and a branch are one operation to the processor, and need no register.
            let at = SIZES.0 * index as i32;
            let meta = b.ins().load(I32, flags(), self.arguments, at);
            let payload = b.ins().load(I32, flags(), self.arguments, at + 4);
            let mut wrong =
                vec![
                    b.ins()
                        .icmp_imm_s(IntCC::NotEqual, meta, i64::from(plain_w0(kind) as i32)),
                ];
            if !kind.is_wide() {
                wrong.push(
                    b.ins()
                        .icmp_imm_u(IntCC::UnsignedGreaterThan, payload, 0x00ff_ffff),
                );
            }
            for wrong in wrong {
                let right = b.create_block();
                b.ins().brif(wrong, self.leave, &[], right, &[]);
                b.switch_to_block(right);
            }
            payloads.push(payload);
        }
        let ins = &self.program.segments[0].ins;
        if ins.len() != payloads.len() {
            return Err(Refusal::Malformed.into());
        }
        for (&var, payload) in ins.iter().zip(payloads) {
            self.set(var, payload);
        }
        Ok(())
    }

    fn set(&mut self, Var(index): Var, value: Value) {
        let index = index as usize;
        if self.vars.len() <= index {
            self.vars.resize(index + 1, None);
        }
        self.vars[index] = Some(value);
    }

    fn payload(&self, word: Word) -> Result<Payload, RowsError> {
        match word {
            Word::Constant(bits) => Ok(Payload::Known(bits)),
            Word::Var(Var(index)) => {
                let value = self.vars.get(index as usize).copied().flatten();
                let value = value.ok_or(Refusal::Malformed)?;
                Ok(Payload::Value(value))
            }
        }
    }

    fn value(&mut self, word: Word) -> Result<Value, RowsError> {
        Ok(match self.payload(word)? {
            Payload::Known(bits) => self.b.ins().iconst(I32, i64::from(bits)),
            Payload::Value(value) => value,
        })
    }

    fn expr(&mut self, value: Expr) -> Result<Value, RowsError> {
        Ok(match value {
            Expr::Arithmetic {
                operator,
                signed,
                a,
                b,
            }
            | Expr::Compare {
                operator,
                signed,
                a,
                b,
            } => {
                let (x, y) = (self.payload(a)?, self.payload(b)?);
                match signed {
                    true => arith::signed(&mut self.b, operator, x, y, Kind::I32),
                    false => arith::unsigned(&mut self.b, operator, x, y),
                }
            }
            Expr::Extend(word) => {
                let word = self.value(word)?;
                arith::sign_extend(&mut self.b, word)
            }
            Expr::Cut(word) => {
                let word = self.value(word)?;
                self.b.ins().band_imm_s(word, 0x00ff_ffff)
            }
            Expr::Before(word) => {
                let word = self.value(word)?;
                self.b.ins().iadd_imm_s(word, -1)
            }
            Expr::BeforeMeta(_) => return Err(RowsError::Unsuitable("a kind is not known")),
        })
    }

    fn body(&mut self, body: &Body) -> Result<(), RowsError> {
        for step in &body.steps {
            let Step::Let { to, value } = *step else {
                return Err(RowsError::Unsuitable("a kind is not known"));
            };
            let value = self.expr(value)?;
            self.set(to, value);
        }
        match &body.end {
            End::Switch {
                payload,
                zero,
                successor,
            } => {
                let payload = self.value(*payload)?;
                let [then, otherwise] = [(); 2].map(|()| self.b.create_block());
                self.b.ins().brif(payload, then, &[], otherwise, &[]);
                self.b.switch_to_block(otherwise);
                self.body(zero)?;
                self.b.switch_to_block(then);
                self.body(successor)
            }
            End::Return { tally, outs } => self.answer(*tally, outs),
            End::Stop(_) => {
                self.b.ins().jump(self.leave, &[]);
                Ok(())
            }
            End::Match { .. } | End::Call { .. } | End::Jump { .. } => {
                Err(RowsError::Unsuitable("a kind is not known"))
            }
        }
    }

    /// The end of a path.
    fn answer(&mut self, tally: Tally, outs: &[Word]) -> Result<(), RowsError> {
        let payload = match (self.program.output, outs) {
            (Output::Constant([_, payload]), _) => Word::Constant(payload),
            (_, [payload]) => *payload,
            _ => return Err(Refusal::Malformed.into()),
        };
        if self.paths.len() == PATHS_MAX {
            return Err(RowsError::Unsuitable("it has too many paths"));
        }
        let path = self.paths.len() as i32;
        self.paths.push(tally);
        let payload = self.value(payload)?;
        let b = &mut self.b;
        let meta = b.ins().iconst(I32, i64::from(self.meta));
        let interactions = tally.counts().total();
        let interactions = b.ins().iconst(I64, interactions as i64);
        // The first path, in many functions the only one, has the rows that no other counter has.
        if path > 0 {
            let times = b.ins().load(I64, flags(), self.ends, 8 * path);
            let times = b.ins().iadd_imm_s(times, 1);
            b.ins().store(flags(), times, self.ends, 8 * path);
        }
        self.next([meta, payload], interactions, self.left);
        Ok(())
    }

    /// Writes an answer and goes on with the next row.
    fn next(&mut self, number: [Value; 2], interactions: Value, left: Value) {
        const NUMBER: i32 = offset_of!(Evaluated, number) as i32;
        const INTERACTIONS: i32 = offset_of!(Evaluated, interactions) as i32;
        let b = &mut self.b;
        for (word, at) in number.into_iter().zip([NUMBER, NUMBER + 4]) {
            b.ins().store(flags(), word, self.answer, at);
        }
        b.ins()
            .store(flags(), interactions, self.answer, INTERACTIONS);
        let row = i64::from(SIZES.0) * self.program.columns.len() as i64;
        let arguments = b.ins().iadd_imm_s(self.arguments, row);
        let answer = b.ins().iadd_imm_s(self.answer, i64::from(SIZES.1));
        b.ins()
            .jump(self.head, &[arguments, answer, left].map(BlockArg::from));
    }

    /// Writes what is done with rows that are left.
    fn leave(&mut self) -> Vec<Tally> {
        self.b.switch_to_block(self.leave);
        let none = [LEFT.number.w0(), LEFT.number.w1()];
        let none = none.map(|word| self.b.ins().iconst(I32, i64::from(word)));
        let mark = self.b.ins().iconst(I64, LEFT.interactions as i64);
        let left = self.b.ins().iadd_imm_s(self.left, 1);
        self.next(none, mark, left);
        std::mem::take(&mut self.paths)
    }
}
