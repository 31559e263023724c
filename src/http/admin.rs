//! Control over HTTP (beyond the protocol), for operators and backends: a thin layer on the
//! broker's calls.

use super::body::Body;
use super::{BoxError, answer, request, server_api};
use crate::broker::{Broker, ChannelQuery, ConnectionInfo, ConnectionQuery, Core};
use crate::broker::{DEFAULT_LIMIT, MAX_LIMIT, RevocationEffect, RevocationQuery};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::fields::{Field, Fields};
use crate::protocol::json;
use bytes::Bytes;
use fanfare_storage::{Revocation, RevokedSubject, Timestamp};
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::sync::Arc;

/// What there is to look at and to change. Names are still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'p> {
    Connections,
    Connection(&'p str),
    Permissions(&'p str),
    /// Of a connection, to a channel.
    Subscription(&'p str, &'p str),
    Channels,
    /// Of all connections of a user, to this channel.
    ChannelSubscriptions(&'p str),
    Revocations,
}

impl<'p> Resource<'p> {
    pub(super) fn of(path: &'p str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let parts = [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()];
        if parts.contains(&Some("")) {
            return None;
        }
        match parts {
            [Some("connections"), None, ..] => Some(Self::Connections),
            [Some("connections"), Some(id), None, ..] => Some(Self::Connection(id)),
            [Some("connections"), Some(id), Some("permissions"), None, _] => {
                Some(Self::Permissions(id))
            }
            [Some("connections"), Some(id), Some("subscriptions"), Some(channel), None] => {
                Some(Self::Subscription(id, channel))
            }
            [Some("channels"), None, ..] => Some(Self::Channels),
            [Some("channels"), Some(name), Some("subscriptions"), None, _] => {
                Some(Self::ChannelSubscriptions(name))
            }
            [Some("revocations"), None, ..] => Some(Self::Revocations),
            _ => None,
        }
    }

    /// The methods that it answers, as the header `Allow` lists them.
    pub(super) fn allowed(self) -> &'static str {
        match self {
            Self::Connections | Self::Connection(_) => "GET, DELETE",
            Self::Permissions(_) => "PUT",
            Self::Subscription(..) | Self::ChannelSubscriptions(_) => "DELETE",
            Self::Channels => "GET",
            Self::Revocations => "GET, POST",
        }
    }
}

/// Answers a request whose method is [allowed](Resource::allowed).
pub(super) async fn perform<B>(
    core: &Arc<Core>,
    resource: Resource<'_>,
    request: Request<B>,
) -> Result<Response<Body>, ProtocolError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    server_api::authenticate(core, request.headers())?;
    let broker = Broker::of(core);
    let reads = request.method() == Method::GET;
    let query = request.uri().query();
    match resource {
        Resource::Connections if reads => list_connections(&broker, query),
        Resource::Connections => {
            let disconnected = broker.disconnect_user(&user(query)?).await;
            Ok(answer::json_text(StatusCode::OK, format!("{{\"disconnected\":{disconnected}}}")))
        }
        Resource::Connection(id) if reads => show_connection(&broker, &decode(id)?),
        Resource::Connection(id) => no_content_if(broker.disconnect(&decode(id)?)),
        Resource::Subscription(id, channel) => {
            no_content_if(broker.unsubscribe(&decode(id)?, &decode(channel)?)?)
        }
        Resource::Channels => list_channels(&broker, query),
        Resource::ChannelSubscriptions(name) => {
            let unsubscribed = broker.unsubscribe_user(&user(query)?, &decode(name)?).await;
            Ok(answer::json_text(StatusCode::OK, format!("{{\"unsubscribed\":{unsubscribed}}}")))
        }
        Resource::Revocations if reads => list_revocations(&broker, query),
        Resource::Permissions(id) => {
            let id = decode(id)?.into_owned();
            let body = request::body(request.into_body(), core.settings.max_server_body).await?;
            set_permissions(core, &id, &body)
        }
        Resource::Revocations => {
            let body = request::body(request.into_body(), core.settings.max_server_body).await?;
            revoke(&broker, &body).await
        }
    }
}

fn list_connections(broker: &Broker, query: Option<&str>) -> Result<Response<Body>, ProtocolError> {
    let page = broker.connections(&ConnectionQuery {
        uid: parameter(query, "uid")?.map(Cow::into_owned),
        after: after(query)?,
        limit: limit(query)?,
    });
    let mut body = br#"{"connections":["#.to_vec();
    list(&mut body, &page.connections, |body, connection| {
        body.push(b'{');
        write_connection(body, connection);
        body.push(b'}');
    });
    end_of_page(&mut body, page.next.as_deref());
    Ok(answer::json_text(StatusCode::OK, body))
}

fn show_connection(broker: &Broker, id: &str) -> Result<Response<Body>, ProtocolError> {
    let connection = broker.connection(id).ok_or_else(gone)?;
    let mut body = vec![b'{'];
    write_connection(&mut body, &connection);
    body.extend_from_slice(br#","subscriptions":["#);
    list(&mut body, &broker.subscriptions(id)?, |body, channel| json::string(body, channel));
    body.extend_from_slice(b"]}");
    Ok(answer::json_text(StatusCode::OK, body))
}

fn write_connection(body: &mut Vec<u8>, connection: &ConnectionInfo) {
    body.extend_from_slice(br#""id":"#);
    json::string(body, connection.id());
    body.extend_from_slice(br#","uid":"#);
    json::optional_string(body, connection.uid());
    body.extend_from_slice(br#","umd":"#);
    body.extend_from_slice(connection.umd().unwrap_or(b"null"));
    body.extend_from_slice(br#","connectedAt":"#);
    json::string(body, &json::rfc_3339(connection.connected_at()));
    let count = format!(",\"subscriptionsCount\":{}", connection.subscriptions_count());
    body.extend_from_slice(count.as_bytes());
}

fn set_permissions(core: &Core, id: &str, body: &[u8]) -> Result<Response<Body>, ProtocolError> {
    let fields = Fields::parse_bytes(body)?;
    let channels = fields.raw(Field::Channels).filter(|_| fields.has(Field::Channels));
    let channels = channels.ok_or_else(|| {
        invalid("the field \"channels\" is missing; an empty object takes all permissions away")
    })?;
    core.set_permissions(id, channels)?;
    no_content_if(true)
}

fn list_channels(broker: &Broker, query: Option<&str>) -> Result<Response<Body>, ProtocolError> {
    let page = broker.channels(&ChannelQuery {
        prefix: parameter(query, "prefix")?.unwrap_or_default().into_owned(),
        after: after(query)?,
        limit: limit(query)?,
    });
    let mut body = br#"{"channels":["#.to_vec();
    list(&mut body, &page.channels, |body, channel| {
        body.extend_from_slice(br#"{"name":"#);
        json::string(body, channel.name());
        let count = format!(",\"subscriptionsCount\":{}}}", channel.subscriptions_count());
        body.extend_from_slice(count.as_bytes());
    });
    end_of_page(&mut body, page.next.as_deref());
    Ok(answer::json_text(StatusCode::OK, body))
}

/// The body has `jti`, or `uid` and the time that its tokens were issued before.
async fn revoke(broker: &Broker, body: &[u8]) -> Result<Response<Body>, ProtocolError> {
    let fields = Fields::parse_bytes(body)?;
    let expires_at = unix_seconds(&fields, Field::ExpiresAt)?;
    let issued_before = unix_seconds(&fields, Field::IssuedBefore)?;
    let effect = match (fields.string(Field::Jti)?, fields.string(Field::Uid)?) {
        (Some(jti), None) if issued_before.is_none() => {
            broker.revoke_token(&jti, expires_at).await?
        }
        (None, Some(uid)) => {
            let issued_before = issued_before.unwrap_or_else(Timestamp::now);
            broker.revoke_user(&uid, issued_before, expires_at).await?
        }
        _ => {
            return Err(invalid(
                "either \"jti\" is needed, or \"uid\", which may come with \"issuedBefore\"",
            ));
        }
    };
    let RevocationEffect { disconnected, unsubscribed } = effect;
    let body = format!("{{\"disconnected\":{disconnected},\"unsubscribed\":{unsubscribed}}}");
    Ok(answer::json_text(StatusCode::OK, body))
}

fn list_revocations(broker: &Broker, query: Option<&str>) -> Result<Response<Body>, ProtocolError> {
    let after = after(query)?.map(|after| subject(&after)).transpose()?;
    let limit = limit(query)?;
    let page = broker.revocations(&RevocationQuery { after, limit });
    let next = page.next.map(|subject| match subject {
        RevokedSubject::Token(jti) => format!("jti:{jti}"),
        RevokedSubject::User(uid) => format!("uid:{uid}"),
    });
    let mut body = br#"{"revocations":["#.to_vec();
    list(&mut body, &page.revocations, write_revocation);
    end_of_page(&mut body, next.as_deref());
    Ok(answer::json_text(StatusCode::OK, body))
}

fn write_revocation(body: &mut Vec<u8>, revocation: &Revocation) {
    let name = match &revocation.subject {
        RevokedSubject::Token(jti) => {
            body.extend_from_slice(br#"{"jti":"#);
            jti
        }
        RevokedSubject::User(uid) => {
            let issued_before = revocation.issued_before.as_unix_millis().div_ceil(1_000);
            body.extend_from_slice(
                format!("{{\"issuedBefore\":{issued_before},\"uid\":").as_bytes(),
            );
            uid
        }
    };
    json::string(body, name);
    match revocation.expires_at {
        Some(end) => {
            let end = format!(",\"expiresAt\":{}}}", end.as_unix_millis().div_ceil(1_000));
            body.extend_from_slice(end.as_bytes());
        }
        None => body.extend_from_slice(br#","expiresAt":null}"#),
    }
}

/// The cursor of a list of revocations.
fn subject(cursor: &str) -> Result<RevokedSubject, ProtocolError> {
    match cursor.split_once(':') {
        Some(("jti", jti)) => Ok(RevokedSubject::Token(jti.to_owned())),
        Some(("uid", uid)) => Ok(RevokedSubject::User(uid.to_owned())),
        _ => Err(invalid("\"after\" must be the \"next\" of an earlier page")),
    }
}

fn list<T>(body: &mut Vec<u8>, items: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        write(body, item);
    }
}

fn end_of_page(body: &mut Vec<u8>, next: Option<&str>) {
    body.extend_from_slice(br#"],"next":"#);
    json::optional_string(body, next);
    body.push(b'}');
}

fn no_content_if(done: bool) -> Result<Response<Body>, ProtocolError> {
    if !done {
        return Err(gone());
    }
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// A part of the path, decoded.
fn decode(part: &str) -> Result<Cow<'_, str>, ProtocolError> {
    percent_decode_str(part).decode_utf8().map_err(|_| invalid("the path must be UTF-8"))
}

/// A parameter of the query. One that can't be read is not passed over, since that would widen
/// what is asked for.
fn parameter<'q>(
    query: Option<&'q str>,
    name: &str,
) -> Result<Option<Cow<'q, str>>, ProtocolError> {
    let pairs =
        query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let decoded = value.map(|value| percent_decode_str(value).decode_utf8()).transpose();
    decoded.map_err(|_| invalid(format!("the parameter {name:?} must be UTF-8")))
}

fn user(query: Option<&str>) -> Result<Cow<'_, str>, ProtocolError> {
    parameter(query, "uid")?
        .filter(|uid| !uid.is_empty())
        .ok_or_else(|| invalid("the parameter \"uid\" is needed"))
}

fn after(query: Option<&str>) -> Result<Option<String>, ProtocolError> {
    Ok(parameter(query, "after")?.filter(|after| !after.is_empty()).map(Cow::into_owned))
}

fn limit(query: Option<&str>) -> Result<usize, ProtocolError> {
    let Some(text) = parameter(query, "limit")? else { return Ok(DEFAULT_LIMIT) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| invalid(format!("\"limit\" must be 1 to {MAX_LIMIT}")))
}

fn unix_seconds(fields: &Fields<'_>, field: Field) -> Result<Option<Timestamp>, ProtocolError> {
    let seconds = fields.integer(field)?.map(u64::try_from).transpose();
    let seconds = seconds
        .map_err(|_| invalid(format!("the field {:?} must be seconds since 1970", field.name())))?;
    Ok(seconds.map(Timestamp::from_unix_seconds))
}

fn gone() -> ProtocolError {
    ProtocolError::new(Code::NotFound, "there is no such connection or subscription")
}

fn invalid(message: impl Into<Cow<'static, str>>) -> ProtocolError {
    ProtocolError::new(Code::InvalidMessage, message)
}
