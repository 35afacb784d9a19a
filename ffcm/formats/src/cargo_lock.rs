//! `Cargo.lock`: packages and what they depend on.

use std::collections::HashMap;

use serde::Deserialize;

use crate::builder::Builder;
use crate::input::Input;
use crate::{FormatError, LabeledGraph, Limits};

/// Largest lock file: it is parsed whole.
const BYTES_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Lock {
    /// The workspace's own package in the first version of the format.
    root: Option<Package>,
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

pub(crate) fn read(input: &mut Input<'_>, limits: &Limits) -> Result<LabeledGraph, FormatError> {
    let text = input.read_text(BYTES_MAX.min(limits.bytes))?;
    let lock: Lock = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| {
            1 + text.as_bytes()[..span.start.min(text.len())]
                .iter()
                .filter(|&&b| b == b'\n')
                .count()
        });
        let message = error.message().replace('\n', " ");
        FormatError::CargoLock(format!("line {line}: {message}"))
    })?;
    let packages: Vec<Package> = lock.root.into_iter().chain(lock.package).collect();
    if packages.len() as u64 > u64::from(limits.nodes) {
        return Err(FormatError::Limit {
            what: "nodes",
            limit: limits.nodes.into(),
        });
    }
    // Looked up, never iterated.
    let mut by_name: HashMap<&str, Vec<u32>> = HashMap::new();
    for (node, package) in (0u32..).zip(&packages) {
        by_name.entry(&package.name).or_default().push(node);
    }
    let mut builder = Builder::new(limits);
    for (source, package) in (0u32..).zip(&packages) {
        for dependency in &package.dependencies {
            let target = resolve(dependency, &packages, &by_name).map_err(|what| {
                let Package { name, version, .. } = package;
                FormatError::CargoLock(format!("{name} {version} depends on {dependency}, {what}"))
            })?;
            builder.link(source, target)?;
        }
    }
    builder.finish(labels(&packages)?)
}

/// The package that `name`, `name version` or `name version (source)` means. As in cargo, what is left out is what
/// would tell nothing: the only package of that name, the only one of that version, or the one without a source.
fn resolve(
    dependency: &str,
    packages: &[Package],
    by_name: &HashMap<&str, Vec<u32>>,
) -> Result<u32, &'static str> {
    let mut words = dependency.splitn(3, ' ');
    let name = words.next().unwrap_or("");
    let (version, source) = (words.next(), words.next());
    let source = source.map(|source| source.trim_start_matches('(').trim_end_matches(')'));
    let fits = |&&node: &&u32| {
        let package = &packages[node as usize];
        version.is_none_or(|version| package.version == version)
            && source.is_none_or(|source| package.source.as_deref() == Some(source))
    };
    let found: Vec<u32> = by_name
        .get(name)
        .into_iter()
        .flatten()
        .filter(fits)
        .copied()
        .collect();
    let local = |node: &&u32| packages[**node as usize].source.is_none();
    match found[..] {
        [] => Err("which is not in the file"),
        [only] => Ok(only),
        _ => match found.iter().filter(local).collect::<Vec<_>>()[..] {
            [only] if version.is_some() => Ok(*only),
            _ => Err("which fits several packages"),
        },
    }
}

/// `name version`, with the source where that is not enough.
fn labels(packages: &[Package]) -> Result<Vec<String>, FormatError> {
    let short = |package: &Package| format!("{} {}", package.name, package.version);
    let mut count: HashMap<String, u32> = HashMap::new();
    for package in packages {
        *count.entry(short(package)).or_default() += 1;
    }
    let mut labels = Vec::with_capacity(packages.len());
    let mut seen = HashMap::new();
    for package in packages {
        let mut label = short(package);
        if count.get(&label).is_some_and(|&count| count > 1) {
            label = format!("{label} ({})", package.source.as_deref().unwrap_or("local"));
        }
        if seen.insert(label.clone(), ()).is_some() {
            return Err(FormatError::CargoLock(format!("{label} is there twice")));
        }
        labels.push(label);
    }
    Ok(labels)
}
