//! Asking about a channel (protocol section 9, `getChannelInfo`).

use super::{Session, required_channel};
use crate::protocol::error::{Code, ProtocolError};
use std::sync::Arc;

impl<R> Session<R> {
    /// The real name of a channel that may be asked about: `getInfo` is needed, but no
    /// subscription.
    pub(crate) fn channel_info(&self, channel: Option<&str>) -> Result<Arc<str>, ProtocolError> {
        let written = required_channel(channel)?;
        let name = self.resolve(written, None);
        let subscription = self.subscriptions.active(&name);
        let in_force = subscription.and_then(|(_, found)| found.permissions.as_deref());
        if !self.tokens(in_force).channel(&name).get_info {
            return Err(ProtocolError::new(
                Code::InfoPermissionDenied,
                format!("no token in force grants \"getInfo\" on {written:?}"),
            ));
        }
        Ok(Arc::from(&*name))
    }
}
