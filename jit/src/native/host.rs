//! The processor that the code runs on.

use target_lexicon::Triple;

use super::RenderError;

/// The triple, where there is native code.
pub fn triple() -> Result<Triple, RenderError> {
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        Ok(Triple::host())
    } else {
        Err(RenderError::NoNativeCode(std::env::consts::ARCH))
    }
}

/// The features that this processor has, as Cranelift calls them.
#[cfg(target_arch = "x86_64")]
pub fn features() -> Vec<&'static str> {
    macro_rules! found {
        ($($name:literal = $feature:tt),*) => {
            [$((std::arch::is_x86_feature_detected!($feature), $name)),*]
        };
    }
    let all = found![
        "has_sse3" = "sse3",
        "has_ssse3" = "ssse3",
        "has_sse41" = "sse4.1",
        "has_sse42" = "sse4.2",
        "has_popcnt" = "popcnt",
        "has_avx" = "avx",
        "has_avx2" = "avx2",
        "has_bmi1" = "bmi1",
        "has_bmi2" = "bmi2",
        "has_lzcnt" = "lzcnt"
    ];
    all.into_iter()
        .filter_map(|(found, name)| found.then_some(name))
        .collect()
}

/// The features that this processor has, as Cranelift calls them: none is asked for.
#[cfg(not(target_arch = "x86_64"))]
pub fn features() -> Vec<&'static str> {
    Vec::new()
}
