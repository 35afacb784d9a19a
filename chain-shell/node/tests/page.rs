//! The page of a live node in a headless browser.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../rpc/tests/browser/mod.rs"]
mod browser;
mod command;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use browser::{browse, count, screenshot};
use command::{Node, text};
use focus_types::{Body, Genesis, Keypair, Particle, Transaction};
use serde_json::json;

/// How long an event stream lives that goes through [`relay`].
const STREAM: Duration = Duration::from_millis(200);

/// Passes GET requests on to `node` and ends event streams early: the browser's virtual clock stands still while one is
/// open. Returns its address.
fn relay(node: &str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let node = node.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, node) = (client.unwrap(), node.clone());
            // A browser that hangs up early is none of the test's business.
            std::thread::spawn(move || pass(client, &node));
        }
    });
    address
}

fn pass(mut client: TcpStream, node: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(client.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut server = TcpStream::connect(node)?;
    server.write_all(format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())?;
    let end = request
        .starts_with("GET /events")
        .then(|| Instant::now() + STREAM);
    let mut buffer = [0; 1 << 16];
    loop {
        if let Some(end) = end {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            server.set_read_timeout(Some(left))?;
        }
        let length = server.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        client.write_all(&buffer[..length])?;
    }
}

/// Posts a link from the node's own account.
fn link(node: &Node, data: &Path, label: &str, stake: u64) -> serde_json::Value {
    let genesis = Genesis::from_file(&fs::read(data.join("genesis.json")).unwrap()).unwrap();
    let secret = fs::read_to_string(data.join("validator.key")).unwrap();
    let owner = Keypair::from_seed_hex(&secret).unwrap();
    let (_, nonce) = node.get(&format!("/proof?key=/kv/acct/0x{}", owner.address()));
    let nonce = hex::decode(nonce["value"].as_str().unwrap()).unwrap();
    let body = Body::Link {
        source: Particle::text(label),
        target: Particle::text(label),
        kind: 0,
        stake,
    };
    let transaction = Transaction {
        chain: genesis.hash(),
        sender: owner.address(),
        nonce: u64::from_le_bytes(nonce.try_into().unwrap()),
        gas_limit: focus_modules::gas::most(&body, genesis.weight_net.gas),
        body,
    };
    let tx = transaction.sign(&owner).to_json();
    node.post("/tx", json!({ "tx": tx }).to_string().as_bytes())
        .1
}

#[test]
fn the_page_shows_a_live_node() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut node = Node::start(&["--demo", "--block-ms", "0", "--data", text(&data)]);
    node.read_to("page http://");
    let url = format!("http://{}/", relay(&node.address));
    let dump = || browse(&url, 1200, 900, &["--dump-dom".to_owned()]);
    let (_, health) = node.get("/health");
    let (_, top) = node.get("/pi?top=20");
    let (_, block) = node.get("/block/9");
    let dom = dump();
    assert!(dom.contains("data-state=\"live\""), "{dom}");
    assert!(dom.contains(health["device"].as_str().unwrap()), "{dom}");
    let blocks = usize::try_from(health["height"].as_u64().unwrap()).unwrap();
    assert!(blocks >= 17, "{health}");
    assert!(count(&dom, "data-height=") >= blocks, "{dom}");
    let root = block["header"]["state_root"].as_str().unwrap();
    assert!(dom.contains(&format!("title=\"{root}\"")), "{dom}");
    assert_eq!(count(&dom, "class=\"bar\""), 20);
    for particle in top["top"].as_array().unwrap() {
        let label = particle["label"].as_str().unwrap();
        assert!(dom.contains(label), "{label}: {dom}");
    }
    assert!(count(&dom, "class=\"stage s") > 5 * blocks, "{dom}");
    assert_eq!(count(&dom, "class=\"curve\""), 1);
    let heat = count(&dom, "class=\"cell heat\"");
    assert!(heat > 50, "{heat}: {dom}");
    assert_eq!(heat + count(&dom, "class=\"cell\""), 8 * 4 * 64);
    let images = count(&dom, "<img");
    screenshot(&url, "page-live-1200.png", 1200, 1400);

    // Text is text, whoever wrote it.
    let hostile = "<img src=x onerror=\"document.title='owned'\">";
    let answer = link(&node, &data, hostile, 1_000_000_000_000);
    assert_eq!(answer["ok"], true, "{answer}");
    let receipt = format!("/receipt/{}", answer["txid"].as_str().unwrap());
    let deadline = Instant::now() + Duration::from_secs(60);
    while node.get(&receipt).0 == 404 {
        assert!(Instant::now() < deadline, "no receipt");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (_, first) = node.get("/pi?top=1");
    assert_eq!(first["top"][0]["label"], hostile);
    let dom = dump();
    assert!(dom.contains("&lt;img src=x"), "{dom}");
    assert_eq!(count(&dom, "<img"), images, "{dom}");
    assert!(!dom.contains("owned</title>"), "{dom}");
}
