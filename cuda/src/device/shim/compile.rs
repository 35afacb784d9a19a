//! From a unit's text to a shared library, by the C++ compiler of the system. Libraries are kept under a hash of all that
//! went into them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::device::{CudaError, Source};
use crate::kernels::HEADERS;

/// What the shim itself is made of.
const SHIM: &[(&str, &str)] = &[
    ("layout.hpp", include_str!("../../../shim/layout.hpp")),
    ("shim.hpp", include_str!("../../../shim/shim.hpp")),
    ("switch.hpp", include_str!("../../../shim/switch.hpp")),
    ("worker.hpp", include_str!("../../../shim/worker.hpp")),
    ("runtime.hpp", include_str!("../../../shim/runtime.hpp")),
];

/// Flags of every library.
const FLAGS: &[&str] = &[
    "-std=c++17",
    "-gdwarf-4",
    "-shared",
    "-fPIC",
    "-pthread",
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-Wall",
    "-I.",
];

/// Flags of the runtime.
const RUNTIME_FLAGS: &[&str] = &["-O2", "-ftls-model=initial-exec"];

/// Flags of units. What has no meaning in C++, or none on a device, stops the thread.
const UNIT_FLAGS: &[&str] = &[
    "-O1",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fsanitize=alignment,bounds,integer-divide-by-zero,shift-exponent",
    "-fsanitize-undefined-trap-on-error",
    "-Wno-unknown-pragmas",
    "-Werror=return-type",
    "-Werror=uninitialized",
    "-Werror=array-bounds",
    "-Werror=shift-count-overflow",
    "-Werror=narrowing",
];

/// Static shared memory that a kernel may have on any device, in bytes.
const STATIC_SHARED: u32 = 48 << 10;

/// The C++ compiler of the system.
#[derive(Debug)]
pub(super) struct Compiler {
    program: String,
    version: Vec<u8>,
}

/// Held while a library is made, so that a process makes it once.
struct Making;

impl Making {
    fn of(library: &Path) -> Arc<Mutex<()>> {
        static LOCKS: OnceLock<Mutex<HashMap<PathBuf, Arc<Mutex<()>>>>> = OnceLock::new();
        let mut locks = LOCKS
            .get_or_init(Mutex::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(library.to_path_buf()).or_default())
    }
}

/// A text and the name that others include it by.
type File<'a> = (&'a str, &'a str);

impl Compiler {
    /// `CXX` if it is set, else `c++` or `g++`.
    pub(super) fn find() -> Result<&'static Compiler, CudaError> {
        static FOUND: OnceLock<Option<Compiler>> = OnceLock::new();
        let find = || {
            let named = std::env::var("CXX")
                .ok()
                .filter(|name| !name.trim().is_empty());
            let candidates = match named {
                Some(name) => vec![name],
                None => vec!["c++".to_string(), "g++".to_string()],
            };
            candidates.into_iter().find_map(|program| {
                let output = Command::new(&program).arg("--version").output().ok()?;
                output.status.success().then_some(Compiler {
                    program,
                    version: output.stdout,
                })
            })
        };
        FOUND.get_or_init(find).as_ref().ok_or(CudaError::NoDriver {
            hint: "the shim needs a C++ compiler: install `g++`, or name one in CXX",
        })
    }

    /// The library of the runtime.
    pub(super) fn runtime(&self, cache: &Path) -> Result<PathBuf, CudaError> {
        let main = "#include \"runtime.hpp\"\n";
        self.library(cache, "shim", RUNTIME_FLAGS, ("main.cpp", main), SHIM, &[])
    }

    /// The library of a unit.
    pub(super) fn unit(&self, cache: &Path, source: &Source) -> Result<PathBuf, CudaError> {
        let file = format!("{}.cu", source.name);
        let main = wrapper(source, &file);
        let mut headers: Vec<File<'_>> = SHIM[..2].to_vec();
        headers.push((&file, source.text));
        let main = ("main.cpp", main.as_str());
        self.library(cache, source.name, UNIT_FLAGS, main, &headers, HEADERS)
    }

    /// The library of `main`, out of the cache or made now.
    fn library(
        &self,
        cache: &Path,
        name: &str,
        flags: &[&str],
        main: File<'_>,
        files: &[File<'_>],
        more: &[File<'_>],
    ) -> Result<PathBuf, CudaError> {
        let files = || std::iter::once(&main).chain(files).chain(more);
        let mut hash = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        add(self.program.as_bytes());
        add(&self.version);
        for flag in FLAGS.iter().chain(flags) {
            add(flag.as_bytes());
        }
        for (name, text) in files() {
            add(name.as_bytes());
            add(text.as_bytes());
        }
        let key = hash.finalize().to_hex();
        let library = cache.join(format!("{}-{}.so", name.replace('/', "-"), &key[..32]));
        let making = Making::of(&library);
        let _making = making.lock().unwrap_or_else(PoisonError::into_inner);
        if library.is_file() {
            return Ok(library);
        }
        let failed = |error: io::Error| CudaError::Kernel {
            kernel: name.into(),
            message: format!("in {}: {error}", cache.display()),
        };
        fs::create_dir_all(cache).map_err(failed)?;
        let folder = tempfile::tempdir_in(cache).map_err(failed)?;
        for (name, text) in files() {
            let path = folder.path().join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            fs::write(path, text).map_err(failed)?;
        }
        let mut command = Command::new(&self.program);
        command.current_dir(folder.path()).args(FLAGS).args(flags);
        let output = command
            .args(["-o", "library.so", main.0])
            .output()
            .map_err(failed)?;
        if !output.status.success() {
            return Err(CudaError::Kernel {
                kernel: name.into(),
                message: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        // Another process may make the same library at the same time; whoever is last replaces it by its equal.
        fs::rename(folder.path().join("library.so"), &library).map_err(failed)?;
        Ok(library)
    }
}

/// Bytes of static shared memory of a block of each kernel, out of the symbols of a unit's library, by the tool that comes
/// with compilers. A variable of a function is named by the function and itself: `_ZZ6reduceE4tile`.
pub(super) fn shared_bytes(library: &Path, source: &Source) -> Result<Vec<u32>, CudaError> {
    let failed = |message: String| CudaError::Kernel {
        kernel: source.name.into(),
        message: format!("nm does not list {}: {message}", library.display()),
    };
    let output = Command::new("nm")
        .args(["-S", "--defined-only"])
        .arg(library)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let listing = String::from_utf8_lossy(&output.stdout);
    let sizes: Vec<(u32, &str)> = listing
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (size, kind, name) = (fields.next()?, fields.next()?, fields.next()?);
            let size = u32::from_str_radix(size, 16).ok()?;
            matches!(kind, "b" | "d" | "B" | "D").then_some((size, name))
        })
        .collect();
    let of = |entry: &&str| {
        let function = format!("{}{entry}E", entry.len());
        let own = |name: &str| name.starts_with("_ZZ") && name.contains(&function);
        let own = sizes.iter().filter(|(_, name)| own(name));
        let bytes: u32 = own.map(|(size, _)| size).sum();
        if bytes > STATIC_SHARED {
            return Err(CudaError::Kernel {
                kernel: source.name.into(),
                message: format!(
                    "{entry} has {bytes} bytes of static shared memory, more than {STATIC_SHARED}"
                ),
            });
        }
        Ok(bytes)
    };
    source.entries.iter().map(of).collect()
}

/// The unit with what the runtime and [`library`](super::library) need of it.
fn wrapper(source: &Source, file: &str) -> String {
    let mut text = String::from("#define FFCM_SHIM 1\n#include \"shim.hpp\"\n");
    for (name, value) in source.defines {
        let _ = writeln!(text, "#define {name} {value}");
    }
    let _ = writeln!(text, "#include \"{file}\"");
    text.push_str(
        "#define FFCM_EXPORT extern \"C\" __attribute__((visibility(\"default\")))\n\
         static thread_local unsigned char ffcm_anchor;\n\
         FFCM_EXPORT void ffcm_bind(const ffcm_shim::Runtime* table) { ffcm_shim::runtime = table; }\n\
         FFCM_EXPORT void* ffcm_touch() { return &ffcm_anchor; }\n",
    );
    for entry in source.entries {
        let bound = launch_bound(source.text, entry).unwrap_or("ffcm_shim::MAX_THREADS");
        let _ = writeln!(
            text,
            "FFCM_EXPORT const ffcm_shim::Entry ffcm_entry_{entry} =\n    \
             ffcm_shim::Kernel<&{entry}, decltype(&{entry})>::entry({bound});"
        );
    }
    text
}

/// The most threads of a block that the kernel is declared for.
fn launch_bound<'a>(text: &'a str, entry: &str) -> Option<&'a str> {
    const MARK: &str = "__launch_bounds__(";
    let declared = |(at, _): (usize, &str)| {
        let head = &text[..at];
        let head = &head[head.rfind("__global__")?..];
        let before = head.chars().next_back().is_some_and(char::is_whitespace);
        let after = text[at + entry.len()..].trim_start().starts_with('(');
        // Nothing between may end the declaration: else the name is one in the body of another, or in a comment.
        let same = !head.contains(['{', '}', ';']) && !head.contains("//");
        (before && after && same).then_some(head)
    };
    let head = text.match_indices(entry).find_map(declared)?;
    let bound = &head[head.find(MARK)? + MARK.len()..];
    Some(bound[..bound.rfind(')')?].split(',').next()?.trim())
}
