//! What is to be done at a later time (protocol section 11).
//!
//! A schedule lives in storage alone. One task asks the [`plan`] what to do: read a page of what
//! is due, put it into its channels' orders, each as a write that also removes its schedule, or
//! wait for the next. So a schedule is carried out once, however often that is tried, and
//! survives what the storage survives.

mod payload;
mod plan;
mod waiting;

pub(crate) use payload::{Deed, Task};
pub use waiting::{Schedule, SchedulePage, ScheduleQuery, ScheduledAction};

use super::core::Core;
use super::entries::Setting;
use super::events::Subject;
use super::hub::next_id;
use super::outgoing::{Audience, Change, Draft, PendingWrite, Refusal, Settle};
use super::publish::{Pending, deduplication};
use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::event::Meta;
use crate::protocol::frame::{Sender, UnstampedFrame};
use fanfare_storage::{Author, MessageId, Timestamp};
use parking_lot::Mutex;
use plan::{Plan, Step};
use std::sync::{Arc, Weak};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// What those who add schedules share with the task that carries them out.
#[derive(Debug)]
pub(crate) struct Bookings {
    /// The newest id of a schedule. Ids of messages will not do: those of two channels may be
    /// equal where the clock has stepped back.
    newest: Mutex<MessageId>,
    /// The earliest due time that the task has not heard of.
    earliest: Mutex<Option<Timestamp>>,
    bell: watch::Sender<()>,
}

impl Bookings {
    /// With ids that exceed `floor`.
    pub(super) fn new(floor: MessageId) -> (Arc<Self>, watch::Receiver<()>) {
        let (bell, receiver) = watch::channel(());
        let (newest, earliest) = (Mutex::new(floor), Mutex::new(None));
        (Arc::new(Self { newest, earliest, bell }), receiver)
    }

    /// Greater than all before, so that what is due at one time is done in the order in which it
    /// was asked for.
    fn next_id(&self, now: Timestamp) -> MessageId {
        let mut newest = self.newest.lock();
        *newest = next_id(*newest, now);
        *newest
    }

    /// Says that storage has a schedule that is due then.
    pub(super) fn ring(&self, due: Timestamp) {
        {
            let mut earliest = self.earliest.lock();
            *earliest = Some(earliest.map_or(due, |earlier| earlier.min(due)));
        }
        self.bell.send_replace(());
    }

    fn take(&self) -> Option<Timestamp> {
        self.earliest.lock().take()
    }
}

/// A schedule on its way to storage.
pub(crate) struct Booking {
    pub(crate) id: MessageId,
    pub(super) draft: Draft,
    bookings: Arc<Bookings>,
    due: Timestamp,
}

impl Booking {
    /// Tells `then` what becomes of it, and the scheduler that it is there.
    pub(super) fn settle(&self, then: Settle) -> Settle {
        Settle::Booking {
            bookings: Arc::clone(&self.bookings),
            due: self.due,
            then: Box::new(then),
        }
    }
}

impl Core {
    /// Prepares a schedule.
    pub(crate) fn book(
        &self,
        channel: &str,
        due: Timestamp,
        task: &Task,
    ) -> Result<Booking, ProtocolError> {
        let payload = task.to_payload().map_err(|error| {
            ProtocolError::new(Code::InvalidMessage, format!("it can't be put off: {error}"))
        })?;
        let id = self.bookings.next_id(self.clock.now().wall);
        let channel = channel.to_owned();
        let schedule = fanfare_storage::Schedule { id, due, channel, payload };
        let draft = Draft {
            frame: UnstampedFrame::without_id(0, |_| ()),
            audience: Audience::Nobody,
            write: Some(Box::new(PendingWrite {
                change: Change::AddSchedule(schedule),
                fulfils: None,
            })),
            announcement: None,
        };
        Ok(Booking { id, draft, bookings: Arc::clone(&self.bookings), due })
    }

    /// Removes a schedule, and tells whether it was there.
    pub(crate) async fn cancel_schedule(&self, id: MessageId) -> fanfare_storage::Result<bool> {
        self.storage.cancel_schedule(id).await
    }
}

impl Task {
    /// It as it is done now, which carries out the schedule `id`.
    fn draft(self, core: &Core, channel: &Arc<str>, id: MessageId) -> Draft {
        let mut announcement = None;
        let now = core.clock.now().wall;
        let retention = self.store.retention(now);
        let (frame, audience, change) = match self.deed {
            Deed::Publish { event, data, except, deduplication: key } => {
                if self.emit {
                    let sender = sender(self.author.as_ref());
                    let cause = self.cause.unwrap_or_default();
                    let describe = || {
                        let event = event.as_str().into();
                        (Subject::Message { event, sender }, cause)
                    };
                    announcement = core.hub.announcer().prepare(channel, describe);
                }
                let author = self.author.as_ref();
                let shown = author.map(|author| Sender {
                    uid: author.uid.as_deref(),
                    umd: author.umd.as_deref(),
                });
                let data = data.as_bytes();
                let frame = UnstampedFrame::message(channel, &event, data, shown);
                let deduplication = key.map(|key| deduplication(key, now));
                let author = self.author;
                let except = except.and_then(|connection| core.connections.key_of(&connection));
                let change = Change::Message { event, author, retention, deduplication };
                (frame, Audience::AllBut(except), change)
            }
            Deed::SetEntry { key, value } => {
                let cause = self.emit.then(|| self.cause.unwrap_or_default());
                let setting = Setting { key, value, author: self.author, retention, cause };
                let max_keys = core.settings.max_storage_keys;
                return setting.draft(core.hub.announcer(), channel, max_keys, Some(id));
            }
        };
        let write = Some(Box::new(PendingWrite { change, fulfils: Some(id) }));
        Draft { frame, audience, write, announcement }
    }
}

fn sender(author: Option<&Author>) -> Meta {
    let uid = author.and_then(|author| author.uid.as_deref()).map(Arc::from);
    Meta { uid, umd: author.and_then(|author| author.umd.clone()) }
}

/// Carries out what is due, for as long as anybody holds the broker.
pub(super) async fn run(core: Weak<Core>, mut bell: watch::Receiver<()>) {
    let mut plan = Plan::default();
    loop {
        let wait = {
            let Some(core) = core.upgrade().filter(|core| !core.is_draining()) else { return };
            // In this order, so that what is added from now on rings again.
            bell.mark_unchanged();
            if let Some(due) = core.bookings.take() {
                plan.added(due);
            }
            match plan.step(core.clock.now()) {
                Step::Wait(time) => time,
                step => {
                    core.advance(&mut plan, step).await;
                    continue;
                }
            }
        };
        // The broker is not held meanwhile, and its end rings too.
        let rings = bell.changed();
        let rung = match wait {
            Some(time) => tokio::time::timeout(time, rings).await.unwrap_or(Ok(())),
            None => rings.await,
        };
        if rung.is_err() {
            return;
        }
    }
}

impl Core {
    async fn advance(&self, plan: &mut Plan, step: Step) {
        let (query, carries_out) = match step {
            Step::CarryOut(query) => (query, true),
            Step::Look(query) => (query, false),
            Step::Wait(_) => return,
        };
        match self.storage.schedules(query).await {
            Ok(page) if carries_out => {
                let (len, last) = (page.len(), page.last().map(|last| (last.due, last.id)));
                let failed = self.carry_out(page).await;
                plan.carried_out(len, last, failed, self.clock.now());
            }
            Ok(page) => plan.found(page.first().map(|next| next.due)),
            Err(error) => {
                tracing::debug!(%error, "schedules could not be read");
                plan.unreadable(self.clock.now());
            }
        }
    }

    /// Puts what schedules hold into their channels' orders, waits for all of it, and tells
    /// whether any could not be stored.
    async fn carry_out(&self, page: Vec<fanfare_storage::Schedule>) -> bool {
        let mut under_way = Vec::with_capacity(page.len());
        for schedule in page {
            let fanfare_storage::Schedule { id, channel, payload, .. } = schedule;
            match Task::from_payload(&payload) {
                Ok(task) => {
                    let name = Arc::from(&*channel);
                    let draft = task.draft(self, &name, id);
                    let pending = self.enqueue(&name, draft).await;
                    under_way.push((id, channel, pending));
                }
                Err(error) => tracing::error!(
                    %id, channel, %error,
                    "a schedule can't be carried out by this version, and stays where it is"
                ),
            }
        }
        let mut failed = false;
        for (id, channel, pending) in under_way {
            match pending.settled().await {
                Ok(_) => {}
                Err(Refusal::Storage(_)) => failed = true,
                Err(refusal) => {
                    let error = refusal.into_error();
                    tracing::warn!(%id, channel, %error, "a schedule was carried out in vain");
                }
            }
        }
        failed
    }

    /// Sends a schedule to storage.
    pub(crate) async fn enqueue_booking(&self, channel: &Arc<str>, booking: Booking) -> Pending {
        let permit = self.hub.reserve(booking.draft.size()).await;
        self.place_booking(channel, booking, permit)
    }

    pub(crate) fn place_booking(
        &self,
        channel: &Arc<str>,
        booking: Booking,
        permit: OwnedSemaphorePermit,
    ) -> Pending {
        let (settle, pending) = Pending::waiting();
        let settle = booking.settle(settle);
        self.hub.publish(channel, booking.draft.outgoing(settle, permit));
        pending
    }
}
