//! Reactions: given by clients and by the host, and listed (protocol section 7.2).

use super::connection::{Connection, Wait};
use super::core::Core;
use super::error::unreadable;
use super::events::{Announcement, Cause, MessageReactionEvent, Subject, Via};
use super::outgoing::{Audience, Change, Draft, PendingWrite, Refusal};
use super::publish::Pending;
use super::subscribers::ConnectionKey;
use crate::protocol::error::ProtocolError;
use crate::protocol::fields::{Field, Fields};
use crate::protocol::frame::{Sender, UnstampedFrame};
use crate::protocol::{json, user};
use crate::session::{
    HistoryScope, Reacting, ReactionAction, ReactionRequest, Right, check_reaction,
};
use bytes::Bytes;
use fanfare_storage::{
    AddReaction, MessageId, MessageQuery, Order, Outcome, Reaction as StoredReaction,
    ReactionDetail, RemoveReaction, Retention, Timestamp,
};
use http::request::Parts;
use std::sync::Arc;

/// Of `listReactions`.
const MAX_LISTED_BYTES: usize = 1 << 20;

/// How many reactions there may be; see [`BrokerBuilder`](crate::BrokerBuilder).
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReactionLimits {
    /// Different ones on a message.
    pub(crate) per_message: usize,
    /// Of one user on a message.
    pub(crate) per_user: usize,
}

impl Default for ReactionLimits {
    fn default() -> Self {
        Self { per_message: 100, per_user: 20 }
    }
}

/// A reaction that is given or taken back in the name of a user; see
/// [`Broker::add_reaction`](crate::Broker::add_reaction).
#[derive(Clone, Debug)]
#[must_use = "a reaction does nothing until it is given or taken back"]
pub struct Reaction {
    reaction: String,
    uid: String,
    umd: Option<String>,
    emit: bool,
}

impl Reaction {
    /// A reaction of a user's: 1 to 100 bytes, not blank, without `#`; the uid has 1 to 128
    /// characters.
    ///
    /// ```
    /// use fanfare::Reaction;
    /// let thumbs_up = Reaction::new("👍", "jim").raw_umd(r#"{"name":"Jim"}"#);
    /// ```
    pub fn new(reaction: impl Into<String>, uid: impl Into<String>) -> Self {
        Self { reaction: reaction.into(), uid: uid.into(), umd: None, emit: false }
    }

    /// Sets the user's metadata, JSON text of at most 1,024 bytes; null is none.
    pub fn raw_umd(mut self, json: impl Into<String>) -> Self {
        self.umd = Some(json.into());
        self
    }

    /// Whether broker events tell that it is given or taken (protocol section 12); not by default.
    pub fn emit_pub_sub_event(mut self, emit: bool) -> Self {
        self.emit = emit;
        self
    }

    pub(super) fn check(
        self,
        message: MessageId,
        action: ReactionAction,
    ) -> Result<HostReaction, ProtocolError> {
        check_reaction(&self.reaction)?;
        user::check_uid(&self.uid)?;
        let umd = self.umd.map(user::checked_umd).transpose()?.flatten();
        let reacting = Reacting { message, reaction: self.reaction.into(), action };
        let cause = self.emit.then(Cause::of_host);
        Ok(HostReaction { reacting, uid: self.uid, umd, cause })
    }
}

/// A reaction that a user gave to a message; see [`Broker::reactions`](crate::Broker::reactions).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageReaction {
    /// The reaction, such as an emoji.
    pub reaction: String,
    /// Who gave it.
    pub uid: String,
    /// Their metadata when they did, JSON text.
    pub umd: Option<Bytes>,
}

impl From<StoredReaction> for MessageReaction {
    fn from(StoredReaction { reaction, uid, umd, .. }: StoredReaction) -> Self {
        Self { reaction, uid, umd }
    }
}

/// What the host does in the name of a user, checked.
#[derive(Clone, Debug)]
pub(crate) struct HostReaction {
    reacting: Reacting,
    uid: String,
    umd: Option<Bytes>,
    /// The request, where broker events tell of it.
    cause: Option<Cause>,
}

impl HostReaction {
    /// Reads `data` of `POST /publish` (protocol section 10).
    pub(crate) fn parse(data: &Fields<'_>, cause: Option<Cause>) -> Result<Self, ProtocolError> {
        let reacting = Reacting::parse(data)?;
        let uid = data.string(Field::Uid)?.unwrap_or_default().into_owned();
        user::check_uid(&uid)?;
        let umd = data.raw(Field::Umd).map(str::to_owned);
        let umd = umd.map(user::checked_umd).transpose()?.flatten();
        Ok(Self { reacting, uid, umd, cause })
    }
}

/// What broker events tell of a reaction beside itself, where they do.
struct Told {
    cause: Cause,
    /// None where nobody listens.
    target: Option<Target>,
}

/// A message that is reacted to.
struct Target {
    event: String,
    expires_at: Option<Timestamp>,
}

impl Core {
    /// Carries out a client's reaction. The connection's next command waits until this one has
    /// its place, so that an `add` and a `remove` keep their order.
    pub(super) fn react_for(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: ReactionRequest,
    ) -> Wait {
        let (core, connection) = (Arc::clone(self), Arc::clone(connection));
        Box::pin(async move {
            match core.check_target(&connection, &request, Via::WebSocket).await {
                Ok((right, told)) => {
                    let draft = core.reaction_of_client(&connection, &request, told);
                    let settle = connection.hears_of_failure(&request.written);
                    core.send_for(&connection, right, &request.channel, draft, settle).await;
                }
                Err(error) => connection.mailbox().refuse(Some(request.written), error),
            }
        })
    }

    /// As [`react_for`](Self::react_for), for the client HTTP API, which waits for the outcome. A
    /// repeat has no id: nobody was told of it.
    pub(crate) async fn react_over_http(
        &self,
        connection: &Connection,
        request: &ReactionRequest,
        parts: &Parts,
    ) -> Result<Option<MessageId>, ProtocolError> {
        let (right, told) = self.check_target(connection, request, Via::Http(parts)).await?;
        let draft = self.reaction_of_client(connection, request, told);
        let permit = self.reserve_for(connection, &right, draft.size()).await?;
        let settled = self.place(&request.channel, draft, permit).settled().await;
        let settled = settled.map_err(Refusal::into_error)?;
        Ok((settled.outcome != Outcome::Unchanged).then_some(settled.id))
    }

    /// Looks at the message reacted to, whose event decides whether that may be, and whether broker
    /// events tell of it.
    async fn check_target(
        &self,
        connection: &Connection,
        request: &ReactionRequest,
        via: Via<'_>,
    ) -> Result<(Right, Option<Told>), ProtocolError> {
        let target = self.target(&request.channel, request.reacting.message).await?;
        let target = target.ok_or_else(|| Refusal::MessageNotFound.into_error())?;
        let emit = connection.session().lock().may_react(request, &target.event)?;
        let right = request.right(&target.event);
        let cause = || Cause::of_client(connection, via);
        Ok((right, emit.then(|| Told { cause: cause(), target: Some(target) })))
    }

    async fn target(&self, channel: &str, id: MessageId) -> Result<Option<Target>, ProtocolError> {
        let query = MessageQuery {
            from: id,
            to: id,
            order: Order::Ascending,
            max_messages: 1,
            max_bytes: usize::MAX,
            reactions: ReactionDetail::None,
            now: self.clock.now().wall,
        };
        let page = self.storage.messages(channel, query).await;
        let page = page.map_err(unreadable)?;
        Ok(page.messages.into_iter().next().map(|found| Target {
            event: found.message.event,
            expires_at: match found.retention {
                Retention::Until(end) => Some(end),
                Retention::Forever | Retention::None => None,
            },
        }))
    }

    fn reaction_of_client(
        &self,
        connection: &Connection,
        request: &ReactionRequest,
        told: Option<Told>,
    ) -> Draft {
        let except = (!request.echo).then_some(connection.key());
        let user = (&*request.uid, request.meta.umd.clone());
        self.reaction_draft(&request.channel, &request.reacting, user, except, told)
    }

    /// What the host hears of a reaction, where it listens.
    fn reaction_announcement(
        &self,
        channel: &Arc<str>,
        reacting: &Reacting,
        (uid, umd): (&str, Option<Bytes>),
        told: Option<Told>,
    ) -> Option<Box<Announcement>> {
        let Told { cause, target } = told?;
        let Target { event, expires_at } = target?;
        let describe = || {
            let reaction = MessageReactionEvent {
                channel: Arc::clone(channel),
                message_id: reacting.message,
                id: MessageId::MIN,
                reaction: reacting.reaction.as_ref().into(),
                uid: uid.into(),
                umd,
                created_at: self.clock.now().wall,
                expires_at,
            };
            let is_added = reacting.action == ReactionAction::Add;
            (Subject::Reaction { event: event.into(), reaction, is_added }, cause)
        };
        self.hub.announcer().prepare(channel, describe)
    }

    /// A reaction as it goes through its channel. The announcement has exactly the fields that
    /// section 7.2 names, whatever came along in the request.
    fn reaction_draft(
        &self,
        channel: &Arc<str>,
        reacting: &Reacting,
        (uid, umd): (&str, Option<Bytes>),
        except: Option<ConnectionKey>,
        told: Option<Told>,
    ) -> Draft {
        let Reacting { message, reaction, action } = reacting;
        let (event, name) = match action {
            ReactionAction::Add => ("hotsock.messageReactionAdded", "add"),
            ReactionAction::Remove => ("hotsock.messageReactionRemoved", "remove"),
        };
        let mut data = format!(r#"{{"messageId":"{message}","reaction":"#).into_bytes();
        json::string(&mut data, reaction);
        data.extend_from_slice(format!(r#","action":"{name}"}}"#).as_bytes());
        let sender = Sender { uid: Some(uid), umd: umd.as_deref() };
        let frame = UnstampedFrame::message(channel, event, &data, Some(sender));
        // Kept for the event of its removal.
        let context = told.as_ref().map_or_else(Bytes::new, |told| told.cause.to_notes());
        let announcement = self.reaction_announcement(channel, reacting, (uid, umd.clone()), told);
        let change = match action {
            ReactionAction::Add => Change::AddReaction(AddReaction {
                message: *message,
                reaction: StoredReaction {
                    reaction: reaction.to_string(),
                    uid: uid.to_owned(),
                    umd,
                    id: MessageId::MIN,
                    created_at: self.clock.now().wall,
                    context,
                },
                max_per_message: self.settings.reactions.per_message,
                max_per_user: self.settings.reactions.per_user,
            }),
            ReactionAction::Remove => Change::RemoveReaction(RemoveReaction {
                message: *message,
                reaction: reaction.to_string(),
                uid: uid.to_owned(),
                id: MessageId::MIN,
            }),
        };
        Draft {
            frame,
            audience: Audience::AllBut(except),
            write: Some(Box::new(PendingWrite { change, fulfils: None })),
            announcement,
        }
    }

    /// A reaction by the host, in the name of a user and without permission checks (section 10).
    pub(crate) async fn begin_reaction(
        &self,
        channel: &Arc<str>,
        change: &HostReaction,
    ) -> Result<Pending, ProtocolError> {
        if self.is_draining() {
            return Err(ProtocolError::shutting_down());
        }
        let user = (&*change.uid, change.umd.clone());
        let told = match change.cause.clone() {
            Some(cause) => Some(Told { cause, target: self.heard_target(channel, change).await? }),
            None => None,
        };
        let draft = self.reaction_draft(channel, &change.reacting, user, None, told);
        Ok(self.enqueue(channel, draft).await)
    }

    /// What is reacted to, where anybody listens to what is told of it. That it is not there is
    /// found by the write.
    async fn heard_target(
        &self,
        channel: &str,
        change: &HostReaction,
    ) -> Result<Option<Target>, ProtocolError> {
        if !self.hub.announcer().is_heard() {
            return Ok(None);
        }
        self.target(channel, change.reacting.message).await
    }

    /// Whether something changed.
    pub(crate) async fn react_for_host(
        &self,
        channel: &Arc<str>,
        change: &HostReaction,
    ) -> Result<bool, ProtocolError> {
        let pending = self.begin_reaction(channel, change).await?;
        let settled = pending.settled().await.map_err(Refusal::into_error)?;
        Ok(settled.outcome != Outcome::Unchanged)
    }

    /// A message's reactions in the order in which they were given, as many as storage reads.
    pub(crate) async fn reactions(
        &self,
        channel: &str,
        id: MessageId,
    ) -> Result<Vec<MessageReaction>, ProtocolError> {
        let found = self.storage.message(channel, id, self.clock.now().wall).await;
        let found = found.map_err(unreadable)?;
        let found = found.ok_or_else(|| Refusal::MessageNotFound.into_error())?;
        Ok(found.reactions.into_iter().map(MessageReaction::from).collect())
    }

    /// `listReactions` (section 9): `{"reactions":[…]}`, of which the rest is left out where it
    /// would be longer than 1 MB.
    pub(crate) async fn list_reactions(
        &self,
        scope: &HistoryScope,
        id: MessageId,
    ) -> Result<Vec<u8>, ProtocolError> {
        if id < scope.from {
            return Err(Refusal::MessageNotFound.into_error());
        }
        let reactions = self.reactions(&scope.channel, id).await?;
        let mut out = br#"{"reactions":["#.to_vec();
        for (index, reaction) in reactions.iter().enumerate() {
            let before = out.len();
            out.extend_from_slice(if index == 0 {
                br#"{"reaction":"#
            } else {
                br#",{"reaction":"#
            });
            json::string(&mut out, &reaction.reaction);
            out.extend_from_slice(br#","uid":"#);
            json::string(&mut out, &reaction.uid);
            out.extend_from_slice(br#","umd":"#);
            out.extend_from_slice(reaction.umd.as_deref().unwrap_or(b"null"));
            out.push(b'}');
            if out.len() > MAX_LISTED_BYTES {
                out.truncate(before);
                break;
            }
        }
        out.extend_from_slice(b"]}");
        Ok(out)
    }
}
