//! The routes.

mod submit;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::middleware::map_response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{ApiError, Feed, Limits, Metrics, NodeApi, page};

pub use submit::{MAX_BODY, MAX_TXS, MAX_TXS_BODY};

/// Most particles one answer lists.
pub const MAX_TOP: usize = 1000;
/// Particles on the page.
const PAGE_TOP: usize = 20;

/// What every handler shares.
#[derive(Clone)]
struct Shared {
    node: Arc<dyn NodeApi>,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    limits: Limits,
    calls: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Shared {
    /// Runs a node call on a blocking thread, a bounded number at a time.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn NodeApi) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let waiting = timeout(self.limits.queue, Arc::clone(&self.calls).acquire_owned());
        let permit = match waiting.await {
            Ok(Ok(permit)) => permit,
            _ => return Err(ApiError::Busy("try again".to_owned())),
        };
        let node = Arc::clone(&self.node);
        let running = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(node.as_ref())
        });
        running
            .await
            .unwrap_or_else(|_| Err(ApiError::Internal("the request failed".to_owned())))
    }
}

/// All routes over `node`. Event streams end when `stop` becomes true.
pub fn router(
    node: Arc<dyn NodeApi>,
    feed: Arc<Feed>,
    metrics: Arc<Metrics>,
    limits: Limits,
    stop: watch::Receiver<bool>,
) -> Router {
    let shared = Shared {
        node,
        feed,
        metrics,
        limits,
        calls: Arc::new(Semaphore::new(limits.calls)),
        batches: Arc::new(Semaphore::new(limits.batches)),
        watchers: Arc::new(Semaphore::new(limits.watchers)),
        stop,
    };
    Router::new()
        .route("/", get(page::index))
        .route("/page.js", get(page::script))
        .route("/page.css", get(page::style))
        .route("/icon.svg", get(page::icon))
        .route("/tx", post(submit::one))
        .route("/txs", post(submit::many))
        .route("/health", get(health))
        .route("/metrics", get(metrics_text))
        .route("/block/{height}", get(block))
        .route("/receipt/{txid}", get(receipt))
        .route("/pi", get(pi))
        .route("/proof", get(proof))
        .route("/dashboard", get(dashboard))
        .route("/events", get(events))
        .fallback(async || ApiError::NotFound("no such route".to_owned()))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(map_response(harden))
        .with_state(shared)
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

async fn health(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let health = shared.call(|node| node.health()).await?;
    Ok(Json(health).into_response())
}

async fn metrics_text(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let health = shared.call(|node| node.health()).await?;
    shared.metrics.sample(&health);
    let text = shared
        .metrics
        .encode()
        .map_err(|e| ApiError::Internal(format!("metrics: {e}")))?;
    let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((headers, text).into_response())
}

async fn block(
    State(shared): State<Shared>,
    height: Result<Path<u64>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(height) = height.map_err(|e| ApiError::BadRequest(e.body_text()))?;
    match shared.call(move |node| node.block(height)).await? {
        Some(block) => Ok(Json(block).into_response()),
        None => Err(ApiError::NotFound(format!("no block at height {height}"))),
    }
}

async fn receipt(
    State(shared): State<Shared>,
    txid: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(text) = txid.map_err(|e| ApiError::BadRequest(e.body_text()))?;
    let txid = parse_hash(&text)
        .ok_or_else(|| ApiError::BadRequest("a txid is 64 hexadecimal digits".to_owned()))?;
    match shared.call(move |node| node.receipt(txid)).await? {
        Some(receipt) => Ok(Json(receipt).into_response()),
        None => Err(ApiError::NotFound(format!("no receipt for {text}"))),
    }
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(hash)
}

#[derive(Deserialize)]
struct TopQuery {
    top: Option<usize>,
}

async fn pi(
    State(shared): State<Shared>,
    query: Result<Query<TopQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|e| ApiError::BadRequest(e.body_text()))?;
    let top = query.top.unwrap_or(PAGE_TOP);
    if top > MAX_TOP {
        let message = format!("top={top}, the limit is {MAX_TOP}");
        return Err(ApiError::BadRequest(message));
    }
    let particles = shared.call(move |node| node.top(top)).await?;
    Ok(Json(json!({ "top": particles })).into_response())
}

#[derive(Deserialize)]
struct ProofQuery {
    key: String,
}

async fn proof(
    State(shared): State<Shared>,
    query: Result<Query<ProofQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|e| ApiError::BadRequest(e.body_text()))?;
    let proof = shared.call(move |node| node.prove(&query.key)).await?;
    Ok(Json(proof).into_response())
}

async fn dashboard(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let feed = Arc::clone(&shared.feed);
    let answer = shared
        .call(move |node| {
            Ok(json!({
                "health": node.health()?,
                "top": node.top(PAGE_TOP)?,
                "memory": node.memory_activity()?,
                "blocks": feed.recent().iter().map(|b| json!(**b)).collect::<Vec<_>>(),
            }))
        })
        .await?;
    Ok(Json(answer).into_response())
}

async fn events(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let Ok(permit) = Arc::clone(&shared.watchers).try_acquire_owned() else {
        return Err(ApiError::Busy("too many event streams".to_owned()));
    };
    let stream = event_stream(&shared, permit);
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(10));
    Ok(Sse::new(stream).keep_alive(keep_alive).into_response())
}

fn event_stream(
    shared: &Shared,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let end = Instant::now() + shared.limits.watch;
    let start = (shared.feed.subscribe(), shared.stop.clone(), permit);
    stream::unfold(start, move |(mut news, mut stop, permit)| async move {
        let block = tokio::select! {
            biased;
            // A dropped sender means the server is gone; both end the stream.
            _ = stop.wait_for(|stop| *stop) => return None,
            () = sleep_until(end) => return None,
            // A subscriber that lags too far is cut off and reconnects.
            block = news.recv() => block.ok()?,
        };
        let event = Event::default()
            .event("block")
            .id(block.height.to_string())
            .json_data(&*block)
            .ok()?;
        Some((Ok(event), (news, stop, permit)))
    })
}
