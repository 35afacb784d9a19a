//! Decimal fractions as exact fixed point, without floats.

use ffcm::focus::MASS;

/// Reads damping, a decimal in `0..1`, as Q32 rounded to the nearest.
pub(crate) fn damping(text: &str) -> Result<u32, String> {
    let units = scaled(text, 1 << 32)?;
    u32::try_from(units).map_err(|_| "must be below 1".to_owned())
}

/// Reads ε, a decimal in `0..=1`, as units of 2^-62 rounded to the nearest.
pub(crate) fn epsilon(text: &str) -> Result<u64, String> {
    let units = scaled(text, u128::from(MASS))?;
    u64::try_from(units)
        .ok()
        .filter(|units| *units <= MASS)
        .ok_or_else(|| "must be at most 1".to_owned())
}

/// `text · scale`, rounded half up. `text` is `digits[.digits][e[+-]digits]`, below 10^19; `scale` at most 2^62.
fn scaled(text: &str, scale: u128) -> Result<u128, String> {
    let malformed = || "must be a decimal such as 0.85 or 1e-6".to_owned();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| malformed())?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().count() == 0 || !digits().all(|b| b.is_ascii_digit()) || text.len() > 64 {
        return Err(malformed());
    }
    let mut value: u128 = 0;
    for digit in digits() {
        value = value * 10 + u128::from(digit - b'0');
        if value >= 10_u128.pow(19) {
            return Err("has more than 19 significant digits".to_owned());
        }
    }
    // At most 64 characters of fraction, so this stays far inside an i64.
    let power = i64::from(exponent) - fraction.len() as i64;
    match u32::try_from(power.unsigned_abs()) {
        _ if value == 0 => Ok(0),
        // 10^19 · 2^62 < 2^126, and what is shifted beyond 10^38 rounds to nothing.
        Ok(shift) if power <= 0 && shift < 38 => {
            let unit = 10_u128.pow(shift);
            Ok((value * scale + unit / 2) / unit)
        }
        Ok(shift) if power > 0 && shift < 19 => value
            .checked_mul(10_u128.pow(shift))
            .and_then(|v| v.checked_mul(scale))
            .ok_or_else(|| "is too large".to_owned()),
        _ if power > 0 => Err("is too large".to_owned()),
        _ => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffcm::focus::FocusParams;
    use proptest::prelude::*;

    #[test]
    fn defaults_are_the_machines() {
        let params = FocusParams::default();
        assert_eq!(damping("0.85"), Ok(params.damping));
        assert_eq!(damping(".85"), Ok(params.damping));
        assert_eq!(damping("85e-2"), Ok(params.damping));
        assert_eq!(epsilon("1e-6"), Ok(params.epsilon));
        assert_eq!(epsilon("0.000001"), Ok(params.epsilon));
    }

    #[test]
    fn edges() {
        assert_eq!(damping("0"), Ok(0));
        assert_eq!(epsilon("1"), Ok(MASS));
        assert_eq!(epsilon("0e999999999"), Ok(0));
        assert_eq!(epsilon("1e-99"), Ok(0));
        for bad in [
            "",
            ".",
            "-1",
            "+1",
            "1e",
            "e5",
            "0x1",
            "1.2.3",
            "nan",
            "inf",
            "1e99999999999",
            " 1",
            "٣",
        ] {
            assert!(epsilon(bad).is_err(), "{bad}");
        }
        for large in [
            "1",
            "1.0",
            "0.99999999999",
            "7",
            "1e300",
            "9999999999999999999999",
        ] {
            assert!(damping(large).is_err(), "{large}");
        }
        assert!(epsilon("1.0000000001").is_err());
        assert!(epsilon(&"1".repeat(1 << 20)).is_err());
    }

    proptest! {
        #[test]
        fn near_the_float(value in 0.0f64..0.999) {
            let exact = f64::from(damping(&format!("{value:.15}")).unwrap()) / 4_294_967_296.0;
            prop_assert!((exact - value).abs() < 2e-10);
        }

        #[test]
        fn never_panics(text in "[0-9.eE+-]{0,40}|.{0,20}") {
            let _ = (damping(&text), epsilon(&text));
        }
    }
}
