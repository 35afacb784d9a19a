//! Numbers: the kinds a NUM term carries, and one exact operation for each operator on each kind.
//!
//! ```text
//! ext (8 bits of w0)   [7:6] 0   [5] wide   [4:0] code
//! w1                   payload: 32 bits when wide, otherwise 24 bits with the high 8 bits 0
//!
//! code 0          symbol; the payload is the ext of what it stands for: an operator, or the kind of a cast
//! code 1, 2, 3    plain number: u24, i24, f24, and with the wide bit u32, i32, f32
//! code 4 … 22     partially applied operator; the payload is the raw bits of its operand, wide its width
//! ```
//!
//! Codes and 24-bit behaviour are those of HVM2 (crate `hvm` 2.0.22, `Numb::operate`). An `f24` is the upper 24 bits of
//! an IEEE 754 binary32, rounded to nearest, ties to even, after each operation in binary32.
//!
//! # One step
//!
//! [`operate`] is total and commutative, so it does not matter which of two numbers reaches an OPR node first:
//!
//! | meets | operator | cast | partial | plain |
//! |---|---|---|---|---|
//! | operator | `0` | `0` | partial, other operator | partial |
//! | cast | `0` | `0` | operand, its bits re-read | conversion |
//! | partial | | | `0` | **result** |
//! | plain | | | | `0` |
//!
//! `0` is the u24 zero that HVM2 answers. `a ~ $([-] $(b r))` is `a - b`: the operand of the partial is on the left.
//!
//! * **Kind.** The plain number, the right operand, decides the kind; the left one's bits are *re-read* as that kind,
//!   not converted, as HVM2 does. Where the widths differ they are read in the right operand's family (unsigned,
//!   signed, float) at their own width, then brought to its width: zero-extended, sign-extended, or exactly widened;
//!   truncated, or rounded.
//! * **Comparisons** give 0 or 1 as u24, or as u32 when the operands are wide.
//! * **Integers** wrap. `x / 0` is all ones (the highest unsigned number, or −1), `x % 0` is `x`, and
//!   `MIN / -1` is `MIN` with remainder 0: RISC-V's rules. HVM2 panics or is undefined there.
//! * **Shifts** take the count modulo 32. `>>` is logical on unsigned, arithmetic on i32. On i24 every shift is `+0`,
//!   and the flipped shifts are `0.0` on floats, as in HVM2's C backend.
//! * **Floats**: `+ - * /` and comparisons are correctly rounded, `%` is exact. `&` is atan2, `|` the logarithm of the
//!   right operand to the base of the left, `^` the power, `<<` the sine and `>>` the tangent of the sum. These five
//!   go through the pure-Rust `libm`, the same bits on every platform; HVM2 calls the platform's, so its result may
//!   differ in the last bit.
//! * **NaN** is canonical: `0x7fc001` as f24 (what HVM2 reads `+NaN` as), `0x7fc00000` as f32.
//! * **Casts** between integers keep the low bits of the sign- or zero-extended number; float to integer truncates,
//!   saturates, and turns NaN to 0; integer to float rounds to binary32, then to f24 if asked.

use core::fmt;

use super::word::{Class, Term, variant};

/// Bit of `ext` that says the payload has 32 bits.
pub const WIDE: u8 = 0x20;
/// `ext` of a symbol.
pub const SYMBOL: u8 = 0;
const FIRST_OPERATOR: u8 = Operator::Add as u8;
const LAST_OPERATOR: u8 = Operator::FlipShr as u8;
const MASK24: u32 = (1 << 24) - 1;
const NAN24: u32 = 0x007f_c001;
const NAN32: u32 = 0x7fc0_0000;

/// Kind of a plain number; the discriminant is its `ext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Unsigned, 24 bits.
    U24 = 1,
    /// Two's complement, 24 bits.
    I24 = 2,
    /// Upper 24 bits of a binary32.
    F24 = 3,
    /// Unsigned, 32 bits.
    U32 = 1 | WIDE,
    /// Two's complement, 32 bits.
    I32 = 2 | WIDE,
    /// IEEE 754 binary32.
    F32 = 3 | WIDE,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 6] = [
        Kind::U24,
        Kind::I24,
        Kind::F24,
        Kind::U32,
        Kind::I32,
        Kind::F32,
    ];

    /// The kind with the given `ext`, if there is one.
    #[inline(always)]
    pub const fn from_ext(ext: u8) -> Option<Kind> {
        match ext {
            1 => Some(Kind::U24),
            2 => Some(Kind::I24),
            3 => Some(Kind::F24),
            0x21 => Some(Kind::U32),
            0x22 => Some(Kind::I32),
            0x23 => Some(Kind::F32),
            _ => None,
        }
    }

    /// Whether numbers of this kind have 32 bits.
    #[inline(always)]
    pub const fn is_wide(self) -> bool {
        self as u8 & WIDE != 0
    }

    /// Whether this is a floating-point kind.
    pub const fn is_float(self) -> bool {
        matches!(self, Kind::F24 | Kind::F32)
    }

    /// Name as a cast writes it: `u24`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::U24 => "u24",
            Kind::I24 => "i24",
            Kind::F24 => "f24",
            Kind::U32 => "u32",
            Kind::I32 => "i32",
            Kind::F32 => "f32",
        }
    }
}

/// Binary operator; the discriminant is its code. `Flip…` takes its operands the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operator {
    /// `+`.
    Add = 4,
    /// `-`.
    Sub = 5,
    /// `:-`, subtraction from the right operand.
    FlipSub = 6,
    /// `*`.
    Mul = 7,
    /// `/`.
    Div = 8,
    /// `:/`, division of the right operand.
    FlipDiv = 9,
    /// `%`, the sign of the dividend.
    Rem = 10,
    /// `:%`, remainder of the right operand.
    FlipRem = 11,
    /// `=`.
    Eq = 12,
    /// `!`.
    Ne = 13,
    /// `<`.
    Lt = 14,
    /// `>`.
    Gt = 15,
    /// `&`; on floats atan2.
    And = 16,
    /// `|`; on floats the logarithm of the right operand to the base of the left.
    Or = 17,
    /// `^`; on floats the power.
    Xor = 18,
    /// `<<`; on floats the sine of the sum.
    Shl = 19,
    /// `:<<`, shift of the right operand.
    FlipShl = 20,
    /// `>>`; on floats the tangent of the sum.
    Shr = 21,
    /// `:>>`, shift of the right operand.
    FlipShr = 22,
}

impl Operator {
    /// All operators, in code order.
    pub const ALL: [Operator; 19] = [
        Operator::Add,
        Operator::Sub,
        Operator::FlipSub,
        Operator::Mul,
        Operator::Div,
        Operator::FlipDiv,
        Operator::Rem,
        Operator::FlipRem,
        Operator::Eq,
        Operator::Ne,
        Operator::Lt,
        Operator::Gt,
        Operator::And,
        Operator::Or,
        Operator::Xor,
        Operator::Shl,
        Operator::FlipShl,
        Operator::Shr,
        Operator::FlipShr,
    ];

    /// The operator with the given code, if there is one.
    #[inline(always)]
    pub const fn from_code(code: u8) -> Option<Operator> {
        if code >= FIRST_OPERATOR && code <= LAST_OPERATOR {
            Some(Operator::ALL[(code - FIRST_OPERATOR) as usize])
        } else {
            None
        }
    }

    /// How the source writes it: `:-`.
    pub const fn name(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Sub => "-",
            Operator::FlipSub => ":-",
            Operator::Mul => "*",
            Operator::Div => "/",
            Operator::FlipDiv => ":/",
            Operator::Rem => "%",
            Operator::FlipRem => ":%",
            Operator::Eq => "=",
            Operator::Ne => "!",
            Operator::Lt => "<",
            Operator::Gt => ">",
            Operator::And => "&",
            Operator::Or => "|",
            Operator::Xor => "^",
            Operator::Shl => "<<",
            Operator::FlipShl => ":<<",
            Operator::Shr => ">>",
            Operator::FlipShr => ":>>",
        }
    }

    /// The unflipped operator, and whether the operands change places.
    #[inline(always)]
    const fn unflip(self) -> (Operator, bool) {
        match self {
            Operator::FlipSub => (Operator::Sub, true),
            Operator::FlipDiv => (Operator::Div, true),
            Operator::FlipRem => (Operator::Rem, true),
            Operator::FlipShl => (Operator::Shl, true),
            Operator::FlipShr => (Operator::Shr, true),
            op => (op, false),
        }
    }
}

/// A NUM term taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// A value: kind and payload.
    Plain(Kind, u32),
    /// A conversion to a kind, such as `[u24]`.
    Cast(Kind),
    /// An operator that has no operand yet, such as `[+]`.
    Operator(Operator),
    /// An operator that has its left operand, such as `[+5]`.
    Partial {
        /// The operator.
        operator: Operator,
        /// Raw bits of the operand, below 2^24 unless `wide`.
        bits: u32,
        /// Whether the operand has 32 bits.
        wide: bool,
    },
}

impl Number {
    /// Takes a term apart. `None` if it is not a NUM term, or its fields follow no form of this module.
    #[inline(always)]
    pub const fn from_term(term: Term) -> Option<Number> {
        if !matches!(term.class(), Class::Num) {
            return None;
        }
        let (ext, bits) = (term.ext(), term.w1());
        let wide = ext & WIDE != 0;
        if ext == SYMBOL {
            if bits > u8::MAX as u32 {
                return None;
            }
            if let Some(kind) = Kind::from_ext(bits as u8) {
                return Some(Number::Cast(kind));
            }
            return match Operator::from_code(bits as u8) {
                Some(operator) => Some(Number::Operator(operator)),
                None => None,
            };
        }
        if !wide && bits > MASK24 {
            return None;
        }
        if let Some(kind) = Kind::from_ext(ext) {
            return Some(Number::Plain(kind, bits));
        }
        match Operator::from_code(ext & !WIDE) {
            Some(operator) => Some(Number::Partial {
                operator,
                bits,
                wide,
            }),
            None => None,
        }
    }

    /// The NUM term.
    #[inline(always)]
    pub const fn term(self) -> Term {
        match self {
            Number::Plain(kind, bits) => num(kind as u8, bits),
            Number::Cast(kind) => num(SYMBOL, kind as u32),
            Number::Operator(operator) => num(SYMBOL, operator as u32),
            Number::Partial {
                operator,
                bits,
                wide,
            } => num(operator as u8 | if wide { WIDE } else { 0 }, bits),
        }
    }

    /// Whether this is a float or makes one: a plain float, or a cast to a float. A net whose book and arguments hold
    /// neither never computes a float, because a partial's operand is read as a float only when its right operand is one.
    pub const fn is_float(self) -> bool {
        match self {
            Number::Plain(kind, _) | Number::Cast(kind) => kind.is_float(),
            Number::Operator(_) | Number::Partial { .. } => false,
        }
    }
}

#[inline(always)]
const fn num(ext: u8, bits: u32) -> Term {
    Term::new(Class::Num, variant::PLAIN, 0, ext, bits)
}

impl Term {
    /// A u24: `value` modulo 2^24.
    #[inline(always)]
    pub const fn u24(value: u32) -> Term {
        num(Kind::U24 as u8, value & MASK24)
    }

    /// An i24: `value` modulo 2^24.
    #[inline(always)]
    pub const fn i24(value: i32) -> Term {
        num(Kind::I24 as u8, value as u32 & MASK24)
    }

    /// An f24: `value` rounded to 24 bits, ties to even; NaN made canonical.
    pub fn f24(value: f32) -> Term {
        num(Kind::F24 as u8, f24_bits(value))
    }

    /// A u32.
    #[inline(always)]
    pub const fn u32(value: u32) -> Term {
        num(Kind::U32 as u8, value)
    }

    /// An i32.
    #[inline(always)]
    pub const fn i32(value: i32) -> Term {
        num(Kind::I32 as u8, value as u32)
    }

    /// An f32; NaN made canonical.
    pub fn f32(value: f32) -> Term {
        num(Kind::F32 as u8, f32_bits(value))
    }

    /// The plain number this term holds, as its kind and payload bits.
    #[inline(always)]
    pub const fn as_plain(self) -> Option<(Kind, u32)> {
        match Number::from_term(self) {
            Some(Number::Plain(kind, bits)) => Some((kind, bits)),
            _ => None,
        }
    }

    /// Whether this is a number for which [`Number::is_float`] holds.
    pub const fn is_float(self) -> bool {
        match Number::from_term(self) {
            Some(number) => number.is_float(),
            None => false,
        }
    }
}

/// Rounds the low 8 bits away. Adding the carry into the exponent is the right result at every magnitude: subnormals
/// grow into normals, and what is beyond the largest f24 becomes infinite.
fn f24_bits(value: f32) -> u32 {
    if value.is_nan() {
        return NAN24;
    }
    let bits = value.to_bits();
    let (kept, lost) = (bits >> 8, bits & 0xff);
    kept + u32::from(lost > 0x80 || (lost == 0x80 && kept & 1 == 1))
}

fn f32_bits(value: f32) -> u32 {
    if value.is_nan() {
        NAN32
    } else {
        value.to_bits()
    }
}

/// Sign-extends a 24-bit payload.
#[inline(always)]
pub const fn sign_extend(bits: u32) -> i32 {
    ((bits << 8) as i32) >> 8
}

/// What a numeric match sees: `None` for zero, otherwise the number before it, unsigned and of the same width.
/// As in HVM2 only the payload counts, whatever the kind: `-1` is followed back to `16777214`, and `0.0` is zero.
#[inline(always)]
pub const fn predecessor(number: Term) -> Option<Term> {
    let wide = number.ext() & WIDE != 0;
    let bits = if wide {
        number.w1()
    } else {
        number.w1() & MASK24
    };
    match bits.checked_sub(1) {
        Some(before) if wide => Some(Term::u32(before)),
        Some(before) => Some(Term::u24(before)),
        None => None,
    }
}

/// One arithmetic step: what the meeting of two numbers at an OPR node gives. Total and commutative; see the module.
/// With a term that is not a number of this module the answer is `0`.
#[inline(always)]
pub fn operate(a: Term, b: Term) -> Term {
    // The commonest steps of integer programs, ahead of the general case.
    let (a, b) = if a.ext() < b.ext() { (b, a) } else { (a, b) };
    let (code, symbol) = (a.ext(), b.w1());
    if (a.w1() | b.w1()) <= MASK24 && a.w0() == num(code, 0).w0() {
        let operators = u32::from(FIRST_OPERATOR)..=u32::from(LAST_OPERATOR);
        if b.w0() == PLAIN24 && operators.contains(&u32::from(code)) {
            return Term::u24(unsigned(code, a.w1(), b.w1()));
        }
        if code == Kind::U24 as u8 && b.w0() == num(SYMBOL, 0).w0() && operators.contains(&symbol) {
            return num(symbol as u8, a.w1());
        }
    }
    operate_any(a, b)
}

/// The meta word of a u24.
const PLAIN24: u32 = num(Kind::U24 as u8, 0).w0();

fn operate_any(a: Term, b: Term) -> Term {
    use Number::{Cast, Operator, Partial, Plain};
    let (Some(a), Some(b)) = (Number::from_term(a), Number::from_term(b)) else {
        return Term::u24(0);
    };
    match (a, b) {
        (
            Partial {
                operator,
                bits,
                wide,
            },
            Plain(kind, right),
        )
        | (
            Plain(kind, right),
            Partial {
                operator,
                bits,
                wide,
            },
        ) => compute(operator, kind, reread(bits, wide, kind), right),
        (Operator(operator), Plain(kind, bits)) | (Plain(kind, bits), Operator(operator)) => {
            Partial {
                operator,
                bits,
                wide: kind.is_wide(),
            }
            .term()
        }
        (Cast(to), Plain(kind, bits)) | (Plain(kind, bits), Cast(to)) => convert(kind, bits, to),
        (Operator(operator), Partial { bits, wide, .. })
        | (Partial { bits, wide, .. }, Operator(operator)) => Partial {
            operator,
            bits,
            wide,
        }
        .term(),
        (Cast(to), Partial { bits, wide, .. }) | (Partial { bits, wide, .. }, Cast(to)) => {
            number(to, reread(bits, wide, to))
        }
        _ => Term::u24(0),
    }
}

/// A plain number from payload bits; a NaN is made canonical.
fn number(kind: Kind, bits: u32) -> Term {
    match kind {
        Kind::F24 => Term::f24(float(kind, bits)),
        Kind::F32 => Term::f32(float(kind, bits)),
        _ => num(kind as u8, bits),
    }
}

/// Raw bits of one width read as a number of `kind`, as payload of that kind.
fn reread(bits: u32, wide: bool, kind: Kind) -> u32 {
    match (wide, kind) {
        (false, Kind::I32) => sign_extend(bits) as u32,
        (false, Kind::F32) => bits << 8,
        (true, Kind::U24 | Kind::I24) => bits & MASK24,
        (true, Kind::F24) => f24_bits(f32::from_bits(bits)),
        _ => bits,
    }
}

fn float(kind: Kind, bits: u32) -> f32 {
    f32::from_bits(if kind.is_wide() { bits } else { bits << 8 })
}

fn compute(operator: Operator, kind: Kind, a: u32, b: u32) -> Term {
    let truth = |value: bool| {
        if kind.is_wide() {
            Term::u32(u32::from(value))
        } else {
            Term::u24(u32::from(value))
        }
    };
    match kind {
        Kind::U24 => Term::u24(unsigned(operator as u8, a, b)),
        Kind::U32 => Term::u32(unsigned(operator as u8, a, b)),
        Kind::I24 | Kind::I32 => {
            let (a, b) = if kind.is_wide() {
                (a as i32, b as i32)
            } else {
                (sign_extend(a), sign_extend(b))
            };
            match compare(operator, &a, &b) {
                Some(value) => truth(value),
                None if kind.is_wide() => Term::i32(signed(operator, a, b)),
                None if is_shift(operator) => Term::i24(0),
                None => Term::i24(signed(operator, a, b)),
            }
        }
        Kind::F24 | Kind::F32 => {
            let (a, b) = (float(kind, a), float(kind, b));
            match compare(operator, &a, &b) {
                Some(value) => truth(value),
                None if kind.is_wide() => Term::f32(floating(operator, a, b)),
                None => Term::f24(floating(operator, a, b)),
            }
        }
    }
}

fn is_shift(operator: Operator) -> bool {
    matches!(operator.unflip().0, Operator::Shl | Operator::Shr)
}

/// The truth of a comparison; `None` for any other operator.
#[inline(always)]
fn compare<T: PartialOrd>(operator: Operator, a: &T, b: &T) -> Option<bool> {
    match operator {
        Operator::Eq => Some(a == b),
        Operator::Ne => Some(a != b),
        Operator::Lt => Some(a < b),
        Operator::Gt => Some(a > b),
        _ => None,
    }
}

/// Unsigned operation on 32 bits, by the operator's code. For 24-bit operands the low 24 bits of the answer are the
/// 24-bit answer.
#[inline(always)]
fn unsigned(code: u8, a: u32, b: u32) -> u32 {
    const ADD: u8 = Operator::Add as u8;
    const SUB: u8 = Operator::Sub as u8;
    const FLIP_SUB: u8 = Operator::FlipSub as u8;
    const MUL: u8 = Operator::Mul as u8;
    const DIV: u8 = Operator::Div as u8;
    const FLIP_DIV: u8 = Operator::FlipDiv as u8;
    const REM: u8 = Operator::Rem as u8;
    const FLIP_REM: u8 = Operator::FlipRem as u8;
    const EQ: u8 = Operator::Eq as u8;
    const NE: u8 = Operator::Ne as u8;
    const LT: u8 = Operator::Lt as u8;
    const GT: u8 = Operator::Gt as u8;
    const AND: u8 = Operator::And as u8;
    const OR: u8 = Operator::Or as u8;
    const XOR: u8 = Operator::Xor as u8;
    const SHL: u8 = Operator::Shl as u8;
    const FLIP_SHL: u8 = Operator::FlipShl as u8;
    const SHR: u8 = Operator::Shr as u8;
    const FLIP_SHR: u8 = Operator::FlipShr as u8;
    match code {
        ADD => a.wrapping_add(b),
        SUB => a.wrapping_sub(b),
        FLIP_SUB => b.wrapping_sub(a),
        MUL => a.wrapping_mul(b),
        DIV => a.checked_div(b).unwrap_or(u32::MAX),
        FLIP_DIV => b.checked_div(a).unwrap_or(u32::MAX),
        REM => a.checked_rem(b).unwrap_or(a),
        FLIP_REM => b.checked_rem(a).unwrap_or(b),
        EQ => u32::from(a == b),
        NE => u32::from(a != b),
        LT => u32::from(a < b),
        GT => u32::from(a > b),
        AND => a & b,
        OR => a | b,
        XOR => a ^ b,
        SHL => a << (b & 31),
        FLIP_SHL => b << (a & 31),
        SHR => a >> (b & 31),
        FLIP_SHR => b >> (a & 31),
        _ => 0, // no operator
    }
}

/// Signed operation on 32 bits, comparisons excepted.
fn signed(operator: Operator, a: i32, b: i32) -> i32 {
    let (operator, flipped) = operator.unflip();
    let (a, b) = if flipped { (b, a) } else { (a, b) };
    match operator {
        Operator::Div if b == 0 => -1,
        Operator::Rem if b == 0 => a,
        Operator::Div => a.wrapping_div(b),
        Operator::Rem => a.wrapping_rem(b),
        Operator::Shr => a >> (b & 31),
        // The other operators do not depend on the sign.
        _ => unsigned(operator as u8, a as u32, b as u32) as i32,
    }
}

/// Float operation in binary32, comparisons excepted.
fn floating(operator: Operator, a: f32, b: f32) -> f32 {
    match operator {
        Operator::Add => a + b,
        Operator::Sub => a - b,
        Operator::FlipSub => b - a,
        Operator::Mul => a * b,
        Operator::Div => a / b,
        Operator::FlipDiv => b / a,
        Operator::Rem => libm::fmodf(a, b),
        Operator::FlipRem => libm::fmodf(b, a),
        Operator::And => libm::atan2f(a, b),
        Operator::Or => libm::logf(b) / libm::logf(a),
        Operator::Xor => libm::powf(a, b),
        Operator::Shl => libm::sinf(a + b),
        Operator::Shr => libm::tanf(a + b),
        _ => 0.0, // flipped shifts; comparisons never come here
    }
}

fn convert(from: Kind, bits: u32, to: Kind) -> Term {
    let value = match from {
        Kind::U24 | Kind::U32 => i64::from(bits),
        Kind::I24 => i64::from(sign_extend(bits)),
        Kind::I32 => i64::from(bits as i32),
        Kind::F24 | Kind::F32 => return convert_float(float(from, bits), to),
    };
    match to {
        Kind::U24 => Term::u24(value as u32),
        Kind::I24 => Term::i24(value as i32),
        Kind::U32 => Term::u32(value as u32),
        Kind::I32 => Term::i32(value as i32),
        Kind::F24 => Term::f24(value as f32),
        Kind::F32 => Term::f32(value as f32),
    }
}

fn convert_float(value: f32, to: Kind) -> Term {
    const I24_MAX: i32 = (1 << 23) - 1;
    match to {
        // Rust's `as` truncates, saturates and maps NaN to 0.
        Kind::U24 => Term::u24((value as u32).min(MASK24)),
        Kind::I24 => Term::i24((value as i32).clamp(-I24_MAX - 1, I24_MAX)),
        Kind::U32 => Term::u32(value as u32),
        Kind::I32 => Term::i32(value as i32),
        Kind::F24 => Term::f24(value),
        Kind::F32 => Term::f32(value),
    }
}

/// As HVM2 prints it: `3`, `+3`, `1.5`, `+inf`, `[+]`, `[u24]`, `[+0x0000005]`; 32-bit numbers and 32-bit operands
/// carry their suffix: `3u32`, `-1i32`, `1.5f32`, `[+0x00000005u32]`.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Number::Plain(Kind::U24, bits) => write!(f, "{bits}"),
            Number::Plain(Kind::I24, bits) => write!(f, "{:+}", sign_extend(bits)),
            Number::Plain(Kind::U32, bits) => write!(f, "{bits}u32"),
            Number::Plain(Kind::I32, bits) => write!(f, "{:+}i32", bits as i32),
            Number::Plain(kind @ (Kind::F24 | Kind::F32), bits) => {
                let value = float(kind, bits);
                if value.is_nan() {
                    f.write_str("+NaN")?;
                } else if value.is_infinite() {
                    f.write_str(if value > 0.0 { "+inf" } else { "-inf" })?;
                } else {
                    write!(f, "{value:?}")?;
                }
                f.write_str(if kind.is_wide() { "f32" } else { "" })
            }
            Number::Cast(kind) => write!(f, "[{}]", kind.name()),
            Number::Operator(operator) => write!(f, "[{}]", operator.name()),
            Number::Partial {
                operator,
                bits,
                wide: false,
            } => write!(f, "[{}0x{bits:07X}]", operator.name()),
            Number::Partial {
                operator,
                bits,
                wide: true,
            } => write!(f, "[{}0x{bits:08X}u32]", operator.name()),
        }
    }
}

#[cfg(test)]
mod tests;
