//! Number literals and bracketed symbols of the `.hvm` grammar.

use crate::spec::number::{Kind, Number, Operator};
use crate::spec::word::Term;

/// Reads a literal: `7`, `0xff`, `0b101` (u24), `+7`, `-7` (i24), `1.5`, `-1e9`, `+inf`, `+NaN` (f24), and with a
/// suffix `7u32`, `-7i32`, `7i32`, `1.5f32`. An integer that does not fit its kind is an error, where HVM2 drops the
/// high bits; so is anything that follows the digits, which HVM2 ignores.
pub(super) fn literal(text: &str) -> Result<Number, String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let radix = if unsigned.starts_with("0x") {
        16
    } else if unsigned.starts_with("0b") {
        2
    } else {
        10
    };
    let suffix = [Kind::U32, Kind::I32, Kind::F32]
        .into_iter()
        .find(|kind| text.ends_with(kind.name()) && !(radix == 16 && kind.is_float()));
    let body = suffix.map_or(text, |kind| &text[..text.len() - kind.name().len()]);
    let is_float = match suffix {
        Some(kind) => kind.is_float(),
        None => radix == 10 && (text.contains(['.', 'e', 'E', 'N']) || text.contains("inf")),
    };
    let term = if is_float {
        let value: f32 = body
            .parse()
            .map_err(|_| format!("`{text}` is not a float"))?;
        if suffix.is_some() {
            Term::f32(value)
        } else {
            Term::f24(value)
        }
    } else {
        integer(text, body, suffix, radix)?
    };
    let (kind, bits) = term.as_plain().expect("constructed as a plain number");
    Ok(Number::Plain(kind, bits))
}

fn integer(text: &str, body: &str, suffix: Option<Kind>, radix: u32) -> Result<Term, String> {
    let (negative, signed, magnitude) = match body.as_bytes().first() {
        Some(b'-') => (true, true, &body[1..]),
        Some(b'+') => (false, true, &body[1..]),
        _ => (false, false, body),
    };
    let digits = if radix == 10 {
        magnitude
    } else {
        &magnitude[2..]
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(format!("`{text}` is not a number"));
    }
    let magnitude = u64::from_str_radix(digits, radix)
        .ok()
        .and_then(|n| i64::try_from(n).ok())
        .ok_or_else(|| format!("`{text}` is too large for any kind of number"))?;
    let value = if negative { -magnitude } else { magnitude };
    let kind = suffix.unwrap_or(if signed { Kind::I24 } else { Kind::U24 });
    let (low, high) = match kind {
        Kind::U24 => (0, (1 << 24) - 1),
        Kind::I24 => (-(1 << 23), (1 << 23) - 1),
        Kind::U32 => (0, i64::from(u32::MAX)),
        _ => (i64::from(i32::MIN), i64::from(i32::MAX)),
    };
    if !(low..=high).contains(&value) || (signed && kind == Kind::U32) {
        return Err(format!(
            "`{text}` does not fit {} ({low} to {high})",
            kind.name()
        ));
    }
    Ok(match kind {
        Kind::U24 => Term::u24(value as u32),
        Kind::I24 => Term::i24(value as i32),
        Kind::U32 => Term::u32(value as u32),
        _ => Term::i32(value as i32),
    })
}

/// Reads the operand of a partial operator: a literal, or what HVM2 prints for a negative i24. It prints the payload of
/// 27 bits, to which the number is sign-extended: `0x7FFFFF9` is -7.
pub(super) fn operand(text: &str) -> Result<Number, String> {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u32::from_str_radix(digits, 16) {
        Ok(payload) if is_hex && payload >> 23 == 0xf => {
            Ok(Number::Plain(Kind::U24, payload & 0xff_ffff))
        }
        _ => literal(text),
    }
}

/// Finds the cast at the start of `text`, which follows a `[`.
pub(super) fn cast_prefix(text: &[u8]) -> Option<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| text.starts_with(kind.name().as_bytes()))
}

/// Finds the operator at the start of `text`, which follows a `[`: the longest that fits, so `<<` before `<`.
pub(super) fn operator_prefix(text: &[u8]) -> Option<Operator> {
    Operator::ALL
        .into_iter()
        .filter(|operator| text.starts_with(operator.name().as_bytes()))
        .max_by_key(|operator| operator.name().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::number::sign_extend;

    fn shown(text: &str) -> String {
        match literal(text) {
            Ok(number) => number.to_string(),
            Err(message) => message,
        }
    }

    #[test]
    fn literals() {
        for (text, want) in [
            ("7", "7"),
            ("0xff", "255"),
            ("0b101", "5"),
            ("+7", "+7"),
            ("-8388608", "-8388608"),
            ("+0x10", "+16"),
            ("2.15", "2.1500244"),
            ("-1.5", "-1.5"),
            ("1e20", "1.0000018e20"),
            ("1e20f32", "1e20f32"),
            ("-8.908799e-6", "-8.908799e-6"),
            ("+inf", "+inf"),
            ("-NaN", "+NaN"),
            ("7u32", "7u32"),
            ("0xffffffffu32", "4294967295u32"),
            ("-1i32", "-1i32"),
            ("1i32", "+1i32"),
            ("-2147483648i32", "-2147483648i32"),
            ("1.5f32", "1.5f32"),
            ("1f32", "1.0f32"),
            ("+inff32", "+inff32"),
            ("+NaNf32", "+NaNf32"),
            ("0x1f32", "7986"),
            // Errors.
            ("", "`` is not a number"),
            ("+", "`+` is not a number"),
            ("0x", "`0x` is not a number"),
            ("1+2", "`1+2` is not a number"),
            ("++2", "`++2` is not a number"),
            ("12abc", "`12abc` is not a number"),
            ("1.2.3", "`1.2.3` is not a float"),
            ("0b1f32", "`0b1f32` is not a float"),
            ("16777216", "`16777216` does not fit u24 (0 to 16777215)"),
            (
                "-8388609",
                "`-8388609` does not fit i24 (-8388608 to 8388607)",
            ),
            ("-1u32", "`-1u32` does not fit u32 (0 to 4294967295)"),
            (
                "99999999999999999999",
                "`99999999999999999999` is too large for any kind of number",
            ),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn operands_have_the_bits_of_negative_numbers() {
        let bits = |text: &str| operand(text).map(|number| number.term());
        for (payload, value) in [
            ("0x7FFFFF9", -7),
            ("0x7ffffff", -1),
            ("0x7800000", -(1 << 23)),
        ] {
            let expected = Term::u24(value as u32 & 0xff_ffff);
            assert_eq!(bits(payload), Ok(expected), "{payload}");
        }
        assert_eq!(bits("0x0000007"), Ok(Term::u24(7)));
        assert_eq!(bits("0x0FFFFFF"), Ok(Term::u24(0xff_ffff)));
        assert_eq!(bits("-7"), Ok(Term::i24(-7)));
        // No sign extension of anything.
        for text in [
            "0x7000000",
            "0x1000000",
            "0x77FFFFF",
            "0xFFFFFFF",
            "0x+7FFFFF9",
            "0x",
        ] {
            assert!(operand(text).is_err(), "{text}");
        }
        // A plain number has no such payload.
        assert!(literal("0x7FFFFF9").is_err());
    }

    #[test]
    fn every_number_prints_as_a_literal_of_itself() {
        for bits in (0..1u32 << 24).step_by(97) {
            for term in [
                Term::u24(bits),
                Term::i24(sign_extend(bits)),
                Term::f24(f32::from_bits(bits << 8)),
                Term::f32(f32::from_bits(bits.wrapping_mul(0x9e37_79b1))),
            ] {
                let number = Number::from_term(term).expect("a number");
                assert_eq!(literal(&number.to_string()), Ok(number));
            }
        }
    }

    #[test]
    fn longest_operator_wins() {
        for operator in Operator::ALL {
            let text = format!("{}]", operator.name());
            assert_eq!(operator_prefix(text.as_bytes()), Some(operator));
        }
        assert_eq!(operator_prefix(b"?"), None);
        assert_eq!(cast_prefix(b"f32]"), Some(Kind::F32));
    }
}
