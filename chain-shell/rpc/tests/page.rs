//! The page in a headless browser.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use focus_rpc::Limits;
use support::{Running, SHARDS};

/// The browser, or a failure that says how to get it.
fn browser() -> &'static str {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok())
        .expect("no headless browser: install the package `chromium` (apt-get install chromium)")
}

/// Runs the browser on `url` until two and a half virtual seconds have passed; returns what it prints.
fn browse(url: &str, width: u32, height: u32, extra: &[String]) -> String {
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

fn screenshot(url: &str, name: &str, width: u32, height: u32) {
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

fn count(dom: &str, needle: &str) -> usize {
    dom.matches(needle).count()
}

#[test]
fn the_page_shows_blocks_bars_and_heat() {
    // The browser's virtual clock stands still while a stream is open.
    let limits = Limits {
        watch: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Running::start(limits);
    let url = format!("http://{}/", server.address);
    let dom = browse(&url, 1200, 900, &["--dump-dom".to_owned()]);
    assert!(dom.contains("No block yet."), "{dom}");
    assert_eq!(count(&dom, "data-height="), 0);
    assert_eq!(count(&dom, "class=\"bar\""), 0);
    screenshot(&url, "page-empty-1200.png", 1200, 900);
    for height in 1..=12 {
        server.commit(height);
    }
    let dom = browse(&url, 1200, 900, &["--dump-dom".to_owned()]);
    assert_eq!(count(&dom, "data-height="), 12);
    assert_eq!(count(&dom, "class=\"bar\""), 20);
    assert_eq!(count(&dom, "class=\"stage s"), 12 * 9);
    assert_eq!(count(&dom, "class=\"dot\""), 18 + 12 % 7);
    let cells = count(&dom, "class=\"cell\"") + count(&dom, "class=\"cell heat\"");
    assert_eq!(cells, usize::from(SHARDS) * 4 * 64);
    assert!(count(&dom, "class=\"cell heat\"") > 100, "{dom}");
    assert!(dom.contains("Mock Processor 9000"), "{dom}");
    assert!(dom.contains("data-state=\"live\""), "{dom}");
    screenshot(&url, "page-1200.png", 1200, 1250);
    screenshot(&url, "page-400.png", 400, 1900);
}
