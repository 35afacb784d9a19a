// Numbers: one step of arithmetic on two NUM terms, and the predecessor. Every kind: u24, i24, u32, i32, f24, f32,
// operators, casts and partially applied operators. Follows generated/rules.wgsl.
//
// The forms and the answers are those of ffcm::spec::number, bit for bit. No invocation shares anything here.

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
    if (number_is_float(kind) || number_is_float(origin)) {
        return NUMBER_HOST;
    }
    let value = number_cut(kind, number_extend(origin, operand.y));
    if (casts) {
        return number_term(kind, value);
    }
    return number_integers(left.x & EXT_MASK & ~NUM_WIDE, kind, value, right.y);
}

// What a numeric match sees: a zero vector for zero, otherwise the number before it, unsigned and of the same width.
// Only the payload counts, whatever the kind.
fn predecessor(n: vec2<u32>) -> vec2<u32> {
    let wide = n.x & NUM_WIDE;
    let bits = number_cut(wide, n.y);
    return select(number_term(NUM_U24 | wide, bits - 1u), vec2<u32>(0u, 0u), bits == 0u);
}
