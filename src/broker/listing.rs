//! `listMessages` of the client HTTP API (protocol section 9).

use super::core::Core;
use super::error::unreadable;
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
    /// The answer's body: `{"messages":[…]}`. Storage counts more for a message than its JSON is
    /// long where many users reacted to it, and so is asked until the answer is full.
    pub(crate) async fn list_messages(
        &self,
        scope: &HistoryScope,
        request: ListRequest,
    ) -> Result<Vec<u8>, ProtocolError> {
        let mut answer = Answer::new(&scope.channel, request.reactions);
        let mut query = self.query(scope, request);
        while let Some(part) = query.take() {
            let page = self.storage.messages(&scope.channel, part.clone()).await;
            let page = page.map_err(unreadable)?;
            if answer.add(&page.messages) && page.more {
                query = beyond(part, &page.messages);
            }
        }
        Ok(answer.end())
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

/// What is left of a query after what it found.
fn beyond(mut query: MessageQuery, found: &[ListedMessage]) -> Option<MessageQuery> {
    let last = found.last()?.message.id;
    match query.order {
        Order::Ascending => query.from = last.next(),
        Order::Descending => query.to = last.previous(),
    }
    query.max_messages = query.max_messages.saturating_sub(found.len());
    (query.max_messages > 0).then_some(query)
}

/// An answer as it is written.
struct Answer<'a> {
    channel: &'a str,
    reactions: ReactionDetail,
    out: Vec<u8>,
    /// Of the elements, without the commas.
    bytes: usize,
}

impl<'a> Answer<'a> {
    fn new(channel: &'a str, reactions: ReactionDetail) -> Self {
        Self { channel, reactions, out: br#"{"messages":["#.to_vec(), bytes: 0 }
    }

    /// Adds what fits, and tells whether all did. A first element always fits.
    fn add(&mut self, messages: &[ListedMessage]) -> bool {
        for listed in messages {
            let before = self.out.len();
            if self.bytes > 0 {
                self.out.push(b',');
            }
            let start = self.out.len();
            write_element(&mut self.out, self.channel, listed, self.reactions);
            let bytes = self.bytes + self.out.len() - start;
            if bytes > MAX_BYTES && self.bytes > 0 {
                self.out.truncate(before);
                return false;
            }
            self.bytes = bytes;
        }
        true
    }

    fn end(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"]}");
        self.out
    }
}

fn write_element(
    out: &mut Vec<u8>,
    channel: &str,
    listed: &ListedMessage,
    reactions: ReactionDetail,
) {
    let message = &listed.message;
    let start = out.len();
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
        ReactionDetail::All => write_expanded(out, listed, start + MAX_BYTES),
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

/// As [`write_counts`], each with who gave it; `{}` where there are none. All are counted, but
/// those who would make the output longer than `limit` are not named.
fn write_expanded(out: &mut Vec<u8>, listed: &ListedMessage, limit: usize) {
    let mut by_value = BTreeMap::<&str, Vec<&Reaction>>::new();
    for reaction in &listed.reactions {
        by_value.entry(&reaction.reaction).or_default().push(reaction);
    }
    out.extend_from_slice(br#","reactions":{"#);
    for (index, ReactionCount { reaction, count }) in listed.reaction_counts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::string(out, reaction);
        out.extend_from_slice(format!(r#":{{"count":{count},"items":["#).as_bytes());
        let items = by_value.remove(&**reaction).unwrap_or_default();
        for (index, reaction) in items.into_iter().enumerate() {
            let before = out.len();
            out.extend_from_slice(if index == 0 { br#"{"uid":"# } else { br#",{"uid":"# });
            json::string(out, &reaction.uid);
            if let Some(umd) = &reaction.umd {
                out.extend_from_slice(br#","umd":"#);
                out.extend_from_slice(umd);
            }
            out.push(b'}');
            if out.len() > limit {
                out.truncate(before);
                break;
            }
        }
        out.extend_from_slice(b"]}");
    }
    out.push(b'}');
}
