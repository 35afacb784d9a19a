//! Lane functions for rows of numbers as machine code: a loop over the rows, without a heap, a stack or an engine.
//!
//! A row that stops is left to the engine. The code counts how often each path came to its end, which is all that has to be known
//! for the counts by opcode.

use std::io;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{self as clif, AbiParam, Block, BlockArg, InstBuilder, MemFlagsData};
use cranelift_codegen::ir::{Signature, Value};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use ffcm::cpu::Compiled;
use ffcm::cpu::native::FusedRows;
use ffcm::net::Book;
use ffcm::net::partial::Tally;
use ffcm::spec::number::Kind;
use ffcm::spec::rules::Counts;
use ffcm::spec::word::Term;
use memmap2::Mmap;

use super::arith::{self, Payload};
use super::code::executable;
use super::{RenderError, Renderer};
use crate::lane::{self, Body, Column, End, Expr, Output, Program, Refusal, Step, Var, Word};

/// Most paths through a function.
const PATHS_MAX: usize = 256;
/// Most rows of one call: those that are left are told by 32 bits.
const ROWS_MAX: usize = 1 << 31;

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

/// The columns and how many rows they have; places for the numbers and the interactions of these, for the rows that are left, and for
/// the counters of the paths. How many rows are left.
type Code = unsafe extern "C" fn(
    columns: *const *const u32,
    rows: u64,
    numbers: *mut Term,
    interactions: *mut u64,
    left: *mut u32,
    ends: *mut u64,
) -> u64;

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

    fn run(
        &self,
        columns: &[&[u32]],
        (numbers, interactions): (&mut [Term], &mut [u64]),
        left: &mut Vec<u32>,
        counts: &mut Counts,
    ) {
        let rows = numbers.len();
        assert!(rows <= ROWS_MAX && interactions.len() == rows && columns.len() == self.arity);
        assert!(columns.iter().all(|column| column.len() >= rows));
        let columns: Vec<*const u32> = columns.iter().map(|column| column.as_ptr()).collect();
        let mut ends = vec![0_u64; self.paths.len()];
        left.reserve(rows);
        let before = left.len();
        // SAFETY: the map begins with a function of this type, and lives longer than the call. That reads `rows` numbers of
        // each of `arity` columns, writes an answer for each row and a counter for each path, and the rows it leaves, of
        // which there are no more than there is room for.
        let added = unsafe {
            let code = std::mem::transmute::<*const u8, Code>(self.map.as_ptr());
            code(
                columns.as_ptr(),
                rows as u64,
                numbers.as_mut_ptr(),
                interactions.as_mut_ptr(),
                left.as_mut_ptr().add(before),
                ends.as_mut_ptr(),
            )
        };
        let counted: u64 = ends.iter().sum();
        debug_assert!(added + counted <= rows as u64);
        // SAFETY: the code has written so many, and there is room for them.
        unsafe { left.set_len(before + added as usize) };
        if let Some(first) = ends.first_mut() {
            *first = rows as u64 - added - counted;
        }
        for (path, times) in self.paths.iter().zip(ends) {
            for (opcode, made) in path.iter() {
                counts.add(opcode, made * times);
            }
        }
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
    to.signature.params = vec![AbiParam::new(I64); 6];
    to.signature.returns = vec![AbiParam::new(I64)];
    let mut b = FunctionBuilder::new(to, scratch);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let &[columns, rows, numbers, interactions, lefts, ends] = b.block_params(entry) else {
        return Err(Refusal::Malformed.into());
    };
    let column = |index| b.ins().load(I64, flags(), columns, 8 * index as i32);
    let columns = (0..program.columns.len()).map(column).collect();
    let none = b.ins().iconst(I64, 0);
    let [head, body, done] = [(); 3].map(|()| b.create_block());
    b.ins().jump(head, &[none, none].map(BlockArg::from));

    // The number of the row, and how many rows were left.
    let [row, left] = [(); 2].map(|()| b.append_block_param(head, I64));
    b.switch_to_block(head);
    let over = b.ins().icmp(IntCC::Equal, row, rows);
    b.ins().brif(over, done, &[], body, &[]);
    b.switch_to_block(done);
    b.ins().return_(&[left]);

    b.switch_to_block(body);
    let leave = b.create_block();
    let mut writer = Writer {
        b,
        program,
        meta,
        vars: Vec::new(),
        paths: Vec::new(),
        columns,
        places: [numbers, interactions, lefts],
        ends,
        head,
        leave,
        row,
        left,
    };
    writer.arguments()?;
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
    columns: Vec<Value>,
    /// For numbers, for interactions, and for rows that are left.
    places: [Value; 3],
    /// The counters of the paths.
    ends: Value,
    head: Block,
    leave: Block,
    /// The number of the row.
    row: Value,
    /// How many rows were left.
    left: Value,
}

impl Writer<'_, '_> {
    /// Reads the arguments.
    fn arguments(&mut self) -> Result<(), RowsError> {
        let program = self.program;
        let ins = &program.segments[0].ins;
        if ins.len() != program.columns.len() {
            return Err(Refusal::Malformed.into());
        }
        for ((column, &var), place) in program.columns.iter().zip(ins).zip(self.columns.clone()) {
            let kind = match column {
                Column::Plain(ext) => Kind::from_ext(*ext),
                Column::Any => None,
            };
            if kind.is_none_or(|kind| kind.is_float()) {
                return Err(RowsError::Unsuitable("an argument is of no known kind"));
            }
            let at = self.at(place, self.row, 2);
            let bits = self.b.ins().load(I32, flags(), at, 0);
            self.set(var, bits);
        }
        Ok(())
    }

    /// Where number `index` of a column of numbers of `1 << shift` bytes is.
    fn at(&mut self, column: Value, index: Value, shift: i64) -> Value {
        let offset = self.b.ins().ishl_imm_u(index, shift);
        self.b.ins().iadd(column, offset)
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
        // The first path, in many functions the only one, has the rows that no other counter has.
        if path > 0 {
            let times = b.ins().load(I64, flags(), self.ends, 8 * path);
            let times = b.ins().iadd_imm_s(times, 1);
            b.ins().store(flags(), times, self.ends, 8 * path);
        }
        let payload = b.ins().uextend(I64, payload);
        let payload = b.ins().ishl_imm_u(payload, 32);
        let number = b.ins().bor_imm_u(payload, i64::from(self.meta));
        let interactions = b.ins().iconst(I64, tally.counts().total() as i64);
        let [numbers, made, _] = self.places;
        for (place, value) in [(numbers, number), (made, interactions)] {
            let at = self.at(place, self.row, 3);
            self.b.ins().store(flags(), value, at, 0);
        }
        self.next(self.left);
        Ok(())
    }

    /// Goes on with the next row.
    fn next(&mut self, left: Value) {
        let row = self.b.ins().iadd_imm_s(self.row, 1);
        self.b
            .ins()
            .jump(self.head, &[row, left].map(BlockArg::from));
    }

    /// Writes what is done with rows that are left.
    fn leave(&mut self) -> Vec<Tally> {
        self.b.switch_to_block(self.leave);
        let row = self.b.ins().ireduce(I32, self.row);
        let at = self.at(self.places[2], self.left, 2);
        self.b.ins().store(flags(), row, at, 0);
        let left = self.b.ins().iadd_imm_s(self.left, 1);
        self.next(left);
        std::mem::take(&mut self.paths)
    }
}
