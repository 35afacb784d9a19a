//! Serves the page, hands it the host's orders and takes its answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::lock;

/// Orders are handed on when one waits for an answer or so many bytes have come together.
const BATCH: usize = 1 << 20;
/// How long the page is kept waiting for orders before it is told that there are none yet.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the largest answer that is taken.
const ANSWER: u64 = 1 << 28;

/// What the page says instead of an answer.
pub enum Failure {
    /// The order failed; the page goes on.
    Order(String),
    /// The page has failed.
    Page(String),
}

/// Bytes read, or text.
type Message = Result<Vec<u8>, Failure>;

#[derive(Default)]
struct Queue {
    orders: Vec<String>,
    bytes: usize,
    flushed: bool,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// The server; it ends when dropped.
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    answers: Mutex<Receiver<Message>>,
}

impl Server {
    /// Listens on a free port of this machine.
    pub fn start() -> io::Result<Server> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (sender, receiver) = mpsc::channel();
        let for_clients = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if lock(&for_clients.queue).closed {
                    break;
                }
                let (shared, sender) = (Arc::clone(&for_clients), sender.clone());
                // A browser that hangs up early is none of the test's business: it misses the answer.
                std::thread::spawn(move || serve(client, &shared, &sender));
            }
        });
        Ok(Server {
            shared,
            address,
            answers: Mutex::new(receiver),
        })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Adds an order.
    pub fn push(&self, order: String) {
        let mut queue = lock(&self.shared.queue);
        queue.bytes += order.len();
        queue.orders.push(order);
        if queue.bytes > BATCH {
            queue.flushed = true;
            self.shared.changed.notify_all();
        }
    }

    /// Hands on the orders so far.
    pub fn flush(&self) {
        lock(&self.shared.queue).flushed = true;
        self.shared.changed.notify_all();
    }

    /// The page's next answer, if it comes in time.
    pub fn answer(&self, patience: Duration) -> Option<Message> {
        lock(&self.answers).recv_timeout(patience).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        lock(&self.shared.queue).closed = true;
        self.shared.changed.notify_all();
        // Wakes the listener; if it cannot be reached it is gone.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    /// Takes the orders once they are to be handed on.
    fn take(&self) -> String {
        let queue = lock(&self.queue);
        let waits =
            |queue: &mut Queue| !queue.closed && (!queue.flushed || queue.orders.is_empty());
        let (mut queue, _) = self
            .changed
            .wait_timeout_while(queue, PATIENCE, waits)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        queue.flushed = false;
        queue.bytes = 0;
        format!("[{}]", std::mem::take(&mut queue.orders).join(","))
    }
}

fn serve(mut client: TcpStream, shared: &Shared, sender: &Sender<Message>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let request = (
        words.next().unwrap_or(""),
        words.next().unwrap_or("").to_owned(),
    );
    let length = content_length(&mut reader)?;
    if length > ANSWER {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    let text = |body: Vec<u8>| String::from_utf8_lossy(&body).into_owned();
    let (kind, content) = match (request.0, &request.1[..]) {
        ("GET", "/") => ("text/html", include_str!("page.html").to_owned()),
        ("GET", "/page.js") => ("text/javascript", include_str!("page.js").to_owned()),
        ("GET", "/orders") => ("application/json", shared.take()),
        ("POST", "/answer") => ("application/json", exchange(shared, sender, Ok(body))),
        ("POST", "/failed") => {
            let failure = Failure::Order(text(body));
            ("application/json", exchange(shared, sender, Err(failure)))
        }
        ("POST", "/fault") => {
            let failure = Failure::Page(text(body));
            ("application/json", exchange(shared, sender, Err(failure)))
        }
        _ => {
            return write!(
                client,
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
        }
    };
    respond(&mut client, kind, &content)
}

/// Gives the host what the page says, and the page the host's next orders.
fn exchange(shared: &Shared, sender: &Sender<Message>, message: Message) -> String {
    // The host may have given up.
    let _ = sender.send(message);
    shared.take()
}

fn respond(client: &mut TcpStream, kind: &str, content: &str) -> io::Result<()> {
    let length = content.len();
    write!(
        client,
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    client.write_all(content.as_bytes())
}

/// Reads the headers; the length of the body that follows.
fn content_length(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut length = 0;
    for line in reader.lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    Ok(length)
}
