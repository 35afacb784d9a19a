//! Checks on crate manifests: lints, and which crate may use which.

use std::collections::BTreeMap;

use toml::Table;

use super::{File, Problems};

/// Name of each package with its manifest. A manifest that does not parse is a problem of every check that reads it.
fn packages(files: &[File]) -> Result<BTreeMap<String, (&str, Table)>, Problems> {
    let mut packages = BTreeMap::new();
    let mut problems = Vec::new();
    let is_manifest =
        |file: &&File| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml");
    for file in files.iter().filter(is_manifest) {
        match file.text().unwrap_or("").parse::<Table>() {
            Ok(manifest) => {
                let name = manifest
                    .get("package")
                    .and_then(|p| p.get("name"))
                    .and_then(|n| n.as_str());
                if let Some(name) = name {
                    packages.insert(name.to_string(), (file.path.as_str(), manifest));
                }
            }
            Err(error) => problems.push(format!("{}: {}", file.path, error.message())),
        }
    }
    if packages.is_empty() {
        problems.push("Cargo.toml: no package in the repository".into());
    }
    if problems.is_empty() {
        Ok(packages)
    } else {
        Err(problems)
    }
}

/// What a package needs to build, development dependencies left out: real package names of every table.
fn dependencies(manifest: &Table) -> Vec<String> {
    let mut names = Vec::new();
    let mut tables = vec![manifest];
    let targets = manifest.get("target").and_then(|t| t.as_table());
    tables.extend(
        targets
            .into_iter()
            .flat_map(Table::values)
            .filter_map(|t| t.as_table()),
    );
    for table in tables {
        for kind in ["dependencies", "build-dependencies"] {
            let entries = table.get(kind).and_then(|t| t.as_table());
            for (key, entry) in entries.into_iter().flatten() {
                let renamed = entry.get("package").and_then(|p| p.as_str());
                names.push(renamed.unwrap_or(key).to_string());
            }
        }
    }
    names
}

/// `[lints] workspace = true` in every crate.
pub fn lints(files: &[File]) -> Problems {
    let packages = match packages(files) {
        Ok(packages) => packages,
        Err(problems) => return problems,
    };
    let takes = |manifest: &Table| {
        let workspace = manifest.get("lints").and_then(|l| l.get("workspace"));
        workspace.and_then(|w| w.as_bool()) == Some(true)
    };
    let lacks = packages.values().filter(|(_, manifest)| !takes(manifest));
    lacks
        .map(|(path, _)| format!("{path}: lacks `[lints] workspace = true`"))
        .collect()
}

/// Layers from the bottom. A crate uses only crates of lower layers; those of one layer do not know each other.
const LAYERS: [&[&str]; 9] = [
    &["ffcm", "focus-proof", "focus-store"],
    &[
        "ffcm-formats",
        "ffcm-models",
        "ffcm-jit",
        "ffcm-scheduler",
        "focus-state",
        "focus-types",
    ],
    &[
        "ffcm-wgsl",
        "ffcm-cubecl",
        "ffcm-cuda",
        "ffcm-sandboxes",
        "focus-consensus",
        "focus-rpc",
    ],
    &["focus-modules"],
    &["ffcm-suite"],
    &["focus-node"],
    &["ffcm-benches"],
    &["peers"],
    &["xtask"],
];
/// Crates that hold a concrete GPU backend, and the only ones that may name them.
const BACKENDS: [&str; 3] = ["ffcm-wgsl", "ffcm-cubecl", "ffcm-cuda"];
const MAY_NAME_BACKENDS: [&str; 4] = ["focus-node", "ffcm-benches", "peers", "xtask"];

/// Every crate has a place in the layers and uses only what lies below it.
pub fn direction(files: &[File]) -> Problems {
    let packages = match packages(files) {
        Ok(packages) => packages,
        Err(problems) => return problems,
    };
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let mut problems = Vec::new();
    for (name, (path, manifest)) in &packages {
        let Some(own) = layer(name) else {
            problems.push(format!(
                "{path}: {name} has no place in the layers of the tidy check"
            ));
            continue;
        };
        for used in dependencies(manifest)
            .iter()
            .filter(|used| packages.contains_key(*used))
        {
            if layer(used).is_some_and(|used| used >= own) {
                problems.push(format!("{path}: {name} must not use {used}"));
            }
            if BACKENDS.contains(&used.as_str()) && !MAY_NAME_BACKENDS.contains(&name.as_str()) {
                problems.push(format!("{path}: {name} must not name the backend {used}"));
            }
        }
    }
    problems
}

/// Everything `ffcm` may depend on: no crate of this repository, no runtime, no device, no I/O.
const FFCM_MAY_USE: [&str; 6] = ["blake3", "libm", "rayon", "rustix", "sha2", "thiserror"];

/// The embedder's crate stays small: a new dependency is a decision, made here.
pub fn ffcm_alone(files: &[File]) -> Problems {
    let packages = match packages(files) {
        Ok(packages) => packages,
        Err(problems) => return problems,
    };
    let Some((path, manifest)) = packages.get("ffcm") else {
        return vec!["ffcm/Cargo.toml: missing".into()];
    };
    beyond("ffcm", path, manifest, &FFCM_MAY_USE)
}

/// Everything `ffcm-cuda` may depend on: no toolkit, nothing that is linked to a driver.
const CUDA_MAY_USE: [&str; 11] = [
    "blake3",
    "bytemuck",
    "cudarc",
    "ffcm",
    "ffcm-jit",
    "libloading",
    "rayon",
    "sha2",
    "tempfile",
    "thiserror",
    "tracing",
];

/// One program runs with and without CUDA, and neither backend needs the other.
pub fn cuda_dependencies(files: &[File]) -> Problems {
    let packages = match packages(files) {
        Ok(packages) => packages,
        Err(problems) => return problems,
    };
    let Some((path, manifest)) = packages.get("ffcm-cuda") else {
        return vec!["cuda/Cargo.toml: missing".into()];
    };
    beyond("ffcm-cuda", path, manifest, &CUDA_MAY_USE)
}

/// Everything `ffcm-cubecl` may depend on: kernels in Rust, and no second way to a device.
const CUBECL_MAY_USE: [&str; 4] = ["bytemuck", "cubecl", "ffcm", "thiserror"];
/// The only crate that names cubecl.
const CUBECL_USER: &str = "ffcm-cubecl";

/// One crate uses cubecl, nobody needs that crate, and the default build does not have it.
pub fn cubecl_dependencies(files: &[File]) -> Problems {
    let packages = match packages(files) {
        Ok(packages) => packages,
        Err(problems) => return problems,
    };
    let Some((path, manifest)) = packages.get(CUBECL_USER) else {
        return vec!["wgsl/cubecl/Cargo.toml: missing".into()];
    };
    let mut problems = beyond(CUBECL_USER, path, manifest, &CUBECL_MAY_USE);
    for (name, (path, manifest)) in &packages {
        let uses = dependencies(manifest);
        if name != CUBECL_USER && uses.iter().any(|used| used.starts_with("cubecl")) {
            problems.push(format!(
                "{path}: {name} must not use cubecl but by {CUBECL_USER}"
            ));
        }
        let entry = manifest
            .get("dependencies")
            .and_then(|d| d.get(CUBECL_USER));
        let optional = |entry: &toml::Value| entry.get("optional") == Some(&true.into());
        let default = manifest.get("features").and_then(|f| f.get("default"));
        let names_it = |features: &toml::Value| {
            let names = features.as_array().into_iter().flatten();
            let mut names = names.filter_map(toml::Value::as_str);
            names.any(|name| name.contains("cubecl"))
        };
        if entry.is_some_and(|entry| !optional(entry)) || default.is_some_and(names_it) {
            problems.push(format!(
                "{path}: {CUBECL_USER} must be optional and off by default"
            ));
        }
    }
    problems
}

/// What a package uses and may not.
fn beyond(name: &str, path: &str, manifest: &Table, allowed: &[&str]) -> Problems {
    let extra = dependencies(manifest)
        .into_iter()
        .filter(|used| !allowed.contains(&used.as_str()));
    extra
        .map(|used| format!("{path}: {name} must not use {used}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn package(name: &str, rest: &str) -> File {
        file(
            &format!("{name}/Cargo.toml"),
            &format!("[package]\nname = \"{name}\"\n{rest}"),
        )
    }

    #[test]
    fn crates_without_the_lints_are_found() {
        let root = file("Cargo.toml", "[workspace]\n");
        assert!(lints(&[root.clone(), package("a", "[lints]\nworkspace = true")]).is_empty());
        for rest in [
            "",
            "[lints]\nworkspace = false",
            "[lints.rust]\nx = \"warn\"",
        ] {
            assert_eq!(
                lints(&[root.clone(), package("a", rest)]).len(),
                1,
                "{rest}"
            );
        }
    }

    #[test]
    fn a_broken_manifest_and_an_empty_repository_are_problems() {
        let broken = [package("ffcm", "[dependencies")];
        for check in [lints, direction, ffcm_alone] {
            assert!(!check(&broken).is_empty());
            assert!(!check(&[]).is_empty());
        }
    }

    #[test]
    fn uses_against_the_direction_are_found() {
        let ffcm = package("ffcm", "");
        let scheduler = |rest: &str| package("ffcm-scheduler", rest);
        let node = package("focus-node", "[dependencies]\nffcm-cuda = {}");
        let cuda = package("ffcm-cuda", "[dependencies]\nffcm = {}");
        let check = |rest: &str| {
            direction(&[ffcm.clone(), scheduler(rest), node.clone(), cuda.clone()]).len()
        };
        assert_eq!(
            check("[dependencies]\nffcm = { workspace = true }\nserde = \"1\""),
            0
        );
        assert_eq!(check("[dev-dependencies]\nfocus-node = {}"), 0);
        assert_eq!(check("[dependencies]\nfocus-node = {}"), 1);
        assert_eq!(check("[build-dependencies]\nfocus-node = {}"), 1);
        assert_eq!(
            check("[dependencies]\nalias = { package = \"focus-node\" }"),
            1
        );
        assert_eq!(
            check("[target.'cfg(unix)'.dependencies]\nfocus-node = {}"),
            1
        );
        let wgsl = package("ffcm-wgsl", "[dependencies]\nffcm = {}");
        let uses = |name: &str| package(name, "[dependencies]\nffcm-wgsl = {}");
        assert_eq!(
            direction(&[ffcm.clone(), wgsl.clone(), uses("focus-node")]).len(),
            0
        );
        for name in ["focus-rpc", "focus-modules", "ffcm-sandboxes", "ffcm"] {
            assert!(!direction(&[wgsl.clone(), uses(name)]).is_empty(), "{name}");
        }
        let modules = package("focus-modules", "[dependencies]\nffcm-cuda = {}");
        assert_eq!(
            direction(&[modules, cuda]).len(),
            1,
            "a backend named outside the leaves"
        );
        assert_eq!(direction(&[package("newcomer", "")]).len(), 1);
    }

    #[test]
    fn a_new_dependency_of_ffcm_is_found() {
        assert!(ffcm_alone(&[package("ffcm", "[dependencies]\nrayon = \"1\"")]).is_empty());
        for name in ["tokio", "ffcm-jit", "wgpu"] {
            assert_eq!(
                ffcm_alone(&[package("ffcm", &format!("[dependencies]\n{name} = \"1\""))]).len(),
                1
            );
        }
    }

    #[test]
    fn cubecl_in_the_default_build_is_found() {
        let own = package("ffcm-cubecl", "[dependencies]\ncubecl = \"0\"");
        let check = |rest: &str| cubecl_dependencies(&[own.clone(), package("user", rest)]).len();
        assert_eq!(
            check("[dependencies]\nffcm-cubecl = { optional = true }"),
            0
        );
        for rest in [
            "[dependencies]\ncubecl = \"0\"",
            "[dependencies]\ncubecl-wgpu = { optional = true }",
            "[dependencies]\nffcm-cubecl = { workspace = true }",
            "[dependencies]\nffcm-cubecl = { optional = true }\n[features]\ndefault = [\"cubecl\"]",
        ] {
            assert_eq!(check(rest), 1, "{rest}");
        }
        let wider = package("ffcm-cubecl", "[dependencies]\nffcm-wgsl = {}");
        assert_eq!(cubecl_dependencies(&[wider]).len(), 1);
        assert_eq!(cubecl_dependencies(&[package("ffcm", "")]).len(), 1);
    }

    #[test]
    fn a_new_dependency_of_cuda_is_found() {
        let check = |rest: &str| cuda_dependencies(&[package("ffcm-cuda", rest)]).len();
        assert_eq!(check("[dependencies]\ncudarc = \"0\""), 0);
        for name in ["ffcm-wgsl", "wgpu", "cust"] {
            assert_eq!(check(&format!("[dependencies]\n{name} = \"1\"")), 1);
        }
        assert_eq!(cuda_dependencies(&[package("ffcm", "")]).len(), 1);
    }
}
