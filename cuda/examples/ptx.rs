//! The assembly of the kernels that comes with the crate.
//!
//! `ptx find` says which compiler there is, as `NVRTC 13.0 at PATH`, and fails if there is none.
//! `ptx write` renders every file; without a compiler of the right version it says whether the
//! files are fresh, and fails if one is not. `cargo xtask` runs both.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use ffcm_cuda::device::compile::Nvrtc;
use ffcm_cuda::device::ptx;
use ffcm_cuda::kernels;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["find"] => Nvrtc::find().map(|nvrtc| describe(&nvrtc)),
        ["write"] => return report(write()),
        _ => {
            eprintln!("Usage: ptx find|write");
            return ExitCode::from(2);
        }
    };
    report(result.map_err(|error| error.to_string()))
}

fn report(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn describe(nvrtc: &Nvrtc) -> String {
    let (major, minor) = nvrtc.version();
    format!("NVRTC {major}.{minor} at {}", nvrtc.path().display())
}

fn write() -> Result<String, String> {
    let (major, minor) = ptx::NVRTC_VERSION;
    let reason = match Nvrtc::find() {
        Ok(nvrtc) if nvrtc.version() == ptx::NVRTC_VERSION => return render(&nvrtc),
        Ok(nvrtc) => format!(
            "rendered with NVRTC {major}.{minor}, there is {}",
            describe(&nvrtc)
        ),
        Err(error) => error.to_string(),
    };
    let sources = kernels::all();
    for source in &sources {
        ptx::shipped(source)
            .map_err(|error| format!("{error}; it cannot be rendered: {reason}"))?;
    }
    Ok(format!(
        "{} files of PTX are fresh; they were not rendered anew: {reason}",
        sources.len()
    ))
}

fn render(nvrtc: &Nvrtc) -> Result<String, String> {
    let sources = kernels::all();
    // Everything is rendered before anything is written.
    let mut files = Vec::new();
    for source in &sources {
        let text = ptx::render(nvrtc, source).map_err(|error| error.to_string())?;
        files.push((format!("{}.ptx", ptx::stem(source)), text));
    }
    let generated = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels/generated");
    let folder = generated.join("ptx");
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    for (name, text) in &files {
        fs::write(folder.join(name), text).map_err(failed)?;
    }
    fs::write(generated.join("ptx.rs"), ptx::render_table(&sources)).map_err(failed)?;
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path: PathBuf = entry.map_err(failed)?.path();
        let known = |name: &str| files.iter().any(|(own, _)| own == name);
        if !path
            .file_name()
            .is_some_and(|name| name.to_str().is_some_and(known))
        {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(format!(
        "wrote {} files of PTX with {}",
        files.len(),
        describe(nvrtc)
    ))
}
