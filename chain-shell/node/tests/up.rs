//! `focus up` and `focus replay` on a real folder.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use std::fs;
use std::net::TcpListener;

use command::{Node, assert_fails, json as focus_json, run, stdout, stopped_at, text};
use focus_types::{AssetId, Body, Genesis, Keypair, Transaction};
use serde_json::{Value, json};

#[test]
fn up_continues_and_replay_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let up = |blocks: &str| {
        let data = text(&data);
        stdout(&[
            "up",
            "--demo",
            "--blocks",
            blocks,
            "--rpc",
            "0",
            "--block-ms",
            "0",
            "--data",
            data,
        ])
    };
    let first = up("5");
    assert_eq!(
        first.lines().filter(|l| l.starts_with("block ")).count(),
        5,
        "{first}"
    );
    assert!(first.contains("top particles"), "{first}");
    let (height, root) = stopped_at(&first);
    assert_eq!(height, 5);
    let replayed = focus_json(&["replay", "--data", text(&data), "--json"]);
    assert_eq!(replayed["state_root"], root.as_str());
    let second = up("30");
    let (height, root) = stopped_at(&second);
    assert_eq!(height, 35);
    for source in [
        ["--data", text(&data)],
        ["--log", text(&data.join("chain.jsonl"))],
    ] {
        let mut arguments = vec!["replay", "--json"];
        arguments.extend(source);
        let replayed = focus_json(&arguments);
        assert_eq!(replayed["height"], 35);
        assert_eq!(replayed["state_root"], root.as_str());
        assert_eq!(replayed["tip"].as_str().unwrap().len(), 64);
    }
    // Every link was made once, and none twice.
    let edges = |line: &str| {
        let rest = line.split_once("edges").unwrap().1.trim_start();
        rest.split_once("  ")
            .unwrap()
            .0
            .replace(' ', "")
            .parse::<u64>()
            .unwrap()
    };
    let last = second.lines().rfind(|l| l.starts_with("block ")).unwrap();
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    let ranked = focus_json(&["rank", lock, "--json"]);
    assert_eq!(ranked["edges"], edges(last));
    assert!(!second.contains("failed"), "{second}");
}

#[test]
fn a_live_node_answers() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let edges = folder.path().join("graph.el");
    fs::write(&edges, "a b 3\nb c 1\nc a 2\n").unwrap();
    let mut node = Node::start(&[
        "--edges",
        text(&edges),
        "--block-ms",
        "10",
        "--data",
        text(&data),
    ]);
    node.read_to("top particles");
    let top = node.read_to("  1  ");
    let (status, health) = node.get("/health");
    assert_eq!(status, 200);
    assert_eq!(health["pid"], node.child.id());
    assert!(health["height"].as_u64().unwrap() >= 2, "{health}");
    let (_, pi) = node.get("/pi?top=3");
    assert!(
        top.contains(pi["top"][0]["label"].as_str().unwrap()),
        "{top} {pi}"
    );
    let sum: u64 = pi["top"].as_array().unwrap().iter().map(units).sum();
    assert_eq!(sum, 1 << 62);
    let (status, block) = node.get("/block/1");
    assert_eq!(status, 200);
    assert_eq!(block["header"]["height"], 1);
    assert_eq!(node.get("/block/999999").0, 404);
    assert_eq!(node.get("/dashboard").0, 200);
    assert!(node.get_text("/").1.contains("Focus Flow"));
    assert_proofs(&node);
    assert_transactions(&mut node, &data, &health);
    let (_, metrics) = node.get_text("/metrics");
    assert!(
        metrics.contains("focus_submitted_total{outcome=\"dup\"} 2\n"),
        "{metrics}"
    );
    assert!(metrics.contains("focus_graph_edges 3\n"), "{metrics}");
    // The folder is in use, and stays as it is.
    let second = run(&["up", "--rpc", "0", "--data", text(&data)]);
    assert_fails(&second, 1, "in use");
    node.signal("INT");
    let end = node.read_to("stopped at height");
    assert!(node.child.wait().unwrap().success());
    let (_, root) = stopped_at(end.trim_end());
    let replayed = focus_json(&["replay", "--data", text(&data), "--json"]);
    assert_eq!(replayed["state_root"], root.as_str());
}

fn units(particle: &Value) -> u64 {
    particle["units"].as_str().unwrap().parse().unwrap()
}

/// Presence and absence, checked with the verifier alone; a tampered value is refused.
fn assert_proofs(node: &Node) {
    for (key, present) in [("/graph/nodes", true), ("/graph/nothing", false)] {
        let (status, answer) = node.get(&format!("/proof?key={key}"));
        assert_eq!(status, 200, "{answer}");
        let bytes = |name: &str| hex::decode(answer[name].as_str().unwrap()).unwrap();
        let root: [u8; 32] = bytes("state_root").try_into().unwrap();
        let proof = focus_proof::Proof::decode(&bytes("proof")).unwrap();
        let value = present.then(|| bytes("value"));
        assert_eq!(
            proof.verify(&root, key.as_bytes(), value.as_deref()),
            Ok(())
        );
        assert!(
            proof
                .verify(&root, key.as_bytes(), Some(b"tampered"))
                .is_err()
        );
        assert_eq!(bytes("key"), key.as_bytes());
    }
    assert_eq!(node.get("/proof?key=/token/0xabc").0, 400);
}

/// A signed transfer goes in, ends in a block and has a receipt; everything else is refused with its reason.
fn assert_transactions(node: &mut Node, data: &std::path::Path, health: &Value) {
    let genesis = Genesis::from_file(&fs::read(data.join("genesis.json")).unwrap()).unwrap();
    assert_eq!(health["genesis_hash"], genesis.hash().to_string());
    let secret = fs::read_to_string(data.join("validator.key")).unwrap();
    let owner = Keypair::from_seed_hex(&secret).unwrap();
    let (_, nonce) = node.get(&format!("/proof?key=/kv/acct/0x{}", owner.address()));
    let nonce = hex::decode(nonce["value"].as_str().unwrap()).unwrap();
    let nonce = u64::from_le_bytes(nonce.try_into().unwrap());
    let transfer = |nonce: u64, amount: u64| {
        let body = Body::Transfer {
            asset: AssetId::FOCUS,
            to: focus_types::Address([7; 32]),
            amount,
        };
        let transaction = Transaction {
            chain: genesis.hash(),
            sender: owner.address(),
            nonce,
            gas_limit: focus_modules::gas::TRANSFER,
            body,
        };
        transaction.sign(&owner)
    };
    let post = |tx: &Value| node.post("/tx", json!({ "tx": tx }).to_string().as_bytes());
    let good = transfer(nonce, 5);
    let (status, answer) = post(&good.to_json());
    assert_eq!((status, &answer["ok"]), (200, &true.into()), "{answer}");
    assert_eq!(answer["txid"], good.id().to_string());
    let (_, again) = post(&good.to_json());
    assert_eq!(
        (&again["ok"], &again["reason"]),
        (&false.into(), &"dup".into())
    );
    assert_eq!(again["txid"], answer["txid"]);
    let mut forged = transfer(nonce + 1, 5).to_json();
    forged["nonce"] = json!(nonce + 2);
    assert_eq!(post(&forged).1["reason"], "bad_sig");
    assert_eq!(
        post(&transfer(nonce + 30_000, 5).to_json()).1["reason"],
        "bad_nonce"
    );
    let (status, answer) = post(&json!({ "nothing": 1 }));
    assert_eq!((status, &answer["reason"]), (400, &"bad_format".into()));
    let list = json!([
        transfer(nonce + 1, 5).to_json(),
        forged,
        good.to_json(),
        { "nothing": 1 },
        transfer(nonce + 2, 5).to_json(),
    ]);
    let (status, answer) = node.post("/txs", json!({ "txs": list }).to_string().as_bytes());
    assert_eq!(status, 200, "{answer}");
    let answers = answer["answers"].as_array().unwrap();
    let reasons: Vec<_> = answers.iter().map(|answer| &answer["reason"]).collect();
    let expected = json!([null, "bad_sig", "dup", "bad_format", null]);
    assert_eq!(
        reasons,
        expected.as_array().unwrap().iter().collect::<Vec<_>>()
    );
    assert_eq!(answers[4]["txid"], transfer(nonce + 2, 5).id().to_string());
    assert_eq!(answers[2]["txid"], good.id().to_string());
    assert_eq!(answers[3]["txid"], Value::Null);
    let (status, answer) = node.post("/tx", &vec![b'x'; 10 << 20]);
    assert_eq!((status, &answer["reason"]), (413, &"too_large".into()));
    node.read_to("block ");
    node.read_to("block ");
    let (status, receipt) = node.get(&format!("/receipt/{}", good.id()));
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(
        (&receipt["ok"], &receipt["reason"]),
        (&true.into(), &"ok".into())
    );
}

#[test]
fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["up", "--rpc", &port, "--data", text(&data)]);
    assert_fails(&output, 1, "in use");
    assert!(!data.exists(), "a failed start leaves nothing");
    // A file where the folder should be: what a read-only place looks like to a privileged user, too.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_fails(
        &run(&["up", "--rpc", "0", "--data", text(&file.join("data"))]),
        1,
        "file",
    );
    assert_fails(
        &run(&["up", "--rpc", "0", "--data", text(&file)]),
        1,
        "file",
    );
    assert_fails(&run(&["replay", "--data", text(&data)]), 1, "no chain");
    assert_fails(&run(&["replay", "--log", text(&data)]), 1, "data");
    let genesis = folder.path().join("genesis.json");
    let key = folder.path().join("key");
    fs::write(&key, Keypair::from_seed([3; 32]).seed_hex().as_bytes()).unwrap();
    stdout(&["genesis", "--out", text(&genesis), "--key", text(&key)]);
    let tampered = fs::read_to_string(&genesis)
        .unwrap()
        .replace("focus-solo", "focus-sol0");
    fs::write(folder.path().join("tampered.json"), tampered).unwrap();
    let with = |genesis: &str| {
        let genesis = folder.path().join(genesis);
        let (genesis, key) = (text(&genesis).to_owned(), text(&key));
        run(&[
            "up",
            "--rpc",
            "0",
            "--blocks",
            "0",
            "--data",
            text(&data),
            "--genesis",
            &genesis,
            "--key",
            key,
        ])
    };
    assert_fails(&with("tampered.json"), 1, "was changed");
    assert!(with("genesis.json").status.success());
    stdout(&[
        "genesis",
        "--out",
        text(&genesis),
        "--key",
        text(&key),
        "--chain-id",
        "other",
    ]);
    assert_fails(&with("genesis.json"), 1, "another");
}

#[test]
fn damage_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let up = [
        "up",
        "--demo",
        "--blocks",
        "3",
        "--rpc",
        "0",
        "--block-ms",
        "0",
        "--data",
        text(&data),
    ];
    let (_, root) = stopped_at(&stdout(&up));
    let log = data.join("chain.jsonl");
    let store = data.join("chain.redb");
    let lines = fs::read_to_string(&log).unwrap();
    // A torn last line is tolerated: the height before it is what the log says.
    let torn = folder.path().join("torn.jsonl");
    fs::write(&torn, &lines[..lines.len() - 10]).unwrap();
    let replayed = focus_json(&["replay", "--log", text(&torn), "--json"]);
    assert_eq!(replayed["height"], 2);
    // A changed middle line is an error that names it.
    let corrupt = folder.path().join("corrupt.jsonl");
    let mut changed: Vec<String> = lines.lines().map(str::to_owned).collect();
    changed[1] = changed[1].replacen("\"height\"", "\"hejght\"", 1);
    fs::write(&corrupt, changed.join("\n") + "\n").unwrap();
    assert_fails(&run(&["replay", "--log", text(&corrupt)]), 1, "line 2");
    // A damaged store does not start, and is not touched.
    let whole = fs::read(&store).unwrap();
    fs::write(&store, b"not a store").unwrap();
    assert_fails(&run(&up), 1, "chain.redb");
    assert_eq!(fs::read(&store).unwrap(), b"not a store");
    fs::write(&store, &whole).unwrap();
    let replayed = focus_json(&["replay", "--data", text(&data), "--json"]);
    assert_eq!(replayed["state_root"], root.as_str());
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let warned = || {
        let output = run(&["up", "--rpc", "0", "--blocks", "0", "--data", text(&data)]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).contains("others can read this key")
    };
    assert!(!warned() && !warned());
    let key = data.join("validator.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(warned());
}
