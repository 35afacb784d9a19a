//! A card's record, as `gpu-ci/record.sh` and `ffcm-benches record` write it, as rows of the matrix.

use std::collections::BTreeMap;

use serde_json::Value;

use super::record::{Cell, FORMAT, Kind, Outcome, Record, RecordError, Row, one_line};

/// Parts that run the suites begin so; the rest names the family.
const PART: &str = "conformance-";

/// Reads it. A record of software drivers, or of small inputs, is none.
pub fn read(value: &Value) -> Result<Record, RecordError> {
    let fact = |name: &str| -> Option<&str> {
        let facts = value["facts"].as_array()?;
        facts.iter().find(|fact| fact[0] == name)?[1].as_str()
    };
    let needed = |name: &str| {
        let missing = || RecordError::Shape(format!("no fact `{name}`"));
        fact(name).ok_or_else(missing)
    };
    if fact("drivers") == Some("software") || fact("inputs") == Some("tiny") {
        let words = "made with --software or --tiny: no record of a card";
        return Err(RecordError::Misplaced(words.into()));
    }
    let list = value["parts"].as_array();
    let list = list.ok_or_else(|| RecordError::Shape("no `parts`".into()))?;
    let part = |name: &str| list.iter().find(|part| part["name"] == name);
    let mut rows = Vec::new();
    for found in list {
        let family = found["name"]
            .as_str()
            .and_then(|name| name.strip_prefix(PART));
        if let Some(family) = family {
            rows.push(row(family, found, part("doctor"))?);
        }
    }
    let machine = list.iter().map(|part| &part["data"]["machine"]);
    let machine = machine.filter_map(|machine| machine["cpu"].as_str()).next();
    let system = fact("system").unwrap_or("unknown system");
    Ok(Record {
        format: FORMAT,
        kind: Kind::Card,
        commit: needed("commit")?.into(),
        taken: needed("taken")?.into(),
        machine: one_line(&format!("{}, {system}", machine.unwrap_or("unknown CPU"))),
        rows,
    })
}

fn row(family: &str, part: &Value, doctor: Option<&Value>) -> Result<Row, RecordError> {
    let reason = || one_line(part["reason"].as_str().unwrap_or("no reason is given"));
    let data = &part["data"];
    let outcome = match part["state"].as_str() {
        Some("ok" | "wrong") if data.is_object() => Outcome::Suites(suites(data)?),
        Some("not-run") => Outcome::NotRun(reason()),
        Some("failed" | "wrong") => Outcome::Failed(reason()),
        state => {
            let words = format!("{}: state {state:?}", part["name"]);
            return Err(RecordError::Shape(one_line(&words)));
        }
    };
    if family != "cpu" && matches!(outcome, Outcome::Suites(_)) {
        is_hardware(data, doctor)?;
    }
    Ok(Row {
        backend: family.into(),
        driver: match family {
            "cpu" => super::CPU.into(),
            _ => super::HARDWARE.into(),
        },
        device: one_line(data["device"].as_str().unwrap_or("unknown")),
        outcome,
    })
}

/// The doctor of the same record has to know the device as one that is no software driver.
fn is_hardware(data: &Value, doctor: Option<&Value>) -> Result<(), RecordError> {
    let backend = data["backend"].as_str().unwrap_or("unnamed");
    let backends = doctor.and_then(|doctor| doctor["data"]["backends"].as_array());
    let known = backends.into_iter().flatten();
    let kind = known
        .filter(|row| row["backend"] == backend)
        .find_map(|row| row["adapter"]["kind"].as_str());
    match kind {
        Some("CPU") => Err(RecordError::Misplaced(one_line(&format!(
            "{backend} is a software driver: no record of a card"
        )))),
        Some(_) => Ok(()),
        None => Err(RecordError::Shape(one_line(&format!(
            "its doctor does not know {backend}, so it may be a software driver"
        )))),
    }
}

fn suites(data: &Value) -> Result<BTreeMap<String, Cell>, RecordError> {
    let list = data["suites"].as_array();
    let list = list.ok_or_else(|| RecordError::Shape("no `suites`".into()))?;
    let mut suites = BTreeMap::new();
    for row in list {
        let name = row["suite"].as_str();
        let name = name.ok_or_else(|| RecordError::Shape("a suite without a name".into()))?;
        let error = row["error"].as_str();
        let cell = match (row["digest"].as_str(), row["cases"].as_u64()) {
            (Some(digest), Some(cases)) if error.is_none() => Cell::Passed {
                digest: digest.into(),
                cases,
            },
            (None, _) if error.is_some_and(|error| error.contains("does not support")) => {
                Cell::NotSupported
            }
            _ => Cell::Failed {
                reason: one_line(error.unwrap_or("neither a digest nor an error")),
            },
        };
        if suites.insert(name.to_string(), cell).is_some() {
            return Err(RecordError::Shape(one_line(&format!("suite {name} twice"))));
        }
    }
    Ok(suites)
}
