//! One connection as a state machine: what it may do, what it is subscribed to, when it ends.
//!
//! The session does no I/O and owns no clock: it is handed what a client sent together with the
//! time, and says what is to be done. The caller does it and reports back, in this order:
//!
//! 1. [`Session::start`] once, and each [`Action`] that it returns.
//! 2. For each message that arrives, [`Session::handle_text`] (or
//!    [`handle_binary`](Session::handle_binary)), then the action that it returns, before the
//!    next message. After [`Action::UseToken`] no message may be handed in until
//!    [`Session::token_used`] has been called, nor after [`Action::AskHost`] until
//!    [`Session::host_answered`] has. After [`Action::Join`] comes
//!    [`Session::joined`] or [`Session::join_refused`], unless the session has ended. After
//!    [`Action::UpdateUmd`] no message may be handed in until it was carried out or refused.
//! 3. When [`Session::next_timeout`] has come, [`Session::handle_timeout`] until it returns
//!    `None`.
//! 4. After [`Action::Close`], [`Session::stop`], and at last [`Session::end`].
//!
//! `R` is the caller's handle of a subscription that is registered with its channel; the session
//! only keeps it.

mod action;
mod alias;
mod control;
mod grant_cache;
mod history;
mod index;
mod info;
mod pace;
mod publish;
mod reaction;
mod right;
mod storage;
mod subscribe;
mod subscription;
mod subscriptions;
#[cfg(test)]
mod tests;
mod timers;
mod umd;

pub(crate) use action::{
    Action, CloseReason, Join, Leave, Observer, Recovery, SubscribeQuestion, UseToken, WriteKind,
    WriteRequest,
};
pub(crate) use history::HistoryScope;
pub(crate) use pace::MessageRate;
pub(crate) use publish::check_data_size;
pub(crate) use reaction::{
    REACTION, Reacting, ReactionAction, ReactionRequest, check_reaction, message_id, reaction_data,
};
pub(crate) use right::Right;
pub(crate) use storage::{ENTRY_SET, GetRequest, StorageScope, is_clearing, required_key};
pub(crate) use subscribe::{single_use, used_before};
pub(crate) use timers::TimerSettings;
pub(crate) use umd::UmdUpdate;

use crate::auth::{Permissions, Token, TokenIdentity, Verifier};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::event::{Connected, Event, Meta};
use crate::protocol::fields::{Field, Fields};
use crate::protocol::names;
use fanfare_storage::Timestamp;
use grant_cache::GrantCache;
use pace::Pace;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use subscribe::PendingSubscribe;
use subscriptions::Subscriptions;
use timers::Timers;

/// A moment on both clocks: the wall clock, which claims are compared with and which may step,
/// and a steady one for everything that is counted in durations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) wall: Timestamp,
    /// Since an arbitrary start, the same for all sessions.
    pub(crate) steady: Duration,
}

/// What all sessions of a broker share.
#[derive(Debug)]
pub(crate) struct SessionSettings {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) timers: TimerSettings,
    /// How many channels one connection may be subscribed to; see [`Session::handle_text`].
    pub(crate) max_subscriptions: usize,
    /// What one client may send, where that is limited.
    pub(crate) message_rate: Option<MessageRate>,
    /// Whether subscribes are asked about; see [`Action::AskHost`].
    pub(crate) asks_host: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Session<R> {
    settings: Arc<SessionSettings>,
    id: Arc<str>,
    meta: Meta,
    /// What the connection was opened with.
    token: TokenIdentity,
    permissions: Arc<Permissions>,
    subscriptions: Subscriptions<R>,
    /// Permissions on channels that the connection is not subscribed to.
    unsubscribed_grants: GrantCache,
    /// In a box, since it is seldom there.
    waiting: Option<Box<PendingSubscribe>>,
    timers: Timers,
    pace: Pace,
    /// Nothing that the client asks for is done any more.
    ended: bool,
}

impl<R> Session<R> {
    /// A session for a connection that was opened with `token`, which the caller has verified, by
    /// a user whom the host may have changed. It ends by age so much `early`, see
    /// [`TimerSettings::most_early`].
    pub(crate) fn new(
        settings: Arc<SessionSettings>,
        id: Arc<str>,
        token: &Token,
        meta: Meta,
        now: Now,
        early: Duration,
    ) -> Self {
        let timers = Timers::new(&settings.timers, token, now, early);
        Self {
            settings,
            id,
            meta,
            token: token.identity(),
            permissions: Arc::clone(&token.permissions),
            subscriptions: Subscriptions::default(),
            unsubscribed_grants: GrantCache::default(),
            waiting: None,
            timers,
            pace: Pace::default(),
            ended: false,
        }
    }

    /// What the server says first: the welcome, then the channels that the token subscribes to
    /// by itself (protocol section 5).
    pub(crate) fn start(&mut self, secret: Arc<str>, now: Now) -> Vec<Action<'static, R>> {
        let welcome = Event::Connected(Connected {
            connection_id: Arc::clone(&self.id),
            secret,
            expires_at: self.timers.expires_at(now),
            meta: self.meta.clone(),
        });
        let mut actions = vec![Action::Reply(welcome)];
        let permissions = Arc::clone(&self.permissions);
        let channels = permissions.auto_subscribed().take(self.settings.max_subscriptions);
        if self.settings.asks_host {
            // Each waits for the answer to the one before.
            actions.extend(channels.map(|channel| Action::AutoSubscribe(channel.into())));
        } else {
            actions.extend(channels.map(|channel| self.auto_subscribe(channel)));
        }
        actions
    }

    /// Takes a text message and says what is to be done about it.
    pub(crate) fn handle_text<'a>(&mut self, now: Now, text: &'a str) -> Action<'a, R> {
        if self.ended {
            return Action::None;
        }
        debug_assert!(self.waiting.is_none(), "a message was handed in too early");
        self.timers.touch(now);
        let mut fields = Fields::NONE;
        if let Err(error) = fields.read(text) {
            return self.nonsense(now, error);
        }
        let channel = match fields.string(Field::Channel) {
            Ok(channel) => channel,
            Err(error) => return self.nonsense(now, error),
        };
        self.dispatch(now, &fields, channel).unwrap_or_else(|error| {
            let written = fields.string(Field::Channel).ok().flatten();
            Action::error(written.as_deref().map(Box::from), error)
        })
    }

    /// Binary messages mean nothing in the protocol (section 13).
    pub(crate) fn handle_binary(&mut self, now: Now) -> Action<'static, R> {
        if self.ended {
            return Action::None;
        }
        self.timers.touch(now);
        let message = "binary messages are not understood; send JSON text";
        self.nonsense(now, ProtocolError::new(Code::InvalidMessage, message))
    }

    fn nonsense(&mut self, now: Now, error: ProtocolError) -> Action<'static, R> {
        self.count(now);
        Action::error(None, error)
    }

    fn dispatch<'a>(
        &mut self,
        now: Now,
        fields: &Fields<'a>,
        channel: Option<Cow<'a, str>>,
    ) -> Result<Action<'a, R>, ProtocolError> {
        let event = required_event(fields).inspect_err(|_| self.count(now))?;
        let Some(command) = event.strip_prefix(names::RESERVED_PREFIX) else {
            self.admit(now)?;
            return self.publish(now, fields, event, channel).map(Action::Write);
        };
        match command {
            "subscribe" | "unsubscribe" => self.count(now),
            // Whoever is told to send them must be able to.
            "ping" | "pong" | "heartbeat" => {}
            _ => self.admit(now)?,
        }
        match command {
            "subscribe" => self.subscribe(now, fields, channel.as_deref()),
            "unsubscribe" => self.unsubscribe(channel.as_deref()),
            "umdUpdate" => self.umd_update(now, fields, channel.as_deref()).map(Action::UpdateUmd),
            "messageReaction" => self.react(fields, channel.as_deref()).map(Action::React),
            "channelStorageSet" => self.set_entry(now, fields).map(Action::Write),
            "channelStorageGet" => self.get_entry(fields).map(Action::GetEntry),
            "ping" => Ok(Action::Reply(Event::Pong)),
            "pong" => Ok(Action::None),
            "heartbeat" => {
                self.timers.heartbeat(now);
                Ok(Action::None)
            }
            _ => Err(unknown_command(&event)),
        }
    }

    /// A publish over the client HTTP API (section 9), by the same rules.
    pub(crate) fn publish_over_http<'a>(
        &mut self,
        now: Now,
        fields: &Fields<'a>,
    ) -> Result<WriteRequest<'a>, ProtocolError> {
        let event = required_event(fields)?;
        if event.starts_with(names::RESERVED_PREFIX) {
            return Err(unknown_command(&event));
        }
        let channel = fields.string(Field::Channel)?;
        self.publish(now, fields, event, channel)
    }

    /// Notes a frame in either direction, which counts as a sign of life (section 5). Needed for
    /// those that the session does not see.
    pub(crate) fn touch(&mut self, now: Now) {
        self.timers.touch(now);
    }

    /// Notes that messages are looked at again at `now`, after none could be since `since`: what the
    /// client sent meanwhile is not held against it, and nothing else is forgiven.
    pub(crate) fn resume(&mut self, since: Duration, now: Now) {
        self.timers.postpone(now.steady.saturating_sub(since), now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, on the steady clock.
    pub(crate) fn next_timeout(&self) -> Duration {
        self.timers.next()
    }

    /// What is due at `now`; `None` once nothing more is.
    pub(crate) fn handle_timeout(&mut self, now: Now) -> Option<Action<'static, R>> {
        self.timers.due(now)
    }

    /// Whether the connection is to end whatever it waits for.
    pub(crate) fn is_aged(&self, now: Now) -> bool {
        self.timers.is_aged(now)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The connection is to be closed: nothing that the client asked for and that is not done yet
    /// is done any more. Its subscriptions last until [`end`](Self::end).
    pub(crate) fn stop(&mut self) {
        self.waiting = None;
        self.ended = true;
    }

    /// Ends the session: the handles of all its subscriptions, to be removed by the caller, with
    /// whose they were.
    pub(crate) fn end(&mut self) -> Vec<(R, Meta)> {
        self.stop();
        self.subscriptions.drain()
    }
}

fn required_event<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, ProtocolError> {
    fields
        .string(Field::Event)?
        .ok_or_else(|| ProtocolError::new(Code::InvalidEventName, "the field \"event\" is missing"))
}

/// A channel's name, checked; a missing one is an invalid one (section 7).
fn required_channel(channel: Option<&str>) -> Result<&str, ProtocolError> {
    let Some(channel) = channel else {
        return Err(ProtocolError::new(
            Code::InvalidChannelName,
            "the field \"channel\" is missing",
        ));
    };
    names::check_channel(channel).map(|()| channel)
}

fn unknown_command(event: &str) -> ProtocolError {
    let shown: String = event.chars().take(names::MAX_EVENT_CHARS).collect();
    ProtocolError::new(
        Code::UnknownCommand,
        format!("{shown:?} is no command; events of your own must not start with \"hotsock.\""),
    )
}
