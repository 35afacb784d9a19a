//! System packages that the tests need beyond a Rust toolchain.

use std::env;
use std::path::Path;

/// A Debian package, and the programs of which any one shows that it or an equivalent is there.
const PACKAGES: [(&str, &[&str]); 1] = [(
    "chromium",
    &[
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ],
)];

/// Packages none of whose programs is on the search path.
pub fn missing() -> Vec<&'static str> {
    let path = env::var_os("PATH").unwrap_or_default();
    let there =
        |program: &&str| env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let lacks = PACKAGES
        .iter()
        .filter(|(_, programs)| !programs.iter().any(there));
    lacks.map(|(package, _)| *package).collect()
}

/// Fails, naming what to install, if the tests would miss something.
pub fn check(_root: &Path) -> Result<String, String> {
    report(&missing())
}

fn report(missing: &[&str]) -> Result<String, String> {
    if missing.is_empty() {
        return Ok("packages: nothing is missing".into());
    }
    let missing = missing.join(" ");
    Err(format!(
        "the tests need {missing}; on Debian or Ubuntu, as root: apt-get install --no-install-recommends {missing}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert!(report(&[]).is_ok());
        let message = report(&["chromium", "tar"]).unwrap_err();
        assert!(message.contains("apt-get install --no-install-recommends chromium tar"));
    }
}
