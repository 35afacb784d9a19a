//! Arithmetic on numbers of which the kinds are known: which words to compute.

use ffcm::spec::number::{self, Kind, Operator, WIDE};
use ffcm::spec::word::{Class, Term};

use super::facts::{Fact, Form, Slot};
use super::program::{Expr, Word};

/// What an arithmetic step gives.
pub(super) enum Outcome {
    /// This.
    Known(Slot),
    /// What is known does not suffice.
    Unknown,
    /// An operand is certainly no number.
    NoNumber,
}

/// [`number::operate`] on what is known of two terms. `compute` makes a word of an expression.
pub(super) fn operate(a: &Slot, b: &Slot, compute: &mut dyn FnMut(Expr) -> Word) -> Outcome {
    let no_number =
        |slot: &Slot| matches!(slot.fact, Fact::Constant(term) if term.class() != Class::Num);
    if no_number(a) || no_number(b) {
        return Outcome::NoNumber;
    }
    if let (Fact::Constant(a), Fact::Constant(b)) = (a.fact, b.fact) {
        return Outcome::Known(Slot::constant(number::operate(a, b)));
    }
    let (Some(a_form), Some(b_form)) = (a.form(), b.form()) else {
        return Outcome::Unknown;
    };
    let (Some(a_bits), Some(b_bits)) = (a.payload(), b.payload()) else {
        return Outcome::Unknown;
    };
    let answer = meet(a_form, a_bits, b_form, b_bits, compute);
    answer.map_or(Outcome::Unknown, Outcome::Known)
}

/// The table of the specification; none for floats.
fn meet(
    a: Form,
    a_bits: Word,
    b: Form,
    b_bits: Word,
    compute: &mut dyn FnMut(Expr) -> Word,
) -> Option<Slot> {
    let wide_bit = |wide: bool| if wide { WIDE } else { 0 };
    match (a, b) {
        (Form::Partial(operator, wide), Form::Plain(kind)) => {
            step(operator, (a_bits, wide), kind, b_bits, compute)
        }
        (Form::Plain(kind), Form::Partial(operator, wide)) => {
            step(operator, (b_bits, wide), kind, a_bits, compute)
        }
        (Form::Operator(operator), Form::Plain(kind)) => Some(Slot::number(
            operator as u8 | wide_bit(kind.is_wide()),
            b_bits,
        )),
        (Form::Plain(kind), Form::Operator(operator)) => Some(Slot::number(
            operator as u8 | wide_bit(kind.is_wide()),
            a_bits,
        )),
        (Form::Operator(operator), Form::Partial(_, wide)) => {
            Some(Slot::number(operator as u8 | wide_bit(wide), b_bits))
        }
        (Form::Partial(_, wide), Form::Operator(operator)) => {
            Some(Slot::number(operator as u8 | wide_bit(wide), a_bits))
        }
        (Form::Cast(to), Form::Plain(from)) => convert(from, b_bits, to, compute),
        (Form::Plain(from), Form::Cast(to)) => convert(from, a_bits, to, compute),
        (Form::Cast(to), Form::Partial(_, wide)) => {
            Some(Slot::number(to as u8, reread(b_bits, wide, to, compute)?))
        }
        (Form::Partial(_, wide), Form::Cast(to)) => {
            Some(Slot::number(to as u8, reread(a_bits, wide, to, compute)?))
        }
        _ => Some(Slot::constant(Term::u24(0))),
    }
}

/// Raw bits of one width read as an integer of a kind, as payload of that kind.
fn reread(
    bits: Word,
    wide: bool,
    kind: Kind,
    compute: &mut dyn FnMut(Expr) -> Word,
) -> Option<Word> {
    match (wide, kind) {
        (_, Kind::F24 | Kind::F32) => None,
        (false, Kind::I32) => Some(compute(Expr::Extend(bits))),
        (true, Kind::U24 | Kind::I24) => Some(compute(Expr::Cut(bits))),
        _ => Some(bits),
    }
}

/// An integer converted to another kind.
fn convert(
    from: Kind,
    bits: Word,
    to: Kind,
    compute: &mut dyn FnMut(Expr) -> Word,
) -> Option<Slot> {
    if from.is_float() || to.is_float() {
        return None;
    }
    let bits = match (from, to.is_wide()) {
        (Kind::I24, true) => compute(Expr::Extend(bits)),
        (Kind::U32 | Kind::I32, false) => compute(Expr::Cut(bits)),
        _ => bits,
    };
    Some(Slot::number(to as u8, bits))
}

/// An operation on integers; the left operand is raw bits.
fn step(
    operator: Operator,
    (left, wide): (Word, bool),
    kind: Kind,
    right: Word,
    compute: &mut dyn FnMut(Expr) -> Word,
) -> Option<Slot> {
    let left = reread(left, wide, kind, compute)?;
    let (operator, flipped) = unflip(operator);
    let shift = matches!(operator, Operator::Shl | Operator::Shr);
    if kind == Kind::I24 && shift {
        return Some(Slot::constant(Term::i24(0)));
    }
    let signed = matches!(kind, Kind::I24 | Kind::I32);
    let mut extended = |word| match kind {
        Kind::I24 => compute(Expr::Extend(word)),
        _ => word,
    };
    let (left, right) = (extended(left), extended(right));
    let (a, b) = if flipped {
        (right, left)
    } else {
        (left, right)
    };
    let compares = matches!(
        operator,
        Operator::Eq | Operator::Ne | Operator::Lt | Operator::Gt
    );
    if compares {
        let truth = compute(Expr::Compare {
            operator,
            signed,
            a,
            b,
        });
        let kind = if kind.is_wide() { Kind::U32 } else { Kind::U24 };
        return Some(Slot::number(kind as u8, truth));
    }
    let result = compute(Expr::Arithmetic {
        operator,
        signed,
        a,
        b,
    });
    let narrow = needs_cut(operator, kind);
    let payload = if narrow {
        compute(Expr::Cut(result))
    } else {
        result
    };
    Some(Slot::number(kind as u8, payload))
}

/// Whether a result has bits beyond the payload's 24, which operations on payloads of a u24 that cannot grow do not.
fn needs_cut(operator: Operator, kind: Kind) -> bool {
    let stays = matches!(
        operator,
        Operator::And | Operator::Or | Operator::Xor | Operator::Shr | Operator::Rem
    );
    !kind.is_wide() && !(kind == Kind::U24 && stays)
}

/// The unflipped operator, and whether the operands change places.
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
