//! System packages that the tests need beyond a Rust toolchain.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::vulkan::{self, Kind};

/// A Debian package, and how to see that it or an equivalent is there.
type Package = (&'static str, fn() -> bool);

const PACKAGES: [Package; 4] = [
    ("chromium", has_browser),
    ("g++", has_cpp_compiler),
    ("mesa-vulkan-drivers", has_driver),
    ("libvulkan1", has_loader),
];

/// Without these a step reports that it was not run. Python fetches the compiler of CUDA kernels.
const OPTIONAL: [Package; 3] = [
    ("python3", has_python),
    ("python3-pip", has_pip),
    ("valgrind", has_valgrind),
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

/// CUDA kernels run on the CPU in tests, compiled by what CXX names, else by the system's compiler.
fn has_cpp_compiler() -> bool {
    match env::var("CXX").ok().filter(|name| !name.trim().is_empty()) {
        Some(named) => answers(&named, &["--version"]),
        None => ["c++", "g++"]
            .iter()
            .any(|name| answers(name, &["--version"])),
    }
}

fn has_python() -> bool {
    answers("python3", &["--version"])
}

fn has_pip() -> bool {
    answers("python3", &["-m", "pip", "--version"])
}

fn has_valgrind() -> bool {
    crate::callgrind::valgrind().is_some()
}

/// Whether a program starts and succeeds.
fn answers(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
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

/// Packages of which nothing was found and that the tests need.
pub fn missing() -> Vec<&'static str> {
    lacking(&PACKAGES)
}

/// Packages of which nothing was found and without which a step is not run.
pub fn missing_optional() -> Vec<&'static str> {
    lacking(&OPTIONAL)
}

fn lacking(packages: &[Package]) -> Vec<&'static str> {
    let lacks = packages.iter().filter(|(_, there)| !there());
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

    #[test]
    fn packages_are_missing_if_what_they_bring_is() {
        let packages: [Package; 2] = [("here", || true), ("gone", || false)];
        assert_eq!(lacking(&packages), ["gone"]);
        assert!(!answers("no-such-program-anywhere", &[]));
    }
}
