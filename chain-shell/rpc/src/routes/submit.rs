//! Offering transactions: `POST /tx` takes one, `POST /txs` many.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Shared;
use crate::{ApiError, Submitted};

/// Longest body of `POST /tx` in bytes.
pub const MAX_BODY: usize = 128 << 10;
/// Longest body of `POST /txs` in bytes.
pub const MAX_TXS_BODY: usize = 1 << 20;
/// Most transactions of one `POST /txs`.
pub const MAX_TXS: usize = 1024;

/// What is said of a body that is too long.
const TOO_LARGE: &str = "too_large";
/// What is said of more than [`MAX_TXS`] transactions.
const TOO_MANY: &str = "too_many";
/// What is said of any other body that cannot be read.
const BAD_FORMAT: &str = "bad_format";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    tx: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    txs: List,
}

/// The first [`MAX_TXS`] transactions of a list, and how many it has.
struct List {
    txs: Vec<Value>,
    count: usize,
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = List;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of transactions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List, A::Error> {
                let mut txs = Vec::new();
                while txs.len() < MAX_TXS {
                    match list.next_element()? {
                        Some(tx) => txs.push(tx),
                        None => {
                            let count = txs.len();
                            return Ok(List { txs, count });
                        }
                    }
                }
                let mut count = txs.len();
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(List { txs, count })
            }
        }

        deserializer.deserialize_seq(Elements)
    }
}

/// `POST /tx`.
pub(super) async fn one(State(shared): State<Shared>, body: Body) -> Response {
    let tx = match read(&shared, body, MAX_BODY).await.and_then(one_of) {
        Ok(tx) => tx,
        Err(error) => return refused(&shared, &error),
    };
    match shared.call(move |node| node.submit(tx)).await {
        Ok(answer) => {
            count(&shared, &answer);
            // What cannot be read as a transaction is a bad request, and a node that cannot judge it has failed; every
            // other refusal is an answer.
            let status = match answer.reason.as_deref() {
                Some(BAD_FORMAT) => StatusCode::BAD_REQUEST,
                Some(TOO_LARGE) => StatusCode::PAYLOAD_TOO_LARGE,
                Some("unavailable") => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::OK,
            };
            (status, Json(answer)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// `POST /txs`. The status is that of the request; what became of each transaction is in its answer.
pub(super) async fn many(State(shared): State<Shared>, body: Body) -> Response {
    let bytes = match read(&shared, body, MAX_TXS_BODY).await {
        Ok(bytes) => bytes,
        Err(error) => return refused(&shared, &error),
    };
    // Values take many times the memory of their text, so only a few lists are read at once.
    let waiting = timeout(
        shared.limits.queue,
        Arc::clone(&shared.batches).acquire_owned(),
    );
    let Ok(Ok(permit)) = waiting.await else {
        return ApiError::Busy("try again".to_owned()).into_response();
    };
    let answers = shared.call(move |node| {
        let _permit = permit;
        match many_of(&bytes) {
            Ok(txs) => node.submit_all(txs).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    });
    match answers.await {
        Ok(Ok(answers)) => {
            answers.iter().for_each(|answer| count(&shared, answer));
            Json(json!({ "answers": answers })).into_response()
        }
        Ok(Err(error)) => refused(&shared, &error),
        Err(error) => error.into_response(),
    }
}

fn count(shared: &Shared, answer: &Submitted) {
    let outcome = answer.reason.as_deref().unwrap_or("accepted");
    shared.metrics.submitted(outcome);
}

/// `{ok, reason, txid}` with the reason in words beside it.
fn refused(shared: &Shared, error: &ApiError) -> Response {
    let reason = match error {
        ApiError::TooLarge { .. } => TOO_LARGE,
        ApiError::TooMany { .. } => TOO_MANY,
        _ => BAD_FORMAT,
    };
    shared.metrics.submitted(reason);
    let answer = Submitted {
        ok: false,
        reason: Some(reason.to_owned()),
        txid: None,
    };
    let mut value = json!(answer);
    value["error"] = json!(error.to_string());
    (error.status(), Json(value)).into_response()
}

/// A body of at most `limit` bytes.
async fn read(shared: &Shared, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    // A declared length is refused before its first byte is waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::TooLarge { limit });
    }
    match timeout(shared.limits.body, to_bytes(body, limit)).await {
        Err(_) => Err(ApiError::Timeout),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(e)) if is_length_limit(&e) => Err(ApiError::TooLarge { limit }),
        Ok(Err(e)) => Err(ApiError::BadRequest(format!("the body broke off: {e}"))),
    }
}

fn one_of(bytes: Bytes) -> Result<Value, ApiError> {
    let body: One = serde_json::from_slice(&bytes)
        .map_err(|e| ApiError::BadRequest(format!("the body is not {{\"tx\": {{…}}}}: {e}")))?;
    Ok(body.tx)
}

fn many_of(bytes: &[u8]) -> Result<Vec<Value>, ApiError> {
    let body: Many = serde_json::from_slice(bytes).map_err(|e| {
        ApiError::BadRequest(format!("the body is not {{\"txs\": [{{…}}, …]}}: {e}"))
    })?;
    match body.txs.count {
        count if count > MAX_TXS => Err(ApiError::TooMany {
            count,
            limit: MAX_TXS,
        }),
        _ => Ok(body.txs.txs),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = cause {
        if e.to_string().contains("length limit") {
            return true;
        }
        cause = e.source();
    }
    false
}
