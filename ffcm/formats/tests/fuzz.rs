//! Arbitrary and nearly valid bytes: every reader gives a graph that adds up, or one line of error.

// Clippy's leave to unwrap in tests does not reach their helper functions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use ffcm_formats::{Format, Limits, read};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

const FORMATS: [Format; 5] = [
    Format::EdgeList,
    Format::MatrixMarket,
    Format::Gapbs,
    Format::CargoLock,
    Format::Debian,
];

/// A small valid file of each.
fn sample(format: Format) -> Vec<u8> {
    match format {
        Format::EdgeList => b"# c\na b 2\nb c 0.5\r\n17 18\n".to_vec(),
        Format::MatrixMarket => {
            b"%%MatrixMarket matrix coordinate real symmetric\n3 3 2\n1 2 1.5\n3 3 2\n".to_vec()
        }
        Format::CargoLock => b"version = 4\n[[package]]\nname = \"a\"\nversion = \"1\"\ndependencies = [\n \"b\",\n]\n\
                               [[package]]\nname = \"b\"\nversion = \"2\"\nsource = \"r\"\n"
            .to_vec(),
        Format::Debian => b"Package: a\nDepends: b (>= 1) | c,\n d:any\n\nPackage: b\n".to_vec(),
        _ => {
            let mut bytes = vec![0];
            for number in [2i64, 2, 0, 1, 2] {
                bytes.extend(number.to_le_bytes());
            }
            for node in [1i32, 0] {
                bytes.extend(node.to_le_bytes());
            }
            bytes
        }
    }
}

fn check(bytes: &[u8], format: Option<Format>) {
    let limits = Limits {
        nodes: 1 << 12,
        edges: 1 << 12,
        line_bytes: 1 << 12,
        bytes: 1 << 16,
    };
    match read(bytes, format, &limits) {
        Ok(file) => {
            assert_eq!(file.labels.len(), file.graph.node_count() as usize);
            assert_eq!(file.links().count() as u64, file.graph.edge_count());
            let mut labels = file.labels.clone();
            labels.sort_unstable();
            labels.dedup();
            assert_eq!(labels.len(), file.labels.len(), "labels differ");
        }
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
}

#[test]
fn samples_are_valid() {
    for format in FORMATS {
        let file = read(sample(format).as_slice(), Some(format), &Limits::default()).unwrap();
        assert!(file.graph.edge_count() > 0, "{format}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in FORMATS {
            check(&bytes, Some(format));
        }
        check(&bytes, None);
    }

    #[test]
    fn damaged_files(
        which in 0..FORMATS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..6),
        packed: bool,
    ) {
        let mut bytes = sample(FORMATS[which]);
        if packed {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).unwrap();
            bytes = encoder.finish().unwrap();
        }
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 if at < bytes.len() => bytes[at] ^= 1 << (byte % 8),
                2 => bytes.insert(at.min(bytes.len()), byte),
                _ => bytes.truncate(at),
            }
        }
        check(&bytes, Some(FORMATS[which]));
    }

    #[test]
    fn lines_of_words(lines in prop::collection::vec("[-+0-9.eE#%a-c:|, \t(]{0,16}", 0..8)) {
        let text = lines.join("\n");
        check(text.as_bytes(), Some(Format::EdgeList));
        check(text.as_bytes(), Some(Format::Debian));
        let matrix = format!("%%MatrixMarket matrix coordinate real general\n{text}");
        check(matrix.as_bytes(), Some(Format::MatrixMarket));
    }
}
