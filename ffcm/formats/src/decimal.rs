//! Weights as decimal numbers, exactly.

use crate::LineError;

/// Fraction digits kept.
const FRACTION_DIGITS: i64 = 9;

/// Units of 1e-9 in 1.
pub(crate) const UNITS: u64 = 1_000_000_000;

/// A weight that is not negative, in units of 1e-9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal(u128);

impl Decimal {
    /// The weight, if it is whole.
    pub(crate) fn whole(self) -> Option<u64> {
        let units = u128::from(UNITS);
        if self.0.is_multiple_of(units) {
            u64::try_from(self.0 / units).ok()
        } else {
            None
        }
    }

    /// The weight in units of 1e-9, if it fits.
    pub(crate) fn units(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }

    /// Reads `[+-]digits[.digits][e[+-]digits]`. Digits beyond the ninth decimal are dropped.
    pub(crate) fn parse(text: &str) -> Result<Decimal, LineError> {
        let syntax = || LineError::WeightSyntax(text.to_owned());
        let negative = text.starts_with('-');
        let number = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match number.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or_else(syntax)?),
            None => (number, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if digits().next().is_none() || !digits().all(|digit| digit.is_ascii_digit()) {
            return Err(syntax());
        }
        if digits().all(|digit| digit == b'0') {
            return Ok(Decimal(0));
        }
        if negative {
            return Err(LineError::NegativeWeight(text.to_owned()));
        }
        // The number is the digits as an integer times 10^power, counted in units.
        let power = exponent - fraction.len() as i64 + FRACTION_DIGITS;
        let count = (whole.len() + fraction.len()) as i64;
        let mut units = 0u128;
        let too_large = || LineError::WeightTooLarge(text.to_owned());
        let kept = (count + power.min(0)).max(0) as usize;
        for digit in digits().take(kept) {
            units = units
                .checked_mul(10)
                .and_then(|units| units.checked_add(u128::from(digit - b'0')))
                .filter(|&units| units <= MAX_UNITS)
                .ok_or_else(too_large)?;
        }
        for _ in 0..power.max(0) {
            units = units
                .checked_mul(10)
                .filter(|&units| units <= MAX_UNITS)
                .ok_or_else(too_large)?;
            if units == 0 {
                break;
            }
        }
        if units == 0 {
            return Err(LineError::WeightTooSmall(text.to_owned()));
        }
        Ok(Decimal(units))
    }
}

/// 2^64 − 1 whole.
const MAX_UNITS: u128 = u64::MAX as u128 * UNITS as u128;

/// An exponent; beyond ±10^9 it is clamped, which is far outside of any weight that is accepted.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value = digits.bytes().fold(0i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(1_000_000_000)
    });
    Some(if text.starts_with('-') { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> u128 {
        Decimal::parse(text).unwrap().0
    }

    #[test]
    fn exact_values() {
        assert_eq!(units("0"), 0);
        assert_eq!(units("-0.0"), 0);
        assert_eq!(units("7"), 7_000_000_000);
        assert_eq!(units("+1.50"), 1_500_000_000);
        assert_eq!(units(".25"), 250_000_000);
        assert_eq!(units("3."), 3_000_000_000);
        assert_eq!(units("12.5e-3"), 12_500_000);
        assert_eq!(units("1E3"), 1_000_000_000_000);
        assert_eq!(units("0.1234567899"), 123_456_789);
        assert_eq!(units("0.00000000000000000001e20"), 1_000_000_000);
        assert_eq!(units("18446744073709551615"), MAX_UNITS);
        assert_eq!(
            Decimal::parse("18446744073709551615").unwrap().whole(),
            Some(u64::MAX)
        );
        assert_eq!(Decimal::parse("2.5").unwrap().whole(), None);
        assert_eq!(Decimal::parse("2.5").unwrap().units(), Some(2_500_000_000));
    }

    #[test]
    fn refused() {
        for text in [
            "", "+", ".", "e3", "1e", "1e+", "nan", "NaN", "inf", "0x10", "1,5", "1 2", "½",
        ] {
            assert_eq!(
                Decimal::parse(text),
                Err(LineError::WeightSyntax(text.into())),
                "{text}"
            );
        }
        assert_eq!(
            Decimal::parse("-1"),
            Err(LineError::NegativeWeight("-1".into()))
        );
        for text in ["18446744073709551616", "1e30", "9e999999999999999999999"] {
            assert_eq!(
                Decimal::parse(text),
                Err(LineError::WeightTooLarge(text.into()))
            );
        }
        for text in ["1e-10", "0.0000000009", "1e-99999999999999999999"] {
            assert_eq!(
                Decimal::parse(text),
                Err(LineError::WeightTooSmall(text.into()))
            );
        }
    }
}
