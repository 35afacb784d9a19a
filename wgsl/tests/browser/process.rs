//! The browser's process.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Its own process group and an own folder for everything it writes; both end with it.
pub struct Process {
    child: Child,
    folder: Option<TempDir>,
}

/// The browser, or a failure that says how to get it.
fn program() -> &'static str {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok())
        .expect("no headless browser: install the package `chromium` (apt-get install chromium)")
}

impl Process {
    /// Opens `url` with WebGPU on the browser's own software driver.
    pub fn start(url: &str) -> Process {
        let folder = tempfile::tempdir().unwrap();
        let console = File::create(folder.path().join("console")).unwrap();
        let child = Command::new(program())
            .args(["--headless=new", "--no-sandbox", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-sync", "--disable-component-update"])
            .args(["--disable-dev-shm-usage", "--disable-breakpad"])
            .args(["--enable-logging=stderr", "--enable-unsafe-webgpu"])
            .args([
                "--enable-features=Vulkan",
                "--use-webgpu-adapter=swiftshader",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            .arg(url)
            .env("HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .env("XDG_CACHE_HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .process_group(0)
            .spawn()
            .unwrap();
        Process {
            child,
            folder: Some(folder),
        }
    }

    /// What it has printed: the page's console and its own complaints, but for those about the desktop it has not got.
    pub fn console(&self) -> String {
        let folder = self.folder.as_ref().expect("there until it is stopped");
        let bytes = match std::fs::read(folder.path().join("console")) {
            Ok(bytes) => bytes,
            Err(error) => return error.to_string(),
        };
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter(|line| !line.contains("dbus"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Ends it. An error if a process or a file is left.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(folder) = self.folder.take() else {
            return Ok(());
        };
        signal_group(self.child.id(), "TERM")?;
        let ended = wait_for(Duration::from_secs(5), || {
            self.child.try_wait().is_ok_and(|s| s.is_some())
        });
        // What the browser started ends a little later, or not at all.
        let gone = || !uses(folder.path());
        if !ended || !wait_for(Duration::from_secs(5), gone) {
            signal_group(self.child.id(), "KILL")?;
            self.child.wait()?;
            if !wait_for(Duration::from_secs(5), gone) {
                return Err(io::Error::other(format!(
                    "{} is in use",
                    folder.path().display()
                )));
            }
        }
        folder.close()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the browser does not end: {error}");
        }
    }
}

/// Asks every few milliseconds until it is so or the time is over.
fn wait_for(time: Duration, mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    loop {
        if so() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A group that is gone is no error.
fn signal_group(leader: u32, name: &str) -> io::Result<()> {
    Command::new("kill")
        .args(["-s", name, "--", &format!("-{leader}")])
        .stderr(Stdio::null())
        .status()
        .map(|_| ())
}

/// Whether a process has this folder in its command line. Where processes are not listed as files, no.
fn uses(folder: &Path) -> bool {
    let needle = folder.as_os_str().as_encoded_bytes();
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| {
        std::fs::read(process.path().join("cmdline"))
            .is_ok_and(|line| line.windows(needle.len()).any(|part| part == needle))
    })
}
