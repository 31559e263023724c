//! What clients write: messages, and values of channel storage, now or later.

use super::connection::{Connection, Wait};
use super::core::Core;
use super::entries::Setting;
use super::events::{Cause, Subject, Via};
use super::outgoing::{Audience, Draft, Refusal, Settle};
use super::schedule::{Deed, Task};
use crate::protocol::error::ProtocolError;
use crate::protocol::frame::{Sender, UnstampedFrame};
use crate::protocol::store::StoreFor;
use crate::session::{Right, WriteKind, WriteRequest, is_clearing};
use fanfare_storage::{MessageId, Retention};
use http::request::Parts;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

impl Core {
    /// Writes for a connection what the host, where it is to be asked, does not object to.
    pub(super) fn write_for(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: WriteRequest<'_>,
    ) -> Option<Wait> {
        if !self.has_hooks() {
            // It may have been ended since the session said so.
            return if connection.is_stopped() {
                None
            } else {
                self.write(connection, request, None)
            };
        }
        let (core, connection) = (Arc::clone(self), Arc::clone(connection));
        let (right, request) = (request.right(), request.into_owned());
        Some(Box::pin(async move {
            let asked = core.ask_about_write(&connection, request).await;
            match asked.and_then(|request| connection.check(&right).map(|()| request)) {
                Ok(Some(request)) => {
                    if let Some(wait) = core.write(&connection, request, Some(right)) {
                        wait.await;
                    }
                }
                Ok(None) => {}
                Err(error) => connection.mailbox().refuse(Some(right.written), error),
            }
        }))
    }

    /// `right` is what the client was permitted, where that is no more what it writes.
    fn write(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        request: WriteRequest<'_>,
        right: Option<Right>,
    ) -> Option<Wait> {
        let (draft, settle) = match request.due {
            None => {
                let draft = self.draft_of_client(connection, &request, Via::WebSocket);
                let settle = if draft.is_stored() {
                    connection.hears_of_failure(&request.written)
                } else {
                    Settle::Nobody
                };
                (draft, settle)
            }
            Some(due) => {
                let task = Task::of_client(connection, &request, Via::WebSocket);
                match self.book(&request.channel, due, &task) {
                    Ok(booking) => {
                        let settle = booking.settle(connection.hears_of_failure(&request.written));
                        (booking.draft, settle)
                    }
                    Err(error) => {
                        connection.mailbox().refuse(Some(request.written.into()), error);
                        return None;
                    }
                }
            }
        };
        if let Some(permit) = self.hub.try_reserve(draft.size()) {
            self.hub.publish(&request.channel, draft.outgoing(settle, permit));
            return None;
        }
        let right = right.unwrap_or_else(|| request.right());
        let (core, connection, channel) =
            (Arc::clone(self), Arc::clone(connection), request.channel);
        Some(Box::pin(async move {
            core.send_for(&connection, right, &channel, draft, settle).await;
        }))
    }

    /// Puts something of a client's into its channel's order once there is room for it, if the
    /// client still may then.
    pub(super) async fn send_for(
        &self,
        connection: &Connection,
        right: Right,
        channel: &Arc<str>,
        draft: Draft,
        settle: Settle,
    ) {
        match self.reserve_for(connection, &right, draft.size()).await {
            Ok(permit) => _ = self.hub.publish(channel, draft.outgoing(settle, permit)),
            Err(error) => connection.mailbox().refuse(Some(right.written), error),
        }
    }

    /// A share of what may wait, for something that its sender may still do once it is there.
    pub(super) async fn reserve_for(
        &self,
        connection: &Connection,
        right: &Right,
        bytes: usize,
    ) -> Result<OwnedSemaphorePermit, ProtocolError> {
        let permit = self.hub.reserve(bytes).await;
        match connection.check(right) {
            Ok(()) => Ok(permit),
            Err(_) if self.is_draining() => Err(ProtocolError::shutting_down()),
            Err(error) => Err(error),
        }
    }

    /// As [`write_for`](Self::write_for), for the client HTTP API, which has asked the host and
    /// waits for the outcome: the id of what is done at once, or that of the schedule. `right` is
    /// what the client was permitted before the host was asked.
    pub(crate) async fn write_over_http(
        &self,
        connection: &Connection,
        request: &WriteRequest<'_>,
        right: &Right,
        parts: &Parts,
    ) -> Result<(Option<MessageId>, Option<MessageId>), ProtocolError> {
        let (channel, via) = (&request.channel, Via::Http(parts));
        let Some(due) = request.due else {
            let draft = self.draft_of_client(connection, request, via);
            let permit = self.reserve_for(connection, right, draft.size()).await?;
            let settled = self.place(channel, draft, permit).settled().await;
            return Ok((Some(settled.map_err(Refusal::into_error)?.id), None));
        };
        let booking = self.book(channel, due, &Task::of_client(connection, request, via))?;
        let id = booking.id;
        let permit = self.reserve_for(connection, right, booking.draft.size()).await?;
        let settled = self.place_booking(channel, booking, permit).settled().await;
        settled.map_err(Refusal::into_error)?;
        Ok((None, Some(id)))
    }

    /// What a client writes now, and what the host hears of it.
    fn draft_of_client(
        &self,
        connection: &Connection,
        request: &WriteRequest<'_>,
        via: Via<'_>,
    ) -> Draft {
        let retention = match request.store {
            StoreFor::Seconds(0) => Retention::None,
            store => store.retention(self.clock.now().wall),
        };
        match &request.kind {
            WriteKind::Message { event, echo } => {
                let mut draft = draft_of_message(request, event, retention);
                draft.audience = Audience::AllBut((!echo).then_some(connection.key()));
                if request.emit {
                    let describe = || {
                        let (event, sender) = (event.as_ref().into(), request.meta.clone());
                        (Subject::Message { event, sender }, Cause::of_client(connection, via))
                    };
                    draft.announcement = self.hub.announcer().prepare(&request.channel, describe);
                }
                draft
            }
            WriteKind::Entry { key } => {
                let (key, value) = (key.clone().into_owned(), value(&request.data));
                let author = Some(request.meta.author());
                let cause = request.emit.then(|| Cause::of_client(connection, via));
                let setting = Setting { key, value, author, retention, cause };
                let max_keys = self.settings.max_storage_keys;
                setting.draft(self.hub.announcer(), &request.channel, max_keys, None)
            }
        }
    }
}

fn draft_of_message(request: &WriteRequest<'_>, event: &str, retention: Retention) -> Draft {
    let (uid, umd) = (request.meta.uid.as_deref(), request.meta.umd.as_deref());
    let data = request.data.as_bytes();
    let frame = UnstampedFrame::message(&request.channel, event, data, Some(Sender { uid, umd }));
    let author = (retention != Retention::None).then(|| request.meta.author());
    Draft::message(frame, event, author, retention)
}

/// The value that data set; `None` where they clear it.
fn value(data: &str) -> Option<String> {
    (!is_clearing(data)).then(|| data.to_owned())
}

impl Task {
    /// What a client writes later.
    fn of_client(connection: &Connection, request: &WriteRequest<'_>, via: Via<'_>) -> Self {
        Self {
            author: Some(request.meta.author()),
            store: request.store,
            emit: request.emit,
            cause: request.emit.then(|| Cause::of_client(connection, via)),
            deed: match &request.kind {
                WriteKind::Message { event, echo } => Deed::Publish {
                    event: event.clone().into_owned(),
                    data: request.data.clone().into_owned(),
                    except: (!echo).then(|| connection.id().as_ref().into()),
                    deduplication: None,
                },
                WriteKind::Entry { key } => {
                    Deed::SetEntry { key: key.clone().into_owned(), value: value(&request.data) }
                }
            },
        }
    }
}
