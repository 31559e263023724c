//! The client HTTP API (protocol section 9).

use super::answer::Accepted;
use super::body::Body;
use super::{BoxError, answer, entries, request};
use crate::broker::{Connection, Core, ListRequest};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::fields::{Field, Fields};
use crate::session::{REACTION, WriteRequest, message_id};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a body may take: requests are held by connections that may end meanwhile.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    ListMessages,
    ListReactions,
    PublishMessage,
    GetChannelInfo,
    UmdUpdate,
    ChannelStorageGet,
    ChannelStorageSet,
    ChannelStorageList,
}

impl Operation {
    pub(super) fn by_name(name: &str) -> Option<Self> {
        match name {
            "listMessages" => Some(Self::ListMessages),
            "listReactions" => Some(Self::ListReactions),
            "publishMessage" => Some(Self::PublishMessage),
            "getChannelInfo" => Some(Self::GetChannelInfo),
            "umdUpdate" => Some(Self::UmdUpdate),
            "channelStorageGet" => Some(Self::ChannelStorageGet),
            "channelStorageSet" => Some(Self::ChannelStorageSet),
            "channelStorageList" => Some(Self::ChannelStorageList),
            _ => None,
        }
    }
}

pub(super) async fn perform<B>(
    core: &Arc<Core>,
    operation: Operation,
    request: Request<B>,
) -> Result<Response<Body>, ProtocolError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let connection = authenticate(core, request.uri().query())?;
    connection.session().lock().admit(core.clock.now())?;
    let (parts, body) = request.into_parts();
    let body = request::body(body, core.settings.max_client_body);
    let body = timeout(BODY_TIMEOUT, body).await.map_err(|_| late_body())??;
    check_open(core, &connection)?;
    let fields = Fields::parse_bytes(&body)?;
    match operation {
        Operation::ListMessages => list_messages(core, &connection, &fields).await,
        Operation::ListReactions => list_reactions(core, &connection, &fields).await,
        Operation::PublishMessage => publish_message(core, &connection, &fields, &parts).await,
        Operation::GetChannelInfo => get_channel_info(core, &connection, &fields),
        Operation::UmdUpdate => update_umd(core, &connection, &fields).await,
        Operation::ChannelStorageGet => entries::get(core, &connection, &fields).await,
        Operation::ChannelStorageSet => entries::set(core, &connection, &fields, &parts).await,
        Operation::ChannelStorageList => entries::list(core, &connection, &fields).await,
    }
}

fn authenticate(core: &Core, query: Option<&str>) -> Result<Arc<Connection>, ProtocolError> {
    let id = request::query_parameter(query, "connectionId").unwrap_or_default();
    let secret = request::query_parameter(query, "connectionSecret").unwrap_or_default();
    core.connections.authenticate(&id, &secret).ok_or_else(no_connection)
}

fn no_connection() -> ProtocolError {
    ProtocolError::new(
        Code::InvalidCredentials,
        "connectionId and connectionSecret must be those of an open connection",
    )
}

/// The connection may have ended since, and then asks for nothing more: while the body came, or
/// while the host was asked. While the server drains, that is what is to be told.
pub(super) fn check_open(core: &Core, connection: &Connection) -> Result<(), ProtocolError> {
    if connection.is_over() && !core.is_draining() {
        return Err(no_connection());
    }
    Ok(())
}

fn late_body() -> ProtocolError {
    ProtocolError::new(Code::InvalidMessage, "the body took too long to arrive")
}

async fn list_messages(
    core: &Core,
    connection: &Connection,
    fields: &Fields<'_>,
) -> Result<Response<Body>, ProtocolError> {
    let channel = fields.string(Field::Channel)?;
    let request = ListRequest::parse(fields)?;
    let scope = connection.session().lock().history_scope(channel.as_deref())?;
    let body = core.list_messages(&scope, request).await?;
    Ok(answer::json_text(StatusCode::OK, body))
}

async fn list_reactions(
    core: &Core,
    connection: &Connection,
    fields: &Fields<'_>,
) -> Result<Response<Body>, ProtocolError> {
    let channel = fields.string(Field::Channel)?;
    let message = message_id(fields)?;
    let scope = connection.session().lock().history_scope(channel.as_deref())?;
    let body = core.list_reactions(&scope, message).await?;
    Ok(answer::json_text(StatusCode::OK, body))
}

async fn publish_message(
    core: &Core,
    connection: &Connection,
    fields: &Fields<'_>,
    parts: &Parts,
) -> Result<Response<Body>, ProtocolError> {
    if core.is_draining() {
        return Err(ProtocolError::shutting_down());
    }
    let tell_id = fields.flag(Field::EagerIdGeneration)?;
    if fields.string(Field::Event)?.as_deref() == Some(REACTION) {
        return react(core, connection, fields, parts, tell_id).await;
    }
    let now = core.clock.now();
    let request = connection.session().lock().publish_over_http(now, fields)?;
    write(core, connection, request, parts, tell_id).await
}

/// Has something written that the session permits, where the host does not object.
pub(super) async fn write(
    core: &Core,
    connection: &Connection,
    request: WriteRequest<'_>,
    parts: &Parts,
    tell_id: bool,
) -> Result<Response<Body>, ProtocolError> {
    let (channel, event) = ((*request.channel).into(), request.event().into());
    let right = request.right();
    let (id, schedule) = match core.ask_about_write(connection, request).await? {
        None => (None, None),
        Some(request) => {
            check_open(core, connection)?;
            core.write_over_http(connection, &request, &right, parts).await?
        }
    };
    Ok(answer::accepted(&Accepted { channel, event, id: id.filter(|_| tell_id), schedule }))
}

fn get_channel_info(
    core: &Core,
    connection: &Connection,
    fields: &Fields<'_>,
) -> Result<Response<Body>, ProtocolError> {
    let channel = fields.string(Field::Channel)?;
    let channel = connection.session().lock().channel_info(channel.as_deref())?;
    let info = core.channel_info(&channel)?;
    Ok(answer::json_text(StatusCode::OK, info.to_json("channel")))
}

async fn update_umd(
    core: &Arc<Core>,
    connection: &Arc<Connection>,
    fields: &Fields<'_>,
) -> Result<Response<Body>, ProtocolError> {
    let now = core.clock.now();
    let update = connection.session().lock().umd_update_over_http(now, fields)?;
    // A request that is given up has used up no token for nothing.
    let (core, connection) = (Arc::clone(core), Arc::clone(connection));
    let updating = tokio::spawn(async move { core.update_umd(&connection, update).await });
    updating.await.map_err(|_| ProtocolError::shutting_down())??;
    Ok(answer::json_text(StatusCode::OK, b"{}".to_vec()))
}

async fn react(
    core: &Core,
    connection: &Connection,
    fields: &Fields<'_>,
    parts: &Parts,
    tell_id: bool,
) -> Result<Response<Body>, ProtocolError> {
    let channel = fields.string(Field::Channel)?;
    let request = connection.session().lock().react(fields, channel.as_deref())?;
    let id = core.react_over_http(connection, &request, parts).await?;
    Ok(answer::accepted(&Accepted {
        channel: (*request.channel).into(),
        event: REACTION.into(),
        id: id.filter(|_| tell_id),
        schedule: None,
    }))
}
