//! WebSockets: the upgrade, and frames on sockets (protocol section 5, RFC 6455).

mod driver;
mod reader;
mod socket;

use crate::broker::{Core, Peer};
use crate::http::{self as service, Body};
use crate::protocol::error::{Code, ProtocolError};
use driver::Driver;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use std::sync::Arc;
use tungstenite::handshake::derive_accept_key;

/// Answers `GET /v1`: the token is checked first, then whether this is an upgrade and there is a
/// place left, then the host is asked, and only then a single-use token is used up.
pub(crate) async fn upgrade<B>(
    core: &Arc<Core>,
    mut request: Request<B>,
) -> Result<Response<Body>, ProtocolError> {
    let token = {
        let query = service::query_parameter(request.uri().query(), "token");
        let query = query.as_deref().filter(|token| !token.is_empty());
        let token = query.or_else(|| service::bearer(request.headers()));
        core.verify_connect(token.unwrap_or_default())?
    };
    let accept = accept_key(request.headers())?;
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| not_an_upgrade("this connection can't be upgraded; use HTTP/1.1"))?;
    let place = core.take_place()?;
    let parts = request.into_parts().0;
    let peer = Peer::of(&parts);
    let meta = core.ask_about_connect(&token, parts).await?;
    core.spend_connect(&token).await?;

    // In boxes, since the task keeps room for the largest of its parts as long as it lives.
    let opened = Box::pin(async move {
        let upgraded = upgrade
            .await
            .inspect_err(|error| tracing::debug!(%error, "a client went away before its upgrade"));
        Driver::new(place, &token, (meta, peer), upgraded.ok()?)
    });
    tokio::spawn(async move {
        if let Some(mut driver) = opened.await {
            (&mut driver).await;
            Box::pin(driver.finish()).await;
        }
    });
    Ok(switching_protocols(accept))
}

/// Checks the client's side of the handshake (RFC 6455 section 4.2.1) and answers its challenge.
fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, ProtocolError> {
    if !has_word(headers, header::CONNECTION, "upgrade")
        || !has_word(headers, header::UPGRADE, "websocket")
    {
        return Err(not_an_upgrade("this path expects a WebSocket upgrade"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(not_an_upgrade("the WebSocket version must be 13"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    key.and_then(|key| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok())
        .ok_or_else(|| not_an_upgrade("the header Sec-WebSocket-Key is missing"))
}

fn has_word(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
}

fn not_an_upgrade(message: &'static str) -> ProtocolError {
    ProtocolError::new(Code::InvalidMessage, message)
}

fn switching_protocols(accept: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}
