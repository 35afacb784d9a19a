//! Every route, and every way a client can get one wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

use focus_rpc::{Limits, MAX_BODY, MAX_TOP, MAX_TXS, MAX_TXS_BODY, ServeError, Server};
use serde_json::Value;
use support::Running;

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body:?}"))
}

#[test]
fn routes_answer() {
    let server = Running::start(Limits::default());
    server.commit(1);
    let (status, body) = server.get("/health");
    assert_eq!(status, 200);
    let health = json(&body);
    for field in [
        "version",
        "chain_id",
        "genesis_hash",
        "node_key",
        "height",
        "round",
        "tip",
        "state_root",
        "mempool",
        "counters",
        "backend",
        "device",
        "threads",
        "pid",
        "rss",
    ] {
        assert!(health.get(field).is_some(), "{field}");
    }
    assert_eq!(health["pid"], std::process::id());
    let (status, body) = server.post("/tx", br#"{"tx":{"kind":"good"}}"#);
    assert_eq!(status, 200);
    assert_eq!(
        json(&body),
        serde_json::json!({"ok": true, "reason": null, "txid": "11".repeat(32)})
    );
    let (status, body) = server.post("/tx", br#"{"tx":{"kind":"other"}}"#);
    assert_eq!((status, &json(&body)["reason"]), (200, &"bad_sig".into()));
    let (status, body) = server.get("/metrics");
    assert_eq!(status, 200);
    assert!(
        body.contains("focus_submitted_total{outcome=\"accepted\"} 1\n"),
        "{body}"
    );
    assert!(
        body.contains("focus_submitted_total{outcome=\"bad_sig\"} 1\n"),
        "{body}"
    );
    assert!(body.contains("focus_block_height 1\n"), "{body}");
    assert_eq!(server.get("/block/1").0, 200);
    assert_eq!(server.get(&format!("/receipt/{}", "11".repeat(32))).0, 200);
    let (status, body) = server.get("/pi?top=3");
    assert_eq!(status, 200);
    assert_eq!(json(&body)["top"].as_array().unwrap().len(), 3);
    assert_eq!(server.get("/pi").0, 200);
    assert_eq!(server.get("/proof?key=/token/supply").0, 200);
    let (status, body) = server.get("/dashboard");
    assert_eq!(status, 200);
    let dashboard = json(&body);
    assert_eq!(dashboard["blocks"][0]["height"], 1);
    assert_eq!(
        dashboard["memory"]["counts"].as_array().unwrap().len(),
        4 * 4 * 64
    );
    for path in ["/", "/page.js", "/page.css", "/icon.svg"] {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
}

#[test]
fn malformed_requests_are_the_clients_fault() {
    let server = Running::start(Limits::default());
    let gets = [
        ("/nowhere", 404),
        ("/block/7", 404),
        ("/block/-1", 400),
        ("/block/18446744073709551616", 400),
        ("/block/x", 400),
        ("/block/%ff", 400),
        ("/receipt/12", 400),
        (
            "/receipt/zz11111111111111111111111111111111111111111111111111111111111111",
            400,
        ),
        (
            "/receipt/2222222222222222222222222222222222222222222222222222222222222222",
            404,
        ),
        ("/pi?top=-1", 400),
        ("/pi?top=99999999999999999999999", 400),
        ("/pi?top=1&top=2", 400),
        ("/proof", 400),
        ("/proof?key=token", 400),
        ("/tx", 405),
    ];
    for (path, expected) in gets {
        let (status, body) = server.get(path);
        assert_eq!(status, expected, "{path}: {body}");
        assert!(json(&body)["error"].is_string(), "{path}: {body}");
    }
    let (status, _) = server.get(&format!("/pi?top={}", MAX_TOP + 1));
    assert_eq!(status, 400);
    let deep = format!("{{\"tx\":{}{}}}", "[".repeat(60_000), "]".repeat(60_000));
    let long = format!("{{\"tx\":\"{}\"}}", "a".repeat(MAX_BODY));
    let bodies: [(&[u8], u16, &str); 11] = [
        (b"", 400, "bad_format"),
        (b"{", 400, "bad_format"),
        (b"[]", 400, "bad_format"),
        (b"{\"tx\":1}", 400, "bad_format"),
        (b"{\"tx\":{},\"tx\":{}}", 400, "bad_format"),
        (b"{\"tx\":{},\"extra\":1}", 400, "bad_format"),
        (b"{\"tx\":{\"kind\":\"\xff\"}}", 400, "bad_format"),
        (b"{\"tx\":1e999}", 400, "bad_format"),
        (deep.as_bytes(), 400, "bad_format"),
        (long.as_bytes(), 413, "too_large"),
        (b"{\"tx\":{\"kind\":\"blind\"}}", 503, "unavailable"),
    ];
    for (body, expected, reason) in bodies {
        let (status, answer) = server.post("/tx", body);
        assert_eq!(status, expected, "{answer}");
        let answer = json(&answer);
        assert_eq!(answer["ok"], false);
        assert_eq!(answer["reason"], reason);
        assert_eq!(answer["txid"], Value::Null);
    }
    let huge = server.raw(b"POST /tx HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n{");
    assert_eq!(huge.0, 413);
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.contains("outcome=\"too_large\"} 2\n"), "{metrics}");
}

/// `{"txs": […]}` of so many transactions of a kind.
fn list(kind: &str, count: usize) -> Vec<u8> {
    let tx = serde_json::json!({ "kind": kind });
    serde_json::json!({ "txs": vec![tx; count] })
        .to_string()
        .into_bytes()
}

#[test]
fn many_transactions_are_answered_in_order() {
    let server = Running::start(Limits::default());
    let accepted = serde_json::json!({"ok": true, "reason": null, "txid": "11".repeat(32)});
    let refused = |reason| serde_json::json!({"ok": false, "reason": reason, "txid": null});
    let (status, body) = server.post("/txs", &list("good", MAX_TXS));
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        json(&body),
        serde_json::json!({ "answers": vec![accepted.clone(); MAX_TXS] })
    );
    let mixed = br#"{"txs":[{"kind":"other"},{"kind":"good"},7,{"kind":"blind"},{"kind":"good"}]}"#;
    let (status, body) = server.post("/txs", mixed);
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        json(&body),
        serde_json::json!({ "answers": [
            refused("bad_sig"),
            accepted.clone(),
            refused("bad_format"),
            refused("unavailable"),
            accepted,
        ]})
    );
    let (status, body) = server.post("/txs", br#"{"txs":[]}"#);
    assert_eq!((status, body.as_str()), (200, r#"{"answers":[]}"#));
    let (_, metrics) = server.get("/metrics");
    for (outcome, count) in [("accepted", MAX_TXS + 2), ("bad_sig", 1), ("bad_format", 1)] {
        let line = format!("focus_submitted_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[test]
fn lists_that_cannot_be_read_are_refused_as_a_whole() {
    let server = Running::start(Limits::default());
    let long = format!("{{\"txs\":[\"{}\"]}}", "a".repeat(MAX_TXS_BODY));
    let deep = format!("{{\"txs\":[{}{}]}}", "[".repeat(60_000), "]".repeat(60_000));
    let most = format!("{{\"txs\":[{}0]}}", "0,".repeat(MAX_TXS_BODY / 2 - 20));
    let bodies: [(&[u8], u16, &str); 13] = [
        (b"", 400, "bad_format"),
        (b"{", 400, "bad_format"),
        (b"[]", 400, "bad_format"),
        (b"{\"txs\":{}}", 400, "bad_format"),
        (b"{\"txs\":[{}", 400, "bad_format"),
        (b"{\"txs\":[],\"txs\":[]}", 400, "bad_format"),
        (b"{\"txs\":[],\"extra\":1}", 400, "bad_format"),
        (b"{\"tx\":{\"kind\":\"good\"}}", 400, "bad_format"),
        (b"{\"txs\":[{\"kind\":\"\xff\"}]}", 400, "bad_format"),
        (deep.as_bytes(), 400, "bad_format"),
        (long.as_bytes(), 413, "too_large"),
        (&list("good", MAX_TXS + 1), 413, "too_many"),
        (most.as_bytes(), 413, "too_many"),
    ];
    for (body, expected, reason) in bodies {
        let (status, answer) = server.post("/txs", body);
        assert_eq!(status, expected, "{answer}");
        let answer = json(&answer);
        assert_eq!(answer["ok"], false);
        assert_eq!(answer["reason"], reason);
        assert_eq!(answer["txid"], Value::Null);
        assert!(answer["error"].is_string(), "{answer}");
    }
    let huge = server.raw(b"POST /txs HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n{");
    assert_eq!(huge.0, 413);
    assert_eq!(server.get("/txs").0, 405);
    let (status, body) = server.post("/txs", &list("panic", 1));
    assert_eq!(status, 500, "{body}");
    let (_, metrics) = server.get("/metrics");
    for line in ["outcome=\"too_large\"} 2\n", "outcome=\"too_many\"} 2\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(!metrics.contains("outcome=\"accepted\""), "{metrics}");
}

#[test]
fn lists_beyond_those_read_at_once_wait_and_give_up() {
    let limits = Limits {
        batches: 0,
        queue: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(limits);
    let (status, body) = server.post("/txs", &list("good", 1));
    assert_eq!(status, 429, "{body}");
    assert!(json(&body)["error"].is_string());
    assert_eq!(server.post("/tx", br#"{"tx":{"kind":"good"}}"#).0, 200);
}

#[test]
fn malformed_http_is_refused() {
    let server = Running::start(Limits::default());
    let long_header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(64 << 10));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    for request in [
        b"GARBAGE\r\n\r\n".as_slice(),
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /tx HTTP/1.1\r\ncontent-length: -3\r\n\r\n",
        long_header.as_bytes(),
        many_headers.as_bytes(),
    ] {
        let (status, _) = server.raw(request);
        assert!((400..500).contains(&status), "{status}");
    }
    assert_eq!(server.get("/health").0, 200);
}

#[test]
fn a_panic_in_the_node_answers_and_the_server_lives() {
    let server = Running::start(Limits::default());
    let (status, body) = server.post("/tx", br#"{"tx":{"kind":"panic"}}"#);
    assert_eq!(status, 500);
    assert!(json(&body)["error"].is_string());
    assert_eq!(server.get("/health").0, 200);
}

#[test]
fn slow_clients_are_cut_off_and_others_served() {
    let limits = Limits {
        connections: 6,
        headers: Duration::from_millis(300),
        body: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Running::start(limits);
    let mut slow: Vec<_> = (0..6).map(|_| server.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
    }
    assert_eq!(server.get("/health").0, 200);
    for mut stream in slow {
        let mut rest = Vec::new();
        // Closed by the server: an end or a reset, not a wait.
        let _ = stream.read_to_end(&mut rest);
    }
    let half = b"POST /tx HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 50\r\n\r\n{";
    let (status, body) = server.raw(half);
    assert_eq!(status, 408, "{body}");
}

#[test]
fn events_carry_blocks_and_are_bounded() {
    let limits = Limits {
        watchers: 1,
        ..Limits::default()
    };
    let server = Running::start(limits);
    let mut stream = server.connect();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<String> = lines.by_ref().take_while(|l| !l.is_empty()).collect();
    assert!(head[0].contains("200"), "{head:?}");
    assert!(
        head.iter().any(|l| l.contains("text/event-stream")),
        "{head:?}"
    );
    assert_eq!(server.get("/events").0, 429);
    server.commit(1);
    server.commit(2);
    let heights: Vec<u64> = lines
        .filter_map(|l| {
            l.strip_prefix("data: ")
                .map(|d| json(d)["height"].as_u64().unwrap())
        })
        .take(2)
        .collect();
    assert_eq!(heights, [1, 2]);
}

#[test]
fn a_watcher_that_never_reads_holds_nobody_up() {
    let limits = Limits {
        headers: Duration::from_millis(500),
        ..Limits::default()
    };
    let server = Running::start(limits);
    let mut deaf = server.connect();
    deaf.write_all(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut first = [0; 12];
    deaf.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    for height in 1..=20_000 {
        server.commit(height);
    }
    let (status, body) = server.get("/dashboard");
    assert_eq!(status, 200);
    let blocks = json(&body)["blocks"].as_array().unwrap().len();
    assert_eq!(blocks, 64);
    // It fell behind by more than the backlog: what was sent ends, and it has to connect again.
    let mut rest = Vec::new();
    deaf.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 20_000 * 100, "{}", rest.len());
}

#[test]
fn a_port_in_use_is_an_error_in_words() {
    let first = Server::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let error = Server::bind(first.address()).unwrap_err();
    assert!(matches!(error, ServeError::PortInUse { .. }), "{error}");
    assert!(error.to_string().contains("--rpc"), "{error}");
}
