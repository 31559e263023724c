//! Responses of the standalone broker's own routes.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

pub(crate) type Reply = Response<Full<Bytes>>;

/// A body with its media type. Nothing here may be kept by caches.
pub(crate) fn body(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}

pub(crate) fn text(status: StatusCode, line: &'static str) -> Reply {
    body(status, "text/plain; charset=utf-8", line)
}

pub(crate) fn json(status: StatusCode, value: &Value) -> Reply {
    body(status, "application/json", value.to_string())
}

/// An error in the form that the broker's own routes have (protocol section 1).
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    json(status, &json!({"error": {"code": code, "message": message}}))
}

pub(crate) fn method_not_allowed(allow: &'static str) -> Reply {
    let message = format!("this address answers to {allow}");
    let mut reply = error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", &message);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    reply
}
