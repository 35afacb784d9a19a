//! Runs the `focus` binary, and talks to it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The binary with arguments, nothing on stdin, and no GPU that it could choose.
pub fn focus(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_focus"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("VK_DRIVER_FILES", "/nowhere")
        .env("CUDA_VISIBLE_DEVICES", "")
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .env_remove("FOCUS_LOG");
    command
}

/// The binary with arguments and whatever adapters this machine has.
pub fn focus_with_adapters(arguments: &[&str]) -> Command {
    let mut command = focus(arguments);
    match std::env::var_os("VK_DRIVER_FILES") {
        Some(drivers) => command.env("VK_DRIVER_FILES", drivers),
        None => command.env_remove("VK_DRIVER_FILES"),
    };
    command
}

/// Runs to the end.
pub fn run(arguments: &[&str]) -> Output {
    focus(arguments).output().unwrap()
}

/// Runs to the end with `input` on stdin.
pub fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = focus(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The program may refuse before it has read everything.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// Stdout of a run that must succeed.
pub fn stdout(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Stdout of a run that must succeed, as JSON.
pub fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(arguments)).unwrap()
}

/// Checks that a run failed with `code`, one line on stderr that has `words`, and nothing on stdout.
pub fn assert_fails(output: &Output, code: i32, words: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|l| l.starts_with("focus: "))
        .collect();
    let [line] = lines[..] else {
        panic!("not one line: {stderr}");
    };
    assert!(line.contains(words), "{line:?} lacks {words:?}");
    assert!(line.len() < 1000, "{line:?}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

/// The state root that `focus up` printed last.
pub fn stopped_at(stdout: &str) -> (u64, String) {
    let line = stdout.lines().last().unwrap_or_default();
    let rest = line
        .strip_prefix("stopped at height ")
        .unwrap_or_else(|| panic!("{stdout}"));
    let (height, root) = rest.split_once(", state root ").unwrap();
    (height.parse().unwrap(), root.to_owned())
}

/// `path` as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A running `focus up`, killed on drop.
pub struct Node {
    pub child: Child,
    pub address: String,
    pub stdout: BufReader<ChildStdout>,
}

impl Node {
    /// Starts `focus up --rpc 0` with further arguments and waits until it serves.
    pub fn start(arguments: &[&str]) -> Node {
        let mut child = focus(&["up", "--rpc", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let address = loop {
            let start = seen.len();
            assert!(stderr.read_line(&mut seen).unwrap() > 0, "it ended: {seen}");
            if let Some(rest) = seen[start..].strip_prefix("page and API at http://") {
                break rest.trim().trim_end_matches('/').to_owned();
            }
        };
        // Keep the pipe drained, so that the node never waits for us.
        std::thread::spawn(move || {
            let mut rest = String::new();
            let _ = stderr.read_to_string(&mut rest);
        });
        Node {
            child,
            address,
            stdout,
        }
    }

    /// Reads stdout up to a line that has `words`.
    pub fn read_to(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(
                self.stdout.read_line(&mut line).unwrap() > 0,
                "no {words:?}"
            );
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Status and JSON body of a GET.
    pub fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.raw(&format!("GET {path} HTTP/1.1\r\n"), b"");
        let value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"));
        (status, value)
    }

    /// Status and text of a GET.
    pub fn get_text(&self, path: &str) -> (u16, String) {
        self.raw(&format!("GET {path} HTTP/1.1\r\n"), b"")
    }

    /// Status and JSON body of a POST.
    pub fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let head = format!("POST {path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
        let (status, answer) = self.raw(&head, body);
        (status, serde_json::from_str(&answer).unwrap())
    }

    fn raw(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut request = format!("{head}host: x\r\nconnection: close\r\n\r\n").into_bytes();
        request.extend_from_slice(body);
        let _ = stream.write_all(&request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_owned(),
        )
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
