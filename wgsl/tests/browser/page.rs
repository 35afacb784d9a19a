//! A browser that is somebody else's device: a headless one with a page that does on its WebGPU what the host orders.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ffcm_wgsl::device::{Binding, GpuError, Order, Remote, RemoteCommand, Source};
use serde_json::{Value, json};

use crate::lock;
use crate::process::Process;
use crate::server::{self, Server};

/// How long a page may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// If set, no browser is started: the test waits for somebody to open the page it names (`-- --nocapture` shows it), on
/// whatever GPU that browser has.
const BY_HAND: &str = "FFCM_BROWSER_BY_HAND";

/// A browser with an open device.
pub struct Browser {
    server: Server,
    /// `None` if somebody opened the page by hand.
    process: Option<Process>,
    /// What the browser calls its adapter.
    pub adapter: String,
    messages: Mutex<Vec<String>>,
    /// An error of the page's own; nothing works after it.
    fault: Mutex<Option<String>>,
}

impl Browser {
    /// Starts a browser and waits until its page has a device.
    pub fn start() -> Arc<Browser> {
        let server = Server::start().unwrap();
        let url = server.url();
        let by_hand = std::env::var_os(BY_HAND).is_some();
        let process = if by_hand {
            eprintln!("open {url} in a browser with WebGPU");
            None
        } else {
            Some(Process::start(&url))
        };
        let mut browser = Browser {
            server,
            process,
            adapter: String::new(),
            messages: Mutex::default(),
            fault: Mutex::default(),
        };
        browser.adapter = match browser.answer(if by_hand { 10 * PATIENCE } else { PATIENCE }) {
            Ok(body) => String::from_utf8(body).unwrap(),
            Err(error) => panic!("{error}"),
        };
        Arc::new(browser)
    }

    /// SHA-256, as the page computes it, of parts of buffers: label of the newest one so called, first word, words.
    pub fn digest(&self, parts: &[(&str, u64, u64)]) -> String {
        self.tell(&json!({ "op": "digest", "parts": parts }));
        String::from_utf8(self.answer(PATIENCE).unwrap()).unwrap()
    }

    /// What a reader sees on the page.
    pub fn text(&self) -> String {
        self.tell(&json!({ "op": "text" }));
        String::from_utf8(self.answer(PATIENCE).unwrap()).unwrap()
    }

    /// Words of the newest buffer so called.
    pub fn words(&self, label: &str, start: u64, words: u64) -> Vec<u32> {
        self.tell(&json!({ "op": "words", "parts": [(label, start, words)] }));
        to_words(&self.answer(PATIENCE).unwrap())
    }

    /// What the page's compiler has said about kernels that it took.
    pub fn messages(&self) -> Vec<String> {
        lock(&self.messages).clone()
    }

    /// Shows the digest of a result on the page, beside whether it is the one that is expected. It must be.
    pub fn show(&self, job: &str, found: &str, expected: &str) {
        self.tell(&json!({ "op": "result", "job": job, "found": found, "expected": expected }));
        self.server.flush();
        assert_eq!(found, expected, "{job}");
        println!("{job}: {found}");
    }

    /// Ends the browser; nothing of it is left.
    pub fn stop(self: Arc<Browser>) -> io::Result<()> {
        self.tell(&json!({ "op": "end" }));
        self.server.flush();
        let browser = Arc::into_inner(self).expect("the device was dropped before its browser");
        match browser.process {
            Some(process) => process.stop(),
            None => Ok(()),
        }
    }

    fn tell(&self, order: &Value) {
        self.server.push(order.to_string());
    }

    /// The page's next answer.
    fn answer(&self, patience: Duration) -> Result<Vec<u8>, GpuError> {
        self.server.flush();
        let driver = |message: String| GpuError::Driver { message };
        if let Some(message) = lock(&self.fault).clone() {
            return Err(driver(message));
        }
        let error = match self.server.answer(patience) {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(server::Failure::Order(message))) => return Err(driver(message)),
            Some(Err(server::Failure::Page(message))) => message,
            None => format!("the page does not answer within {} s", patience.as_secs()),
        };
        let console = self
            .process
            .as_ref()
            .map_or(String::new(), Process::console);
        let message = format!("{error}\n--- the browser's output:\n{console}");
        *lock(&self.fault) = Some(message.clone());
        Err(driver(message))
    }

    fn compile(&self, id: u64, source: &Source) -> Result<(), GpuError> {
        let bindings: Vec<&str> = source.bindings.iter().map(binding_type).collect();
        self.tell(&json!({
            "op": "kernel",
            "id": id,
            "name": source.name,
            "text": source.text,
            "entry": source.entry,
            "bindings": bindings,
        }));
        let body = self.answer(PATIENCE).map_err(|error| match error {
            GpuError::Driver { message } => GpuError::Kernel {
                kernel: source.name,
                message,
            },
            other => other,
        })?;
        if !body.is_empty() {
            let said = String::from_utf8_lossy(&body);
            lock(&self.messages).push(format!("{}: {said}", source.name));
        }
        Ok(())
    }
}

impl Remote for Browser {
    fn order(&self, order: Order<'_>) -> Result<(), GpuError> {
        let order = match order {
            Order::Kernel { id, source } => return self.compile(id, source),
            Order::Buffer { id, label, words } => {
                json!({ "op": "buffer", "id": id, "label": label, "words": words })
            }
            Order::Upload { id, start, data } => {
                json!({ "op": "upload", "id": id, "start": start, "data": data })
            }
            Order::Bind { id, kernel, slices } => {
                json!({ "op": "bind", "id": id, "kernel": kernel, "slices": slices })
            }
            Order::Submit { label, commands } => {
                let commands: Vec<Value> = commands.iter().map(command).collect();
                json!({ "op": "submit", "label": label, "commands": commands })
            }
            Order::Drop { id } => json!({ "op": "drop", "id": id }),
        };
        self.tell(&order);
        Ok(())
    }

    fn read(&self, buffer: u64, start: u64, words: u64) -> Result<Vec<u32>, GpuError> {
        self.tell(&json!({ "op": "read", "id": buffer, "start": start, "words": words }));
        let body = self.answer(PATIENCE)?;
        if body.len() as u64 != words * 4 {
            let message = format!("{} bytes for {words} words", body.len());
            return Err(GpuError::Driver { message });
        }
        Ok(to_words(&body))
    }
}

fn to_words(bytes: &[u8]) -> Vec<u32> {
    let words = bytes.as_chunks::<4>().0.iter();
    words.map(|word| u32::from_le_bytes(*word)).collect()
}

fn binding_type(binding: &Binding) -> &'static str {
    match binding {
        Binding::Read => "read-only-storage",
        Binding::Write => "storage",
        Binding::Uniform => "uniform",
    }
}

fn command(command: &RemoteCommand) -> Value {
    match *command {
        RemoteCommand::Dispatch { bound, groups } => {
            json!({ "do": "dispatch", "bound": bound, "groups": groups })
        }
        RemoteCommand::Indirect {
            bound,
            buffer,
            word,
        } => json!({ "do": "indirect", "bound": bound, "buffer": buffer, "word": word }),
        RemoteCommand::Copy { from, to, words } => {
            json!({ "do": "copy", "from": from, "to": to, "words": words })
        }
        RemoteCommand::Clear {
            buffer,
            start,
            words,
        } => json!({ "do": "clear", "buffer": buffer, "start": start, "words": words }),
    }
}
