//! The page in a headless browser.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use browser::{browse, count, screenshot};
use focus_rpc::Limits;
use support::{Running, SHARDS};

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
    // A device that was given up is named with what took its place, and why.
    assert!(
        dom.contains(">cpu · Mock Processor 9000 · 2 threads<"),
        "{dom}"
    );
    server.node.failed.store(true, Ordering::Relaxed);
    let dom = browse(&url, 1200, 900, &["--dump-dom".to_owned()]);
    let chip = ">wgpu:0 failed, cpu serves · Mock Processor 9000 · 2 threads<";
    assert!(dom.contains(chip), "{dom}");
    assert!(dom.contains("class=\"chip failed\""), "{dom}");
    assert!(
        dom.contains("device: &lt;b&gt;unplugged") || dom.contains("title=\"device: <b>unplugged"),
        "{dom}"
    );
}
