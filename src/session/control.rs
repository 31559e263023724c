//! What the host does to a connection (beyond the protocol): other permissions, ended
//! subscriptions, revoked tokens.
//!
//! These come at any time, also while a subscribe waits for storage or for its channel. Such a
//! subscribe is then refused, and its client told so.

use super::Session;
use super::action::{Action, CloseReason, Leave, Observer};
use super::grant_cache::GrantCache;
use super::subscribe::{invalid_token, no_longer_granted};
use super::subscription::Subscription;
use crate::auth::{Decision, Grants, Permissions, TokenIdentity};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::event::{Event, Meta};
use std::sync::Arc;

impl<R> Session<R> {
    /// How many channels the connection is subscribed to.
    pub(crate) fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// The channels that it is subscribed to, in no order.
    pub(crate) fn subscribed_channels(&self) -> Vec<Arc<str>> {
        self.subscriptions.iter().map(|(channel, _)| Arc::clone(channel)).collect()
    }

    /// The connection's own user id and metadata.
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Ends the subscription to a channel, by its real name. `None` where there is none.
    pub(crate) fn end_subscription(&mut self, channel: &str) -> Option<Action<'static, R>> {
        if let Some(waiting) = self.waiting.as_mut().filter(|one| one.is_for(channel)) {
            waiting.refuse(ended_by_host());
            return Some(Action::None);
        }
        let (channel, subscription) = self.subscriptions.remove(channel)?;
        Some(farewell(channel, subscription))
    }

    /// Puts `permissions` in the place of the connect token's, and ends the subscriptions that
    /// they, with those of their own tokens, no longer grant. `observe` hears, for each that
    /// stays, which tokens say what it observes now.
    ///
    /// What was settled when a subscription was made stays: its user, its alias, whether it is
    /// counted. Nothing is subscribed to by `autoSubscribe`.
    pub(crate) fn set_permissions(
        &mut self,
        permissions: Arc<Permissions>,
        mut observe: impl FnMut(&R, Option<Observer>),
    ) -> Vec<Action<'static, R>> {
        self.permissions = permissions;
        self.unsubscribed_grants = GrantCache::default();
        self.subscriptions.forget_grants();
        let connect = &*self.permissions;
        let denies = |channel: &str, subscribe: Option<&Permissions>| {
            Grants { connect, subscribe }.channel(channel).subscribe != Decision::Granted
        };
        if let Some(waiting) = &mut self.waiting
            && waiting.granted().is_some_and(|(channel, token)| denies(channel, token))
        {
            waiting.refuse(no_longer_granted());
        }
        let mut denied = Vec::new();
        for (channel, subscription) in self.subscriptions.iter_mut() {
            let subscribe = subscription.permissions.as_deref();
            if denies(channel, subscribe) {
                denied.push(Arc::clone(channel));
                continue;
            }
            // Its client may go on using the alias that it was told.
            subscription.alias_is_own |= subscription.alias.is_some();
            let tokens = Grants { connect, subscribe };
            let observer = tokens.observes_any(channel).then(|| Observer {
                connect: Arc::clone(&self.permissions),
                subscribe: subscription.permissions.clone(),
            });
            match &subscription.active {
                Some(active) => observe(&active.registration, observer),
                None => subscription.is_stale = true,
            }
        }
        denied.iter().filter_map(|channel| self.end_subscription(channel)).collect()
    }

    /// Whether a [`Join`](super::Join) is still wanted: the host may have ended the subscription,
    /// or the connection, before it was complete.
    pub(crate) fn awaits(&self, channel: &str) -> bool {
        !self.ended && self.subscriptions.contains(channel)
    }

    /// The observer of a subscription that has just been completed, where the permissions changed
    /// while it was not.
    pub(crate) fn changed_observer(&mut self, channel: &str) -> Option<Option<Observer>> {
        let subscription = self.subscriptions.get_mut(channel)?;
        if !std::mem::take(&mut subscription.is_stale) {
            return None;
        }
        let subscribe = subscription.permissions.clone();
        Some(self.observer(channel, subscribe.as_ref()))
    }

    /// Ends what was got with revoked tokens: the whole connection, of which nothing counts from now
    /// on, or some subscriptions.
    pub(crate) fn revoke(
        &mut self,
        is_revoked: impl Fn(&TokenIdentity) -> bool,
    ) -> Vec<Action<'static, R>> {
        if is_revoked(&self.token) {
            self.stop();
            return vec![Action::Close(CloseReason::Disconnected)];
        }
        if let Some(waiting) = &mut self.waiting
            && waiting.token().is_some_and(&is_revoked)
        {
            waiting.refuse(invalid_token("the token was revoked"));
        }
        let revoked =
            |subscription: &Subscription<R>| subscription.token.as_deref().is_some_and(&is_revoked);
        let gone = self.subscriptions.iter().filter(|(_, found)| revoked(found));
        let gone: Vec<_> = gone.map(|(channel, _)| Arc::clone(channel)).collect();
        gone.iter().filter_map(|channel| self.end_subscription(channel)).collect()
    }
}

fn farewell<R>(channel: Arc<str>, subscription: Subscription<R>) -> Action<'static, R> {
    let Subscription { alias, own_meta: meta, active, .. } = subscription;
    match active {
        Some(active) => {
            let farewell = Event::Unsubscribed { channel, alias, meta };
            Action::Leave(Leave { registration: active.registration, farewell })
        }
        // Its registration is given back when it is complete, and it is never confirmed.
        None => Action::error(Some((*channel).into()), ended_by_host()),
    }
}

fn ended_by_host() -> ProtocolError {
    let message = "the server ended the subscription before it began";
    ProtocolError::new(Code::SubscribePermissionDenied, message)
}
