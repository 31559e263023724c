//! Asking the host's hooks, where it has any.

use super::channel::Joined;
use super::connection::{Connection, Wait};
use super::core::Core;
use super::entry::SET as ENTRY_SET;
use super::hooks::{Connecting, Publishing, Subscribing};
use crate::auth::Token;
use crate::protocol::error::ProtocolError;
use crate::protocol::event::Meta;
use crate::session::{Action, PublishRequest, SetRequest, SubscribeQuestion, is_clearing};
use fanfare_storage::Retention;
use http::request::Parts;
use std::sync::Arc;

impl Core {
    /// Whose connection a token may open, as the host sees it.
    pub(crate) async fn ask_about_connect(
        &self,
        token: &Token,
        request: Parts,
    ) -> Result<Meta, ProtocolError> {
        let Some(host) = &self.host else { return Ok(token.meta()) };
        let mut connecting = Connecting::new(token, request);
        host.connect(&mut connecting).await?;
        Ok(connecting.meta)
    }

    pub(super) async fn ask_about_subscribe(
        self: Arc<Self>,
        connection: Arc<Connection>,
        question: SubscribeQuestion,
    ) {
        let SubscribeQuestion { channel, meta, auto } = question;
        let mut subscribing = Subscribing {
            connection_id: Arc::clone(connection.id()),
            connection_uid: connection.uid().cloned(),
            channel,
            meta,
            automatic: auto,
        };
        let answer = match &self.host {
            Some(host) => host.subscribe(&mut subscribing).await,
            None => Ok(()),
        };
        let answer = answer.map(|()| subscribing.meta);
        let action = connection.session().lock().host_answered(answer);
        if let Some(wait) = self.perform(&connection, action) {
            wait.await;
        }
    }

    /// Publishes for a connection what the host does not object to.
    pub(super) fn publish_asking(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: PublishRequest<'_>,
    ) -> Option<Wait> {
        if self.host.is_none() {
            return self.publish_for(connection, request);
        }
        let (core, connection) = (Arc::clone(self), Arc::clone(connection));
        let request = request.into_owned();
        Some(Box::pin(async move {
            let written = request.written.clone().into_owned();
            let answer = core.ask_about_publish(&connection, request).await;
            let wait = match answer {
                Ok(Some(request)) => core.publish_for(&connection, request),
                Ok(None) => None,
                Err(error) => {
                    let channel = Some(written.into());
                    core.perform(&connection, Action::<Joined>::error(channel, error))
                }
            };
            if let Some(wait) = wait {
                wait.await;
            }
        }))
    }

    /// The message as the host wants it; `None` where it is to be dropped in silence.
    pub(crate) async fn ask_about_publish<'a>(
        &self,
        connection: &Connection,
        request: PublishRequest<'a>,
    ) -> Result<Option<PublishRequest<'a>>, ProtocolError> {
        let Some(host) = &self.host else { return Ok(Some(request)) };
        let connection_id = Arc::clone(connection.id());
        let request = request.into_owned();
        let mut publishing = Publishing { connection_id, request, key: None, dropped: false };
        host.publish(&mut publishing).await?;
        let Publishing { mut request, dropped, .. } = publishing;
        request.retention = request.store.retention(self.clock.now().wall);
        Ok((!dropped).then_some(request))
    }

    /// Sets a value of a channel's storage for a connection where the host does not object to it.
    pub(super) fn set_entry_asking(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: SetRequest<'_>,
    ) -> Option<Wait> {
        if self.host.is_none() {
            return self.set_entry_for(connection, &request);
        }
        let (core, connection) = (Arc::clone(self), Arc::clone(connection));
        let request = request.into_owned();
        Some(Box::pin(async move {
            let written = request.written.clone().into_owned();
            let wait = match core.ask_about_entry(&connection, request).await {
                Ok(Some(request)) => core.set_entry_for(&connection, &request),
                Ok(None) => None,
                Err(error) => {
                    let channel = Some(written.into());
                    core.perform(&connection, Action::<Joined>::error(channel, error))
                }
            };
            if let Some(wait) = wait {
                wait.await;
            }
        }))
    }

    /// As [`ask_about_publish`](Self::ask_about_publish), of a value of a channel's storage.
    pub(crate) async fn ask_about_entry<'a>(
        &self,
        connection: &Connection,
        request: SetRequest<'a>,
    ) -> Result<Option<SetRequest<'a>>, ProtocolError> {
        let Some(host) = &self.host else { return Ok(Some(request)) };
        let SetRequest { channel, written, key, value, meta, emit, store, due } =
            request.into_owned();
        let request = PublishRequest {
            channel,
            written,
            event: ENTRY_SET.into(),
            data: value.unwrap_or_else(|| "null".into()),
            meta,
            echo: true,
            emit,
            store,
            retention: Retention::None,
            due,
        };
        let connection_id = Arc::clone(connection.id());
        let mut publishing = Publishing { connection_id, request, key: Some(key), dropped: false };
        host.publish(&mut publishing).await?;
        let Publishing { request, key, dropped, .. } = publishing;
        let PublishRequest { channel, written, data, meta, emit, store, due, .. } = request;
        let value = (!is_clearing(&data)).then_some(data);
        let key = key.unwrap_or_default();
        let set = SetRequest { channel, written, key, value, meta, emit, store, due };
        Ok((!dropped).then_some(set))
    }
}
