//! `listMessages` of the client HTTP API (protocol section 9).

use super::core::Core;
use super::history::unreadable;
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::fields::{Field, Fields};
use crate::protocol::json;
use crate::session::HistoryScope;
use fanfare_storage::{
    ListedMessage, MessageId, MessageQuery, Order, Reaction, ReactionCount, ReactionDetail,
};
use std::collections::BTreeMap;

const MAX_MESSAGES: usize = 100;
/// Of the elements' JSON.
const MAX_BYTES: usize = 1 << 20;

/// Which messages a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListRequest {
    order: Order,
    /// `after` in ascending order, `before` in descending: the other one is not looked at.
    beyond: Option<MessageId>,
    reactions: ReactionDetail,
}

impl ListRequest {
    pub(crate) fn parse(fields: &Fields<'_>) -> Result<Self, ProtocolError> {
        let reverse = fields.flag(Field::Reverse)?;
        let expand = fields.flag(Field::ExpandReactions)?;
        let reactions = if expand { ReactionDetail::All } else { ReactionDetail::Counts };
        let (order, field) = if reverse {
            (Order::Descending, Field::Before)
        } else {
            (Order::Ascending, Field::After)
        };
        Ok(Self { order, beyond: message_id(fields, field)?, reactions })
    }
}

/// An id; an empty string is as none.
fn message_id(fields: &Fields<'_>, field: Field) -> Result<Option<MessageId>, ProtocolError> {
    let text = fields.string(field)?.filter(|text| !text.is_empty());
    text.map(|text| {
        text.parse().map_err(|error| {
            let message = format!("the field {:?}: {error}", field.name());
            ProtocolError::new(Code::InvalidMessageId, message)
        })
    })
    .transpose()
}

impl Core {
    /// The answer's body: `{"messages":[…]}`.
    pub(crate) async fn list_messages(
        &self,
        scope: &HistoryScope,
        request: ListRequest,
    ) -> Result<Vec<u8>, ProtocolError> {
        let Some(query) = self.query(scope, request) else {
            return Ok(br#"{"messages":[]}"#.to_vec());
        };
        let page = self
            .storage
            .messages(&scope.channel, query)
            .await
            .map_err(|error| unreadable(&error))?;
        Ok(write_page(&scope.channel, &page.messages, request.reactions))
    }

    /// `None` where the range is empty.
    fn query(&self, scope: &HistoryScope, request: ListRequest) -> Option<MessageQuery> {
        let (from, to) = match (request.order, request.beyond) {
            (Order::Ascending, Some(after)) => (scope.from.max(after.next()), MessageId::MAX),
            (Order::Descending, Some(before)) => (scope.from, before.previous()),
            (_, None) => (scope.from, MessageId::MAX),
        };
        let nothing_before =
            request.beyond == Some(MessageId::MIN) && request.order == Order::Descending;
        let nothing_after =
            request.beyond == Some(MessageId::MAX) && request.order == Order::Ascending;
        (from <= to && !nothing_before && !nothing_after).then(|| MessageQuery {
            from,
            to,
            order: request.order,
            max_messages: MAX_MESSAGES,
            max_bytes: MAX_BYTES,
            reactions: request.reactions,
            now: self.clock.now().wall,
        })
    }
}

fn write_page(channel: &str, messages: &[ListedMessage], reactions: ReactionDetail) -> Vec<u8> {
    let mut out = br#"{"messages":["#.to_vec();
    let start = out.len();
    for (index, listed) in messages.iter().enumerate() {
        let before = out.len();
        if index > 0 {
            out.push(b',');
        }
        write_element(&mut out, channel, listed, reactions);
        // The comma is no part of an element. A first element always fits.
        if out.len() - start - index > MAX_BYTES && index > 0 {
            out.truncate(before);
            break;
        }
    }
    out.extend_from_slice(b"]}");
    out
}

fn write_element(
    out: &mut Vec<u8>,
    channel: &str,
    listed: &ListedMessage,
    reactions: ReactionDetail,
) {
    let message = &listed.message;
    out.extend_from_slice(br#"{"id":""#);
    let mut id = [0; MessageId::TEXT_LEN];
    out.extend_from_slice(message.id.encode(&mut id).as_bytes());
    out.extend_from_slice(br#"","event":"#);
    json::string(out, &message.event);
    out.extend_from_slice(br#","channel":"#);
    json::string(out, channel);
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(&message.data);
    out.extend_from_slice(br#","meta":"#);
    let author = message.author.as_ref();
    let uid = author.and_then(|author| author.uid.as_deref());
    json::meta(out, uid, author.and_then(|author| author.umd.as_deref()));
    match reactions {
        ReactionDetail::All => write_expanded(out, &listed.reactions),
        _ => write_counts(out, &listed.reaction_counts),
    }
    out.push(b'}');
}

/// `"reactions":{"👍":{"count":2}}`, left out where there are none.
fn write_counts(out: &mut Vec<u8>, counts: &[ReactionCount]) {
    for (index, ReactionCount { reaction, count }) in counts.iter().enumerate() {
        out.extend_from_slice(if index == 0 { br#","reactions":{"# } else { b"," });
        json::string(out, reaction);
        out.extend_from_slice(format!(r#":{{"count":{count}}}"#).as_bytes());
    }
    if !counts.is_empty() {
        out.push(b'}');
    }
}

/// As [`write_counts`], each with who gave it; `{}` where there are none.
fn write_expanded(out: &mut Vec<u8>, reactions: &[Reaction]) {
    let mut by_value = BTreeMap::<&str, Vec<&Reaction>>::new();
    for reaction in reactions {
        by_value.entry(&reaction.reaction).or_default().push(reaction);
    }
    out.extend_from_slice(br#","reactions":{"#);
    for (index, (value, items)) in by_value.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::string(out, value);
        out.extend_from_slice(format!(r#":{{"count":{},"items":["#, items.len()).as_bytes());
        for (index, reaction) in items.into_iter().enumerate() {
            out.extend_from_slice(if index == 0 { br#"{"uid":"# } else { br#",{"uid":"# });
            json::string(out, &reaction.uid);
            if let Some(umd) = &reaction.umd {
                out.extend_from_slice(br#","umd":"#);
                out.extend_from_slice(umd);
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b'}');
}
