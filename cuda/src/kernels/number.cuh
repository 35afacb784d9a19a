// Numbers: one step of arithmetic on two NUM terms, and the predecessor. Integers and floats of 24 and 32 bits,
// operators, casts and partially applied operators.
//
// The forms and the answers are those of ffcm::spec::number, bit for bit. Everything is a function of its arguments.
// Binary32 is computed with integers, because compilers may contract and reorder float arithmetic, and because the
// answers of other backends must be met to the last bit. The transcendental operators on floats (arc tangent,
// logarithm, power, sine, tangent) are left to the host.
//
// Integers are computed where `operate` is called; floats are rare, large, and a function that is called.
#pragma once

#include "rules.cuh"
#include "device.cuh"

namespace ffcm {

// A term is `w1 << 32 | w0`.
FFCM_DEVICE u32 word0(u64 term) { return (u32)term; }
FFCM_DEVICE u32 word1(u64 term) { return (u32)(term >> 32); }
FFCM_DEVICE u64 make_term(u32 w0, u32 w1) { return (u64)w1 << 32 | w0; }

FFCM_DEVICE u64 number_term(u32 ext, u32 bits) { return make_term(CLASS_NUM << CLASS_SHIFT | ext, bits); }

constexpr u64 NUMBER_ZERO = CLASS_NUM << CLASS_SHIFT | NUM_U24;
// The answer of `operate` where the host must compute: no term.
constexpr u64 NUMBER_HOST = 0;

// Forms of a NUM term. Symbols come before operands, partials before plain numbers.
constexpr u32 FORM_NONE = 0;
constexpr u32 FORM_OPERATOR = 1;
constexpr u32 FORM_CAST = 2;
constexpr u32 FORM_PARTIAL = 3;
constexpr u32 FORM_PLAIN = 4;

// The flipped operators, each the one after the operator itself, as a set of bits.
constexpr u32 NUMBER_FLIPPED = 1u << OPERATOR_FLIP_SUB | 1u << OPERATOR_FLIP_DIV | 1u << OPERATOR_FLIP_REM |
                               1u << OPERATOR_FLIP_SHL | 1u << OPERATOR_FLIP_SHR;
static_assert(OPERATOR_FLIP_SUB == OPERATOR_SUB + 1 && OPERATOR_FLIP_DIV == OPERATOR_DIV + 1 &&
              OPERATOR_FLIP_REM == OPERATOR_REM + 1 && OPERATOR_FLIP_SHL == OPERATOR_SHL + 1 &&
              OPERATOR_FLIP_SHR == OPERATOR_SHR + 1, "a flipped operator follows its operator");

constexpr u32 SIGN = 0x80000000u;

// Which form a term has; FORM_NONE if it is not a number, or its fields follow no form.
FFCM_DEVICE u32 number_form(u64 term) {
    const u32 ext = word0(term) & EXT_MASK, bits = word1(term);
    const bool symbol = ext == NUM_SYMBOL;
    // The ext of the number, or of what the symbol stands for.
    const u32 code = symbol ? bits : ext;
    const u32 base = code & ~NUM_WIDE;
    const bool narrow = base == code;
    const bool kind = base < OPERATOR_ADD;
    const bool numeric = (word0(term) >> CLASS_SHIFT & CLASS_MASK) == CLASS_NUM;
    const bool known = base >= NUM_U24 && base <= OPERATOR_FLIP_SHR;
    // The payload of a narrow number has 24 bits; the symbol of an operator has no width.
    const bool fits = symbol ? (narrow || kind) : (!narrow || bits <= NUM_NARROW_MASK);
    const u32 form = symbol ? (kind ? FORM_CAST : FORM_OPERATOR) : (kind ? FORM_PLAIN : FORM_PARTIAL);
    return numeric && known && fits ? form : FORM_NONE;
}

FFCM_DEVICE bool number_is_wide(u32 kind) { return (kind & NUM_WIDE) != 0; }
FFCM_DEVICE bool number_is_signed(u32 kind) { return (kind & ~NUM_WIDE) == NUM_I24; }
FFCM_DEVICE bool number_is_float(u32 kind) { return (kind & ~NUM_WIDE) == NUM_F24; }

// An integer's payload as 32 bits: an i24 sign-extended.
FFCM_DEVICE u32 number_extend(u32 kind, u32 bits) { return kind == NUM_I24 ? (u32)((i32)(bits << 8) >> 8) : bits; }

// The low bits of an integer that are the payload of `kind`.
FFCM_DEVICE u32 number_cut(u32 kind, u32 bits) { return number_is_wide(kind) ? bits : bits & NUM_NARROW_MASK; }

FFCM_DEVICE u32 number_negate_if(bool negative, u32 bits) { return negative ? 0u - bits : bits; }

FFCM_DEVICE bool number_is_comparison(u32 op) { return op >= OPERATOR_EQ && op <= OPERATOR_GT; }

// Truth of a comparison of two keys, ordered as unsigned integers; with `unordered` operands only ! holds.
FFCM_DEVICE u32 number_compare(u32 op, u32 a, u32 b, bool unordered) {
    if (op == OPERATOR_NE) return unordered || a != b;
    return !unordered && (op == OPERATOR_EQ ? a == b : op == OPERATOR_LT ? a < b : a > b);
}

// The unflipped operator.
FFCM_DEVICE u32 number_unflip(u32 code) { return code - (NUMBER_FLIPPED >> code & 1u); }

// The quotient, or the remainder, of 32-bit integers. Division by zero gives all ones, and the dividend as remainder;
// the lowest number by -1 wraps. The remainder has the sign of the dividend.
FFCM_DEVICE u32 number_divide(bool remainder, bool is_signed, u32 a, u32 b) {
    if (b == 0) return remainder ? a : 0xffffffffu;
    const bool negative_a = is_signed && (a & SIGN) != 0;
    const bool negative_b = is_signed && (b & SIGN) != 0;
    const u32 dividend = number_negate_if(negative_a, a), divisor = number_negate_if(negative_b, b);
    const u32 quotient = dividend / divisor;
    return remainder ? number_negate_if(negative_a, dividend - quotient * divisor)
                     : number_negate_if(negative_a != negative_b, quotient);
}

// An operation on 32-bit integers, comparisons excepted; `op` is unflipped.
FFCM_DEVICE u32 number_integer(u32 op, bool is_signed, u32 a, u32 b) {
    const u32 by = b & 31u;
    switch (op) {
        case OPERATOR_ADD: return a + b;
        case OPERATOR_SUB: return a - b;
        case OPERATOR_MUL: return a * b;
        case OPERATOR_DIV:
        case OPERATOR_REM: return number_divide(op == OPERATOR_REM, is_signed, a, b);
        case OPERATOR_AND: return a & b;
        case OPERATOR_OR: return a | b;
        case OPERATOR_XOR: return a ^ b;
        case OPERATOR_SHL: return a << by;
        default: return is_signed ? (u32)((i32)a >> by) : a >> by;  // OPERATOR_SHR
    }
}

// A cast between integers (`code` is 0), or an operation. The first operand is read as `origin`, the second as `kind`.
FFCM_DEVICE u64 number_integers(u32 code, u32 kind, u32 origin, u32 a, u32 b) {
    const bool is_signed = number_is_signed(kind);
    const u32 converted = number_cut(kind, number_extend(origin, a));
    if (code == 0) return number_term(kind, converted);
    const u32 left = number_extend(kind, converted), right = number_extend(kind, b);
    if (number_is_comparison(code)) {
        const u32 bias = is_signed ? SIGN : 0;
        return number_term(NUM_U24 | (kind & NUM_WIDE), number_compare(code, left ^ bias, right ^ bias, false));
    }
    const u32 op = number_unflip(code);
    // Every shift of an i24 is zero.
    if (kind == NUM_I24 && op >= OPERATOR_SHL) return number_term(kind, 0);
    const bool flipped = op != code;
    const u32 result = number_integer(op, is_signed, flipped ? right : left, flipped ? left : right);
    return number_term(kind, number_cut(kind, result));
}

// A binary32 taken apart, or a result before it is rounded: the significand's bit 31 counts 2^(exponent - 127). Normal
// when taken apart, even below the smallest normal binary32: the significand has bit 31 set, or is 0 for zero, of which
// the exponent is lower than any other.
struct Float {
    u32 sign;         // SIGN or 0
    i32 exponent;     // 255 and above: infinite, or FLOAT_NAN
    u32 significand;  // lost bits below the last one are gathered in that one
};

constexpr i32 FLOAT_INFINITE = 255;
constexpr i32 FLOAT_NAN = 0x10000;
constexpr u32 FLOAT_INFINITY = 0x7f800000u;

FFCM_DEVICE Float float_unpack(u32 bits) {
    const u32 field = bits >> 23 & 0xffu;
    const u32 significand = bits << 8 & ~SIGN;
    const u32 sign = bits & SIGN;
    if (field != 0) return {sign, field == 255 && significand != 0 ? FLOAT_NAN : (i32)field, significand | SIGN};
    if (significand == 0) return {sign, -31, 0};
    const i32 shift = __clz((i32)significand);
    return {sign, 1 - shift, significand << shift};
}

// Shifts right; what is shifted out sets the last bit. So all shifts by 31 or more give the same.
FFCM_DEVICE u32 float_shift(u32 significand, u32 by) {
    const u32 shift = by < 31 ? by : 31;
    const u32 kept = significand >> shift;
    return kept | (kept << shift != significand);
}

// Rounds 8 bits away, ties to even.
FFCM_DEVICE u32 float_round_byte(u32 bits) {
    const u32 kept = bits >> 8;
    return kept + ((bits & 0xffu) + (kept & 1u) > 0x80u);
}

// Rounds to binary32, ties to even. A carry out of the significand goes into the exponent, which is right at every
// magnitude.
FFCM_DEVICE u32 float_round(Float x) {
    if (x.exponent == FLOAT_NAN) return NUM_NAN_F32;
    if (x.significand == 0) return x.sign;
    const i32 shift = __clz((i32)x.significand);
    const i32 exponent = x.exponent - shift;
    if (exponent >= FLOAT_INFINITE) return x.sign | FLOAT_INFINITY;
    // Below the smallest normal number, the significand gives up bits to the exponent.
    const u32 below = exponent < 1 ? (u32)(1 - exponent) : 0;
    const u32 field = exponent > 1 ? (u32)(exponent - 1) : 0;
    return x.sign | ((field << 23) + float_round_byte(float_shift(x.significand << shift, below)));
}

// The payload of a binary32 as f24.
FFCM_DEVICE u32 float_narrow(u32 bits) {
    return (bits & ~SIGN) > FLOAT_INFINITY ? NUM_NAN_F24 : float_round_byte(bits);
}

// A float's payload as binary32.
FFCM_DEVICE u32 float_widen(u32 kind, u32 bits) { return number_is_wide(kind) ? bits : bits << 8; }

// A key that orders binary32 as unsigned integers; both zeros have the same.
FFCM_DEVICE u32 float_key(u32 bits) { return bits > SIGN ? ~bits : bits | SIGN; }

// Truncates and saturates to the range of `kind`; NaN gives 0.
FFCM_DEVICE u32 float_to_integer(u32 kind, Float x) {
    if (x.exponent == FLOAT_NAN) return 0;
    const bool negative = x.sign != 0;
    const i32 shift = 158 - x.exponent;
    const u32 all = number_cut(kind, 0xffffffffu);
    const u32 limit = number_is_signed(kind) ? (all >> 1) + negative : negative ? 0 : all;
    u32 magnitude = limit;
    if (shift >= 0) {
        const u32 whole = shift > 31 ? 0 : x.significand >> shift;
        magnitude = whole < limit ? whole : limit;
    }
    return number_cut(kind, number_negate_if(negative, magnitude));
}

// A finite sum, not yet rounded.
FFCM_DEVICE Float float_add(Float a, Float b) {
    const bool below = a.exponent < b.exponent || (a.exponent == b.exponent && a.significand < b.significand);
    const Float more = below ? b : a, less = below ? a : b;
    const bool opposite = a.sign != b.sign;
    // A bit of room above for the carry; 7 below, of which a difference needs 2 to be rounded.
    const u32 lesser = float_shift(less.significand >> 1, (u32)(more.exponent - less.exponent));
    const u32 sum = (more.significand >> 1) + number_negate_if(opposite, lesser);
    return {opposite && sum == 0 ? 0 : more.sign, more.exponent + 1, sum};
}

// A finite product, not yet rounded.
FFCM_DEVICE Float float_multiply(Float a, Float b) {
    const u64 product = (u64)a.significand * b.significand;
    return {a.sign ^ b.sign, a.exponent + b.exponent - 126, (u32)(product >> 32) | ((u32)product != 0)};
}

// The quotient of finite numbers, not yet rounded; the divisor is not 0. 31 bits after the point are enough.
FFCM_DEVICE Float float_quotient(Float a, Float b) {
    const u64 dividend = (u64)(a.significand >> 8) << 31, divisor = b.significand >> 8;
    const u64 quotient = dividend / divisor;
    return {a.sign ^ b.sign, a.exponent - b.exponent + 127, (u32)quotient | (quotient * divisor != dividend)};
}

// The remainder of a finite number, exact; the divisor is not 0. A long division of the 24-bit significands of as many
// bits as the exponents differ, at most 276: 40 a trip.
FFCM_DEVICE Float float_remainder(Float a, Float b) {
    const i32 difference = a.exponent - b.exponent;
    // What is below the divisor is its own remainder.
    if (difference < 0) return a;
    const u64 divisor = b.significand >> 8;
    u64 rest = (a.significand >> 8) % divisor;
    for (u32 left = (u32)difference; left > 0;) {
        const u32 count = left < 40 ? left : 40;
        rest = (rest << count) % divisor;
        left -= count;
    }
    return {a.sign, b.exponent, (u32)rest << 8};
}

// An operation of + * / %, not yet rounded.
FFCM_DEVICE Float float_arithmetic(u32 op, Float a, Float b) {
    const bool add = op == OPERATOR_ADD, multiply = op == OPERATOR_MUL, divide = op == OPERATOR_DIV;
    const bool remainder = op == OPERATOR_REM;
    const u32 sign = a.sign ^ b.sign;
    const bool a_infinite = a.exponent >= FLOAT_INFINITE, b_infinite = b.exponent >= FLOAT_INFINITE;
    const bool a_zero = a.significand == 0, b_zero = b.significand == 0;
    if (a.exponent == FLOAT_NAN || b.exponent == FLOAT_NAN || (add && a_infinite && b_infinite && sign != 0) ||
        (multiply && ((a_infinite && b_zero) || (a_zero && b_infinite))) ||
        (divide && ((a_infinite && b_infinite) || (a_zero && b_zero))) || (remainder && (a_infinite || b_zero))) {
        return {0, FLOAT_NAN, 0};
    }
    if ((a_infinite && !remainder) || (b_infinite && (add || multiply)) || (b_zero && divide)) {
        return {add ? (a_infinite ? a.sign : b.sign) : sign, FLOAT_INFINITE, SIGN};
    }
    if (add) return float_add(a, b);
    if (multiply) return float_multiply(a, b);
    if (divide) return b_infinite ? Float{sign, 0, 0} : float_quotient(a, b);
    return float_remainder(a, b);
}

// A cast between an integer and a float or between floats (`code` is 0), or an operation on floats. The first operand
// is read as `origin`, the second as `kind`. Called, not inlined: kernels keep their registers for what is common.
static __device__ __noinline__ u64 number_floats(u32 code, u32 kind, u32 origin, u32 a, u32 b) {
    const bool casts = code == 0, wide = number_is_wide(kind);
    const u32 op = number_unflip(code);
    const bool flipped = op != code;
    // A flipped shift is zero, the other operators from & on are the host's.
    if (op >= OPERATOR_AND) return flipped ? number_term(kind, 0) : NUMBER_HOST;
    const u32 exact = float_widen(origin, a);
    const u32 left = wide || casts ? exact : float_narrow(exact) << 8;
    const u32 right = float_widen(kind, b);
    if (number_is_comparison(op)) {
        const bool unordered = (left & ~SIGN) > FLOAT_INFINITY || (right & ~SIGN) > FLOAT_INFINITY;
        const u32 truth = number_compare(op, float_key(left), float_key(right), unordered);
        return number_term(NUM_U24 | (kind & NUM_WIDE), truth);
    }
    Float x;
    if (!casts) {
        const bool subtract = op == OPERATOR_SUB;
        const Float second = float_unpack((flipped ? left : right) ^ (subtract ? SIGN : 0));
        x = float_arithmetic(subtract ? OPERATOR_ADD : op, float_unpack(flipped ? right : left), second);
    } else if (number_is_float(origin)) {
        x = float_unpack(left);
    } else {
        const u32 integer = number_extend(origin, a);
        const bool negative = number_is_signed(origin) && (integer & SIGN) != 0;
        x = {negative ? SIGN : 0, 158, number_negate_if(negative, integer)};
    }
    if (!number_is_float(kind)) return number_term(kind, float_to_integer(kind, x));
    const u32 rounded = float_round(x);
    return number_term(kind, wide ? rounded : float_narrow(rounded));
}

// One step: the meeting of two numbers at an OPR node. Total and commutative. NUMBER_HOST, which is no term, where the
// host must compute.
FFCM_DEVICE u64 operate(u64 a, u64 b) {
    const u32 a_form = number_form(a), b_form = number_form(b);
    const bool swapped = a_form > b_form;
    const u64 left = swapped ? b : a, right = swapped ? a : b;
    const u32 left_form = swapped ? b_form : a_form, right_form = swapped ? a_form : b_form;
    if (left_form == FORM_NONE || left_form == right_form || right_form < FORM_PARTIAL) return NUMBER_ZERO;
    if (left_form == FORM_OPERATOR) return number_term(word1(left) | (word0(right) & NUM_WIDE), word1(right));

    // A cast converts its operand to a kind; a partial's operand takes the kind of the plain number. Raw bits are read
    // in the family of that kind, at their own width.
    const bool casts = left_form == FORM_CAST;
    const u32 kind = casts ? word1(left) : word0(right) & EXT_MASK;
    const u64 operand = casts ? right : left;
    const u32 own = word0(operand) & EXT_MASK;
    const u32 origin = casts && right_form == FORM_PLAIN ? own : (kind & ~NUM_WIDE) | (own & NUM_WIDE);
    const u32 code = casts ? 0 : word0(left) & EXT_MASK & ~NUM_WIDE;
    if (number_is_float(kind) || number_is_float(origin)) {
        return number_floats(code, kind, origin, word1(operand), word1(right));
    }
    return number_integers(code, kind, origin, word1(operand), word1(right));
}

// What a numeric match sees: 0, which is no term, for zero, otherwise the number before it, unsigned and of the same
// width. Only the payload counts, whatever the kind.
FFCM_DEVICE u64 predecessor(u64 n) {
    const u32 wide = word0(n) & NUM_WIDE;
    const u32 bits = number_cut(wide, word1(n));
    return bits == 0 ? 0 : number_term(NUM_U24 | wide, bits - 1);
}

}  // namespace ffcm
