//! `POST /publish` of the server HTTP API (protocol section 10): one request, an array of them,
//! or one for many channels.

use super::answer::{self, Accepted};
use super::body::Body;
use super::entries;
use crate::broker::{Begun, Cause, Core, HostReaction, Message, Published};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::event::write_error;
use crate::protocol::fields::{Field, Fields};
use crate::protocol::names;
use crate::session::{ENTRY_SET, REACTION, reaction_data};
use http::request::Parts;
use http::{Response, StatusCode};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::OnceLock;

/// Requests in one body.
const MAX_REQUESTS: usize = 100;
/// Channels that one message is published to.
const MAX_CHANNELS: usize = 1_000;

/// The request that messages come from, for the events that tell of them.
pub(super) struct Origin<'r> {
    parts: &'r Parts,
    cause: OnceLock<Cause>,
}

impl<'r> Origin<'r> {
    pub(super) fn new(parts: &'r Parts) -> Self {
        Self { parts, cause: OnceLock::new() }
    }

    /// The same for all that it publishes.
    fn cause(&self) -> Cause {
        self.cause.get_or_init(|| Cause::of_backend(self.parts)).clone()
    }
}

pub(super) async fn publish(
    core: &Core,
    origin: &Origin<'_>,
    body: &[u8],
) -> Result<Response<Body>, ProtocolError> {
    let text = std::str::from_utf8(body).map_err(|_| invalid("the body must be UTF-8"))?;
    if text.trim_start().starts_with('[') {
        return publish_array(core, origin, text).await;
    }
    let fields = Fields::parse(text)?;
    if fields.has(Field::Channels) {
        return publish_to_channels(core, origin, &fields).await;
    }
    let accepted = begin(core, origin, &fields).await?.accepted().await?;
    Ok(answer::accepted(&accepted))
}

/// A request that has its place, and what its answer shows.
struct Started {
    begun: Begun,
    tells_id: bool,
}

impl Started {
    async fn accepted(self) -> Result<Accepted, ProtocolError> {
        let published = self.begun.published().await?;
        Ok(accepted(&published, self.tells_id))
    }
}

fn accepted(published: &Published, tells_id: bool) -> Accepted {
    let schedule = published.schedule_id();
    Accepted {
        channel: published.channel().into(),
        event: published.event().into(),
        id: (tells_id && published.is_told()).then(|| published.id()),
        schedule,
    }
}

/// Checks one request and gives it its place. Commands, whose events start with `hotsock.`, are
/// told apart here.
async fn begin(
    core: &Core,
    origin: &Origin<'_>,
    fields: &Fields<'_>,
) -> Result<Started, ProtocolError> {
    let event = event(fields)?;
    let channel = fields.string(Field::Channel)?.ok_or_else(|| {
        ProtocolError::new(Code::InvalidChannelName, "the field \"channel\" is missing")
    })?;
    let tells_id = fields.flag(Field::EagerIdGeneration)?;
    if event == REACTION {
        let begun = begin_reaction(core, origin, fields, &channel).await?;
        return Ok(Started { begun, tells_id });
    }
    if event == ENTRY_SET {
        let update = entries::update(fields, &channel, || origin.cause())?;
        let begun = core.begin_entry(update).await?;
        return Ok(Started { begun, tells_id: false });
    }
    let begun = core.begin(message(origin, fields, &channel, &event)?).await?;
    Ok(Started { begun, tells_id })
}

async fn begin_reaction(
    core: &Core,
    origin: &Origin<'_>,
    fields: &Fields<'_>,
    channel: &str,
) -> Result<Begun, ProtocolError> {
    names::check_channel(channel)?;
    let emit = fields.flag(Field::EmitPubSubEvent)?;
    let reaction = HostReaction::parse(&reaction_data(fields)?, emit.then(|| origin.cause()))?;
    let channel = channel.into();
    let pending = core.begin_reaction(&channel, &reaction).await?;
    Ok(Begun::new(channel, REACTION, pending))
}

fn event<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, ProtocolError> {
    fields
        .string(Field::Event)?
        .ok_or_else(|| ProtocolError::new(Code::InvalidEventName, "the field \"event\" is missing"))
}

async fn publish_array(
    core: &Core,
    origin: &Origin<'_>,
    text: &str,
) -> Result<Response<Body>, ProtocolError> {
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        invalid(format!("the body is not valid JSON (at line {line}, column {column})"))
    })?;
    if items.is_empty() || items.len() > MAX_REQUESTS {
        return Err(invalid("an array must have 1 to 100 messages"));
    }
    let mut started = Vec::with_capacity(items.len());
    for item in items {
        started.push(begin_item(core, origin, item.get()).await);
    }
    let mut results = Vec::with_capacity(started.len());
    for one in started {
        results.push(match one {
            Ok(started) => started.accepted().await,
            Err(error) => Err(error),
        });
    }
    Ok(answer_all(core, &results))
}

async fn begin_item(
    core: &Core,
    origin: &Origin<'_>,
    item: &str,
) -> Result<Started, ProtocolError> {
    let fields = Fields::parse(item)?;
    if fields.has(Field::Channels) {
        return Err(invalid("\"channels\" is for a message that is no part of an array"));
    }
    begin(core, origin, &fields).await
}

async fn publish_to_channels(
    core: &Core,
    origin: &Origin<'_>,
    fields: &Fields<'_>,
) -> Result<Response<Body>, ProtocolError> {
    let wrong = || invalid("the field \"channels\" must be an array of 1 to 1,000 strings");
    let channels = fields.raw(Field::Channels).unwrap_or_default();
    let channels: Vec<Cow<'_, str>> = serde_json::from_str(channels).map_err(|_| wrong())?;
    if channels.is_empty() || channels.len() > MAX_CHANNELS {
        return Err(wrong());
    }
    if fields.has(Field::Channel) {
        return Err(invalid("a message has either \"channel\" or \"channels\""));
    }
    let tells_id = fields.flag(Field::EagerIdGeneration)?;
    let message = message(origin, fields, "", &event(fields)?)?;
    let published = core.publish_to_all(channels, message).await?;
    let results = published.into_iter().map(|result| result.map(|one| accepted(&one, tells_id)));
    Ok(answer_all(core, &results.collect::<Vec<_>>()))
}

/// 202 if any was accepted, else the status of the first error.
fn answer_all(core: &Core, results: &[Result<Accepted, ProtocolError>]) -> Response<Body> {
    let status = match results.first() {
        Some(Err(error)) if results.iter().all(Result::is_err) => {
            StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::BAD_REQUEST)
        }
        _ => StatusCode::ACCEPTED,
    };
    let mut body = vec![b'['];
    for (index, result) in results.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        match result {
            Ok(accepted) => accepted.write(&mut body),
            Err(error) => {
                core.hub.counters().refused(error.code);
                body.push(b'{');
                write_error(&mut body, error);
                body.push(b'}');
            }
        }
    }
    body.push(b']');
    answer::json_text(status, body)
}

fn message(
    origin: &Origin<'_>,
    fields: &Fields<'_>,
    channel: &str,
    event: &str,
) -> Result<Message, ProtocolError> {
    let mut message = Message::new(channel, event).read(fields, || origin.cause())?;
    if let Some(id) = fields.string(Field::DeduplicationId)? {
        message = message.deduplication_id(id);
    }
    Ok(message)
}

fn invalid(message: impl Into<Cow<'static, str>>) -> ProtocolError {
    ProtocolError::new(Code::InvalidMessage, message)
}
