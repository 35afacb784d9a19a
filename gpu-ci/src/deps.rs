//! System packages that the tests need beyond a Rust toolchain.

use std::env;

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
