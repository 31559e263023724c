//! The members of one presence channel (protocol section 6.1): who they are, in which order they
//! came, what is shown of each, and what that takes. Pure.
//!
//! A member is a user, who has a seat for each of their connections. What is shown is the metadata
//! of the seat that was taken or updated last.

use crate::protocol::error::{Code, ProtocolError};
use crate::protocol::json;
use crate::protocol::presence::ChangeKind;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::time::Instant;

/// How many bytes of JSON the members of a channel may take together (protocol section 2).
pub(super) const CAPACITY: usize = 102_400;

#[derive(Debug, Default)]
pub(super) struct Members {
    by_place: BTreeMap<u64, Member>,
    places: HashMap<Arc<str>, u64>,
    /// Seats whose connections were lost, by the time until which they are kept.
    lingering: BTreeMap<(Instant, Ticket), Arc<str>>,
    last_place: u64,
    last_ticket: u64,
    /// What all members may take, each counted with the largest of its metadata: so the limit
    /// holds whichever of a user's connections leaves.
    size: usize,
}

#[derive(Debug)]
struct Member {
    uid: Arc<str>,
    /// Bytes of the user id as a JSON string.
    uid_len: usize,
    /// The last is the newest.
    seats: Vec<Seat>,
    reservations: Vec<(Ticket, Umd)>,
    /// What is shown, as JSON text; empty where nothing is.
    object: Vec<u8>,
}

/// Metadata, JSON text.
pub(super) type Umd = Option<Bytes>;

#[derive(Debug)]
struct Seat {
    ticket: Ticket,
    umd: Umd,
    /// Until when it is kept, once its connection was lost.
    until: Option<Instant>,
}

/// Stands for room that is kept for a member's object, and for the seat that is taken with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// The channel has no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Full {
    pub(crate) fn to_error(self) -> ProtocolError {
        let message = format!("the members of a channel may take {CAPACITY} bytes, no more");
        ProtocolError::new(Code::PresenceCapacityReached, message)
    }
}

/// A change of what is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: ChangeKind,
    /// The member's object, JSON text: what is shown now or, of one who left, was last.
    pub(super) member: Vec<u8>,
    pub(super) uid: Arc<str>,
    pub(super) umd: Umd,
}

impl Members {
    /// Whether nobody is there and nobody is about to come.
    pub(super) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// Keeps room for what [`enter`](Self::enter) or [`update`](Self::update) is to show.
    pub(super) fn reserve(&mut self, uid: &Arc<str>, umd: Umd) -> Result<Ticket, Full> {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.edit(uid, |member| member.reservations.push((ticket, umd)));
        if self.size > CAPACITY {
            self.release(uid, ticket);
            return Err(Full);
        }
        Ok(ticket)
    }

    /// Gives room back that was not used.
    pub(super) fn release(&mut self, uid: &Arc<str>, reserved: Ticket) {
        self.edit(uid, |member| {
            member.take_reserved(reserved);
        });
    }

    /// Takes a seat for a connection, in place of those that the user has lost.
    pub(super) fn enter(&mut self, uid: &Arc<str>, ticket: Ticket) -> Option<Change> {
        let mut lost = Vec::new();
        let change = self.edit(uid, |member| {
            let Some(umd) = member.take_reserved(ticket) else { return };
            member.seats.retain(|seat| {
                lost.extend(seat.until.map(|until| (until, seat.ticket)));
                seat.until.is_none()
            });
            member.seats.push(Seat { ticket, umd, until: None });
        });
        for seat in lost {
            self.lingering.remove(&seat);
        }
        change
    }

    /// Changes what a seat shows to what room was reserved for, unless it was left in the meantime,
    /// and makes it the newest.
    pub(super) fn update(
        &mut self,
        uid: &Arc<str>,
        seat: Ticket,
        reserved: Ticket,
    ) -> Option<Change> {
        self.edit(uid, |member| {
            let Some(umd) = member.take_reserved(reserved) else { return };
            if let Some(seat) = member.take_seat(seat) {
                member.seats.push(Seat { umd, ..seat });
            }
        })
    }

    /// Leaves a seat.
    pub(super) fn leave(&mut self, uid: &Arc<str>, seat: Ticket) -> Option<Change> {
        self.edit(uid, |member| {
            member.take_seat(seat);
        })
    }

    /// Keeps a seat for some time, though its connection was lost.
    pub(super) fn linger(&mut self, uid: &Arc<str>, seat: Ticket, until: Instant) {
        let member = self.places.get(uid).and_then(|place| self.by_place.get_mut(place));
        let mut seats = member.into_iter().flat_map(|member| &mut member.seats);
        if let Some(seat) = seats.find(|other| other.ticket == seat && other.until.is_none()) {
            seat.until = Some(until);
            self.lingering.insert((until, seat.ticket), Arc::clone(uid));
        }
    }

    /// When the next seat that is kept is given up.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.lingering.first_key_value().map(|((until, _), _)| *until)
    }

    /// Gives up one seat that has been kept long enough; `None` where there is none.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Option<Change>> {
        if self.next_expiry()? > now {
            return None;
        }
        let ((_, seat), uid) = self.lingering.pop_first()?;
        Some(self.leave(&uid, seat))
    }

    /// Appends the members' objects as a JSON array, in the order in which they came.
    pub(super) fn write_list(&self, out: &mut Vec<u8>) {
        out.reserve(self.size + self.by_place.len() + 2);
        out.push(b'[');
        let mut first = true;
        for member in self.by_place.values().filter(|member| !member.object.is_empty()) {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.extend_from_slice(&member.object);
        }
        out.push(b']');
    }

    /// Makes a change to a member, and tells what is shown differently after it.
    fn edit(&mut self, uid: &Arc<str>, edit: impl FnOnce(&mut Member)) -> Option<Change> {
        let place = self.places.get(uid).copied();
        let known = place.and_then(|place| self.by_place.remove(&place));
        let mut member = known.unwrap_or_else(|| Member::new(uid));
        let (before, size) = (member.shown().cloned(), member.size());
        edit(&mut member);
        let change = member.change(before);

        self.size = self.size + member.size() - size;
        if member.seats.is_empty() && member.reservations.is_empty() {
            self.places.remove(uid);
            return change;
        }
        let stays = change.as_ref().is_none_or(|change| change.kind == ChangeKind::Updated);
        let place = place.filter(|_| stays).unwrap_or_else(|| {
            self.last_place += 1;
            self.last_place
        });
        self.places.insert(Arc::clone(uid), place);
        self.by_place.insert(place, member);
        change
    }
}

impl Member {
    fn new(uid: &Arc<str>) -> Self {
        let mut text = Vec::new();
        json::string(&mut text, uid);
        let uid_len = text.len();
        let (seats, reservations, object) = Default::default();
        Self { uid: Arc::clone(uid), uid_len, seats, reservations, object }
    }

    fn shown(&self) -> Option<&Umd> {
        self.seats.last().map(|seat| &seat.umd)
    }

    fn take_seat(&mut self, ticket: Ticket) -> Option<Seat> {
        let index = self.seats.iter().position(|seat| seat.ticket == ticket)?;
        Some(self.seats.remove(index))
    }

    fn take_reserved(&mut self, ticket: Ticket) -> Option<Umd> {
        let index = self.reservations.iter().position(|(other, _)| *other == ticket)?;
        Some(self.reservations.remove(index).1)
    }

    /// The most bytes that the member's object can come to.
    fn size(&self) -> usize {
        const AROUND: usize = r#"{"uid":,"umd":}"#.len();
        let umds = self.seats.iter().map(|seat| &seat.umd);
        let umds = umds.chain(self.reservations.iter().map(|(_, umd)| umd));
        let umds = umds.map(|umd| umd.as_ref().map_or("null".len(), Bytes::len));
        umds.max().map_or(0, |umd| AROUND + self.uid_len + umd)
    }

    /// Takes note of what is shown now, and tells where that differs from before.
    fn change(&mut self, before: Option<Umd>) -> Option<Change> {
        let (kind, umd) = match (before, self.shown()) {
            (None, Some(umd)) => (ChangeKind::Added, umd.clone()),
            (Some(umd), None) => (ChangeKind::Removed, umd),
            (Some(before), Some(umd)) if before != *umd => (ChangeKind::Updated, umd.clone()),
            _ => return None,
        };
        let mut member = Vec::with_capacity(64);
        json::meta(&mut member, Some(&self.uid), umd.as_deref());
        self.object.clear();
        if kind != ChangeKind::Removed {
            self.object.extend_from_slice(&member);
        }
        Some(Change { kind, member, uid: Arc::clone(&self.uid), umd })
    }
}
