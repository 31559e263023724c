//! Subscribing and unsubscribing (protocol section 6).

use super::action::{Action, Join, Leave, Observer, Start, SubscribeQuestion, UseToken};
use super::grant_cache::GrantCache;
use super::subscription::{Active, Subscription};
use super::{Now, Session, required_channel};
use crate::auth::{Decision, Grants, Permissions, Scope, Token, TokenIdentity};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::event::{Event, Meta, Subscribed};
use crate::protocol::fields::{Field, Fields};
use crate::protocol::names;
use fanfare_storage::{MessageId, TokenUse};
use std::sync::Arc;

/// A subscribe that waits for somebody's word. Whoever has to be asked is asked in this order, each
/// once, and what is still to be asked is in the fields, which [`Session::proceed`] empties:
///
/// 1. `look_at`: whether its single-use token was used before, since that is what a client is told
///    first (section 6). Also where the verdict is an error by now, which is told only of a token
///    that is fresh. Left out where the next to be asked is `spend`, which tells it too.
/// 2. `ask_host`: whether the host vetoes it. Only of what is granted.
/// 3. `spend`: the token is used up, which is last, since what is refused must not use it up (section
///    3). Only of what is granted, and not on presence channels: there it is [`Granted::spend`], and
///    is used up when the channel is joined, once there is room among the members.
///
/// In between the host may [refuse](Self::refuse) it, or its user's metadata may change.
#[derive(Debug)]
pub(super) struct PendingSubscribe {
    written: Box<str>,
    /// What follows where nobody objects.
    verdict: Result<Granted, ProtocolError>,
    look_at: Option<TokenUse>,
    ask_host: bool,
    spend: Option<TokenUse>,
}

impl PendingSubscribe {
    pub(super) fn granted_mut(&mut self) -> Option<&mut Granted> {
        self.verdict.as_mut().ok()
    }

    pub(super) fn is_for(&self, channel: &str) -> bool {
        self.verdict.as_ref().is_ok_and(|granted| *granted.channel == *channel)
    }

    /// The channel, and what its token grants, where the subscribe was granted up to now.
    pub(super) fn granted(&self) -> Option<(&str, Option<&Permissions>)> {
        let granted = self.verdict.as_ref().ok()?;
        Some((&granted.channel, granted.permissions.as_deref()))
    }

    pub(super) fn token(&self) -> Option<&TokenIdentity> {
        self.verdict.as_ref().ok()?.token.as_deref()
    }

    pub(super) fn refuse(&mut self, error: ProtocolError) {
        self.verdict = Err(error);
    }

    /// Takes the host's answer, which has no weight where it is refused already.
    fn answer(&mut self, answer: Result<Meta, ProtocolError>) {
        let Ok(granted) = &mut self.verdict else { return };
        match answer {
            Ok(meta) if names::is_presence(&granted.channel) && is_anonymous(&meta) => {
                self.verdict = Err(user_id_required());
            }
            Ok(meta) => granted.meta = meta,
            Err(error) => self.verdict = Err(error),
        }
    }
}

/// Whether a single-use token is used up when its channel is joined, and not before: there may
/// be no room among the members, which only shows then.
fn is_spent_late(channel: &str) -> bool {
    names::is_presence(channel)
}

/// A subscription that has passed all checks.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) channel: Arc<str>,
    written: Box<str>,
    permissions: Option<Arc<Permissions>>,
    token: Option<Box<TokenIdentity>>,
    pub(super) meta: Meta,
    counted: bool,
    auto: bool,
    /// A single-use token that is used up when the channel is joined.
    spend: Option<TokenUse>,
    /// The last message that the client knows, where it asked for what came after.
    after: Option<MessageId>,
}

impl Granted {
    fn question(&self) -> SubscribeQuestion {
        SubscribeQuestion {
            channel: Arc::clone(&self.channel),
            meta: self.meta.clone(),
            auto: self.auto,
        }
    }
}

impl<R> Session<R> {
    /// Checks in the order that section 6 gives: syntax, already subscribed, token, permission,
    /// presence.
    pub(super) fn subscribe(
        &mut self,
        now: Now,
        fields: &Fields<'_>,
        channel: Option<&str>,
    ) -> Result<Action<'static, R>, ProtocolError> {
        let written = required_channel(channel)?;
        let data = fields.object(Field::Data)?;
        let token = data.as_ref().map(|data| data.string(Field::Token)).transpose()?.flatten();
        let after = data.as_ref().map(last_known).transpose()?.flatten();
        if let Some(repeat) = self.repeat(&self.resolve(written, None)) {
            return Ok(repeat);
        }

        let token = token
            .map(|token| self.verify(&token, Scope::Subscribe, Code::InvalidSubscribeToken, now))
            .transpose()?;
        let permissions = token.as_ref().map(|token| &*token.permissions);
        let channel = Arc::<str>::from(&*self.resolve(written, permissions));
        if let Some(repeat) = self.repeat(&channel) {
            return Ok(repeat);
        }
        if let Some(alias) = permissions.and_then(|token| token.alias_of(&channel))
            && self.subscriptions.has_alias(alias)
        {
            return Err(invalid_token("the token's alias is another subscription's already"));
        }
        let use_of = token.as_ref().and_then(single_use);
        let mut verdict = self.check_subscribe(&channel, written, token.as_ref(), after);
        let ask_host = self.settings.asks_host && verdict.is_ok();
        if use_of.is_none() && !ask_host {
            return verdict.map(|granted| self.grant(granted));
        }
        let late = is_spent_late(&channel);
        if let (Ok(granted), true) = (&mut verdict, late) {
            granted.spend.clone_from(&use_of);
        }
        let spend = use_of.clone().filter(|_| verdict.is_ok() && !late);
        let look_at = use_of.filter(|_| spend.is_none() || ask_host);
        let written = written.into();
        let waiting = PendingSubscribe { written, verdict, look_at, ask_host, spend };
        self.waiting = Some(Box::new(waiting));
        Ok(self.proceed())
    }

    /// Goes on with what waits for [`Action::UseToken`]; `fresh` says that the token had not been
    /// used before.
    pub(crate) fn token_used(&mut self, fresh: bool) -> Action<'static, R> {
        if let (Some(waiting), false) = (&mut self.waiting, fresh) {
            waiting.refuse(used_before(Code::InvalidSubscribeToken));
        }
        self.proceed()
    }

    /// Goes on with what waits for [`Action::AskHost`]; the answer is whom the subscription shows.
    pub(crate) fn host_answered(
        &mut self,
        answer: Result<Meta, ProtocolError>,
    ) -> Action<'static, R> {
        if let Some(waiting) = &mut self.waiting {
            waiting.answer(answer);
        }
        self.proceed()
    }

    /// Asks the next who has to be asked about what waits, or ends the waiting.
    fn proceed(&mut self) -> Action<'static, R> {
        let Some(waiting) = &mut self.waiting else { return Action::None };
        if let Some(token) = waiting.look_at.take() {
            return Action::UseToken(UseToken { token, spend: false });
        }
        if let Ok(granted) = &waiting.verdict {
            if std::mem::take(&mut waiting.ask_host) {
                return Action::AskHost(granted.question());
            }
            if let Some(token) = waiting.spend.take() {
                return Action::UseToken(UseToken { token, spend: true });
            }
        }
        match self.waiting.take().map(|waiting| *waiting) {
            Some(PendingSubscribe { verdict: Ok(granted), .. }) => self.grant(granted),
            Some(PendingSubscribe { verdict: Err(error), written, .. }) => {
                Action::error(Some(written), error)
            }
            None => Action::None,
        }
    }

    /// Completes a [`Join`]: the subscription exists from now on, and covers what is published
    /// after `start`. Where the session has ended in the meantime, the registration is given back,
    /// to be removed.
    #[must_use]
    pub(crate) fn joined(&mut self, channel: &str, registration: R, start: Start) -> Option<R> {
        match self.subscriptions.get_mut(channel).filter(|_| !self.ended) {
            Some(subscription) => {
                subscription.active = Some(Active { registration, start });
                None
            }
            None => Some(registration),
        }
    }

    /// Takes note that a [`Join`] was refused: there is no subscription.
    pub(crate) fn join_refused(&mut self, channel: &str) {
        if self.subscriptions.active(channel).is_none() {
            self.subscriptions.remove(channel);
        }
    }

    /// Subscribes to a channel by itself, as the connect token says (section 5).
    pub(crate) fn auto_subscribe(&mut self, channel: &str) -> Action<'static, R> {
        if self.ended {
            return Action::None;
        }
        let grants = self.tokens(None).channel(channel);
        // The host may have changed them while others were waited for.
        if grants.subscribe != Decision::Granted {
            return Action::error(Some(channel.into()), no_longer_granted());
        }
        if names::is_presence(channel) && is_anonymous(&self.meta) {
            return Action::error(Some(channel.into()), user_id_required());
        }
        let granted = Granted {
            channel: channel.into(),
            written: channel.into(),
            permissions: None,
            token: None,
            meta: self.meta.clone(),
            counted: !grants.omit_from_sub_count,
            auto: true,
            spend: None,
            after: None,
        };
        if !self.settings.asks_host {
            return self.grant(granted);
        }
        let waiting = PendingSubscribe {
            written: channel.into(),
            verdict: Ok(granted),
            look_at: None,
            ask_host: true,
            spend: None,
        };
        self.waiting = Some(Box::new(waiting));
        self.proceed()
    }

    pub(super) fn unsubscribe(
        &mut self,
        channel: Option<&str>,
    ) -> Result<Action<'static, R>, ProtocolError> {
        let written = required_channel(channel)?;
        let channel = self.resolve(written, None).into_owned();
        let removed = self.subscriptions.active(&channel).is_some();
        let removed = removed.then(|| self.subscriptions.remove(&channel)).flatten();
        let Some((channel, Subscription { alias, own_meta: meta, active: Some(active), .. })) =
            removed
        else {
            return Err(not_subscribed(written));
        };
        let farewell = Event::Unsubscribed { channel, alias, meta };
        Ok(Action::Leave(Leave { registration: active.registration, farewell }))
    }

    /// The tokens in force on a channel, with those of its subscription.
    pub(super) fn tokens<'s>(&'s self, subscribe: Option<&'s Permissions>) -> Grants<'s> {
        Grants { connect: &self.permissions, subscribe }
    }

    /// What is said where the connection is subscribed already. Unlike every other error it names
    /// the real channel (section 4).
    fn repeat(&self, channel: &str) -> Option<Action<'static, R>> {
        let message = format!("this connection is subscribed to {channel:?} already");
        let error = ProtocolError::new(Code::AlreadySubscribed, message);
        self.subscriptions.contains(channel).then(|| Action::error(Some(channel.into()), error))
    }

    /// Verifies a token that came with a command: it must have the scope, and be this
    /// connection's or its user's.
    pub(super) fn verify(
        &self,
        token: &str,
        scope: Scope,
        code: Code,
        now: Now,
    ) -> Result<Token, ProtocolError> {
        let token = self.settings.verifier.verify(token, now.wall);
        let token = token.map_err(|error| ProtocolError::new(code, error.to_string()))?;
        if !token.has_scope(scope) {
            let message = format!("the token's scope must contain {:?}", scope.name());
            return Err(ProtocolError::new(code, message));
        }
        let belongs = match &token.connection_id {
            Some(id) => **id == *self.id,
            None => token
                .uid
                .as_ref()
                .is_some_and(|uid| !uid.is_empty() && self.meta.uid.as_ref() == Some(uid)),
        };
        if !belongs {
            return Err(ProtocolError::new(
                code,
                "the token's connectionId must be this connection's or, without one, its uid",
            ));
        }
        Ok(token)
    }

    /// A token's permissions, or another subscription's that are the same: one token for thousands
    /// of channels is kept once.
    fn shared_permissions(&self, token: &Token) -> Arc<Permissions> {
        let same = self.subscriptions.permissions_of(token.permissions.digest());
        Arc::clone(same.unwrap_or(&token.permissions))
    }

    fn check_subscribe(
        &self,
        channel: &Arc<str>,
        written: &str,
        token: Option<&Token>,
        after: Option<MessageId>,
    ) -> Result<Granted, ProtocolError> {
        let permissions = token.map(|token| self.shared_permissions(token));
        let grants = self.tokens(permissions.as_deref()).channel(channel);
        if grants.subscribe != Decision::Granted {
            return Err(ProtocolError::new(
                Code::SubscribePermissionDenied,
                format!("no token in force grants \"subscribe\" on {channel:?}"),
            ));
        }
        if self.subscriptions.len() >= self.settings.max_subscriptions {
            return Err(ProtocolError::new(
                Code::SubscribePermissionDenied,
                format!(
                    "a connection may have at most {} subscriptions",
                    self.settings.max_subscriptions
                ),
            ));
        }
        let meta = Meta {
            uid: token.and_then(|token| token.uid.clone()).or_else(|| self.meta.uid.clone()),
            umd: token.and_then(|token| token.umd.clone()).or_else(|| self.meta.umd.clone()),
        };
        if names::is_presence(channel) && is_anonymous(&meta) {
            return Err(user_id_required());
        }
        Ok(Granted {
            channel: Arc::clone(channel),
            written: written.into(),
            permissions,
            token: token.map(|token| Box::new(token.identity())),
            meta,
            counted: !grants.omit_from_sub_count,
            auto: false,
            spend: None,
            after,
        })
    }

    /// Makes the subscription, not active yet, and asks for its registration.
    fn grant(&mut self, granted: Granted) -> Action<'static, R> {
        let Granted { channel, written, permissions, token, meta, counted, auto, spend, after } =
            granted;
        let (alias, alias_is_own) = self.alias_for(&channel, permissions.as_deref());
        let confirmation = Subscribed {
            channel: Arc::clone(&channel),
            alias: alias.clone(),
            auto,
            // So it stays unless the recovery succeeds.
            recovered: after.map(|_| false),
            members: None,
            meta: meta.clone(),
        };
        let observer = self.observer(&channel, permissions.as_ref());
        let recovery =
            after.and_then(|after| self.recovery(&channel, permissions.as_deref(), after));
        let grants = GrantCache::default();
        let subscription = Subscription {
            permissions,
            token,
            alias,
            alias_is_own,
            number: 0,
            own_meta: meta,
            meta_since: 0,
            grants,
            is_stale: false,
            active: None,
        };
        self.subscriptions.insert(Arc::clone(&channel), subscription);
        Action::Join(Join { channel, written, confirmation, counted, observer, recovery, spend })
    }

    /// The tokens that are to be asked which keys of a channel's storage a subscription observes,
    /// where they name any.
    pub(super) fn observer(
        &self,
        channel: &str,
        subscribe: Option<&Arc<Permissions>>,
    ) -> Option<Observer> {
        let names_any = self.tokens(subscribe.map(|token| &**token)).observes_any(channel);
        names_any.then(|| Observer {
            connect: Arc::clone(&self.permissions),
            subscribe: subscribe.cloned(),
        })
    }
}

/// The last message that the client knows, where it names one. An empty id is as none (protocol,
/// introduction); one that is no id can't be answered with anything but an error.
fn last_known(data: &Fields<'_>) -> Result<Option<MessageId>, ProtocolError> {
    let text = data.string(Field::After)?.filter(|text| !text.is_empty());
    text.map(|text| {
        text.parse().map_err(|error| {
            ProtocolError::new(Code::InvalidMessageId, format!("\"after\": {error}"))
        })
    })
    .transpose()
}

/// Members of presence channels are told apart by their uid (section 6.1).
fn is_anonymous(meta: &Meta) -> bool {
    meta.uid.as_ref().is_none_or(|uid| uid.is_empty())
}

fn user_id_required() -> ProtocolError {
    let message = "presence channels need a token with a uid";
    ProtocolError::new(Code::PresenceUserIdRequired, message)
}

/// What is said of a token that was used before; the code is that of its use.
pub(crate) fn used_before(code: Code) -> ProtocolError {
    ProtocolError::new(code, "the token is for a single use and was used before")
}

/// How storage knows a single-use token.
pub(crate) fn single_use(token: &Token) -> Option<TokenUse> {
    let jti = token.single_use.then_some(token.jti.as_deref()).flatten()?;
    Some(TokenUse { key: token.key.to_string(), jti: jti.to_owned(), expires_at: token.expires_at })
}

/// What is said of a subscribe that was under way when the host changed the permissions.
pub(super) fn no_longer_granted() -> ProtocolError {
    let message = "the connection's permissions no longer grant \"subscribe\"";
    ProtocolError::new(Code::SubscribePermissionDenied, message)
}

pub(super) fn not_subscribed(channel: &str) -> ProtocolError {
    ProtocolError::new(
        Code::NotSubscribed,
        format!("this connection is not subscribed to {channel:?}"),
    )
}

pub(super) fn invalid_token(message: impl Into<std::borrow::Cow<'static, str>>) -> ProtocolError {
    ProtocolError::new(Code::InvalidSubscribeToken, message)
}
