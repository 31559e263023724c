//! Cross-origin requests to the client HTTP API (the Fetch standard's CORS protocol; protocol
//! section 1). Its requests are authenticated by what is in their address, never by cookies, so
//! that every origin may use it unless the host says otherwise.

use super::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// Adds what lets a page of `origin` read the answer.
pub(super) fn allow(response: &mut Response<Body>, request: &HeaderMap, allowed: &[Box<str>]) {
    let headers = response.headers_mut();
    if allowed.is_empty() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        return;
    }
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = request.get(header::ORIGIN) else { return };
    if allowed.iter().any(|one| one.as_bytes() == origin.as_bytes()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

/// The answer to a preflight request, still without an origin.
pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
