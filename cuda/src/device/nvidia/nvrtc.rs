//! NVIDIA's run-time compiler, opened when asked for. The only file that calls it.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use libloading::Library;

use crate::device::CudaError;

/// Names the compiler's library file. Nothing else is tried then.
pub const NVRTC_VARIABLE: &str = "FFCM_NVRTC";

/// `nvrtcGetErrorString` says nothing about a failed compilation; its log does.
const NVRTC_ERROR_COMPILATION: c_int = 6;

type Program = *mut c_void;
type Status = c_int;

/// The functions used, as <https://docs.nvidia.com/cuda/nvrtc/> declares them. Results are whole
/// numbers here, so that one that this code does not know is no undefined behaviour.
struct Functions {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> Status,
    architecture_count: unsafe extern "C" fn(*mut c_int) -> Status,
    architectures: unsafe extern "C" fn(*mut c_int) -> Status,
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> Status,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> Status,
    destroy: unsafe extern "C" fn(*mut Program) -> Status,
    log_size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    log: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    ptx_size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    ptx: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    cubin_size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    cubin: unsafe extern "C" fn(Program, *mut c_char) -> Status,
    error_string: unsafe extern "C" fn(Status) -> *const c_char,
}

type Size = unsafe extern "C" fn(Program, *mut usize) -> Status;
type Bytes = unsafe extern "C" fn(Program, *mut c_char) -> Status;

/// What is compiled for. A number is a compute capability: 75 is 7.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Code of this architecture, which no other runs.
    Cubin(u32),
    /// Assembly that the driver translates, for this architecture and newer ones.
    Ptx(u32),
}

impl Target {
    /// As the compiler names it.
    pub fn architecture(self) -> String {
        match self {
            Target::Cubin(capability) => format!("sm_{capability}"),
            Target::Ptx(capability) => format!("compute_{capability}"),
        }
    }
}

/// What a compilation gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// For the driver. PTX ends with a zero byte.
    pub image: Vec<u8>,
    /// What the compiler said: warnings, and the resources of each kernel if asked for.
    pub log: String,
}

/// The text of a program with all that it includes.
pub(super) struct Text<'a> {
    /// Stands for the file's name in messages.
    pub name: &'a str,
    pub text: &'a str,
    /// Name and text of each header.
    pub headers: &'a [(&'static str, &'static str)],
}

/// An open compiler.
pub struct Nvrtc {
    functions: Functions,
    version: (u32, u32),
    architectures: Vec<u32>,
    path: PathBuf,
    // Behind the functions: dropped after them.
    _libraries: Vec<Library>,
}

impl std::fmt::Debug for Nvrtc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Nvrtc");
        debug.field("path", &self.path);
        debug
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Nvrtc {
    /// Opens the compiler that the variable `FFCM_NVRTC` names, else the first of those where the
    /// loader, `CUDA_HOME`, `CUDA_PATH` and `/usr/local/cuda*` have one.
    ///
    /// # Errors
    /// [`CudaError::NoCompiler`] with where it was looked for.
    pub fn find() -> Result<Nvrtc, CudaError> {
        Nvrtc::find_for(u32::MAX)
    }

    /// Like [`find`](Nvrtc::find), for a driver of this major version: binaries of a compiler of a
    /// newer one are in a format that the driver does not read, so such a compiler is the last
    /// resort. The variable is obeyed all the same.
    ///
    /// # Errors
    /// As there.
    pub fn find_for(driver: u32) -> Result<Nvrtc, CudaError> {
        let no_compiler = |message: String| CudaError::NoCompiler { message };
        if let Some(path) = std::env::var_os(NVRTC_VARIABLE).filter(|path| !path.is_empty()) {
            return Nvrtc::open(Path::new(&path))
                .map_err(|reason| no_compiler(format!("{NVRTC_VARIABLE}: {reason}")));
        }
        let mut unfit = Vec::new();
        let mut newer = None;
        for path in candidates() {
            // A name without a folder is the loader's to find, and the usual reason why it does not
            // open is that it is not there.
            let named = path.components().count() == 1;
            match Nvrtc::open(&path) {
                Ok(found) if found.version.0 <= driver => return Ok(found),
                Ok(found) => newer = newer.or(Some(found)),
                Err(reason) if !named => unfit.push(reason),
                Err(_) => {}
            }
        }
        if let Some(newer) = newer {
            return Ok(newer);
        }
        let mut message = format!(
            "no libnvrtc.so among the system's libraries, in CUDA_HOME, CUDA_PATH or /usr/local/cuda*; install it (on PyPI it is \
            nvidia-cuda-nvrtc) or let {NVRTC_VARIABLE} name it"
        );
        for reason in unfit {
            message.push_str("; ");
            message.push_str(&reason);
        }
        Err(no_compiler(message))
    }

    /// Opens the library at a path, or the one that the loader finds by that name.
    pub fn open(path: &Path) -> Result<Nvrtc, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let mut libraries = Vec::new();
        let not_opened = |error: libloading::Error| failed(&because(&error));
        for part in builtins_beside(path) {
            // SAFETY: a library of NVIDIA's compiler, which does nothing when loaded. It has to be
            // loaded first: the compiler looks for it by name where the loader searches, which may
            // not be the compiler's own folder.
            libraries.push(unsafe { Library::new(&part) }.map_err(not_opened)?);
        }
        // SAFETY: the library of NVIDIA's compiler does nothing when loaded.
        let library = unsafe { Library::new(path) }.map_err(not_opened)?;
        let functions = functions(&library).map_err(not_opened)?;
        libraries.insert(0, library);
        let (mut major, mut minor, mut count) = (0, 0, 0);
        // SAFETY: the pointers are valid for the call.
        let status = unsafe { (functions.version)(&mut major, &mut minor) };
        check(&functions, status).map_err(|error| failed(&error))?;
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (functions.architecture_count)(&mut count) };
        check(&functions, status).map_err(|error| failed(&error))?;
        let mut architectures = vec![0; usize::try_from(count).unwrap_or(0)];
        debug_assert!(architectures.len() as i128 == i128::from(count));
        // SAFETY: it writes as many numbers as it said before, for which there is room.
        let status = unsafe { (functions.architectures)(architectures.as_mut_ptr()) };
        check(&functions, status).map_err(|error| failed(&error))?;
        let known = |architecture: c_int| u32::try_from(architecture).ok();
        Ok(Nvrtc {
            functions,
            version: (known(major).unwrap_or(0), known(minor).unwrap_or(0)),
            architectures: architectures.into_iter().filter_map(known).collect(),
            path: path.into(),
            _libraries: libraries,
        })
    }

    /// Major and minor version: that of the toolkit it belongs to.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// The compute capabilities that it compiles for, smallest first.
    pub fn architectures(&self) -> &[u32] {
        &self.architectures
    }

    /// Where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Compiles. The error is the compiler's log.
    pub(super) fn compile(
        &self,
        text: &Text<'_>,
        target: Target,
        options: &[String],
    ) -> Result<Compiled, String> {
        let program = OpenProgram::create(&self.functions, text)?;
        let options = options
            .iter()
            .map(|option| c_string(option))
            .collect::<Result<Vec<_>, _>>()?;
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let count = c_int::try_from(pointers.len()).map_err(|error| error.to_string())?;
        debug_assert!(!program.program.is_null());
        // SAFETY: the program is open, the options are zero-terminated and outlive the call.
        let status = unsafe { (self.functions.compile)(program.program, count, pointers.as_ptr()) };
        let log = program.bytes(self.functions.log_size, self.functions.log)?;
        let log = String::from_utf8_lossy(&log);
        let log = log.trim_end_matches('\0').trim_end().to_string();
        if status == NVRTC_ERROR_COMPILATION {
            return Err(log);
        }
        check(&self.functions, status).map_err(|error| format!("{error}: {log}"))?;
        let image = match target {
            Target::Cubin(_) => program.bytes(self.functions.cubin_size, self.functions.cubin)?,
            Target::Ptx(_) => program.bytes(self.functions.ptx_size, self.functions.ptx)?,
        };
        if image.is_empty() {
            return Err(format!("the compiler gave nothing: {log}"));
        }
        Ok(Compiled { image, log })
    }
}

/// A program of the compiler, destroyed when dropped.
struct OpenProgram<'a> {
    functions: &'a Functions,
    program: Program,
}

impl OpenProgram<'_> {
    fn create<'a>(functions: &'a Functions, text: &Text<'_>) -> Result<OpenProgram<'a>, String> {
        let name = c_string(&format!("{}.cu", text.name))?;
        let source = c_string(text.text)?;
        let mut owned = Vec::new();
        for (name, header) in text.headers {
            owned.push((c_string(name)?, c_string(header)?));
        }
        let names: Vec<*const c_char> = owned.iter().map(|(name, _)| name.as_ptr()).collect();
        let texts: Vec<*const c_char> = owned.iter().map(|(_, text)| text.as_ptr()).collect();
        let count = c_int::try_from(owned.len()).map_err(|error| error.to_string())?;
        let mut program = std::ptr::null_mut();
        debug_assert_eq!(names.len(), texts.len());
        // SAFETY: all strings are zero-terminated and outlive the call, which copies them; both
        // lists have `count` entries.
        let status = unsafe {
            (functions.create)(
                &mut program,
                source.as_ptr(),
                name.as_ptr(),
                count,
                texts.as_ptr(),
                names.as_ptr(),
            )
        };
        check(functions, status)?;
        Ok(OpenProgram { functions, program })
    }

    fn bytes(&self, size: Size, bytes: Bytes) -> Result<Vec<u8>, String> {
        let mut length = 0;
        debug_assert!(!self.program.is_null());
        // SAFETY: the program is open, and the pointer is valid for the call.
        check(self.functions, unsafe { size(self.program, &mut length) })?;
        let mut data = vec![0_u8; length];
        if length > 0 {
            // SAFETY: the program is open, and there is room for the length that it said.
            let status = unsafe { bytes(self.program, data.as_mut_ptr().cast()) };
            check(self.functions, status)?;
        }
        Ok(data)
    }
}

impl Drop for OpenProgram<'_> {
    fn drop(&mut self) {
        debug_assert!(!self.program.is_null());
        // SAFETY: the program is open, and nobody else has it.
        let status = unsafe { (self.functions.destroy)(&mut self.program) };
        if let Err(error) = check(self.functions, status) {
            tracing::warn!(%error, "NVRTC does not let go of a program");
        }
    }
}

/// An error with what is behind it: the loader's own words.
fn because(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", because(source)),
        None => error.to_string(),
    }
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|error| error.to_string())
}

fn check(functions: &Functions, status: Status) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: any number may be asked for.
    let text = unsafe { (functions.error_string)(status) };
    if text.is_null() {
        return Err(format!("NVRTC error {status}"));
    }
    // SAFETY: it answers with zero-terminated static text.
    Err(unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned())
}

fn functions(library: &Library) -> Result<Functions, libloading::Error> {
    // SAFETY: the types are those of NVIDIA's declarations, unchanged since the first version that
    // had the functions.
    unsafe {
        Ok(Functions {
            version: *library.get(b"nvrtcVersion\0")?,
            architecture_count: *library.get(b"nvrtcGetNumSupportedArchs\0")?,
            architectures: *library.get(b"nvrtcGetSupportedArchs\0")?,
            create: *library.get(b"nvrtcCreateProgram\0")?,
            compile: *library.get(b"nvrtcCompileProgram\0")?,
            destroy: *library.get(b"nvrtcDestroyProgram\0")?,
            log_size: *library.get(b"nvrtcGetProgramLogSize\0")?,
            log: *library.get(b"nvrtcGetProgramLog\0")?,
            ptx_size: *library.get(b"nvrtcGetPTXSize\0")?,
            ptx: *library.get(b"nvrtcGetPTX\0")?,
            cubin_size: *library.get(b"nvrtcGetCUBINSize\0")?,
            cubin: *library.get(b"nvrtcGetCUBIN\0")?,
            error_string: *library.get(b"nvrtcGetErrorString\0")?,
        })
    }
}

/// The second library of the compiler in the folder of the first, if a folder is known.
fn builtins_beside(path: &Path) -> Vec<PathBuf> {
    let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Vec::new();
    };
    let is_one = |name: &str| {
        (name.contains("nvrtc-builtins.so") && !name.contains(".alt."))
            || (name.starts_with("nvrtc-builtins") && name.ends_with(".dll"))
    };
    files(folder, is_one)
}

/// Paths in a folder whose names fit, in the order of their names, the last first: newer versions
/// come before older.
fn files(folder: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| fits(name))
        .collect();
    names.sort_by(|a, b| b.cmp(a));
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// Where a compiler may lie: names for the loader, then files that exist.
fn candidates() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = cudarc::get_lib_name_candidates("nvrtc")
        .into_iter()
        .map(PathBuf::from)
        .collect();
    let mut roots: Vec<PathBuf> = ["CUDA_HOME", "CUDA_PATH"]
        .iter()
        .filter_map(std::env::var_os)
        .filter(|root| !root.is_empty())
        .map(PathBuf::from)
        .collect();
    if cfg!(unix) {
        let is_toolkit = |name: &str| name == "cuda" || name.starts_with("cuda-");
        roots.extend(files(Path::new("/usr/local"), is_toolkit));
    }
    paths.extend(roots.iter().flat_map(|root| libraries_under(root)));
    paths
}

/// The compiler's libraries in a toolkit's folder.
fn libraries_under(root: &Path) -> Vec<PathBuf> {
    let is_one = |name: &str| {
        let unix = name == "libnvrtc.so" || name.starts_with("libnvrtc.so.");
        let windows = name.starts_with("nvrtc64_") && name.ends_with(".dll");
        (unix || windows) && !name.contains(".alt.")
    };
    ["lib64", "lib", "bin", "bin/x64"]
        .iter()
        .flat_map(|folder| files(&root.join(folder), is_one))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_a_toolkit_are_found_newest_first_and_their_second_parts_beside_them() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("lib64");
        std::fs::create_dir(&folder).unwrap();
        for name in [
            "libnvrtc.so.12",
            "libnvrtc.so.13",
            "libnvrtc.alt.so.13",
            "libnvrtc-builtins.so.13.0",
            "libnvrtc-builtins.alt.so.13.0",
            "libcudart.so.13",
        ] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let found = libraries_under(root.path());
        assert_eq!(
            found,
            ["libnvrtc.so.13", "libnvrtc.so.12"].map(|name| folder.join(name))
        );
        let builtins = builtins_beside(&found[0]);
        assert_eq!(builtins, [folder.join("libnvrtc-builtins.so.13.0")]);
        assert!(builtins_beside(Path::new("libnvrtc.so")).is_empty());
        assert!(libraries_under(Path::new("/no/such")).is_empty());
    }

    #[test]
    fn a_compiler_that_is_too_new_is_better_than_none() {
        let version = |found: Result<Nvrtc, CudaError>| found.map(|found| found.version());
        assert_eq!(version(Nvrtc::find_for(1)), version(Nvrtc::find()));
    }

    #[test]
    fn what_is_no_compiler_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libnvrtc.so");
        std::fs::write(&path, "not a library").unwrap();
        let error = Nvrtc::open(&path).unwrap_err();
        assert!(error.contains("libnvrtc.so"), "{error}");
        // What the loader says, whatever its words are.
        assert!(error.matches(": ").count() >= 2, "{error}");
        assert!(Nvrtc::open(&folder.path().join("absent.so")).is_err());
    }

    #[test]
    fn targets_have_the_names_of_the_compiler() {
        assert_eq!(Target::Cubin(90).architecture(), "sm_90");
        assert_eq!(Target::Ptx(75).architecture(), "compute_75");
    }
}
