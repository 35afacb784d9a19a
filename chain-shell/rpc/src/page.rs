//! The page: three embedded files and the headers that confine them.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

pub(crate) async fn index() -> Response {
    asset(
        "text/html; charset=utf-8",
        include_str!("../page/index.html"),
    )
}

pub(crate) async fn script() -> Response {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("../page/page.js"),
    )
}

pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("../page/page.css"))
}

pub(crate) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("../page/icon.svg"))
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
