//! What the conformance suites give today: `ffcm/golden/conformance.txt`, held up by ffcm's own tests.

use std::collections::BTreeMap;

/// Where it lies.
pub const PATH: &str = "ffcm/golden/conformance.txt";

/// Digest and number of cases of each suite, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suites(Vec<Suite>);

/// A suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Over all results, 64 hexadecimal digits.
    pub digest: String,
    /// Cases compared.
    pub cases: u64,
}

impl Suites {
    /// Reads lines of a name, a digest and a number of cases; every name once.
    pub fn parse(text: &str) -> Result<Suites, String> {
        let mut suites: Vec<Suite> = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let suite = match words[..] {
                [name, digest, cases] if is_digest(digest) => {
                    cases.parse().ok().map(|cases| Suite {
                        name: name.into(),
                        digest: digest.into(),
                        cases,
                    })
                }
                _ => None,
            };
            let suite = suite.ok_or_else(|| format!("{PATH}: `{line}` is no suite"))?;
            if suites.iter().any(|known| known.name == suite.name) {
                return Err(format!("{PATH}: suite {} twice", suite.name));
            }
            suites.push(suite);
        }
        match suites.is_empty() {
            true => Err(format!("{PATH}: no suites")),
            false => Ok(Suites(suites)),
        }
    }

    /// In the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Suite> {
        self.0.iter()
    }
}

/// Whether a text is a digest as the suites print it.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What stands behind `conformance` in the lines of a test program: results of suites, by backend.
#[derive(Debug, Default)]
pub struct Printed {
    by_backend: BTreeMap<String, BTreeMap<String, Given>>,
}

/// What a backend gave for a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// Equal to the oracle in every case.
    Digest { digest: String, cases: u64 },
    /// The backend has no such jobs.
    NotSupported,
    /// It differs, or two of its configurations do.
    Failed(String),
}

impl Printed {
    /// Looks at one line: `conformance BACKEND/THREADS SUITE digest HEX cases N`, the same with `not supported`, or what a
    /// failing test says, `conformance BACKEND/THREADS SUITE: CASE: …`.
    pub fn add(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (backend, suite, given) = match words[..] {
            [
                "conformance",
                backend,
                suite,
                "digest",
                digest,
                "cases",
                cases,
            ] if is_digest(digest) => {
                let Ok(cases) = cases.parse() else { return };
                let digest = digest.into();
                (backend, suite, Given::Digest { digest, cases })
            }
            ["conformance", backend, suite, "not", "supported"] => {
                (backend, suite, Given::NotSupported)
            }
            ["conformance", backend, suite, _, ..] if suite.ends_with(':') => {
                let reason = words[3..].join(" ");
                (backend, suite.trim_end_matches(':'), Given::Failed(reason))
            }
            _ => return,
        };
        // `cpu/2`, `wgpu:0/0`: threads and the number of a device are no part of what it is.
        let backend = backend.split([':', '/']).next().unwrap_or(backend);
        let suites = self.by_backend.entry(backend.into()).or_default();
        let known = suites.entry(suite.into()).or_insert_with(|| given.clone());
        if *known != given && !matches!(known, Given::Failed(_)) {
            *known = match given {
                Given::Failed(_) => given,
                given => Given::Failed(format!("{known:?} and {given:?}")),
            };
        }
    }

    /// Results by backend.
    pub fn finish(self) -> BTreeMap<String, BTreeMap<String, Given>> {
        self.by_backend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    #[test]
    fn suites_are_read_and_damage_is_found() {
        let (a, b) = (digest('a'), digest('b'));
        let suites = Suites::parse(&format!("nets {a} 3\nfocus {b} 12\n")).unwrap();
        let names: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
        assert_eq!(names, ["nets", "focus"]);
        for damaged in [
            String::new(),
            format!("nets {a}"),
            format!("nets {}z 3", &a[1..]),
            format!("nets {a} three"),
            format!("nets {a} 3\nnets {b} 3"),
        ] {
            assert!(Suites::parse(&damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn what_test_programs_print_is_collected_by_backend() {
        let a = digest('a');
        let mut printed = Printed::default();
        for line in [
            format!("conformance cpu/1 nets digest {a} cases 3"),
            format!("conformance cpu/2 nets digest {a} cases 3"),
            format!("conformance oracle/1 nets digest {a} cases 3"),
            format!("conformance cpu/1 focus digest {a} cases 3"),
            format!("conformance cpu/2 focus digest {} cases 3", digest('b')),
            "conformance cubecl:0/0 nets not supported".into(),
            "conformance cpu/1 memory: case 7: expected 1, found 2".into(),
            format!("conformance cpu/1 memory digest {a} cases 3"),
            "conformance cpu/1 rows digest 12 cases 3".into(),
            "test cpu::nets ... ok".into(),
        ] {
            printed.add(&line);
        }
        let found = printed.finish();
        let backends: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(backends, ["cpu", "cubecl", "oracle"]);
        let passed = Given::Digest {
            digest: a,
            cases: 3,
        };
        assert_eq!(found["cpu"]["nets"], passed);
        assert_eq!(found["oracle"]["nets"], passed);
        assert!(matches!(&found["cpu"]["focus"], Given::Failed(_)));
        let expected = Given::Failed("case 7: expected 1, found 2".into());
        assert_eq!(found["cpu"]["memory"], expected);
        assert_eq!(found["cubecl"]["nets"], Given::NotSupported);
        assert!(!found["cpu"].contains_key("rows"), "a digest of two digits");
    }
}
