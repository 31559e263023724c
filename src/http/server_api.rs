//! The server HTTP API for backends (protocol section 10), a thin layer on the broker's calls.

use super::body::Body;
use super::{BoxError, answer, request};
use crate::broker::{Core, Message, secrets_equal};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::fields::{Field, Fields};
use crate::protocol::json;
use crate::protocol::store::StoreFor;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

/// Checks the API key. All keys are compared, whichever fits.
pub(super) fn authenticate(core: &Core, headers: &HeaderMap) -> Result<(), ProtocolError> {
    let given = request::bearer(headers).unwrap_or_default();
    let fits =
        core.settings.api_keys.iter().fold(false, |fits, key| fits | secrets_equal(key, given));
    if fits {
        return Ok(());
    }
    Err(ProtocolError::new(
        Code::InvalidApiKey,
        "this path needs \"Authorization: Bearer KEY\" with one of the server's API keys",
    ))
}

pub(super) async fn publish<B>(
    core: &Core,
    request: Request<B>,
) -> Result<Response<Body>, ProtocolError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    authenticate(core, request.headers())?;
    let body = request::body(request.into_body(), core.settings.max_server_body).await?;
    let fields = Fields::parse_bytes(&body)?;
    let tell_id = fields.flag(Field::EagerIdGeneration)?;
    let published = core.publish_for_host(message(&fields)?).await?;
    let id = tell_id.then(|| published.id().to_string());
    Ok(answer::accepted(published.channel(), published.event(), id.as_deref()))
}

fn message(fields: &Fields<'_>) -> Result<Message, ProtocolError> {
    // To take a message and leave these out would double it, or publish it at the wrong time.
    for (field, code) in [
        (Field::ScheduleExpression, Code::InvalidSchedule),
        (Field::DeduplicationId, Code::InvalidMessage),
        (Field::Channels, Code::InvalidMessage),
    ] {
        if fields.has(field) {
            let message = format!("this server does not know the field {:?}", field.name());
            return Err(ProtocolError::new(code, message));
        }
    }
    let missing = |code, field: Field| {
        ProtocolError::new(code, format!("the field {:?} is missing", field.name()))
    };
    let channel = fields
        .string(Field::Channel)?
        .ok_or_else(|| missing(Code::InvalidChannelName, Field::Channel))?;
    let event = fields
        .string(Field::Event)?
        .ok_or_else(|| missing(Code::InvalidEventName, Field::Event))?;
    let message = Message::new(channel, event).store(store(fields)?);
    Ok(match fields.raw(Field::Data) {
        Some(data) => message.raw_data(data.get()),
        None => message,
    })
}

fn store(fields: &Fields<'_>) -> Result<StoreFor, ProtocolError> {
    match fields.integer(Field::Store)? {
        None => Ok(StoreFor::Seconds(0)),
        Some(-1) => Ok(StoreFor::Forever),
        Some(seconds) => {
            // What is negative becomes too much, and is refused as such.
            let store = StoreFor::Seconds(u64::try_from(seconds).unwrap_or(u64::MAX));
            store.check().map(|()| store)
        }
    }
}

/// `GET /channels/{name}`.
pub(super) fn channel_info(core: &Core, name: &str) -> Result<Response<Body>, ProtocolError> {
    let info = core.channel_info(name)?;
    let mut body = br#"{"name":"#.to_vec();
    json::string(&mut body, info.name());
    let count = format!(",\"subscriptionsCount\":{}}}", info.subscriptions_count());
    body.extend_from_slice(count.as_bytes());
    Ok(answer::json_text(StatusCode::OK, body))
}
