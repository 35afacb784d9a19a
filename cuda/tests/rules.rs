//! The rules header, decoded from its text, against `ffcm`.

use std::collections::BTreeMap;

use ffcm_cuda::RULES;
use ffcm_jit::{Target, differences, render};

/// Every constant and table of the header. Anything that is not one of its few forms is a failure.
fn decode(text: &str) -> BTreeMap<String, Vec<u32>> {
    let code: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""))
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join(" ");
    let body = code
        .trim()
        .strip_prefix("namespace ffcm {")
        .expect("one namespace");
    let body = body.strip_suffix('}').expect("one namespace");
    let mut decoded = BTreeMap::new();
    for statement in body.split(';').map(str::trim).filter(|s| !s.is_empty()) {
        let (head, value) = statement.split_once(" = ").expect(statement);
        let values = |text: &str| -> Vec<u32> {
            let cells = text
                .split(',')
                .map(str::trim)
                .filter(|cell| !cell.is_empty());
            cells
                .map(|cell| cell.strip_suffix('u').expect(cell).parse().expect(cell))
                .collect()
        };
        let (name, values) = if let Some(name) = head.strip_prefix("constexpr unsigned int ") {
            (name, values(value))
        } else {
            let table = head
                .strip_prefix("static __constant__ const unsigned int ")
                .expect(statement);
            let (name, length) = table.split_once('[').expect(statement);
            let cells = value
                .strip_prefix('{')
                .and_then(|v| v.strip_suffix('}'))
                .expect(statement);
            let values = values(cells);
            assert_eq!(format!("{}]", values.len()), length, "{name}");
            (name, values)
        };
        let before = decoded.insert(name.to_string(), values);
        assert!(before.is_none(), "{name} is defined twice");
    }
    decoded
}

#[test]
fn every_cell_is_that_of_the_machine() {
    let decoded = decode(RULES);
    assert_eq!(decoded["RULES"].len(), 64);
    assert_eq!(differences(&decoded), [] as [String; 0]);
}

#[test]
fn the_header_is_fresh() {
    assert!(
        RULES == render(Target::Cuda),
        "stale: run `cargo xtask codegen`"
    );
}
