//! A device and its kernels as `focus doctor` shows them, whoever drives it.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// A device.
pub(super) struct Device {
    pub(super) index: u32,
    pub(super) name: String,
    /// Driver and its version.
    pub(super) driver: String,
    /// What the driver is spoken to by: `vulkan`, `CUDA`.
    pub(super) interface: String,
    /// `discrete GPU` and the like.
    pub(super) kind: &'static str,
    /// By the names that the interface has for them.
    pub(super) limits: Vec<(&'static str, u64)>,
    /// What else there is to know, in words or yes and no.
    pub(super) facts: Vec<(&'static str, Value)>,
}

impl Device {
    pub(super) fn to_json(&self) -> Value {
        let limit = |(name, value): &(&str, u64)| ((*name).to_owned(), json!(value));
        let limits: Map<String, Value> = self.limits.iter().map(limit).collect();
        let mut object = json!({
            "index": self.index,
            "name": self.name,
            "driver": self.driver,
            "interface": self.interface,
            "kind": self.kind,
            "limits": limits,
        });
        for (name, value) in &self.facts {
            object[*name] = value.clone();
        }
        object
    }

    /// Head and words of each line.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("adapter", format!("{}, {}", self.name, self.kind)),
            ("driver", format!("{}, {}", self.driver, self.interface)),
        ];
        let limit = |(name, value): &(&str, u64)| ("limit", format!("{name} {value}"));
        rows.extend(self.limits.iter().map(limit));
        let words = |value: &Value| match value {
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rows.extend(self.facts.iter().map(|(name, value)| (*name, words(value))));
        rows
    }
}

/// Something that a backend needs, or would be better with, and that this machine lacks.
pub(super) struct Missing {
    /// What it is.
    pub(super) what: &'static str,
    /// What is the matter.
    pub(super) detail: String,
    /// What to do.
    pub(super) hint: String,
}

impl Missing {
    pub(super) fn to_json(&self) -> Value {
        json!({ "what": self.what, "detail": self.detail, "hint": self.hint })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.detail, self.hint)
    }
}

/// Kernels that are compiled together.
pub(super) struct Unit {
    pub(super) name: String,
    /// Time to compile and load it. Some drivers compile at the first dispatch instead.
    pub(super) time: Duration,
    /// Where the driver tells them.
    pub(super) kernels: Vec<Kernel>,
}

/// What a kernel takes.
pub(super) struct Kernel {
    pub(super) name: String,
    /// Registers of a thread.
    pub(super) registers: u32,
    /// Bytes of local memory of a thread.
    pub(super) local: u32,
    /// Bytes of static shared memory of a block.
    pub(super) shared: u32,
    /// Most threads of a block.
    pub(super) threads: u32,
}

impl Unit {
    pub(super) fn to_json(&self) -> Value {
        let kernel = |kernel: &Kernel| {
            json!({
                "entry": kernel.name,
                "registers": kernel.registers,
                "local_bytes": kernel.local,
                "shared_bytes": kernel.shared,
                "max_threads": kernel.threads,
            })
        };
        json!({
            "kernel": self.name,
            "compile_seconds": self.time.as_secs_f64(),
            "entries": self.kernels.iter().map(kernel).collect::<Vec<_>>(),
        })
    }

    /// Head and words of each line.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let head = format!("{}  {}", self.name, super::seconds(self.time));
        let kernel = |kernel: &Kernel| {
            let Kernel {
                name,
                registers,
                local,
                shared,
                threads,
            } = kernel;
            let words = format!(
                "{name}  {registers} registers, {local} B local, {shared} B shared, at most {threads} threads"
            );
            ("entry", words)
        };
        let mut rows = vec![("kernel", head)];
        rows.extend(self.kernels.iter().map(kernel));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_say_the_same() {
        let device = Device {
            index: 1,
            name: "Card".into(),
            driver: "drv 2".into(),
            interface: "CUDA".into(),
            kind: "GPU",
            limits: vec![("multiprocessors", 3)],
            facts: vec![("timestamps", json!(true)), ("capability", json!("9.0"))],
        };
        let value = device.to_json();
        assert_eq!(value["limits"]["multiprocessors"], 3);
        assert_eq!(
            (&value["timestamps"], &value["capability"]),
            (&json!(true), &json!("9.0"))
        );
        let rows: Vec<String> = device
            .rows()
            .into_iter()
            .map(|(head, words)| format!("{head}: {words}"))
            .collect();
        let expected = [
            "adapter: Card, GPU",
            "driver: drv 2, CUDA",
            "limit: multiprocessors 3",
            "timestamps: yes",
            "capability: 9.0",
        ];
        assert_eq!(rows, expected);
        let unit = Unit {
            name: "focus/gather".into(),
            time: Duration::from_millis(1_500),
            kernels: vec![Kernel {
                name: "gather_equal".into(),
                registers: 40,
                local: 8,
                shared: 1024,
                threads: 256,
            }],
        };
        let entry = &unit.to_json()["entries"][0];
        assert_eq!(
            (&entry["registers"], &entry["local_bytes"]),
            (&json!(40), &json!(8))
        );
        let lines: Vec<String> = unit.rows().into_iter().map(|(_, words)| words).collect();
        assert_eq!(lines[0], "focus/gather  1.500 s");
        assert_eq!(
            lines[1],
            "gather_equal  40 registers, 8 B local, 1024 B shared, at most 256 threads"
        );
    }
}
