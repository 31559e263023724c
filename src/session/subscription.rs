//! One subscription.

use super::grant_cache::GrantCache;
use crate::auth::{Permissions, TokenIdentity};
use crate::protocol::event::Meta;
use fanfare_storage::MessageId;
use std::sync::Arc;

/// One subscription, from the moment that it was granted.
#[derive(Debug)]
pub(super) struct Subscription<R> {
    /// What the subscribe token grants, where one was used.
    pub(super) permissions: Option<Arc<Permissions>>,
    /// The subscribe token, where one was used.
    pub(super) token: Option<Box<TokenIdentity>>,
    pub(super) alias: Option<Arc<str>>,
    /// Whether the alias is good as long as the subscription is, and outranks the connect token's.
    pub(super) alias_is_own: bool,
    /// Greater than those of all that are older; given by [`Subscriptions::insert`].
    ///
    /// [`Subscriptions::insert`]: super::subscriptions::Subscriptions::insert
    pub(super) number: u32,
    /// The user when it was made, or when its metadata were last changed alone; see
    /// [`Subscriptions::meta`].
    ///
    /// [`Subscriptions::meta`]: super::subscriptions::Subscriptions::meta
    pub(super) own_meta: Meta,
    /// When that was, as [`number`](Self::number) counts.
    pub(super) meta_since: u32,
    pub(super) grants: GrantCache,
    /// Whether the connection's permissions changed before it was active.
    pub(super) is_stale: bool,
    /// `None` until the channel has it registered; commands see it as subscribed from then on.
    pub(super) active: Option<Active<R>>,
}

#[derive(Debug)]
pub(super) struct Active<R> {
    pub(super) registration: R,
    /// Everything published since has a greater id.
    pub(super) start: MessageId,
}
