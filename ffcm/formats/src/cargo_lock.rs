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
    let names = Names::new(&packages);
    let mut builder = Builder::new(limits);
    for (source, package) in (0u32..).zip(&packages) {
        for dependency in &package.dependencies {
            let target = names.resolve(dependency).map_err(|what| {
                let Package { name, version, .. } = package;
                FormatError::CargoLock(format!("{name} {version} depends on {dependency}, {what}"))
            })?;
            builder.link(source, target)?;
        }
    }
    builder.finish(labels(&packages)?)
}

/// The one package of a kind, or `None` where several are.
type Only = Option<u32>;

/// Packages by what a dependency may say of them. Looked up, never iterated.
#[derive(Default)]
struct Names<'p> {
    by_name: HashMap<&'p str, Only>,
    by_version: HashMap<(&'p str, &'p str), Only>,
    by_source: HashMap<(&'p str, &'p str, Option<&'p str>), Only>,
}

impl<'p> Names<'p> {
    fn new(packages: &'p [Package]) -> Names<'p> {
        let mut names = Names::default();
        for (node, package) in (0u32..).zip(packages) {
            let (name, version) = (package.name.as_str(), package.version.as_str());
            let source = package.source.as_deref();
            let only = Some(node);
            let several = |only: &mut Only| *only = None;
            let by_name = names.by_name.entry(name);
            by_name.and_modify(several).or_insert(only);
            let by_version = names.by_version.entry((name, version));
            by_version.and_modify(several).or_insert(only);
            let by_source = names.by_source.entry((name, version, source));
            by_source.and_modify(several).or_insert(only);
        }
        names
    }

    /// The package that `name`, `name version` or `name version (source)` means. As in cargo, what is left out is what
    /// would tell nothing: the only package of that name, the only one of that version, or the one without a source.
    fn resolve(&self, dependency: &str) -> Result<u32, &'static str> {
        let mut words = dependency.splitn(3, ' ');
        let name = words.next().unwrap_or("");
        let (version, source) = (words.next(), words.next());
        let source = source.map(|source| source.trim_start_matches('(').trim_end_matches(')'));
        let found = match (version, source) {
            (None, _) => self.by_name.get(name),
            (Some(version), None) => match self.by_version.get(&(name, version)) {
                Some(None) => {
                    let local = self.by_source.get(&(name, version, None));
                    Some(local.unwrap_or(&None))
                }
                found => found,
            },
            (Some(version), source) => self.by_source.get(&(name, version, source)),
        };
        match found {
            None => Err("which is not in the file"),
            Some(None) => Err("which fits several packages"),
            Some(Some(only)) => Ok(*only),
        }
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
