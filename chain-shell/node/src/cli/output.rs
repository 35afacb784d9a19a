//! What commands print, and where.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ffcm::coprocessor::DeviceInfo;
use ffcm::focus::MASS;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use super::failure::Failure;

/// How long work goes on before a spinner appears.
const SPINNER_AFTER: Duration = Duration::from_secs(1);

/// Logs to stderr; the environment variable `FOCUS_LOG` says what, warnings by default.
pub(crate) fn start_log() {
    let filter = EnvFilter::try_from_env("FOCUS_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}

/// Writes `text` to stdout.
pub(crate) fn print(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|e| Failure::stdout(&e))
}

/// Writes one JSON value to stdout.
pub(crate) fn print_json(value: &Value) -> Result<(), Failure> {
    print(format_args!("{value:#}\n"))
}

/// Reads a text of at most `limit` bytes; `-` is stdin.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, Failure> {
    let name = &path.display();
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| Failure::file(name, e))?;
    if bytes.len() as u64 > limit {
        return Err(Failure::file(
            name,
            format_args!("longer than {limit} bytes"),
        ));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::file(name, format_args!("not UTF-8 at byte {at}"))
    })
}

/// Writes a file as a whole or not at all: a temporary file beside it takes its place at the end. A link is followed; a
/// pipe or device is written to as it is.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let fails = |e: io::Error| Failure::file(path.display(), format_args!("cannot write: {e}"));
    match std::fs::metadata(path) {
        Ok(old) if old.is_dir() => Err(fails(io::ErrorKind::IsADirectory.into())),
        Ok(old) if !old.is_file() => {
            let whole = || -> io::Result<()> {
                let mut out = BufWriter::new(File::options().write(true).open(path)?);
                write(&mut out)?;
                out.flush()
            };
            whole().map_err(fails)
        }
        // Replacing the file that a link leads to, not the link.
        Ok(_) => replace(&path.canonicalize().map_err(fails)?, write).map_err(fails),
        Err(_) => replace(path, write).map_err(fails),
    }
}

fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".focus-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Like any new file: the umask takes away what it takes away.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    {
        let mut buffered = BufWriter::new(file.as_file_mut());
        write(&mut buffered)?;
        buffered.flush()?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// `units` of 2^62 as a decimal fraction with `digits` digits, cut off, exact to the last one.
pub(crate) fn fraction(units: u64, digits: u32) -> String {
    let scale = 10u128.pow(digits.min(18));
    let scaled = u128::from(units) * scale / u128::from(MASS);
    let width = digits.min(18) as usize;
    format!("{}.{:0width$}", scaled / scale, scaled % scale)
}

/// `units` of 2^62 as a float, for display only.
pub(crate) fn share(units: u64) -> f64 {
    units as f64 / MASS as f64
}

/// Shows a spinner on a terminal while `work` runs longer than a second; `words` are asked for again and again.
pub(crate) fn spinning<T>(words: impl Fn() -> String + Send, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        // Dropping the sender, also by a panic in `work`, ends the watcher.
        let (running, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            let waiting = |time| ended.recv_timeout(time) == Err(mpsc::RecvTimeoutError::Timeout);
            if !waiting(SPINNER_AFTER) {
                return;
            }
            let spinner = ProgressBar::new_spinner().with_elapsed(SPINNER_AFTER);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
                spinner.set_style(style);
            }
            loop {
                spinner.set_message(words());
                spinner.tick();
                if !waiting(Duration::from_millis(100)) {
                    break;
                }
            }
            spinner.finish_and_clear();
        });
        let result = work();
        drop(running);
        result
    })
}

/// The device in words: the CPU with its threads, any other by name.
pub(crate) fn device_words(info: &DeviceInfo) -> String {
    match info.threads {
        0 => format!("{}, {}", info.backend, info.device),
        threads => format!("{}, {threads} threads", info.backend),
    }
}

/// 1234567 as `1 234 567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_exact() {
        assert_eq!(fraction(0, 3), "0.000");
        assert_eq!(fraction(MASS, 6), "1.000000");
        assert_eq!(fraction(MASS / 4, 6), "0.250000");
        assert_eq!(fraction(MASS - 1, 18), "0.999999999999999999");
        assert_eq!(fraction(1, 18), "0.000000000000000000");
    }

    #[test]
    fn groups() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1 000");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.tsv");
        write_whole(&path, |out| out.write_all(b"old")).unwrap();
        let failed = write_whole(&path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("disk"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn only_files_are_replaced() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        symlink("file", &link).unwrap();
        write_whole(&link, |out| out.write_all(b"new")).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"new");

        let device = folder.path().join("device");
        symlink("/dev/null", &device).unwrap();
        write_whole(&device, |out| out.write_all(b"gone")).unwrap();
        assert!(device.symlink_metadata().unwrap().is_symlink());
        let null = std::fs::metadata("/dev/null").unwrap().file_type();
        assert!(null.is_char_device());
        assert!(write_whole(folder.path(), |_| Ok(())).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
