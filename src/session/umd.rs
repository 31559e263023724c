//! Changing the user's metadata (protocol section 7.4).

use super::subscribe::{not_subscribed, single_use};
use super::subscription::Subscription;
use super::{Now, Session, required_channel};
use crate::auth::{Decision, Grants, Scope, Token, TokenError, TokenIdentity};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::event::Meta;
use crate::protocol::fields::{Field, Fields};
use crate::protocol::names;
use bytes::Bytes;
use fanfare_storage::TokenUse;
use std::sync::Arc;

/// A change of metadata that was asked for.
///
/// To be carried out in this order: where there is a single-use token, it must not have been used
/// before; the verdict; room among the members for each of [`Session::shown`]; the token is used
/// up; [`Session::still_permits_umd`]; [`Session::set_umd`]; the members.
#[derive(Debug)]
pub(crate) struct UmdUpdate {
    /// The channel as the client wrote it, for errors.
    pub(crate) written: Option<Box<str>>,
    pub(crate) token: Option<TokenUse>,
    /// What follows where the token was not used before.
    pub(crate) verdict: Result<UmdChange, ProtocolError>,
}

/// A change of metadata that is permitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UmdChange {
    of: Target,
    /// JSON text; `None` where there is to be none.
    pub(crate) umd: Option<Bytes>,
    /// The token that permits it.
    by: TokenIdentity,
}

/// Whose metadata are changed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// A subscription's, by the channel's real name.
    Subscription(Arc<str>),
    /// The connection's, which later subscriptions inherit.
    Connection,
    /// The connection's and those of all its subscriptions.
    Everything,
}

/// A subscription whose metadata are shown to the members of its channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown<R> {
    pub(crate) channel: Arc<str>,
    pub(crate) uid: Arc<str>,
    pub(crate) umd: Option<Bytes>,
    pub(crate) registration: R,
}

impl<R> Session<R> {
    /// `hotsock.umdUpdate`. Checks syntax, then the token, then permission, then subscription.
    pub(super) fn umd_update(
        &self,
        now: Now,
        fields: &Fields<'_>,
        channel: Option<&str>,
    ) -> Result<UmdUpdate, ProtocolError> {
        let data = fields.object(Field::Data)?;
        let token = data.as_ref().map(|data| data.string(Field::Token)).transpose()?.flatten();
        self.check_umd_update(now, channel, token.as_deref())
    }

    /// The same over the client HTTP API (section 9).
    pub(crate) fn umd_update_over_http(
        &self,
        now: Now,
        fields: &Fields<'_>,
    ) -> Result<UmdUpdate, ProtocolError> {
        let channel = fields.string(Field::Channel)?;
        let token = fields.string(Field::Token)?;
        self.check_umd_update(now, channel.as_deref(), token.as_deref())
    }

    /// The subscriptions on presence channels that a change reaches.
    pub(crate) fn shown(&self, change: &UmdChange) -> Vec<Shown<R>>
    where
        R: Clone,
    {
        match &change.of {
            Target::Subscription(channel) => self.shown_on(channel).into_iter().collect(),
            Target::Connection => Vec::new(),
            Target::Everything => {
                let all = self.subscriptions.on_presence();
                all.filter_map(|(channel, found)| self.show(channel, found)).collect()
            }
        }
    }

    /// A subscription's metadata.
    pub(crate) fn umd_of(&self, channel: &str) -> Option<Option<Bytes>> {
        self.subscriptions.active(channel).map(|(_, found)| self.subscriptions.meta(found).umd)
    }

    /// What the members of a presence channel are to be shown of a subscription.
    pub(crate) fn shown_on(&self, channel: &str) -> Option<Shown<R>>
    where
        R: Clone,
    {
        self.subscriptions
            .active(channel)
            .filter(|(channel, _)| names::is_presence(channel))
            .and_then(|(channel, subscription)| self.show(channel, subscription))
    }

    fn show(&self, channel: &Arc<str>, subscription: &Subscription<R>) -> Option<Shown<R>>
    where
        R: Clone,
    {
        let Meta { uid, umd } = self.subscriptions.meta(subscription);
        let registration = subscription.active.as_ref()?.registration.clone();
        Some(Shown { channel: Arc::clone(channel), uid: uid?, umd, registration })
    }

    /// Whether a change is still permitted, now that it has waited: the connection may have been
    /// ended since, the token revoked, or another one that denies it have come into force.
    pub(crate) fn still_permits_umd(
        &self,
        change: &UmdChange,
        now: Now,
    ) -> Result<(), ProtocolError> {
        self.check_open()?;
        if self.settings.verifier.revocations().cover(&change.by, now.wall) {
            let message = TokenError::Revoked.to_string();
            return Err(ProtocolError::new(Code::InvalidUmdToken, message));
        }
        match &change.of {
            Target::Subscription(channel) if self.denies_umd(channel) => Err(ProtocolError::new(
                Code::UmdPermissionDenied,
                "\"umdUpdate\" is denied on this channel now",
            )),
            _ => Ok(()),
        }
    }

    /// Makes a change, and tells whether the connection's own metadata are others now. Whatever is
    /// sent from now on carries it.
    pub(crate) fn set_umd(&mut self, change: &UmdChange) -> bool {
        let of_connection = matches!(change.of, Target::Connection | Target::Everything);
        let is_new = of_connection && !self.ended && self.meta.umd != change.umd;
        if of_connection {
            self.meta.umd.clone_from(&change.umd);
        }
        if let Some(granted) = self.waiting.as_mut().and_then(|waiting| waiting.granted_mut())
            && change.reaches(&granted.channel)
        {
            granted.meta.umd.clone_from(&change.umd);
        }
        match &change.of {
            Target::Subscription(channel) => {
                self.subscriptions.set_umd(Some(channel), &change.umd);
            }
            Target::Connection => {}
            Target::Everything => self.subscriptions.set_umd(None, &change.umd),
        }
        is_new
    }

    fn check_umd_update(
        &self,
        now: Now,
        channel: Option<&str>,
        token: Option<&str>,
    ) -> Result<UmdUpdate, ProtocolError> {
        let written = channel.map(|channel| required_channel(Some(channel))).transpose()?;
        let token = token.ok_or_else(|| invalid("a token with the scope \"umd\" is needed"))?;
        let token = self.verify(token, Scope::Umd, Code::InvalidUmdToken, now)?;
        if !token.names_umd {
            return Err(invalid(
                "the token must have the claim \"umd\"; null says that there is none",
            ));
        }
        let of = match written {
            Some(channel) => self.umd_of_subscription(channel, &token),
            None => umd_of_connection(&token),
        };
        let verdict = of.map(|of| UmdChange { of, umd: token.umd.clone(), by: token.identity() });
        let written = written.map(Box::from);
        match single_use(&token) {
            None => verdict.map(|change| UmdUpdate { written, token: None, verdict: Ok(change) }),
            token => Ok(UmdUpdate { written, token, verdict }),
        }
    }

    /// The update must be granted by its own token, and denied by none that is in force.
    fn umd_of_subscription(&self, written: &str, token: &Token) -> Result<Target, ProtocolError> {
        let name = self.resolve(written, None);
        let own = Grants { connect: &token.permissions, subscribe: None }.channel(&name);
        if own.umd_update != Decision::Granted || self.denies_umd(&name) {
            let message = format!("the token must grant \"umdUpdate\" on {written:?}");
            return Err(ProtocolError::new(Code::UmdPermissionDenied, message));
        }
        let subscription = self.subscriptions.active(&name);
        let (channel, _) = subscription.ok_or_else(|| not_subscribed(written))?;
        Ok(Target::Subscription(Arc::clone(channel)))
    }

    /// Whether a token in force denies changes on a channel, by its real name.
    fn denies_umd(&self, channel: &str) -> bool {
        let subscription = self.subscriptions.active(channel);
        let in_force = subscription.and_then(|(_, found)| found.permissions.as_deref());
        self.tokens(in_force).channel(channel).umd_update == Decision::Denied
    }
}

impl UmdChange {
    fn reaches(&self, channel: &str) -> bool {
        match &self.of {
            Target::Subscription(one) => **one == *channel,
            Target::Connection => false,
            Target::Everything => true,
        }
    }
}

fn umd_of_connection(token: &Token) -> Result<Target, ProtocolError> {
    match (token.umd_update, token.umd_propagate) {
        (true, true) => Ok(Target::Everything),
        (true, false) => Ok(Target::Connection),
        (false, _) => Err(ProtocolError::new(
            Code::UmdPermissionDenied,
            "without a channel, the token must have the claim \"umdUpdate\"",
        )),
    }
}

fn invalid(message: &'static str) -> ProtocolError {
    ProtocolError::new(Code::InvalidUmdToken, message)
}
