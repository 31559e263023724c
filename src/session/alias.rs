//! Which channel a name means (protocol section 4, aliases).

use super::Session;
use crate::auth::Permissions;
use std::borrow::Cow;
use std::sync::Arc;

impl<R> Session<R> {
    /// The real name of the channel that a client wrote as `name`, with `token` in force too
    /// where one is being used to subscribe.
    ///
    /// A name that an exact key of a token in force has, or an active subscription, is real. Else
    /// an alias of a subscribe token wins over one of the connect token.
    pub(super) fn resolve<'n>(
        &'n self,
        name: &'n str,
        token: Option<&'n Permissions>,
    ) -> Cow<'n, str> {
        if self.is_real(name, token) {
            return Cow::Borrowed(name);
        }
        let own = token.and_then(|token| token.resolve_alias(name));
        let of_subscription = || self.subscriptions.by_own_alias(name).map(|channel| &**channel);
        let of_connection = || self.permissions.resolve_alias(name);
        Cow::Borrowed(own.or_else(of_subscription).or_else(of_connection).unwrap_or(name))
    }

    fn is_real(&self, name: &str, token: Option<&Permissions>) -> bool {
        self.subscriptions.contains(name)
            || self.permissions.is_exact_key(name)
            || token.is_some_and(|token| token.is_exact_key(name))
            || self.subscriptions.has_exact_key(name)
    }

    /// The alias that a subscription to `channel` has, and whether it is the token's own.
    pub(super) fn alias_for(
        &self,
        channel: &str,
        token: Option<&Permissions>,
    ) -> (Option<Arc<str>>, bool) {
        if let Some(alias) = token.and_then(|token| token.alias_of(channel)) {
            return (Some(alias.into()), true);
        }
        (self.permissions.alias_of(channel).map(Arc::from), false)
    }
}
