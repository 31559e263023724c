//! The request that something comes from, as the metadata of its events tell it.

use super::Trigger;
use crate::broker::connection::Connection;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// The address of who sent a request, where events should tell it (protocol section 12): an
/// extension of the requests that a host hands to its [`BrokerService`](crate::BrokerService).
///
/// Only the host knows it: it is the peer's, or what a proxy that the host trusts says in a
/// header. The broker itself looks at no such header, since anybody can send one. Under axum:
///
/// ```
/// use axum::extract::{ConnectInfo, Request};
/// use axum::middleware::{self, Next};
/// use fanfare::{Broker, SourceIp};
/// use std::net::SocketAddr;
///
/// async fn serve(broker: Broker, listener: tokio::net::TcpListener) -> std::io::Result<()> {
///     let tell = async |ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next| {
///         request.extensions_mut().insert(SourceIp(peer.ip()));
///         next.run(request).await
///     };
///     let app = axum::Router::new()
///         .nest_service("/realtime", broker.service())
///         .layer(middleware::from_fn(tell));
///     axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceIp(pub IpAddr);

/// What is told of a user agent at the most.
const MAX_USER_AGENT_BYTES: usize = 512;
/// Characters of a request id that a backend names.
const MAX_REQUEST_ID_CHARS: usize = 128;

/// Who sent an HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) source_ip: Option<IpAddr>,
    pub(crate) user_agent: Option<Arc<str>>,
}

impl Peer {
    pub(crate) fn of(parts: &Parts) -> Self {
        Self {
            // An IPv4 address that came over an IPv6 socket is told as what it is.
            source_ip: parts.extensions.get::<SourceIp>().map(|SourceIp(ip)| ip.to_canonical()),
            user_agent: user_agent(&parts.headers),
        }
    }
}

fn user_agent(headers: &HeaderMap) -> Option<Arc<str>> {
    let text = String::from_utf8_lossy(headers.get(header::USER_AGENT)?.as_bytes());
    Some(text[..text.floor_char_boundary(MAX_USER_AGENT_BYTES)].into())
}

/// How a client's request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Via<'r> {
    WebSocket,
    Http(&'r Parts),
}

/// What the metadata of an event tell of the request that caused it. It is kept with what has
/// events at a later time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) connection_id: Option<Arc<str>>,
    pub(crate) trigger: Option<Trigger>,
    pub(crate) peer: Peer,
    pub(crate) request_id: Option<Arc<str>>,
}

impl Cause {
    /// A client's request.
    pub(crate) fn of_client(connection: &Connection, via: Via<'_>) -> Self {
        let (trigger, peer) = match via {
            Via::WebSocket => (Trigger::ClientWebSocket, connection.peer().clone()),
            Via::Http(parts) => (Trigger::ClientHttp, Peer::of(parts)),
        };
        let connection_id = Some(Arc::clone(connection.id()));
        Self { connection_id, trigger: Some(trigger), peer, request_id: Some(new_request_id()) }
    }

    /// A backend's request, which may name itself in `X-Request-Id`.
    pub(crate) fn of_backend(parts: &Parts) -> Self {
        let named = parts.headers.get("x-request-id").and_then(|id| id.to_str().ok());
        let named = named.filter(|id| (1..=MAX_REQUEST_ID_CHARS).contains(&id.len()));
        Self {
            connection_id: None,
            trigger: Some(Trigger::ServerHttp),
            peer: Peer::of(parts),
            request_id: Some(named.map_or_else(new_request_id, Arc::from)),
        }
    }

    /// A call of the host's.
    pub(crate) fn of_host() -> Self {
        Self { trigger: Some(Trigger::ServerEmbedded), ..Self::default() }
    }

    pub(crate) fn stored(&self) -> StoredCause {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        StoredCause {
            connection_id: text(&self.connection_id),
            trigger: self.trigger.map(|trigger| trigger.name().to_owned()),
            source_ip: self.peer.source_ip,
            user_agent: text(&self.peer.user_agent),
            request_id: text(&self.request_id),
        }
    }

    /// As the notes that storage keeps with a record.
    pub(crate) fn to_notes(&self) -> Bytes {
        // Writing text to memory can't fail.
        serde_json::to_vec(&self.stored()).unwrap_or_default().into()
    }

    /// What notes say; nothing where they are none of these.
    pub(crate) fn from_notes(notes: &[u8]) -> Self {
        serde_json::from_slice::<StoredCause>(notes).unwrap_or_default().into()
    }
}

fn new_request_id() -> Arc<str> {
    format!("{:032x}", fastrand::u128(..)).into()
}

/// A [`Cause`] as it is written. Fields are only ever added, and those that are not known are
/// ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StoredCause {
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl From<StoredCause> for Cause {
    fn from(stored: StoredCause) -> Self {
        let text = |text: Option<String>| text.map(Arc::from);
        Self {
            connection_id: text(stored.connection_id),
            trigger: stored.trigger.as_deref().and_then(Trigger::by_name),
            peer: Peer { source_ip: stored.source_ip, user_agent: text(stored.user_agent) },
            request_id: text(stored.request_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(name: &str, value: &[u8]) -> Parts {
        let ip = "::ffff:192.0.2.1".parse().unwrap();
        let request = Request::builder().header(name, value).extension(SourceIp(ip));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn section_12_a_cause_is_kept_as_it_is() {
        let mut cause = Cause::of_backend(&parts("user-agent", b"Mozilla/5.0 \"x\""));
        cause.connection_id = Some("c".into());
        assert_eq!(cause.peer.source_ip, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(Cause::from_notes(&cause.to_notes()), cause);
        assert_eq!(Cause::default().to_notes(), "{}");
        for none in ["", "{}", "[", r#"{"trigger":"dance"}"#, r#"{"new":1}"#] {
            assert_eq!(Cause::from_notes(none.as_bytes()), Cause::default(), "{none}");
        }
    }

    #[test]
    fn section_12_a_backend_names_its_request_within_bounds() {
        let id =
            |value: &[u8]| Cause::of_backend(&parts("x-request-id", value)).request_id.unwrap();
        assert_eq!(&*id(b"mine"), "mine");
        for made in [&b""[..], b"\xff", &[b'a'; 129]] {
            assert_eq!(id(made).len(), 32);
        }
        assert_ne!(id(b""), id(b""));
    }

    #[test]
    fn section_12_a_user_agent_is_cut_off_and_made_text() {
        let agent = |value: &[u8]| Peer::of(&parts("user-agent", value)).user_agent.unwrap();
        assert_eq!(&*agent(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(agent("é".repeat(400).as_bytes()).len(), 512);
        assert_eq!(agent(format!("a{}", "é".repeat(400)).as_bytes()).len(), 511);
        assert_eq!(Peer::of(&parts("x-forwarded-for", b"203.0.113.1")).user_agent, None);
    }
}
