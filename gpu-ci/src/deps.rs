//! System packages that the tests need beyond a Rust toolchain.

use std::env;
use std::path::Path;

use crate::vulkan::{self, Kind};

/// A Debian package, and how to see that it or an equivalent is there.
type Package = (&'static str, fn() -> bool);

const PACKAGES: [Package; 3] = [
    ("chromium", has_browser),
    ("mesa-vulkan-drivers", has_driver),
    ("libvulkan1", has_loader),
];

const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

fn has_browser() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path);
    folders.any(|folder| BROWSERS.iter().any(|name| folder.join(name).is_file()))
}

/// Whatever the environment names, else any driver but the one inside a browser, which its next version may drop.
/// Systems other than Linux bring theirs.
fn has_driver() -> bool {
    if !cfg!(target_os = "linux") {
        return true;
    }
    if let Some(chosen) = vulkan::chosen() {
        return !chosen.is_empty();
    }
    let manifests = vulkan::manifests();
    let of = |kind| !vulkan::of_kind(&manifests, kind).is_empty();
    of(Kind::Lavapipe) || of(Kind::Other)
}

fn has_loader() -> bool {
    !cfg!(target_os = "linux") || vulkan::has_loader()
}

/// Packages of which nothing was found.
pub fn missing() -> Vec<&'static str> {
    let lacks = PACKAGES.iter().filter(|(_, there)| !there());
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
