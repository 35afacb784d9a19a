//! Answer over HTTP.
//!
//! The server knows a node only through [`NodeApi`]: plain values in and out, so that it compiles and is tested without a
//! chain. Node calls may block; they run on blocking threads, a bounded number at a time, so neither a slow node nor a
//! slow client stalls the other.
//!
//! | route | answer |
//! |---|---|
//! | `GET /` | the page: live blocks, π, Memory Arithmetic activity |
//! | `POST /tx` | `{tx:{…}}` in, `{ok, reason, txid}` out |
//! | `POST /txs` | `{txs:[{…}, …]}` in, `{answers:[{ok, reason, txid}, …]}` out, in the same order; at most [`MAX_TXS`] in [`MAX_TXS_BODY`] bytes |
//! | `GET /health` | version, identity, tip, mempool, counters, backend and its state, process |
//! | `GET /metrics` | Prometheus text |
//! | `GET /block/{height}` | header and transactions, 404 when absent |
//! | `GET /receipt/{txid}` | receipt, 404 when absent |
//! | `GET /pi?top=N` | heaviest particles, at most [`MAX_TOP`] |
//! | `GET /proof?key=K` | value and proof under the current state root |
//! | `GET /dashboard` | what the page shows, in one answer |
//! | `GET /events` | server-sent events, one JSON per block |
//!
//! Errors are JSON `{"error": "…"}` with a 4xx status for whatever a client can get wrong.

mod api;
mod error;
mod feed;
mod metrics;
mod page;
mod process;
mod routes;
mod server;

pub use api::{
    BlockSummary, CoprocessorHealth, Health, JitHealth, KeyProof, MemoryActivity, NodeApi,
    Particle, Stage, Submitted,
};
pub use error::ApiError;
pub use feed::Feed;
pub use metrics::Metrics;
pub use process::resident_bytes;
pub use routes::{MAX_BODY, MAX_TOP, MAX_TXS, MAX_TXS_BODY, router};
pub use server::{Limits, ServeError, Server};
