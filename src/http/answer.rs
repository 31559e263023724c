//! Answers as they go out.

use super::body::Body;
use crate::protocol::error::ProtocolError;
use crate::protocol::event::write_error;
use crate::protocol::json;
use bytes::Bytes;
use fanfare_storage::MessageId;
use http::{HeaderValue, Response, StatusCode, header};

/// JSON text with a status.
pub(super) fn json_text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let body: Bytes = body.into();
    let mut response = Response::new(Body::from(body));
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

/// What is said of something that was taken (protocol sections 9, 10 and 11).
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) channel: Box<str>,
    pub(super) event: Box<str>,
    /// Its id, where it is to be told.
    pub(super) id: Option<MessageId>,
    /// Its schedule, where it is done later.
    pub(super) schedule: Option<MessageId>,
}

impl Accepted {
    /// Appends `{"channel":…,"event":…}` with what else there is.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"channel":"#);
        json::string(out, &self.channel);
        out.extend_from_slice(br#","event":"#);
        json::string(out, &self.event);
        let schedule = [("scheduleArn", self.schedule), ("scheduleId", self.schedule)];
        for (name, id) in [("id", self.id)].into_iter().chain(schedule) {
            if let Some(id) = id {
                out.extend_from_slice(format!(",\"{name}\":\"{id}\"").as_bytes());
            }
        }
        out.push(b'}');
    }
}

/// 202 for something that was taken.
pub(super) fn accepted(accepted: &Accepted) -> Response<Body> {
    let mut body = Vec::new();
    accepted.write(&mut body);
    json_text(StatusCode::ACCEPTED, body)
}
