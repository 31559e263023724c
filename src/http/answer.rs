//! Answers as they go out.

use super::body::Body;
use crate::protocol::error::ProtocolError;
use crate::protocol::event::write_error;
use crate::protocol::json;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

/// JSON text with a status.
pub(super) fn json_text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Answers hold one user's messages, and a token may be part of the address.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `{"error":{"code":…,"message":…}}` with the code's status (protocol sections 1 and 13).
pub(super) fn error(error: &ProtocolError) -> Response<Body> {
    let mut body = vec![b'{'];
    write_error(&mut body, error);
    body.push(b'}');
    let status = StatusCode::from_u16(error.code.status());
    let mut response = json_text(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body);
    if response.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110 section 15.5.2 wants a challenge with every 401.
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// 202 for a message that was taken: `{"channel":…,"event":…}`, with its id where one is to be
/// told (protocol sections 9 and 10).
pub(super) fn accepted(channel: &str, event: &str, id: Option<&str>) -> Response<Body> {
    let mut body = br#"{"channel":"#.to_vec();
    json::string(&mut body, channel);
    body.extend_from_slice(br#","event":"#);
    json::string(&mut body, event);
    if let Some(id) = id {
        body.extend_from_slice(br#","id":"#);
        json::string(&mut body, id);
    }
    body.push(b'}');
    json_text(StatusCode::ACCEPTED, body)
}
