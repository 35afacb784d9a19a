//! What the readers make of good and bad files.

// Clippy's leave to unwrap in tests does not reach their helper functions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use ffcm_formats::{Format, FormatError, LabeledGraph, Limits, LineError, read, read_path};
use flate2::Compression;
use flate2::write::GzEncoder;

fn parse(format: Format, bytes: impl AsRef<[u8]>) -> Result<LabeledGraph, FormatError> {
    read(bytes.as_ref(), Some(format), &Limits::default())
}

fn links(graph: &LabeledGraph) -> Vec<(&str, &str, u64)> {
    graph.links().collect()
}

/// The one line that is shown.
fn message(format: Format, bytes: impl AsRef<[u8]>) -> String {
    let message = parse(format, bytes).unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message:?}");
    message
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn edge_list() {
    let text = "\u{feff}# comment\r\n% another\r\n\r\n7\t9\r\n  9 x 2 \r\nx x 1\n7 9 4\n9 7 0\n";
    let graph = parse(Format::EdgeList, text).unwrap();
    assert_eq!(graph.labels, ["7", "9", "x"]);
    assert_eq!(links(&graph), [("7", "9", 5), ("9", "x", 2), ("x", "x", 1)]);
    // No end of line at the end; leading zeros are another word.
    let graph = parse(Format::EdgeList, "7 007").unwrap();
    assert_eq!(graph.labels, ["7", "007"]);
}

#[test]
fn edge_list_weights() {
    let graph = parse(Format::EdgeList, "a b 3\na c 0.5\nb c 1e-9\nc a\n").unwrap();
    let units = 1_000_000_000;
    let expected = [
        ("a", "b", 3 * units),
        ("a", "c", units / 2),
        ("b", "c", 1),
        ("c", "a", units),
    ];
    assert_eq!(links(&graph), expected);
    let graph = parse(Format::EdgeList, "a b 2.0\nb a 1e3\n").unwrap();
    assert_eq!(links(&graph), [("a", "b", 2), ("b", "a", 1000)]);
    let graph = parse(Format::EdgeList, format!("a b {}\n", u64::MAX)).unwrap();
    assert_eq!(links(&graph), [("a", "b", u64::MAX)]);
}

#[test]
fn edge_list_refusals() {
    let cases = [
        ("", "the file is empty: it has no nodes"),
        ("# only\n\n", "the file is empty: it has no nodes"),
        (
            "a b\na\n",
            "line 2: expected source, target and perhaps a weight, found 1 words",
        ),
        (
            "a b 1 2\n",
            "line 1: expected source, target and perhaps a weight, found 4 words",
        ),
        ("a b\r\n-3 b\r\n", "line 2: node -3 is negative"),
        (
            "1 99999999999999999999\n",
            "line 1: node 99999999999999999999 is out of range",
        ),
        ("a b -1\n", "line 1: weight -1 is negative"),
        ("a b nan\n", "line 1: weight nan is not a decimal number"),
        (
            "a b 18446744073709551616\n",
            "line 1: weight 18446744073709551616 is too large",
        ),
        (
            "a b 0.0000000001\n",
            "line 1: weight 0.0000000001 is below 1e-9",
        ),
        (
            "a b 18446744073709551615\nb a .5\n",
            "line 2: weight 18446744073709551615 (earlier) is too large",
        ),
        (
            "a b 18446744073709551615\na b 1\n",
            "the weights of the edges from a to b sum to more than 2^64 - 1",
        ),
        (
            "a b 18446744073709551615\na c 1\n",
            "the out-weights of a sum to more than 2^64 - 1",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(message(Format::EdgeList, text), expected, "{text:?}");
    }
    assert_eq!(
        message(Format::EdgeList, b"a b\n\xff c\n"),
        "line 2: not UTF-8"
    );
}

#[test]
fn limits_hold() {
    let text = "a b\nb c\nc d\n";
    let refused = |limits: Limits| {
        read(text.as_bytes(), Some(Format::EdgeList), &limits)
            .unwrap_err()
            .to_string()
    };
    let limits = Limits::default();
    assert_eq!(refused(Limits { nodes: 3, ..limits }), "more than 3 nodes");
    assert_eq!(refused(Limits { edges: 2, ..limits }), "more than 2 edges");
    assert_eq!(
        refused(Limits {
            bytes: 11,
            ..limits
        }),
        "more than 11 bytes"
    );
    assert_eq!(
        refused(Limits {
            line_bytes: 2,
            ..limits
        }),
        "line 1: longer than 2 bytes"
    );
    let enough = Limits {
        nodes: 4,
        edges: 3,
        bytes: 12,
        line_bytes: 3,
    };
    assert!(read(text.as_bytes(), None, &enough).is_ok());
    // An endless line is read no further than its limit.
    let endless = read(std::io::repeat(b'x'), Some(Format::EdgeList), &limits);
    assert!(matches!(
        endless,
        Err(FormatError::Line {
            line: 1,
            error: LineError::TooLong(_)
        })
    ));
}

#[test]
fn gzip_is_told_by_its_magic() {
    let plain = "a b\n".repeat(5000);
    let packed = gzip(plain.as_bytes());
    let graph = read(packed.as_slice(), None, &Limits::default()).unwrap();
    assert_eq!(links(&graph), [("a", "b", 5000)]);
    // Members follow each other.
    let two = [packed.clone(), gzip(b"b a\n")].concat();
    assert_eq!(parse(Format::EdgeList, two).unwrap().graph.edge_count(), 2);
    for cut in [3, 11, packed.len() / 2, packed.len() - 9, packed.len() - 1] {
        let error = message(Format::EdgeList, &packed[..cut]);
        assert_eq!(
            error, "the gzip stream is cut: it ends before its checksum",
            "{cut}"
        );
    }
    let mut damaged = packed.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 1;
    assert!(message(Format::EdgeList, damaged).starts_with("the gzip stream is damaged"));
    // A bomb stops at the limit.
    let bomb = gzip(&vec![b'#'; 1 << 20]);
    let limits = Limits {
        bytes: 1 << 16,
        ..Limits::default()
    };
    let error = read(bomb.as_slice(), Some(Format::EdgeList), &limits).unwrap_err();
    assert!(matches!(
        error,
        FormatError::Limit {
            what: "bytes",
            limit: 65536
        }
    ));
    assert!(message(Format::EdgeList, b"\xfd7zXZ\0").contains("xz"));
}

#[test]
fn matrix_market() {
    let text = "%%MatrixMarket matrix coordinate pattern general\n% c\n\n4 4 3\n1 2\n2 1\n3 3\n";
    let graph = parse(Format::MatrixMarket, text).unwrap();
    assert_eq!(graph.labels, ["1", "2", "3", "4"]);
    assert_eq!(links(&graph), [("1", "2", 1), ("2", "1", 1), ("3", "3", 1)]);
    let text = "%%MatrixMarket matrix coordinate real symmetric\n2 2 2\n2 1 .5\n2 2 1\n";
    let graph = read(text.as_bytes(), None, &Limits::default()).unwrap();
    let half = 500_000_000;
    assert_eq!(
        links(&graph),
        [("1", "2", half), ("2", "1", half), ("2", "2", 2 * half)]
    );
}

#[test]
fn matrix_market_refusals() {
    let cases = [
        ("", "the file is empty: it has no nodes"),
        (
            "1 2\n",
            "line 1: expected `%%MatrixMarket matrix coordinate FIELD SYMMETRY`",
        ),
        (
            "%%MatrixMarket matrix array real general\n",
            "line 1: layout array is not read",
        ),
        (
            "%%MatrixMarket matrix coordinate complex general\n",
            "line 1: field complex",
        ),
        (
            "%%MatrixMarket matrix coordinate real hermitian\n",
            "line 1: symmetry hermitian",
        ),
        (
            "%%MatrixMarket matrix coordinate pattern general\n%\n",
            "line 3: the file ends before",
        ),
    ];
    for (text, expected) in cases {
        let found = message(Format::MatrixMarket, text);
        assert!(found.starts_with(expected), "{found}");
    }
    let bodies = [
        ("2 3 1\n", "line 2: the matrix is 2 by 3, not square"),
        (
            "2 2\n",
            "line 2: expected rows, columns and entries, found 2 words",
        ),
        ("2 -2 1\n", "line 2: size -2 is not a number"),
        (
            "67000000 67000000 1\n1 1\n",
            "line 2: 67000000 nodes for 1 entries",
        ),
        ("9999999999 9999999999 1\n", "more than 67108864 nodes"),
        ("2 2 99999999999\n", "more than 268435456 edges"),
        (
            "2 2 2\n1 1\n",
            "line 3: 2 entries were declared, but the file ends after 1",
        ),
        (
            "2 2 1\n1 1\n1 2\n",
            "line 4: 1 entries were declared, but more follow",
        ),
        ("2 2 1\n0 1\n", "line 3: node 0 is out of range"),
        ("2 2 1\n1 3\n", "line 3: node 3 is out of range"),
        ("2 2 1\n-1 1\n", "line 3: node -1 is negative"),
        (
            "2 2 1\n1 1 1\n",
            "line 3: expected row and column, found 3 words",
        ),
        ("0 0 0\n", "the file is empty: it has no nodes"),
    ];
    for (body, expected) in bodies {
        let text = format!("%%MatrixMarket matrix coordinate pattern general\n{body}");
        let found = message(Format::MatrixMarket, text);
        assert!(found.starts_with(expected), "{found}");
    }
}

/// A `.sg` file of a directed graph.
fn serialized(nodes: i64, rows: &[&[i32]], transpose: &[&[i32]]) -> Vec<u8> {
    let edges: i64 = rows.iter().map(|row| row.len() as i64).sum();
    let mut bytes = vec![u8::from(!transpose.is_empty())];
    bytes.extend(edges.to_le_bytes());
    bytes.extend(nodes.to_le_bytes());
    for rows in [rows, transpose]
        .into_iter()
        .filter(|rows| !rows.is_empty())
    {
        let mut offset = 0i64;
        bytes.extend(offset.to_le_bytes());
        for row in rows {
            offset += row.len() as i64;
            bytes.extend(offset.to_le_bytes());
        }
        rows.iter()
            .flat_map(|row| row.iter())
            .for_each(|node| bytes.extend(node.to_le_bytes()));
    }
    bytes
}

#[test]
fn gapbs() {
    let directed = serialized(3, &[&[1, 2], &[2], &[]], &[&[], &[0], &[0, 1]]);
    let graph = parse(Format::Gapbs, &directed).unwrap();
    assert_eq!(graph.labels, ["0", "1", "2"]);
    assert_eq!(links(&graph), [("0", "1", 1), ("0", "2", 1), ("1", "2", 1)]);
    let undirected = serialized(2, &[&[1], &[0]], &[]);
    assert_eq!(
        parse(Format::Gapbs, gzip(&undirected))
            .unwrap()
            .graph
            .edge_count(),
        2
    );
    for cut in 0..directed.len() {
        assert!(parse(Format::Gapbs, &directed[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn gapbs_refusals() {
    let good = serialized(3, &[&[1, 2], &[2], &[]], &[&[], &[0], &[0, 1]]);
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        message(Format::Gapbs, file)
    };
    let starts = |found: String, expected: &str| {
        assert!(
            found.starts_with(&format!("not a serialized graph: {expected}")),
            "{found}"
        );
    };
    starts(changed(0, &[2]), "the directed flag is 2");
    starts(
        changed(1, &(-1i64).to_le_bytes()),
        "the number of edges is negative",
    );
    starts(
        changed(1, &4i64.to_le_bytes()),
        "offsets end at 3, the header says 4 edges",
    );
    starts(
        changed(1, &2i64.to_le_bytes()),
        "offsets: 3 after 2, of 2 edges",
    );
    starts(changed(9, &1_000_000i64.to_le_bytes()), "offsets: ");
    starts(changed(9, &2i64.to_le_bytes()), "neighbours: ");
    starts(changed(17, &1i64.to_le_bytes()), "offsets: 1 after 0");
    starts(changed(25, &(-2i64).to_le_bytes()), "offsets: -2 after 0");
    starts(changed(49, &3i32.to_le_bytes()), "neighbours: node 3 of 3");
    starts(
        changed(49, &(-1i32).to_le_bytes()),
        "neighbours: node -1 of 3",
    );
    starts(
        changed(53, &1i32.to_le_bytes()),
        "the transpose has 1 edges into node 1",
    );
    assert_eq!(
        changed(1, &i64::MAX.to_le_bytes()),
        "more than 268435456 edges"
    );
    assert_eq!(
        changed(9, &i64::MAX.to_le_bytes()),
        "more than 67108864 nodes"
    );
    starts(
        message(Format::Gapbs, [&good[..], &[0]].concat()),
        "bytes follow",
    );
    // Large claims in a small file.
    let mut claim = vec![0];
    claim.extend((1i64 << 28).to_le_bytes());
    claim.extend((1i64 << 26).to_le_bytes());
    starts(
        message(Format::Gapbs, claim),
        "the file ends after 0 of 67108865 offsets",
    );
}

#[test]
fn cargo_lock() {
    let text = r#"
# generated
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = ["log", "rand 0.8.5", "twin 1.0.0", "twin 1.0.0 (git+https://x)"]

[[package]]
name = "log"
version = "0.4.0"
source = "registry+https://r"

[[package]]
name = "rand"
version = "0.8.5"

[[package]]
name = "rand"
version = "0.9.0"
dependencies = ["log"]

[[package]]
name = "twin"
version = "1.0.0"

[[package]]
name = "twin"
version = "1.0.0"
source = "git+https://x"
"#;
    let graph = read(text.as_bytes(), None, &Limits::default()).unwrap();
    assert_eq!(graph.labels.len(), 6);
    let expected = [
        ("app 0.1.0", "log 0.4.0", 1),
        ("app 0.1.0", "rand 0.8.5", 1),
        ("app 0.1.0", "twin 1.0.0 (local)", 1),
        ("app 0.1.0", "twin 1.0.0 (git+https://x)", 1),
        ("rand 0.9.0", "log 0.4.0", 1),
    ];
    assert_eq!(links(&graph), expected);
}

/// One lookup for each dependency: a search among all that share a name and a version would take minutes here.
#[test]
fn cargo_lock_with_many_sources_of_one_package() {
    const COUNT: usize = 60_000;
    let package = |i| {
        format!(
            "[[package]]\nname=\"a\"\nversion=\"1\"\nsource=\"s{i}\"\ndependencies=[\"a 1 (s{})\"]\n",
            (i + 1) % COUNT
        )
    };
    let text: String = (0..COUNT).map(package).collect();
    let file = read(text.as_bytes(), Some(Format::CargoLock), &Limits::default()).unwrap();
    let next = |i: u32| (i + 1) % COUNT as u32;
    assert!((0..COUNT as u32).all(|i| file.graph.row(i).0 == [next(i)]));
    let unnamed = text.replace("a 1 (s0)", "a 1");
    let found = message(Format::CargoLock, unnamed);
    assert!(
        found.ends_with("depends on a 1, which fits several packages"),
        "{found}"
    );
}

#[test]
fn cargo_lock_refusals() {
    let package = |name: &str, dependency: &str| {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"1\"\ndependencies = [\"{dependency}\"]\n"
        )
    };
    let found = message(Format::CargoLock, package("a", "b"));
    assert_eq!(
        found,
        "not a Cargo.lock: a 1 depends on b, which is not in the file"
    );
    let two = "[[package]]\nname=\"b\"\nversion=\"1\"\n[[package]]\nname=\"b\"\nversion=\"2\"\n";
    let found = message(Format::CargoLock, package("a", "b") + two);
    assert_eq!(
        found,
        "not a Cargo.lock: a 1 depends on b, which fits several packages"
    );
    let found = message(Format::CargoLock, package("a", "a") + &package("a", "a 1"));
    assert!(found.starts_with("not a Cargo.lock: "), "{found}");
    let found = message(Format::CargoLock, "version = 4\n[[package]]\nname = 3\n");
    assert!(found.starts_with("not a Cargo.lock: line 3: "), "{found}");
    assert!(message(Format::CargoLock, "version = 4\n").contains("empty"));
    let deep = format!("a = {}", "[".repeat(200_000));
    assert!(message(Format::CargoLock, deep).starts_with("not a Cargo.lock: "));
}

#[test]
fn debian() {
    let text = "Package: app\nVersion: 1:2.0\nDepends: libc6 (>= 2.3), awk | mawk,\n libx:any [amd64],\n\
                Description: an app\n that depends: on nothing\nPre-Depends: libc6\n\n\n\
                Package: libc6\nDepends: \n";
    for graph in [
        parse(Format::Debian, text),
        read(text.as_bytes(), None, &Limits::default()),
    ] {
        let graph = graph.unwrap();
        assert_eq!(graph.labels, ["app", "libc6", "awk", "libx"]);
        assert_eq!(
            links(&graph),
            [("app", "libc6", 2), ("app", "awk", 1), ("app", "libx", 1)]
        );
    }
}

#[test]
fn debian_refusals() {
    assert_eq!(
        message(Format::Debian, "\n\n"),
        "the file is empty: it has no nodes"
    );
    assert_eq!(
        message(Format::Debian, "\nVersion: 1\nDepends: a\n"),
        "line 2: a stanza has no Package field"
    );
    assert_eq!(
        message(Format::Debian, "Package: a\nnonsense\n"),
        "line 2: expected `Field: value`"
    );
    assert_eq!(
        message(Format::Debian, " indented: first\n"),
        "line 1: expected `Field: value`"
    );
}

#[test]
fn a_path_tells_its_format_and_its_errors_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.mtx.gz");
    let text = b"%%MatrixMarket matrix coordinate pattern general\n1 1 1\n1 1\n";
    std::fs::write(&path, gzip(text)).unwrap();
    assert_eq!(
        read_path(&path, None, &Limits::default()).unwrap().labels,
        ["1"]
    );
    // The format given wins over the name.
    let error = read_path(&path, Some(Format::Debian), &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("graph.mtx.gz: line 1: "), "{error}");
    let missing = folder.path().join("missing");
    let error = read_path(&missing, None, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("missing: cannot read: "), "{error}");
    let error = read(&b"\0\x01\x02"[..], None, &Limits::default()).unwrap_err();
    assert!(matches!(error, FormatError::UnknownFormat));
}
