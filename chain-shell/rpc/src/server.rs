//! The listener: bounded connections, bounded headers, no patience for peers that do not read or write.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use crate::{Feed, Metrics, NodeApi, router};

/// Bounds on what clients may hold at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; more wait in the listen queue.
    pub connections: usize,
    /// Open event streams, below `connections` so that they cannot take them all.
    pub watchers: usize,
    /// Node calls at once.
    pub calls: usize,
    /// Bodies of `POST /txs` at once among them.
    pub batches: usize,
    /// Longest wait for a free node call.
    pub queue: Duration,
    /// Longest wait for a request's headers, and longest idle time between requests.
    pub headers: Duration,
    /// Longest wait for a request's body.
    pub body: Duration,
    /// Longest time a client may leave an answer unread.
    pub write: Duration,
    /// Longest life of an event stream, after which the client reconnects: places of vanished watchers come free.
    pub watch: Duration,
    /// How long open connections may finish at shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 256,
            watchers: 64,
            calls: 16,
            batches: 4,
            queue: Duration::from_secs(5),
            headers: Duration::from_secs(10),
            body: Duration::from_secs(10),
            write: Duration::from_secs(20),
            watch: Duration::from_secs(600),
            drain: Duration::from_secs(2),
        }
    }
}

/// Most bytes of one request's head.
const HEAD_BYTES: usize = 16 << 10;
/// Most headers of one request.
const HEAD_LINES: usize = 64;

/// Why the server does not serve.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another program listens there.
    #[error("port {port} is in use, choose another with --rpc PORT")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A bound listener, not yet serving.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on `address`; port 0 takes any free one.
    pub fn bind(address: SocketAddr) -> Result<Server, ServeError> {
        let listen = || -> io::Result<Server> {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Server { listener, address })
        };
        listen().map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::PortInUse {
                port: address.port(),
            },
            _ => ServeError::Listen { address, source },
        })
    }

    /// The address in use.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` becomes true (or its sender is gone), then lets open connections finish for a moment.
    pub async fn serve(
        self,
        node: Arc<dyn NodeApi>,
        feed: Arc<Feed>,
        metrics: Arc<Metrics>,
        limits: Limits,
        stop: watch::Receiver<bool>,
    ) -> Result<(), ServeError> {
        let address = self.address;
        let listener = tokio::net::TcpListener::from_std(self.listener)
            .map_err(|source| ServeError::Listen { address, source })?;
        let app = router(node, feed, metrics, limits, stop.clone());
        let slots = Arc::new(Semaphore::new(limits.connections));
        let mut connections = JoinSet::new();
        let mut stopping = stop.clone();
        loop {
            let accepted = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                () = stopped(&mut stopping) => break,
                Some(_) = connections.join_next() => continue,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((socket, _)) => {
                    let serving = connection(socket, app.clone(), limits, stop.clone());
                    connections.spawn(async move {
                        let _slot = slot;
                        serving.await;
                    });
                }
                Err(error) => {
                    // Out of file descriptors, or a peer that vanished: neither may spin or stop the server.
                    tracing::debug!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        drop(listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.drain, drained).await.is_err() {
            connections.shutdown().await;
        }
        Ok(())
    }
}

/// Returns once `stop` is true or its sender is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which ends the server as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(
    socket: TcpStream,
    app: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "connection");
        return;
    }
    let mut stream = TimeoutStream::new(socket);
    stream.set_write_timeout(Some(limits.write));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(
            TokioIo::new(Box::pin(stream)),
            TowerToHyperService::new(app),
        );
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection");
    }
}
