// Numbers: one step of arithmetic on two NUM terms, and the predecessor. Integers and floats of 24 and 32 bits,
// operators, casts and partially applied operators. Follows generated/rules.wgsl.
//
// The forms and the answers are those of ffcm::spec::number, bit for bit. No invocation shares anything here. Binary32
// is computed with integers, because WGSL leaves subnormals, NaN, division and the order of operations to drivers.
// The transcendental operators on floats (arc tangent, logarithm, power, sine, tangent) are left to the host.
//
// The one loop, of float division and remainder, makes at most 9 trips. Drivers inline everything, so a kernel has one
// call of `operate`; inside, each large function has one call too. Truth values are joined by & and | and choices are
// made by `select`, because && and ||, switches and early returns become branches, which some drivers compile slowly.

const NUMBER_ZERO: vec2<u32> = vec2<u32>((CLASS_NUM << CLASS_SHIFT) | NUM_U24, 0u);
// The answer of `operate` where the host must compute.
const NUMBER_HOST: vec2<u32> = vec2<u32>(0u, 0u);

// Forms of a NUM term. Symbols come before operands, partials before plain numbers.
const FORM_NONE: u32 = 0u;
const FORM_OPERATOR: u32 = 1u;
const FORM_CAST: u32 = 2u;
const FORM_PARTIAL: u32 = 3u;
const FORM_PLAIN: u32 = 4u;

// The flipped operators, each the one after the operator itself, as a set of bits.
const NUMBER_FLIPPED: u32 = (1u << OPERATOR_FLIP_SUB) | (1u << OPERATOR_FLIP_DIV) | (1u << OPERATOR_FLIP_REM)
    | (1u << OPERATOR_FLIP_SHL) | (1u << OPERATOR_FLIP_SHR);
const_assert OPERATOR_FLIP_SUB == OPERATOR_SUB + 1u;
const_assert OPERATOR_FLIP_DIV == OPERATOR_DIV + 1u;
const_assert OPERATOR_FLIP_REM == OPERATOR_REM + 1u;
const_assert OPERATOR_FLIP_SHL == OPERATOR_SHL + 1u;
const_assert OPERATOR_FLIP_SHR == OPERATOR_SHR + 1u;

const SIGN: u32 = 0x80000000u;

fn number_term(ext: u32, bits: u32) -> vec2<u32> {
    return vec2<u32>((CLASS_NUM << CLASS_SHIFT) | ext, bits);
}

// Which form a term has; FORM_NONE if it is not a number, or its fields follow no form.
fn number_form(term: vec2<u32>) -> u32 {
    let ext = term.x & EXT_MASK;
    let symbol = ext == NUM_SYMBOL;
    // The ext of the number, or of what the symbol stands for.
    let code = select(ext, term.y, symbol);
    let base = code & ~NUM_WIDE;
    let narrow = base == code;
    let kind = base < OPERATOR_ADD;
    let numeric = ((term.x >> CLASS_SHIFT) & CLASS_MASK) == CLASS_NUM;
    let known = (base >= NUM_U24) & (base <= OPERATOR_FLIP_SHR);
    // The payload of a narrow number has 24 bits; the symbol of an operator has no width.
    let fits = select(!narrow | (term.y <= NUM_NARROW_MASK), narrow | kind, symbol);
    let number = select(FORM_PARTIAL, FORM_PLAIN, kind);
    let form = select(number, select(FORM_OPERATOR, FORM_CAST, kind), symbol);
    return select(FORM_NONE, form, numeric & known & fits);
}

fn number_is_wide(kind: u32) -> bool {
    return (kind & NUM_WIDE) != 0u;
}

fn number_is_signed(kind: u32) -> bool {
    return (kind & ~NUM_WIDE) == NUM_I24;
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

fn number_is_comparison(op: u32) -> bool {
    return (op >= OPERATOR_EQ) & (op <= OPERATOR_GT);
}

// Truth of a comparison of two keys, ordered as unsigned integers; with `unordered` operands only ! holds.
fn number_compare(op: u32, a: u32, b: u32, unordered: bool) -> u32 {
    let equal = (op == OPERATOR_EQ) & (a == b);
    let strict = ((op == OPERATOR_LT) & (a < b)) | ((op == OPERATOR_GT) & (a > b));
    let truth = select((equal | strict) & !unordered, unordered | (a != b), op == OPERATOR_NE);
    return select(0u, 1u, truth);
}

// The unflipped operator.
fn number_unflip(code: u32) -> u32 {
    return code - ((NUMBER_FLIPPED >> code) & 1u);
}

// An operation on 32-bit integers, comparisons excepted; `op` is unflipped. Division by zero gives all ones and the
// dividend as remainder; the lowest number by -1 wraps.
fn number_integer(op: u32, is_signed: bool, a: u32, b: u32) -> u32 {
    let by = b & 31u;
    // Division of the magnitudes; the remainder has the sign of the dividend.
    let negative_a = is_signed & ((a & SIGN) != 0u);
    let negative_b = is_signed & ((b & SIGN) != 0u);
    let dividend = number_negate_if(negative_a, a);
    let divisor = number_negate_if(negative_b, b);
    let magnitude = dividend / max(divisor, 1u);
    let remainder = number_negate_if(negative_a, dividend - magnitude * divisor);
    let quotient = select(number_negate_if(negative_a != negative_b, magnitude), 0xffffffffu, b == 0u);
    let shifted = select(a >> by, u32(i32(a) >> by), is_signed);
    var answer = a + b;
    answer = select(answer, a - b, op == OPERATOR_SUB);
    answer = select(answer, a * b, op == OPERATOR_MUL);
    answer = select(answer, quotient, op == OPERATOR_DIV);
    answer = select(answer, remainder, op == OPERATOR_REM);
    answer = select(answer, a & b, op == OPERATOR_AND);
    answer = select(answer, a | b, op == OPERATOR_OR);
    answer = select(answer, a ^ b, op == OPERATOR_XOR);
    answer = select(answer, a << by, op == OPERATOR_SHL);
    return select(answer, shifted, op == OPERATOR_SHR);
}

// A cast between integers (`code` is 0), or an operation. The first operand is read as `origin`, the second as `kind`.
fn number_integers(code: u32, kind: u32, origin: u32, a: u32, b: u32) -> vec2<u32> {
    let is_signed = number_is_signed(kind);
    let converted = number_cut(kind, number_extend(origin, a));
    let left = number_extend(kind, converted);
    let right = number_extend(kind, b);
    let op = number_unflip(code);
    let flipped = op != code;
    let result = number_integer(op, is_signed, select(left, right, flipped), select(right, left, flipped));
    // Every shift of an i24 is zero.
    let none = (kind == NUM_I24) & (op >= OPERATOR_SHL);
    let value = select(select(number_cut(kind, result), 0u, none), converted, code == 0u);
    let bias = select(0u, SIGN, is_signed);
    let truth = number_compare(code, left ^ bias, right ^ bias, false);
    let comparison = number_is_comparison(code);
    return number_term(select(kind, NUM_U24 | (kind & NUM_WIDE), comparison), select(value, truth, comparison));
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
    let significand = (bits << 8u) & ~SIGN;
    let shift = countLeadingZeros(significand);
    let small = field == 0u;
    let nan = (field == 255u) & (significand != 0u);
    let exponent = select(select(i32(field), FLOAT_NAN, nan), 1 - i32(shift), small);
    return Float(bits & SIGN, exponent, select(significand | SIGN, significand << min(shift, 31u), small));
}

// Shifts right; what is shifted out sets the last bit. So all shifts by 31 or more give the same.
fn float_shift(significand: u32, by: u32) -> u32 {
    let shift = min(by, 31u);
    let kept = significand >> shift;
    return kept | select(0u, 1u, kept << shift != significand);
}

// Rounds 8 bits away, ties to even.
fn float_round_byte(bits: u32) -> u32 {
    let kept = bits >> 8u;
    return kept + select(0u, 1u, (bits & 0xffu) + (kept & 1u) > 0x80u);
}

// Rounds to binary32, ties to even. A carry out of the significand goes into the exponent, which is right at every
// magnitude.
fn float_round(x: Float) -> u32 {
    let shift = countLeadingZeros(x.significand);
    let exponent = x.exponent - i32(shift);
    // Below the smallest normal number, the significand gives up bits to the exponent.
    let below = u32(max(1 - exponent, 0));
    let field = u32(max(exponent - 1, 0));
    let rounded = float_round_byte(float_shift(x.significand << min(shift, 31u), below));
    let bits = select((field << 23u) + rounded, FLOAT_INFINITY, exponent >= FLOAT_INFINITE);
    return select(select(bits, 0u, x.significand == 0u) | x.sign, NUM_NAN_F32, x.exponent == FLOAT_NAN);
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
    return select(bits | SIGN, ~bits, bits > SIGN);
}

// Truncates and saturates to the range of `kind`; NaN gives 0.
fn float_to_integer(kind: u32, x: Float) -> u32 {
    let negative = x.sign != 0u;
    let shift = 158 - x.exponent;
    let whole = select(x.significand >> u32(clamp(shift, 0, 31)), 0u, shift > 31);
    let all = number_cut(kind, 0xffffffffu);
    let limit = select(
        select(all, 0u, negative),
        (all >> 1u) + select(0u, 1u, negative),
        number_is_signed(kind),
    );
    let magnitude = select(min(whole, limit), limit, shift < 0);
    return select(number_cut(kind, number_negate_if(negative, magnitude)), 0u, x.exponent == FLOAT_NAN);
}

// The upper word of the product of two significands, of which the low bytes are 0; a lower word other than 0 sets the
// last bit.
fn float_product(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let cross = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (cross & 0xffffu);
    let high = (a >> 16u) * (b >> 16u) + (cross >> 16u) + (other >> 16u);
    return high | select(0u, 1u, (other & 0xffffu) != 0u);
}

// A finite sum, not yet rounded.
fn float_add(a: Float, b: Float) -> Float {
    let below = (a.exponent < b.exponent) | ((a.exponent == b.exponent) & (a.significand < b.significand));
    let exponent = max(a.exponent, b.exponent);
    let distance = u32(exponent - min(a.exponent, b.exponent));
    let more = select(a.significand, b.significand, below);
    let less = select(b.significand, a.significand, below);
    let opposite = a.sign != b.sign;
    // A bit of room above for the carry; 7 below, of which a difference needs 2 to be rounded.
    let sum = (more >> 1u) + number_negate_if(opposite, float_shift(less >> 1u, distance));
    let sign = select(select(a.sign, b.sign, below), 0u, opposite & (sum == 0u));
    return Float(sign, exponent + 1, sum);
}

// Up to 8 bits of a long division. `state`: the rest, the quotient, the bits still wanted.
fn float_divide_byte(state: vec3<u32>, divisor: u32) -> vec3<u32> {
    let count = min(state.z, 8u);
    let dividend = state.x << count;
    let digits = dividend / divisor;
    return vec3<u32>(dividend - digits * divisor, (state.y << count) | digits, state.z - count);
}

// Trips of that loop so far, for kernels that count their trips.
var<private> division_trips: u32;

// The quotient or the remainder of a finite number, not yet rounded. The divisor is not 0; for a quotient it is finite.
// A long division of the 24-bit significands, 32 bits a trip. The quotient needs no more than 31 bits after the point;
// for the remainder there are as many as the exponents differ, at most 276.
fn float_divide(remainder: bool, a: Float, b: Float) -> Float {
    let divisor = b.significand >> 8u;
    let dividend = a.significand >> 8u;
    let difference = a.exponent - b.exponent;
    let first = select(0u, 1u, dividend >= divisor);
    let bits = select(31u, u32(max(difference, 0)), remainder);
    var state = vec3<u32>(dividend - first * divisor, first, bits);
    while (state.z > 0u) {
        division_trips += 1u;
        state = float_divide_byte(state, divisor);
        state = float_divide_byte(state, divisor);
        state = float_divide_byte(state, divisor);
        state = float_divide_byte(state, divisor);
    }
    let quotient = state.y | select(0u, 1u, state.x != 0u);
    // What is below the divisor is its own remainder.
    let itself = difference < 0;
    let rest = select(state.x << 8u, a.significand, itself);
    return Float(
        select(a.sign ^ b.sign, a.sign, remainder),
        select(difference + 127, select(b.exponent, a.exponent, itself), remainder),
        select(quotient, rest, remainder),
    );
}

// An operation of + * / %, not yet rounded.
fn float_arithmetic(op: u32, a: Float, b: Float) -> Float {
    let add = op == OPERATOR_ADD;
    let multiply = op == OPERATOR_MUL;
    let divide = op == OPERATOR_DIV;
    let remainder = op == OPERATOR_REM;
    let sign = a.sign ^ b.sign;
    let a_infinite = a.exponent >= FLOAT_INFINITE;
    let b_infinite = b.exponent >= FLOAT_INFINITE;
    let a_zero = a.significand == 0u;
    let b_zero = b.significand == 0u;
    let undefined = (a.exponent == FLOAT_NAN) | (b.exponent == FLOAT_NAN)
        | (add & a_infinite & b_infinite & (sign != 0u))
        | (multiply & ((a_infinite & b_zero) | (a_zero & b_infinite)))
        | (divide & ((a_infinite & b_infinite) | (a_zero & b_zero)))
        | (remainder & (a_infinite | b_zero));
    let infinite = (a_infinite & !remainder) | (b_infinite & (add | multiply)) | (b_zero & divide);
    var x = Float(sign, a.exponent + b.exponent - 126, float_product(a.significand, b.significand));
    if (undefined) {
        x = Float(0u, FLOAT_NAN, 0u);
    } else if (infinite) {
        x = Float(select(sign, select(b.sign, a.sign, a_infinite), add), FLOAT_INFINITE, SIGN);
    } else if (divide & b_infinite) {
        x = Float(sign, 0, 0u);
    } else if (add) {
        x = float_add(a, b);
    } else if (!multiply) {
        x = float_divide(remainder, a, b);
    }
    return x;
}

// A cast between an integer and a float or between floats (`code` is 0), or an operation on floats. The first operand
// is read as `origin`, the second as `kind`.
fn number_floats(code: u32, kind: u32, origin: u32, a: u32, b: u32) -> vec2<u32> {
    let casts = code == 0u;
    let wide = number_is_wide(kind);
    let op = number_unflip(code);
    let flipped = op != code;
    let exact = float_widen(origin, a);
    let left = select(float_narrow(exact) << 8u, exact, wide | casts);
    let right = float_widen(kind, b);
    let unordered = max(left & ~SIGN, right & ~SIGN) > FLOAT_INFINITY;
    let truth = number_compare(op, float_key(left), float_key(right), unordered);
    let subtract = op == OPERATOR_SUB;

    var x = float_unpack(select(left, right, flipped));
    let y = float_unpack(select(right, left, flipped) ^ select(0u, SIGN, subtract));
    let truncated = float_to_integer(kind, x);
    if (!number_is_float(origin)) {
        let integer = number_extend(origin, a);
        let negative = number_is_signed(origin) & ((integer & SIGN) != 0u);
        x = Float(select(0u, SIGN, negative), 158, number_negate_if(negative, integer));
    }
    if (!casts) {
        x = float_arithmetic(select(op, OPERATOR_ADD, subtract), x, y);
    }
    let rounded = float_round(x);
    let payload = select(float_narrow(rounded), rounded, wide);
    let value = number_term(kind, select(truncated, payload, number_is_float(kind)));

    // A flipped shift is zero, the other operators from & on are the host's.
    let other = select(NUMBER_HOST, number_term(kind, 0u), flipped);
    let comparison = number_term(NUM_U24 | (kind & NUM_WIDE), truth);
    return select(select(value, comparison, number_is_comparison(op)), other, op >= OPERATOR_AND);
}

// One step: the meeting of two numbers at an OPR node. Total and commutative. A zero vector, which is no number, where
// the host must compute.
fn operate(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let a_form = number_form(a);
    let b_form = number_form(b);
    let swapped = a_form > b_form;
    let left = select(a, b, swapped);
    let right = select(b, a, swapped);
    let left_form = min(a_form, b_form);
    let right_form = max(a_form, b_form);

    // A cast converts its operand to a kind; a partial's operand takes the kind of the plain number. Raw bits are read
    // in the family of that kind, at their own width.
    let casts = left_form == FORM_CAST;
    let kind = select(right.x & EXT_MASK, left.y, casts);
    let operand = select(left, right, casts);
    let own = operand.x & EXT_MASK;
    let known = casts & (right_form == FORM_PLAIN);
    let origin = select((kind & ~NUM_WIDE) | (own & NUM_WIDE), own, known);
    let code = select(left.x & EXT_MASK & ~NUM_WIDE, 0u, casts);

    var answer = NUMBER_ZERO;
    if ((left_form != FORM_NONE) & (left_form != right_form) & (right_form >= FORM_PARTIAL)) {
        if (left_form == FORM_OPERATOR) {
            answer = number_term(left.y | (right.x & NUM_WIDE), right.y);
        } else if (number_is_float(kind) | number_is_float(origin)) {
            answer = number_floats(code, kind, origin, operand.y, right.y);
        } else {
            answer = number_integers(code, kind, origin, operand.y, right.y);
        }
    }
    return answer;
}

// What a numeric match sees: a zero vector for zero, otherwise the number before it, unsigned and of the same width.
// Only the payload counts, whatever the kind.
fn predecessor(n: vec2<u32>) -> vec2<u32> {
    let wide = n.x & NUM_WIDE;
    let bits = number_cut(wide, n.y);
    return select(number_term(NUM_U24 | wide, bits - 1u), vec2<u32>(0u, 0u), bits == 0u);
}
