//! Asking the host's hooks, where it has any.

use super::connection::Connection;
use super::core::Core;
use super::hooks::{Connecting, Publishing, Subscribing};
use crate::auth::Token;
use crate::protocol::error::ProtocolError;
use crate::protocol::event::Meta;
use crate::session::{SubscribeQuestion, WriteRequest};
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

    pub(super) fn has_hooks(&self) -> bool {
        self.host.is_some()
    }

    /// What a client writes as the host wants it; `None` where it is to be dropped in silence.
    pub(crate) async fn ask_about_write<'a>(
        &self,
        connection: &Connection,
        request: WriteRequest<'a>,
    ) -> Result<Option<WriteRequest<'a>>, ProtocolError> {
        let Some(host) = &self.host else { return Ok(Some(request)) };
        let connection_id = Arc::clone(connection.id());
        let request = request.into_owned();
        let mut publishing = Publishing { connection_id, request, dropped: false };
        host.publish(&mut publishing).await?;
        let Publishing { request, dropped, .. } = publishing;
        Ok((!dropped).then_some(request))
    }
}
