//! A driver of CUDA without a device, and processes in which it is the one that is found.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use libloading::Library;

const SOURCE: &str = include_str!("cuda.cpp");

/// Set in a process that has the driver.
const CHILD: &str = "FFCM_TEST_DRIVER";

/// How a test wants its driver.
#[derive(Clone, Copy, Default)]
pub struct Setup {
    /// Macros: functions that are left out.
    pub without: &'static [&'static str],
    /// What the driver reads.
    pub variables: &'static [(&'static str, &'static str)],
}

/// Runs `body` in a process of its own that finds the driver. `name` is the test's.
pub fn with_driver(name: &str, setup: Setup, body: impl FnOnce(&Fake)) {
    if std::env::var_os(CHILD).is_some() {
        return body(&Fake::open());
    }
    let folder = build(setup.without);
    let cache = tempfile::tempdir().expect("a folder");
    let mut paths = vec![folder];
    if let Some(others) = std::env::var_os("LD_LIBRARY_PATH") {
        paths.extend(std::env::split_paths(&others));
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .env("XDG_CACHE_HOME", cache.path())
        .env(
            "LD_LIBRARY_PATH",
            std::env::join_paths(paths).expect("paths"),
        )
        .envs(setup.variables.iter().copied())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    print!("{said}");
    assert!(
        output.status.success(),
        "{}\n{said}\n{errors}",
        output.status
    );
    assert!(said.contains("test result: ok. 1 passed"), "{said}");
}

/// Compiles the driver without some functions, once in a process. The folder it lies in.
fn build(without: &'static [&'static str]) -> PathBuf {
    static BUILT: Mutex<BTreeMap<&[&str], PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(folder) = built.get(without) {
        return folder.clone();
    }
    let variant = format!("driver-{}", without.join("-").to_lowercase());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(variant);
    std::fs::create_dir_all(&folder).expect("a folder");
    // Another process may put the same file in its place meanwhile.
    let unfinished = tempfile::tempdir_in(&folder).expect("a folder");
    let source = unfinished.path().join("cuda.cpp");
    std::fs::write(&source, SOURCE).expect("a file");
    let library = unfinished.path().join("libcuda.so");
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let status = Command::new(compiler)
        .args(["-std=c++17", "-fPIC", "-shared", "-o"])
        .arg(&library)
        .arg(&source)
        .args(without.iter().map(|name| format!("-D{name}")))
        .status()
        .expect("a C++ compiler");
    assert!(status.success(), "the driver compiles");
    std::fs::rename(&library, folder.join("libcuda.so")).expect("a file");
    built.insert(without, folder.clone());
    folder
}

/// Runs a kernel: its name, the assembly it is from, blocks, threads of a block, bytes of dynamic shared memory, whether it is cooperative, its
/// arguments and their number. Gives 0 if it ended well.
pub type Runner = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    u32,
    u32,
    u32,
    c_int,
    *const u64,
    usize,
) -> c_int;

/// The driver, for what only tests ask of it.
pub struct Fake(Library);

impl Fake {
    fn open() -> Fake {
        // SAFETY: the library of this folder's source, which does nothing when loaded.
        Fake(unsafe { Library::new("libcuda.so") }.expect("the driver is found"))
    }

    fn text(&self, name: &[u8]) -> String {
        // SAFETY: the type is that of the source.
        let call = unsafe { self.0.get::<unsafe extern "C" fn() -> *const c_char>(name) };
        let call = call.expect("a function of the driver");
        // SAFETY: it gives zero-terminated text that stays until the next call, and tests call it
        // from one thread.
        unsafe { CStr::from_ptr(call()) }
            .to_string_lossy()
            .into_owned()
    }

    /// The calls since the last time.
    pub fn calls(&self) -> Vec<String> {
        let text = self.text(b"fake_calls\0");
        text.lines().map(String::from).collect()
    }

    /// What has been taken and not given back, in words.
    pub fn live(&self) -> String {
        self.text(b"fake_live\0").trim().into()
    }

    /// Lets `run` run kernels from now on, whatever they are called.
    pub fn run_kernels(&self, run: Runner) {
        type Take = unsafe extern "C" fn(Runner);
        // SAFETY: the type is that of the source.
        let take = unsafe { self.0.get::<Take>(b"fake_run_kernels\0") };
        // SAFETY: it keeps the function, which is there as long as this program.
        unsafe { take.expect("a function of the driver")(run) }
    }

    /// Lets a call fail, after so many that do not.
    pub fn fail(&self, call: &str, after: usize, status: c_int) {
        type Fail = unsafe extern "C" fn(*const c_char, c_int, c_int);
        let call = CString::new(call).expect("a name");
        let after = c_int::try_from(after).expect("a small number");
        // SAFETY: the type is that of the source.
        let fail = unsafe { self.0.get::<Fail>(b"fake_fail\0") }.expect("a function of the driver");
        // SAFETY: the name is zero-terminated and copied.
        unsafe { fail(call.as_ptr(), after, status) }
    }
}
