//! Channel storage over HTTP (protocol sections 9 and 10).

use super::body::Body;
use super::{answer, client_api, request};
use crate::broker::{Cause, Connection, Core, EntryUpdate};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::fields::{Field, Fields};
use crate::protocol::names;
use crate::session::required_key;
use http::request::Parts;
use http::{Response, StatusCode};

/// Keys that one list may name.
const MAX_KEYS: usize = 100;

pub(super) async fn get(
    core: &Core,
    connection: &Connection,
    fields: &Fields<'_>,
) -> Result<Response<Body>, ProtocolError> {
    let request = connection.session().lock().get_entry(fields)?;
    let body = core.entry_data(&request.channel, &request.key).await?;
    Ok(answer::json_text(StatusCode::OK, body))
}

pub(super) async fn set(
    core: &Core,
    connection: &Connection,
    fields: &Fields<'_>,
    parts: &Parts,
) -> Result<Response<Body>, ProtocolError> {
    if core.is_draining() {
        return Err(ProtocolError::shutting_down());
    }
    let now = core.clock.now();
    let request = connection.session().lock().set_entry(now, fields)?;
    client_api::write(core, connection, request, parts, false).await
}

pub(super) async fn list(
    core: &Core,
    connection: &Connection,
    fields: &Fields<'_>,
) -> Result<Response<Body>, ProtocolError> {
    let channel = fields.string(Field::Channel)?;
    let keys = keys(fields)?;
    let after = fields.string(Field::After)?.map(std::borrow::Cow::into_owned);
    let scope = connection.session().lock().storage_scope(channel.as_deref())?;
    let body = core.list_entries(&scope, keys, after).await?;
    Ok(answer::json_text(StatusCode::OK, body))
}

fn keys(fields: &Fields<'_>) -> Result<Option<Vec<String>>, ProtocolError> {
    if !fields.has(Field::Keys) {
        return Ok(None);
    }
    let keys = fields.raw(Field::Keys).unwrap_or_default();
    let keys: Vec<String> = serde_json::from_str(keys).map_err(|_| wrong_keys())?;
    checked(keys).map(Some)
}

fn checked(keys: Vec<String>) -> Result<Vec<String>, ProtocolError> {
    if keys.len() > MAX_KEYS {
        return Err(wrong_keys());
    }
    keys.iter().try_for_each(|key| names::check_key(key))?;
    Ok(keys)
}

fn wrong_keys() -> ProtocolError {
    ProtocolError::new(Code::InvalidMessage, "\"keys\" must be at most 100 strings")
}

/// `GET /channels/{name}/storage?keys=a,b&after=k` of the server API.
pub(super) async fn list_all(
    core: &Core,
    name: &str,
    query: Option<&str>,
) -> Result<Response<Body>, ProtocolError> {
    names::check_channel(name)?;
    let keys = request::query_parameter(query, "keys").filter(|keys| !keys.is_empty());
    let keys =
        keys.map(|keys| checked(keys.split(',').map(str::to_owned).collect())).transpose()?;
    let after = request::query_parameter(query, "after").map(std::borrow::Cow::into_owned);
    let body = core.list_all_entries(name, keys, after).await?;
    Ok(answer::json_text(StatusCode::OK, body))
}

/// A set of the server API.
pub(super) fn update(
    fields: &Fields<'_>,
    channel: &str,
    cause: impl FnOnce() -> Cause,
) -> Result<EntryUpdate, ProtocolError> {
    EntryUpdate::clear(channel, required_key(fields)?).read(fields, cause)
}
