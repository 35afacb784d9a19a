// Numbers: one step of arithmetic on two NUM terms, and the predecessor. Every kind: u24, i24, u32, i32, f24, f32,
// operators, casts and partially applied operators. Follows generated/rules.wgsl.
//
// The forms and the answers are those of ffcm::spec::number, bit for bit. No invocation shares anything here. Binary32
// is computed with integers, because WGSL leaves subnormals, NaN, division and the order of operations to drivers.
// The transcendental operators on floats (arc tangent, logarithm, power, sine, tangent) are left to the host.
//
// The one loop, of float division and remainder, makes at most 9 trips. Drivers inline everything, so a kernel has one
// call of `operate`; inside, each large function has one call too.

const NUMBER_ZERO: vec2<u32> = vec2<u32>((CLASS_NUM << CLASS_SHIFT) | NUM_U24, 0u);
// The answer of `operate` where the host must compute.
const NUMBER_HOST: vec2<u32> = vec2<u32>(0u, 0u);

// Forms of a NUM term. Symbols come before operands, partials before plain numbers.
const FORM_NONE: u32 = 0u;
const FORM_OPERATOR: u32 = 1u;
const FORM_CAST: u32 = 2u;
const FORM_PARTIAL: u32 = 3u;
const FORM_PLAIN: u32 = 4u;

const SIGN: u32 = 0x80000000u;

fn number_term(ext: u32, bits: u32) -> vec2<u32> {
    return vec2<u32>((CLASS_NUM << CLASS_SHIFT) | ext, bits);
}

// Which form a term has; FORM_NONE if it is not a number, or its fields follow no form.
fn number_form(term: vec2<u32>) -> u32 {
    let ext = term.x & EXT_MASK;
    let symbol = ext == NUM_SYMBOL;
    let code = select(ext, term.y, symbol);
    let base = code & ~NUM_WIDE;
    let narrow = (code & NUM_WIDE) == 0u;
    let numeric = ((term.x >> CLASS_SHIFT) & CLASS_MASK) == CLASS_NUM;
    let fits = symbol || !narrow || term.y <= NUM_NARROW_MASK;
    if (!numeric || !fits || base < NUM_U24 || base > OPERATOR_FLIP_SHR) {
        return FORM_NONE;
    }
    if (base < OPERATOR_ADD) {
        return select(FORM_PLAIN, FORM_CAST, symbol);
    }
    if (symbol) {
        return select(FORM_NONE, FORM_OPERATOR, narrow);
    }
    return FORM_PARTIAL;
}

fn number_is_wide(kind: u32) -> bool {
    return (kind & NUM_WIDE) != 0u;
}

fn number_is_float(kind: u32) -> bool {
    return (kind & ~NUM_WIDE) == NUM_F24;
}

// An integer's payload as 32 bits: an i24 sign-extended.
fn number_extend(kind: u32, bits: u32) -> u32 {
    return select(bits, u32(i32(bits << 8u) >> 8u), kind == NUM_I24);
}

// The low bits of an integer that are the payload of `kind`.
fn number_cut(kind: u32, bits: u32) -> u32 {
    return select(bits & NUM_NARROW_MASK, bits, number_is_wide(kind));
}

fn number_negate_if(negative: bool, bits: u32) -> u32 {
    return select(bits, 0u - bits, negative);
}

// Truth of a comparison of two keys, ordered as unsigned integers; with `unordered` operands only ! holds.
fn number_compare(op: u32, a: u32, b: u32, unordered: bool) -> bool {
    switch (op) {
        case OPERATOR_EQ: { return !unordered && a == b; }
        case OPERATOR_NE: { return unordered || a != b; }
        case OPERATOR_LT: { return !unordered && a < b; }
        default: { return !unordered && a > b; }
    }
}

fn number_is_comparison(op: u32) -> bool {
    return op >= OPERATOR_EQ && op <= OPERATOR_GT;
}

// The unflipped operator.
fn number_unflip(op: u32) -> u32 {
    switch (op) {
        case OPERATOR_FLIP_SUB: { return OPERATOR_SUB; }
        case OPERATOR_FLIP_DIV: { return OPERATOR_DIV; }
        case OPERATOR_FLIP_REM: { return OPERATOR_REM; }
        case OPERATOR_FLIP_SHL: { return OPERATOR_SHL; }
        case OPERATOR_FLIP_SHR: { return OPERATOR_SHR; }
        default: { return op; }
    }
}

// An operation on 32-bit integers, comparisons excepted; `op` is unflipped. Division by zero gives all ones and
// the dividend as remainder; the lowest number by -1 wraps.
fn number_integer(op: u32, is_signed: bool, a: u32, b: u32) -> u32 {
    let by = b & 31u;
    switch (op) {
        case OPERATOR_ADD: { return a + b; }
        case OPERATOR_SUB: { return a - b; }
        case OPERATOR_MUL: { return a * b; }
        case OPERATOR_AND: { return a & b; }
        case OPERATOR_OR: { return a | b; }
        case OPERATOR_XOR: { return a ^ b; }
        case OPERATOR_SHL: { return a << by; }
        case OPERATOR_SHR: { return select(a >> by, u32(i32(a) >> by), is_signed); }
        default: {}
    }
    // Division of the magnitudes; the remainder has the sign of the dividend.
    let negative_a = is_signed && (a & SIGN) != 0u;
    let negative_b = is_signed && (b & SIGN) != 0u;
    let dividend = number_negate_if(negative_a, a);
    let divisor = number_negate_if(negative_b, b);
    let quotient = dividend / max(divisor, 1u);
    if (op == OPERATOR_REM) {
        return number_negate_if(negative_a, dividend - quotient * divisor);
    }
    return select(number_negate_if(negative_a != negative_b, quotient), 0xffffffffu, b == 0u);
}

// `a op b` on integer payloads of `kind`.
fn number_integers(code: u32, kind: u32, a: u32, b: u32) -> vec2<u32> {
    let is_signed = (kind & ~NUM_WIDE) == NUM_I24;
    let left = number_extend(kind, a);
    let right = number_extend(kind, b);
    if (number_is_comparison(code)) {
        let bias = select(0u, SIGN, is_signed);
        let truth = number_compare(code, left ^ bias, right ^ bias, false);
        return number_term(NUM_U24 | (kind & NUM_WIDE), select(0u, 1u, truth));
    }
    let op = number_unflip(code);
    if (kind == NUM_I24 && op >= OPERATOR_SHL) {
        return number_term(kind, 0u);
    }
    let flipped = op != code;
    let first = select(left, right, flipped);
    let second = select(right, left, flipped);
    return number_term(kind, number_cut(kind, number_integer(op, is_signed, first, second)));
}

// A binary32 taken apart, or a result before it is rounded: the significand's bit 31 counts 2^(exponent - 127). Normal
// when taken apart, even below the smallest normal binary32: the significand has bit 31 set, or is 0 for zero.
struct Float {
    sign: u32,         // SIGN or 0
    exponent: i32,     // 255 and above: infinite, or FLOAT_NAN
    significand: u32,  // lost bits below the last one are gathered in that one
}

const FLOAT_INFINITE: i32 = 255;
const FLOAT_NAN: i32 = 0x10000;
const FLOAT_INFINITY: u32 = 0x7f800000u;

fn float_unpack(bits: u32) -> Float {
    let field = (bits >> 23u) & 0xffu;
    let fraction = bits << 9u;
    if (field == 0u) {
        let significand = fraction >> 1u;
        let shift = countLeadingZeros(significand);
        return Float(bits & SIGN, 1 - i32(shift), significand << min(shift, 31u));
    }
    let exponent = select(i32(field), FLOAT_NAN, field == 255u && fraction != 0u);
    return Float(bits & SIGN, exponent, SIGN | (fraction >> 1u));
}

// Shifts right; what is shifted out sets the last bit.
fn float_shift(significand: u32, by: u32) -> u32 {
    let shift = min(by, 31u);
    let kept = significand >> shift;
    let lost = significand & ((1u << shift) - 1u);
    return select(kept | select(0u, 1u, lost != 0u), select(0u, 1u, significand != 0u), by > 31u);
}

// Rounds 8 bits away, ties to even.
fn float_round_byte(bits: u32) -> u32 {
    let kept = bits >> 8u;
    return kept + select(0u, 1u, (bits & 0xffu) + (kept & 1u) > 0x80u);
}

// Rounds to binary32, ties to even. A carry out of the significand goes into the exponent, which is right at every
// magnitude.
fn float_round(x: Float) -> u32 {
    if (x.exponent == FLOAT_NAN) {
        return NUM_NAN_F32;
    }
    if (x.significand == 0u) {
        return x.sign;
    }
    let shift = countLeadingZeros(x.significand);
    let exponent = x.exponent - i32(shift);
    if (exponent >= FLOAT_INFINITE) {
        return x.sign | FLOAT_INFINITY;
    }
    // Below the smallest normal number, the significand gives up bits to the exponent.
    let below = u32(max(1 - exponent, 0));
    let field = u32(max(exponent - 1, 0));
    return x.sign | ((field << 23u) + float_round_byte(float_shift(x.significand << shift, below)));
}

// The payload of a binary32 as f24.
fn float_narrow(bits: u32) -> u32 {
    return select(float_round_byte(bits), NUM_NAN_F24, (bits & ~SIGN) > FLOAT_INFINITY);
}

// A float's payload as binary32.
fn float_widen(kind: u32, bits: u32) -> u32 {
    return select(bits << 8u, bits, number_is_wide(kind));
}

// A key that orders binary32 as unsigned integers; both zeros have the same.
fn float_key(bits: u32) -> u32 {
    let negative = bits > SIGN;
    return select(bits | SIGN, ~bits, negative);
}

// Truncates and saturates to the range of `kind`; NaN gives 0.
fn float_to_integer(kind: u32, x: Float) -> u32 {
    let negative = x.sign != 0u;
    let shift = 158 - x.exponent;
    var magnitude = select(x.significand >> u32(clamp(shift, 0, 31)), 0u, shift > 31);
    magnitude = select(magnitude, 0xffffffffu, shift < 0);
    var limit = number_cut(kind, 0xffffffffu);
    if ((kind & ~NUM_WIDE) == NUM_I24) {
        limit = (limit >> 1u) + select(0u, 1u, negative);
    } else if (negative) {
        limit = 0u;
    }
    limit = select(limit, 0u, x.exponent == FLOAT_NAN);
    return number_cut(kind, number_negate_if(negative, min(magnitude, limit)));
}

// The upper word of a product; a lower word other than 0 sets the last bit.
fn float_product(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let cross = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (cross & 0xffffu);
    let high = (a >> 16u) * (b >> 16u) + (cross >> 16u) + (other >> 16u);
    return high | select(0u, 1u, ((other | low) & 0xffffu) != 0u);
}

// The sum, not yet rounded. Infinities of opposite signs are the caller's.
fn float_add(a: Float, b: Float) -> Float {
    var more = a;
    var less = b;
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.significand < b.significand)) {
        more = b;
        less = a;
    }
    let distance = u32(more.exponent - less.exponent);
    let opposite = a.sign != b.sign;
    // A bit of room above for the carry; 7 below, of which an exact result of a difference needs 2.
    let second = float_shift(less.significand >> 1u, distance);
    let sum = (more.significand >> 1u) + number_negate_if(opposite, second);
    let sign = select(more.sign, 0u, opposite && sum == 0u);
    return Float(sign, more.exponent + 1, sum);
}

// Up to 8 bits of a long division. `state`: the rest, the quotient, the bits still wanted.
fn float_divide_byte(state: vec3<u32>, divisor: u32) -> vec3<u32> {
    let count = min(state.z, 8u);
    let dividend = state.x << count;
    let digits = dividend / divisor;
    return vec3<u32>(dividend - digits * divisor, (state.y << count) | digits, state.z - count);
}

// Long division of 24-bit significands, 8 bits a time, 32 bits a trip. For the quotient 31 bits after the point are
// enough to round; the remainder goes on for as many bits as the exponents differ.
fn float_divide(remainder: bool, a: Float, b: Float) -> Float {
    let difference = a.exponent - b.exponent;
    if (remainder && difference < 0) {
        return a;
    }
    let divisor = b.significand >> 8u;
    let dividend = a.significand >> 8u;
    let first = select(0u, 1u, dividend >= divisor);
    var state = vec3<u32>(dividend - first * divisor, first, select(31u, u32(difference), remainder));
    while (state.z > 0u) {
        state = float_divide_byte(state, divisor);
        state = float_divide_byte(state, divisor);
        state = float_divide_byte(state, divisor);
        state = float_divide_byte(state, divisor);
    }
    let rest = state.x;
    if (remainder) {
        return Float(a.sign, b.exponent, rest << 8u);
    }
    return Float(a.sign ^ b.sign, difference + 127, state.y | select(0u, 1u, rest != 0u));
}

// An operation of + * / %, not yet rounded.
fn float_arithmetic(op: u32, a: Float, b: Float) -> Float {
    let sign = a.sign ^ b.sign;
    let a_infinite = a.exponent >= FLOAT_INFINITE;
    let b_infinite = b.exponent >= FLOAT_INFINITE;
    let a_zero = a.significand == 0u;
    let b_zero = b.significand == 0u;
    let scales = op == OPERATOR_MUL || op == OPERATOR_DIV;
    var undefined = a.exponent == FLOAT_NAN || b.exponent == FLOAT_NAN;
    var infinite = a_infinite || b_infinite;
    switch (op) {
        case OPERATOR_ADD: { undefined |= a_infinite && b_infinite && sign != 0u; }
        case OPERATOR_MUL: { undefined |= (a_infinite && b_zero) || (a_zero && b_infinite); }
        case OPERATOR_DIV: {
            undefined |= (a_infinite && b_infinite) || (a_zero && b_zero);
            infinite = a_infinite || b_zero;
        }
        default: {
            undefined |= a_infinite || b_zero;
            infinite = false;
        }
    }
    if (undefined) {
        return Float(0u, FLOAT_NAN, 0u);
    }
    if (infinite) {
        return Float(select(select(b.sign, a.sign, a_infinite), sign, scales), FLOAT_INFINITE, SIGN);
    }
    if (op == OPERATOR_ADD) {
        return float_add(a, b);
    }
    if (op == OPERATOR_MUL) {
        return Float(sign, a.exponent + b.exponent - 126, float_product(a.significand, b.significand));
    }
    if (scales && b_infinite) {
        return Float(sign, 0, 0u);
    }
    return float_divide(!scales, a, b);
}

// A cast between an integer and a float or between floats (`code` is 0), or `a op b` on floats of `kind`. The first
// operand is read as `origin`, the second as `kind`.
fn number_floats(code: u32, kind: u32, origin: u32, a: u32, b: u32) -> vec2<u32> {
    let casts = code == 0u;
    let op = number_unflip(code);
    var left = float_widen(origin, a);
    var right = float_widen(kind, b);
    if (!casts) {
        left = select(float_narrow(left) << 8u, left, number_is_wide(kind));
        if (number_is_comparison(op)) {
            let unordered = max(left & ~SIGN, right & ~SIGN) > FLOAT_INFINITY;
            let truth = number_compare(op, float_key(left), float_key(right), unordered);
            return number_term(NUM_U24 | (kind & NUM_WIDE), select(0u, 1u, truth));
        }
        if (op >= OPERATOR_AND) {
            // A flipped shift is zero.
            return select(NUMBER_HOST, number_term(kind, 0u), op != code);
        }
        if (op != code) {
            let first = left;
            left = right;
            right = first;
        }
        right ^= select(0u, SIGN, op == OPERATOR_SUB);
    }
    var x = float_unpack(left);
    if (!number_is_float(kind)) {
        return number_term(kind, float_to_integer(kind, x));
    }
    if (!number_is_float(origin)) {
        let integer = number_extend(origin, a);
        let negative = (origin & ~NUM_WIDE) == NUM_I24 && (integer & SIGN) != 0u;
        x = Float(select(0u, SIGN, negative), 158, number_negate_if(negative, integer));
    }
    if (!casts) {
        x = float_arithmetic(select(op, OPERATOR_ADD, op == OPERATOR_SUB), x, float_unpack(right));
    }
    let bits = float_round(x);
    return number_term(kind, select(float_narrow(bits), bits, number_is_wide(kind)));
}

// One step: the meeting of two numbers at an OPR node. Total and commutative. A zero vector, which is no number, where
// the host must compute.
fn operate(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    var left_form = number_form(a);
    var right_form = number_form(b);
    var left = a;
    var right = b;
    if (left_form > right_form) {
        left = b;
        right = a;
        let form = left_form;
        left_form = right_form;
        right_form = form;
    }
    if (left_form == FORM_NONE || left_form == right_form || right_form < FORM_PARTIAL) {
        return NUMBER_ZERO;
    }
    if (left_form == FORM_OPERATOR) {
        return number_term(left.y | (right.x & NUM_WIDE), right.y);
    }
    // A cast converts its operand to a kind; a partial's operand takes the kind of the plain number. Raw bits are read
    // in the family of that kind, at their own width.
    let casts = left_form == FORM_CAST;
    let kind = select(right.x & EXT_MASK, left.y, casts);
    let operand = select(left, right, casts);
    let own = operand.x & EXT_MASK;
    let reread = (kind & ~NUM_WIDE) | (own & NUM_WIDE);
    let known = right_form == FORM_PLAIN && casts;
    let origin = select(reread, own, known);
    let code = select(left.x & EXT_MASK & ~NUM_WIDE, 0u, casts);
    if (number_is_float(kind) || number_is_float(origin)) {
        return number_floats(code, kind, origin, operand.y, right.y);
    }
    let value = number_cut(kind, number_extend(origin, operand.y));
    if (casts) {
        return number_term(kind, value);
    }
    return number_integers(code, kind, value, right.y);
}

// What a numeric match sees: a zero vector for zero, otherwise the number before it, unsigned and of the same width.
// Only the payload counts, whatever the kind.
fn predecessor(n: vec2<u32>) -> vec2<u32> {
    let wide = n.x & NUM_WIDE;
    let bits = number_cut(wide, n.y);
    return select(number_term(NUM_U24 | wide, bits - 1u), vec2<u32>(0u, 0u), bits == 0u);
}
