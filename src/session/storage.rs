//! Channel storage (protocol section 7.3): who may read and write which keys.

use super::action::{WriteKind, WriteRequest};
use super::publish::checked_data;
use super::{Now, Session, required_channel};
use crate::auth::{Grants, Permissions, StorageGrants};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::fields::{Field, Fields};
use crate::protocol::store::StoreFor;
use crate::protocol::{names, schedule};
use std::borrow::Cow;
use std::sync::Arc;

/// The command by which values are set.
pub(crate) const ENTRY_SET: &str = "hotsock.channelStorageSet";

/// A value that a client may read.
#[derive(Debug)]
pub(crate) struct GetRequest<'a> {
    /// The channel's real name.
    pub(crate) channel: Arc<str>,
    /// The channel as the client wrote it, for errors that come later.
    pub(crate) written: Cow<'a, str>,
    pub(crate) key: Cow<'a, str>,
}

/// Which keys of a channel's storage a client may list.
#[derive(Debug)]
pub(crate) struct StorageScope {
    /// The channel's real name.
    pub(crate) channel: Arc<str>,
    connect: Arc<Permissions>,
    subscribe: Option<Arc<Permissions>>,
}

impl StorageScope {
    fn grants(&self) -> Grants<'_> {
        Grants { connect: &self.connect, subscribe: self.subscribe.as_deref() }
    }

    fn grants_of(&self, key: &str) -> StorageGrants {
        self.grants().storage(&self.channel, key)
    }

    pub(crate) fn may_get(&self, key: &str) -> bool {
        self.grants_of(key).get
    }

    /// Whether there may be keys that the client may get.
    pub(crate) fn may_get_any(&self) -> bool {
        self.grants().gets_any(&self.channel)
    }
}

impl<R> Session<R> {
    /// Checks syntax and sizes, then permission (section 7); no subscription is needed.
    pub(crate) fn set_entry<'a>(
        &self,
        now: Now,
        fields: &Fields<'a>,
    ) -> Result<WriteRequest<'a>, ProtocolError> {
        let (written, key) = channel_and_key(fields)?;
        let data = checked_data(fields)?;
        let due = schedule::due(fields, now.wall)?;
        let scope = self.storage_scope(Some(&written))?;
        let grants = scope.grants_of(&key);
        if !grants.set {
            return Err(set_denied(&key, &written));
        }
        if let Some(due) = due {
            schedule::check_permission(due, grants.schedule_before)?;
        }
        let meta = match self.subscriptions.active(&scope.channel) {
            Some((_, subscription)) => self.subscriptions.meta(subscription),
            None => self.meta.clone(),
        };
        Ok(WriteRequest {
            channel: scope.channel,
            written,
            kind: WriteKind::Entry { key },
            data: Cow::Borrowed(data),
            meta,
            emit: grants.emit_pub_sub_event,
            store: grants.store.unwrap_or(StoreFor::Forever),
            due,
        })
    }

    /// As [`set_entry`](Self::set_entry), of a value that is to be read.
    pub(crate) fn get_entry<'a>(
        &self,
        fields: &Fields<'a>,
    ) -> Result<GetRequest<'a>, ProtocolError> {
        let (written, key) = channel_and_key(fields)?;
        let scope = self.storage_scope(Some(&written))?;
        if !scope.may_get(&key) {
            return Err(denied("get", &key, &written));
        }
        Ok(GetRequest { channel: scope.channel, written, key })
    }

    /// What tells which keys of a channel the client may list.
    pub(crate) fn storage_scope(
        &self,
        channel: Option<&str>,
    ) -> Result<StorageScope, ProtocolError> {
        let written = required_channel(channel)?;
        let real = self.resolve(written, None);
        let (channel, subscribe) = match self.subscriptions.active(&real) {
            Some((channel, found)) => (Arc::clone(channel), found.permissions.clone()),
            None => (Arc::from(&*real), None),
        };
        Ok(StorageScope { channel, connect: Arc::clone(&self.permissions), subscribe })
    }
}

fn channel_and_key<'a>(fields: &Fields<'a>) -> Result<(Cow<'a, str>, Cow<'a, str>), ProtocolError> {
    let channel = fields.string(Field::Channel)?;
    required_channel(channel.as_deref())?;
    let key = required_key(fields)?;
    // The check above refuses a missing name.
    Ok((channel.unwrap_or_default(), key))
}

/// The field `key`, checked; a missing one is an invalid one.
pub(crate) fn required_key<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, ProtocolError> {
    let key = fields.string(Field::Key)?.ok_or_else(|| {
        ProtocolError::new(Code::InvalidStorageKey, "the field \"key\" is missing")
    })?;
    names::check_key(&key).map(|()| key)
}

/// Whether a JSON text, without white space around it, clears the value that it is set to.
pub(crate) fn is_clearing(data: &str) -> bool {
    let inside = data.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    data == "null" || inside.is_some_and(|inside| inside.trim().is_empty())
}

pub(super) fn set_denied(key: &str, channel: &str) -> ProtocolError {
    denied("set", key, channel)
}

fn denied(directive: &str, key: &str, channel: &str) -> ProtocolError {
    ProtocolError::new(
        Code::StoragePermissionDenied,
        format!("no token in force grants {directive:?} of the key {key:?} on {channel:?}"),
    )
}
