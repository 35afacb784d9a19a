//! Which Vulkan drivers this machine has: the loader's library and the manifests that name drivers.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Environment variables that tell the loader which manifests to read; the first is the name of today, the second that
/// of loaders before 1.3.207.
pub const DRIVER_VARIABLES: [&str; 2] = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

/// Where browsers that bring SwiftShader keep its manifest.
const SWIFTSHADER: [&str; 5] = [
    "/usr/lib/chromium/vk_swiftshader_icd.json",
    "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
    "/usr/lib64/chromium-browser/vk_swiftshader_icd.json",
    "/opt/google/chrome/vk_swiftshader_icd.json",
    "/opt/chromium.org/chromium/vk_swiftshader_icd.json",
];

/// What a driver is, told from the name of its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mesa's software driver.
    Lavapipe,
    /// Google's software driver.
    SwiftShader,
    /// Any other: there may or may not be a device for it.
    Other,
}

impl Kind {
    fn of(manifest: &Path) -> Kind {
        let name = manifest.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("lvp_icd") {
            Kind::Lavapipe
        } else if name.contains("swiftshader") {
            Kind::SwiftShader
        } else {
            Kind::Other
        }
    }
}

/// Manifests that the environment names, as far as they are there; nothing where it names none.
pub fn chosen() -> Option<Vec<PathBuf>> {
    let list = DRIVER_VARIABLES.iter().find_map(env::var_os)?;
    Some(env::split_paths(&list).filter(|p| p.is_file()).collect())
}

/// Manifests of the drivers of this machine: those the loader would read, and SwiftShader where a browser brings it.
pub fn manifests() -> Vec<PathBuf> {
    let mut found = chosen().unwrap_or_else(|| in_folders(&folders()));
    found.extend(
        SWIFTSHADER
            .iter()
            .map(PathBuf::from)
            .filter(|path| path.is_file()),
    );
    // A browser in two places is one driver.
    let mut seen: Vec<PathBuf> = Vec::new();
    found.retain(|path| {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let new = !seen.contains(&real);
        seen.push(real);
        new
    });
    found
}

/// What makes the loader read these manifests and no others.
pub fn only(manifests: &[PathBuf]) -> Result<Vec<(&'static str, OsString)>, String> {
    let list = env::join_paths(manifests).map_err(|error| format!("a driver's path: {error}"))?;
    Ok(DRIVER_VARIABLES.map(|name| (name, list.clone())).to_vec())
}

/// The manifests of one kind.
pub fn of_kind(manifests: &[PathBuf], kind: Kind) -> Vec<PathBuf> {
    let same = manifests.iter().filter(|path| Kind::of(path) == kind);
    same.cloned().collect()
}

/// Where the loader looks for manifests, in its order.
fn folders() -> Vec<PathBuf> {
    let list = |variable: &str, default: &str| -> Vec<PathBuf> {
        let value = env::var_os(variable).filter(|value| !value.is_empty());
        env::split_paths(&value.unwrap_or_else(|| OsString::from(default))).collect()
    };
    let below_home = |variable: &str, default: &str| -> Option<PathBuf> {
        let named = env::var_os(variable).filter(|value| !value.is_empty());
        let home = || env::home_dir().map(|home| home.join(default));
        named.map(PathBuf::from).or_else(home)
    };
    let mut bases: Vec<PathBuf> = below_home("XDG_CONFIG_HOME", ".config")
        .into_iter()
        .collect();
    bases.extend(list("XDG_CONFIG_DIRS", "/etc/xdg"));
    bases.push("/etc".into());
    bases.extend(below_home("XDG_DATA_HOME", ".local/share"));
    bases.extend(list("XDG_DATA_DIRS", "/usr/local/share:/usr/share"));
    let folders = bases.iter().map(|base| base.join("vulkan/icd.d"));
    folders.collect()
}

fn in_folders(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        // Most of the folders do not exist.
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        names.retain(|path| path.extension().is_some_and(|end| end == "json") && path.is_file());
        names.sort();
        found.extend(names);
    }
    found
}

/// Whether the loader's library is where the dynamic linker finds it.
pub fn has_loader() -> bool {
    let own = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&own).collect();
    folders.extend(["/usr/local/lib", "/usr/lib64", "/lib64"].map(PathBuf::from));
    for base in ["/usr/lib", "/lib"] {
        folders.push(base.into());
        let below = fs::read_dir(base).into_iter().flatten().flatten();
        folders.extend(below.map(|entry| entry.path()).filter(|path| {
            // `x86_64-linux-gnu` and its like.
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().contains("-linux-"))
        }));
    }
    loader_in(&folders)
}

fn loader_in(folders: &[PathBuf]) -> bool {
    let mut libraries = folders.iter().map(|folder| folder.join("libvulkan.so.1"));
    libraries.any(|library| library.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_found_and_told_apart() {
        let folder = std::env::temp_dir().join(format!("xtask-vulkan-{}", std::process::id()));
        let icd = folder.join("icd.d");
        assert!(in_folders(std::slice::from_ref(&icd)).is_empty());
        assert!(!loader_in(std::slice::from_ref(&folder)));
        fs::create_dir_all(icd.join("folder.json")).unwrap();
        for name in [
            "lvp_icd.x86_64.json",
            "vk_swiftshader_icd.json",
            "nvidia_icd.json",
            "readme",
        ] {
            fs::write(icd.join(name), "{}").unwrap();
        }
        fs::write(folder.join("libvulkan.so.1"), "").unwrap();
        let found = in_folders(std::slice::from_ref(&icd));
        assert_eq!(found.len(), 3);
        for (kind, name) in [
            (Kind::Lavapipe, "lvp_icd.x86_64.json"),
            (Kind::SwiftShader, "vk_swiftshader_icd.json"),
            (Kind::Other, "nvidia_icd.json"),
        ] {
            assert_eq!(of_kind(&found, kind), [icd.join(name)]);
        }
        assert!(loader_in(&[folder.join("nothing"), folder.clone()]));
        fs::remove_dir_all(&folder).unwrap();
    }
}
