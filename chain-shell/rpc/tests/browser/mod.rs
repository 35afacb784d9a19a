//! A headless browser.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The browser, or a failure that says how to get it.
fn browser() -> &'static str {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok())
        .expect("no headless browser: install the package `chromium` (apt-get install chromium)")
}

/// Runs the browser on `url` until two and a half virtual seconds have passed; returns what it prints.
pub fn browse(url: &str, width: u32, height: u32, extra: &[String]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let printed = profile.path().join("stdout");
    let mut child = Command::new(browser())
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
        ])
        .args([
            "--disable-component-update",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},{height}"))
        .arg("--virtual-time-budget=2500")
        .args(extra)
        .arg(url)
        .stdout(File::create(&printed).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the browser hangs on {url}");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{status}");
    std::fs::read_to_string(printed).unwrap()
}

/// Saves a picture of `url` among the test's output and prints its path.
pub fn screenshot(url: &str, name: &str, width: u32, height: u32) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    browse(
        url,
        width,
        height,
        &[format!("--screenshot={}", path.display())],
    );
    assert!(is_png(&path), "{}", path.display());
    println!("screenshot: {}", path.display());
}

fn is_png(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000)
}

/// How often `needle` is in `dom`.
pub fn count(dom: &str, needle: &str) -> usize {
    dom.matches(needle).count()
}
