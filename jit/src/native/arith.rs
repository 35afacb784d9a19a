//! Operations on numbers of known integer kinds; the definition is [`ffcm::spec::number`].

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use ffcm::spec::number::{Kind, Operator};
use ffcm::spec::word::Term;

use crate::likely;

/// A payload: 32 bits in a register, or known.
#[derive(Clone, Copy, Debug)]
pub enum Payload {
    /// Known.
    Known(u32),
    /// In a register.
    Value(Value),
}

const MASK24: i64 = (1 << 24) - 1;

/// The meta word of a plain number.
pub fn plain_w0(kind: Kind) -> u32 {
    match kind.is_wide() {
        false => Term::u24(0).w0() - Kind::U24 as u32 + kind as u32,
        true => Term::u32(0).w0() - Kind::U32 as u32 + kind as u32,
    }
}

/// The meta word of an operator with one operand.
pub fn partial_w0(operator: Operator, wide: bool) -> u32 {
    ffcm::spec::number::Number::Partial {
        operator,
        bits: 0,
        wide,
    }
    .term()
    .w0()
}

/// Whether the operations of this kind are written here.
pub fn is_integer(kind: Kind) -> bool {
    !kind.is_float()
}

/// The upper half of a term.
pub fn payload(b: &mut FunctionBuilder, term: Value) -> Value {
    let upper = b.ins().ushr_imm_s(term, 32);
    b.ins().ireduce(I32, upper)
}

/// A term of known meta word.
pub fn term(b: &mut FunctionBuilder, w0: u32, payload: Value) -> Value {
    let wide = b.ins().uextend(I64, payload);
    let upper = b.ins().ishl_imm_s(wide, 32);
    b.ins().bor_imm_s(upper, i64::from(w0))
}

fn value(b: &mut FunctionBuilder, payload: Payload) -> Value {
    match payload {
        Payload::Known(bits) => b.ins().iconst(I32, i64::from(bits)),
        Payload::Value(value) => value,
    }
}

/// The low 24 bits as a signed number.
pub fn sign_extend(b: &mut FunctionBuilder, bits: Value) -> Value {
    let upper = b.ins().ishl_imm_s(bits, 8);
    b.ins().sshr_imm_s(upper, 8)
}

/// The payload of a left operand, of this width, as the right one's kind has it.
fn reread(b: &mut FunctionBuilder, left: Payload, wide: bool, kind: Kind) -> Payload {
    let known = |bits: u32| match (wide, kind) {
        (false, Kind::I32) => ffcm::spec::number::sign_extend(bits) as u32,
        (true, Kind::U24 | Kind::I24) => bits & MASK24 as u32,
        _ => bits,
    };
    match (left, wide, kind) {
        (Payload::Known(bits), ..) => Payload::Known(known(bits)),
        (Payload::Value(bits), false, Kind::I32) => Payload::Value(sign_extend(b, bits)),
        (Payload::Value(bits), true, Kind::U24 | Kind::I24) => {
            Payload::Value(b.ins().band_imm_s(bits, MASK24))
        }
        _ => left,
    }
}

/// The operator that takes its operands in order, and whether this one takes them the other way round.
fn unflip(operator: Operator) -> (Operator, bool) {
    match operator {
        Operator::FlipSub => (Operator::Sub, true),
        Operator::FlipDiv => (Operator::Div, true),
        Operator::FlipRem => (Operator::Rem, true),
        Operator::FlipShl => (Operator::Shl, true),
        Operator::FlipShr => (Operator::Shr, true),
        operator => (operator, false),
    }
}

/// The term that an operator gives for a left operand of some width and a right one of an integer kind.
pub fn compute(
    b: &mut FunctionBuilder,
    operator: Operator,
    left: Payload,
    left_wide: bool,
    right: Payload,
    kind: Kind,
) -> Value {
    let left = reread(b, left, left_wide, kind);
    let (operator, flipped) = unflip(operator);
    let (x, y) = if flipped {
        (right, left)
    } else {
        (left, right)
    };
    let w0 = plain_w0(likely::result(operator, kind));
    let bits = match kind {
        Kind::I24 | Kind::I32 => signed(b, operator, x, y, kind),
        _ => unsigned(b, operator, x, y),
    };
    let narrow = match operator {
        // No wider than what they come from.
        Operator::And | Operator::Or | Operator::Xor | Operator::Shr | Operator::Rem
            if kind == Kind::U24 =>
        {
            true
        }
        Operator::Eq | Operator::Ne | Operator::Lt | Operator::Gt => true,
        _ => kind.is_wide(),
    };
    let bits = if narrow {
        bits
    } else {
        b.ins().band_imm_s(bits, MASK24)
    };
    term(b, w0, bits)
}

fn truth(b: &mut FunctionBuilder, condition: IntCC, x: Value, y: Value) -> Value {
    let truth = b.ins().icmp(condition, x, y);
    b.ins().uextend(I32, truth)
}

/// An operation on 32 bits without a sign; the operator takes its operands in order.
pub fn unsigned(b: &mut FunctionBuilder, operator: Operator, x: Payload, y: Payload) -> Value {
    let (a, c) = (value(b, x), value(b, y));
    match operator {
        Operator::Add => b.ins().iadd(a, c),
        Operator::Sub => b.ins().isub(a, c),
        Operator::Mul => b.ins().imul(a, c),
        Operator::Eq => truth(b, IntCC::Equal, a, c),
        Operator::Ne => truth(b, IntCC::NotEqual, a, c),
        Operator::Lt => truth(b, IntCC::UnsignedLessThan, a, c),
        Operator::Gt => truth(b, IntCC::UnsignedGreaterThan, a, c),
        Operator::And => b.ins().band(a, c),
        Operator::Or => b.ins().bor(a, c),
        Operator::Xor => b.ins().bxor(a, c),
        // Both count modulo 32, as the definition does.
        Operator::Shl => b.ins().ishl(a, c),
        Operator::Shr => b.ins().ushr(a, c),
        Operator::Div => match y {
            Payload::Known(0) => b.ins().iconst(I32, i64::from(u32::MAX)),
            Payload::Known(_) => b.ins().udiv(a, c),
            Payload::Value(_) => {
                let (zero, divisor) = divisor(b, c);
                let quotient = b.ins().udiv(a, divisor);
                let ones = b.ins().iconst(I32, i64::from(u32::MAX));
                b.ins().select(zero, ones, quotient)
            }
        },
        Operator::Rem => match y {
            Payload::Known(0) => a,
            Payload::Known(_) => b.ins().urem(a, c),
            Payload::Value(_) => {
                let (zero, divisor) = divisor(b, c);
                let rest = b.ins().urem(a, divisor);
                b.ins().select(zero, a, rest)
            }
        },
        Operator::FlipSub
        | Operator::FlipDiv
        | Operator::FlipRem
        | Operator::FlipShl
        | Operator::FlipShr => unreachable!("the operands have been put in order"),
    }
}

/// Whether a divisor is zero, and something to divide by that is not.
fn divisor(b: &mut FunctionBuilder, value: Value) -> (Value, Value) {
    let zero = b.ins().icmp_imm_s(IntCC::Equal, value, 0);
    let kind = b.func.dfg.value_type(value);
    let one = b.ins().iconst(kind, 1);
    (zero, b.ins().select(zero, one, value))
}

/// An operation on signed numbers of a kind; the operator takes its operands in order.
pub fn signed(
    b: &mut FunctionBuilder,
    operator: Operator,
    x: Payload,
    y: Payload,
    kind: Kind,
) -> Value {
    let wide = kind.is_wide();
    let order = match operator {
        Operator::Lt => Some(IntCC::SignedLessThan),
        Operator::Gt => Some(IntCC::SignedGreaterThan),
        _ => None,
    };
    match operator {
        Operator::Lt | Operator::Gt | Operator::Div | Operator::Rem => {
            let (mut a, mut c) = (value(b, x), value(b, y));
            if !wide {
                (a, c) = (sign_extend(b, a), sign_extend(b, c));
            }
            if let Some(order) = order {
                return truth(b, order, a, c);
            }
            // In 64 bits the lowest number divided by -1 does not overflow; its low bits are what wrapping gives.
            let (a, c) = (b.ins().sextend(I64, a), b.ins().sextend(I64, c));
            let (zero, divisor) = divisor(b, c);
            let result = if operator == Operator::Div {
                let quotient = b.ins().sdiv(a, divisor);
                let ones = b.ins().iconst(I64, -1);
                b.ins().select(zero, ones, quotient)
            } else {
                let rest = b.ins().srem(a, divisor);
                b.ins().select(zero, a, rest)
            };
            b.ins().ireduce(I32, result)
        }
        // On 24 bits every shift is zero.
        Operator::Shl | Operator::Shr if !wide => b.ins().iconst(I32, 0),
        Operator::Shr => {
            let (a, c) = (value(b, x), value(b, y));
            b.ins().sshr(a, c)
        }
        // The others do not depend on the sign.
        _ => unsigned(b, operator, x, y),
    }
}

/// An integer of one kind as one of another.
pub fn convert(b: &mut FunctionBuilder, from: Kind, bits: Value, to: Kind) -> Value {
    let bits = match from {
        Kind::I24 => sign_extend(b, bits),
        _ => bits,
    };
    let bits = if to.is_wide() || from == Kind::U24 {
        bits
    } else {
        b.ins().band_imm_s(bits, MASK24)
    };
    term(b, plain_w0(to), bits)
}
