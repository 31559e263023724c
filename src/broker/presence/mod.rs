//! Presence channels (protocol section 6.1): whose subscribers are members, and are told of each
//! other.
//!
//! Joining, leaving and changes of metadata are steps of a [`Room`], which take place one at a time
//! and independent of the channel's messages. The list of members is serialised once per change,
//! into one frame that all members share.
//!
//! A list is as large as the channel has members, so a thousand that come at once cause a lot to
//! be written, by the protocol's making. So that nobody who reads at all drowns in it, the next
//! step waits while a member's mailbox is more than half full, but no longer than a second: who
//! has not read anything by then is waited for no more until it does, and is found to be a slow
//! consumer in time. Messages never wait.

mod entering;
mod members;
mod room;
#[cfg(test)]
mod tests;

pub(crate) use members::Full;

use super::channel::Joined;
use super::events::ChannelMemberEvent;
use super::hub::Hub;
use super::outgoing::Audience;
use super::relief::{Relief, pressure};
use super::subscribers::{ConnectionKey, Delivery, Registration};
use crate::protocol::event::Meta;
use crate::protocol::presence::{ChangeKind, announcement};
use bytes::Bytes;
use dashmap::DashMap;
use fanfare_storage::MessageId;
use members::{Change, Members, Ticket, Umd};
use room::{Alarm, Enter, Room, Step, Turn};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The members of all presence channels.
#[derive(Debug, Default)]
pub(super) struct Presence {
    rooms: DashMap<Arc<str>, Arc<Room>>,
    /// How long a member stays whose connection was lost.
    pub(super) grace: Duration,
}

/// A subscription's place among the members of its channel.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    room: Arc<Room>,
    uid: Arc<str>,
    ticket: Ticket,
}

/// A connection that has become a member, and whose registration is held. Where nobody takes it
/// from here, since the connection ended meanwhile, it is ended.
#[derive(Debug)]
pub(crate) struct Entered {
    hub: Arc<Hub>,
    joined: Option<Joined>,
    /// The newest id that was delivered before.
    pub(crate) start: MessageId,
    /// All members as JSON, the newcomer included.
    pub(crate) members: Bytes,
}

impl Entered {
    pub(crate) fn take(&mut self) -> Option<Joined> {
        self.joined.take()
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(joined) = self.joined.take() {
            self.hub.leave(&joined);
        }
    }
}

/// Room for what a member is about to show, given back unless it is used.
#[derive(Debug)]
pub(crate) struct Reservation {
    hub: Arc<Hub>,
    room: Arc<Room>,
    uid: Arc<str>,
    ticket: Option<Ticket>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(reserved) = self.ticket.take() {
            let uid = Arc::clone(&self.uid);
            self.hub.submit(&self.room, Step::Release { uid, reserved });
        }
    }
}

impl Hub {
    /// Makes a connection a member of a presence channel under the `uid` of `meta`, registers
    /// `registration`, which is held, and tells the members. Fails where the channel is full.
    ///
    /// Whoever stops waiting is no member.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        channel: &Arc<str>,
        meta: &Meta,
        registration: Arc<Registration>,
        reserved: Option<Reservation>,
    ) -> Result<Entered, Full> {
        let (reply, entered) = oneshot::channel();
        let reserved = reserved.and_then(|mut reserved| reserved.ticket.take());
        let (uid, umd) = (meta.uid.clone().unwrap_or_default(), meta.umd.clone());
        self.submit_to(channel, Step::Enter(Enter { uid, umd, reserved, registration, reply }));
        // A step is lost only where the runtime ends.
        entered.await.unwrap_or(Err(Full))
    }

    /// Asks at once that room is kept for `umd` to be shown of a user, and waits for it when
    /// polled. Fails where the channel is full.
    pub(crate) fn reserve_seat(
        self: &Arc<Self>,
        channel: &Arc<str>,
        uid: Arc<str>,
        umd: Umd,
    ) -> impl Future<Output = Result<Reservation, Full>> + Send + use<> {
        let (reply, reserved) = oneshot::channel();
        self.submit_to(channel, Step::Reserve { uid, umd, reply });
        async { reserved.await.unwrap_or(Err(Full)) }
    }

    /// Shows what room was reserved for, if the subscription still exists; asks for it at once,
    /// and waits until the members have been told when polled.
    pub(crate) fn update_seat(
        self: &Arc<Self>,
        joined: &Joined,
        mut reservation: Reservation,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (done, updated) = oneshot::channel();
        // The channel may have been empty since, and have another room: tickets are a room's own.
        let seat = joined.seat.as_ref().filter(|seat| Arc::ptr_eq(&seat.room, &reservation.room));
        if let Some(seat) = seat
            && let Some(reserved) = reservation.ticket.take()
        {
            let (uid, seat) = (Arc::clone(&seat.uid), seat.ticket);
            self.submit(&reservation.room, Step::Update { uid, seat, reserved, done });
        }
        async {
            let _ = updated.await;
        }
    }

    /// Leaves a seat; the receiver hears when the members have been told. With `keep` the member
    /// stays for the grace period.
    pub(super) fn leave_seat(self: &Arc<Self>, seat: &Seat, keep: bool) -> oneshot::Receiver<()> {
        let (done, left) = oneshot::channel();
        let keep = keep && !self.presence.grace.is_zero();
        let uid = Arc::clone(&seat.uid);
        self.submit(&seat.room, Step::Leave { uid, seat: seat.ticket, keep, done });
        left
    }

    /// The members of a channel as a JSON array, in the order in which they came.
    pub(crate) fn members(&self, channel: &str) -> Bytes {
        let room = self.presence.rooms.get(channel).map(|found| Arc::clone(&found));
        room.map_or(Bytes::from_static(b"[]"), |room| room.list())
    }

    /// Gives all seats up that are kept though their connections were lost, and waits until all has
    /// been told that happened to members before.
    pub(super) async fn give_seats_up(self: &Arc<Self>) {
        let rooms: Vec<_> = self.presence.rooms.iter().map(|room| Arc::clone(&room)).collect();
        let asked: Vec<_> = rooms
            .iter()
            .map(|room| {
                let (done, told) = oneshot::channel();
                self.submit(room, Step::GiveUp { done });
                told
            })
            .collect();
        for told in asked {
            // A closed room has nobody of whom anything could be told.
            let _ = told.await;
        }
    }

    #[cfg(test)]
    pub(super) fn room_count(&self) -> usize {
        self.presence.rooms.len()
    }

    /// Queues a step of the room of this name, which is made where there is none.
    fn submit_to(self: &Arc<Self>, channel: &Arc<str>, mut step: Step) {
        loop {
            let room = self.room(channel);
            match room.push(step) {
                Ok(turn) => return self.work_on(&room, turn),
                Err(back) => step = back,
            }
            // Whoever closed it is about to do the same.
            self.remove_room(&room);
        }
    }

    /// Queues a step of a room. A closed one has no members, and so nothing that could happen.
    fn submit(self: &Arc<Self>, room: &Arc<Room>, step: Step) {
        if let Ok(turn) = room.push(step) {
            self.work_on(room, turn);
        }
    }

    fn work_on(self: &Arc<Self>, room: &Arc<Room>, turn: Option<Box<Turn>>) {
        if let Some(turn) = turn {
            self.runtime().spawn(Arc::clone(self).work(Arc::clone(room), turn));
        }
    }

    fn room(&self, channel: &Arc<str>) -> Arc<Room> {
        let rooms = &self.presence.rooms;
        if let Some(found) = rooms.get(channel) {
            return Arc::clone(&found);
        }
        let made = || Arc::new(Room::new(Arc::clone(channel)));
        Arc::clone(&rooms.entry(Arc::clone(channel)).or_insert_with(made))
    }

    fn remove_room(&self, room: &Arc<Room>) {
        self.presence.rooms.remove_if(&room.channel, |_, found| Arc::ptr_eq(found, room));
    }

    /// Takes a room's steps until there are none.
    async fn work(self: Arc<Self>, room: Arc<Room>, mut turn: Box<Turn>) {
        while let Some((step, taken)) = room.next(turn) {
            turn = taken;
            self.take_step(&room, &mut turn.members, step).await;
            self.set_alarm(&room, &mut turn);
            tokio::task::yield_now().await;
        }
        if room.is_closed() {
            self.remove_room(&room);
        }
    }

    async fn take_step(self: &Arc<Self>, room: &Arc<Room>, members: &mut Members, step: Step) {
        match step {
            Step::Enter(enter) => self.take_seat(room, members, enter).await,
            Step::Reserve { uid, umd, reply } => {
                let reserved = members.reserve(&uid, umd).map(|ticket| Reservation {
                    hub: Arc::clone(self),
                    room: Arc::clone(room),
                    uid,
                    ticket: Some(ticket),
                });
                // Given back where nobody waits for it.
                let _ = reply.send(reserved);
            }
            Step::Release { uid, reserved } => members.release(&uid, reserved),
            Step::Update { uid, seat, reserved, done } => {
                let change = members.update(&uid, seat, reserved);
                let relief = self.tell(room, members, change, None);
                let _ = done.send(());
                relief.wait().await;
            }
            Step::Leave { uid, seat, keep: true, done } => {
                members.linger(&uid, seat, Instant::now() + self.presence.grace);
                let _ = done.send(());
            }
            Step::Leave { uid, seat, keep: false, done } => {
                let change = members.leave(&uid, seat);
                let relief = self.tell(room, members, change, None);
                let _ = done.send(());
                relief.wait().await;
            }
            Step::Expire => self.expire(room, members, Instant::now()).await,
            Step::GiveUp { done } => {
                self.expire(room, members, Instant::now() + self.presence.grace).await;
                let _ = done.send(());
            }
        }
    }

    async fn expire(&self, room: &Room, members: &mut Members, now: Instant) {
        while let Some(change) = members.expire(now) {
            self.tell(room, members, change, None).wait().await;
        }
    }

    async fn take_seat(self: &Arc<Self>, room: &Arc<Room>, members: &mut Members, enter: Enter) {
        let Enter { uid, umd, reserved, registration, reply } = enter;
        if reply.is_closed() {
            if let Some(reserved) = reserved {
                members.release(&uid, reserved);
            }
            return;
        }
        let ticket = match reserved.map_or_else(|| members.reserve(&uid, umd), Ok) {
            Ok(ticket) => ticket,
            Err(full) => {
                let _ = reply.send(Err(full));
                return;
            }
        };
        let change = members.enter(&uid, ticket);
        let (mut joined, start) = self.join(&room.channel, &registration, None);
        joined.seat = Some(Box::new(Seat { room: Arc::clone(room), uid, ticket }));
        // Who is new sees itself in the list that it is welcomed with.
        let added = change.as_ref().is_some_and(|change| change.kind == ChangeKind::Added);
        let except = added.then_some(registration.connection());
        let relief = self.tell(room, members, change, except);
        let (hub, members) = (Arc::clone(self), room.list());
        let _ = reply.send(Ok(Entered { hub, joined: Some(joined), start, members }));
        relief.wait().await;
    }

    /// Tells all members but `except` of a change.
    fn tell(
        &self,
        room: &Room,
        members: &Members,
        change: Option<Change>,
        except: Option<ConnectionKey>,
    ) -> Relief {
        let (pressure, relief) = pressure();
        let Some(Change { kind, member, uid, umd }) = change else { return relief };
        let channel = &*room.channel;
        let (frame, list) = announcement(kind, channel, &member, |out| members.write_list(out));
        room.set_list(list.clone());
        if let Some(subscribers) = self.subscribers(channel) {
            subscribers.deliver(&Delivery {
                // It has no place among the messages, and none that is read later includes it.
                id: MessageId::MAX,
                frame,
                channel,
                audience: &Audience::AllBut(except),
                pressure: Some(&pressure),
            });
        }
        let channel = Arc::clone(&room.channel);
        let member = || ChannelMemberEvent { channel, uid, umd, members: list };
        self.announcer().member_changed(kind, member);
        relief
    }

    /// Sees to it that seats which are kept are given up in time.
    fn set_alarm(self: &Arc<Self>, room: &Arc<Room>, turn: &mut Turn) {
        let next = turn.members.next_expiry();
        if turn.alarm.as_ref().map(|alarm| alarm.at) == next {
            return;
        }
        turn.alarm = next.map(|at| {
            let (hub, room) = (Arc::downgrade(self), Arc::downgrade(room));
            let task = self.runtime().spawn(async move {
                tokio::time::sleep_until(at).await;
                if let (Some(hub), Some(room)) = (hub.upgrade(), room.upgrade()) {
                    hub.submit(&room, Step::Expire);
                }
            });
            Alarm { at, task: task.abort_handle() }
        });
    }
}
