//! What belongs to no channel.

use super::budget::{self, Ledger};
use crate::{
    MessageId, Outcome, Revocation, RevokedSubject, Schedule, ScheduleQuery, Timestamp, TokenUse,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Schedules {
    by_due: BTreeMap<(Timestamp, MessageId), Schedule>,
    due: HashMap<MessageId, Timestamp>,
    high: Option<MessageId>,
}

impl Schedules {
    pub(super) fn high(&self) -> Option<MessageId> {
        self.high
    }

    pub(super) fn contains(&self, id: MessageId) -> bool {
        self.due.contains_key(&id)
    }

    pub(super) fn add(&mut self, mut schedule: Schedule, ledger: &mut Ledger) -> Outcome {
        if self.contains(schedule.id) {
            return Outcome::Unchanged;
        }
        schedule.channel.shrink_to_fit();
        schedule.payload = schedule.payload.to_vec().into();
        ledger.added += budget::schedule(&schedule);
        self.high = self.high.max(Some(schedule.id));
        self.due.insert(schedule.id, schedule.due);
        self.by_due.insert((schedule.due, schedule.id), schedule);
        Outcome::Applied
    }

    pub(super) fn remove(&mut self, id: MessageId) -> Option<Schedule> {
        let due = self.due.remove(&id)?;
        self.by_due.remove(&(due, id))
    }

    pub(super) fn page(&self, query: &ScheduleQuery) -> Vec<Schedule> {
        let after = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.by_due.range((after, Bound::Unbounded)).map(|(_, schedule)| schedule);
        let due = later.take_while(|schedule| schedule.due <= query.until);
        due.take(query.limit).cloned().collect()
    }
}

/// The single-use tokens that were used.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    spent: HashMap<Arc<str>, HashMap<Arc<str>, Timestamp>>,
    by_expiry: BTreeSet<(Timestamp, Arc<str>, Arc<str>)>,
}

impl Tokens {
    pub(super) fn is_spent(&self, token: &TokenUse) -> bool {
        let of_key = self.spent.get(token.key.as_str());
        of_key.is_some_and(|spent| spent.contains_key(token.jti.as_str()))
    }

    pub(super) fn spend(&mut self, token: &TokenUse) {
        let key: Arc<str> = Arc::from(token.key.as_str());
        let jti: Arc<str> = Arc::from(token.jti.as_str());
        self.spent.entry(key.clone()).or_default().insert(jti.clone(), token.expires_at);
        self.by_expiry.insert((token.expires_at, key, jti));
    }

    pub(super) fn cost(token: &TokenUse) -> usize {
        budget::key(&token.jti) + budget::key(&token.key)
    }

    /// Forgets one token that expired at `now`, and tells what it had cost.
    pub(super) fn forget_one(&mut self, now: Timestamp) -> Option<usize> {
        if !self.has_expired(now) {
            return None;
        }
        let (_, key, jti) = self.by_expiry.pop_first()?;
        if let Some(spent) = self.spent.get_mut(&key) {
            spent.remove(&jti);
            if spent.is_empty() {
                self.spent.remove(&key);
            }
        }
        Some(budget::key(&jti) + budget::key(&key))
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.by_expiry.first().is_some_and(|(end, ..)| *end <= now)
    }
}

#[derive(Debug, Default)]
pub(super) struct Revocations {
    by_subject: BTreeMap<RevokedSubject, Revocation>,
    by_expiry: BTreeSet<(Timestamp, RevokedSubject)>,
}

impl Revocations {
    pub(super) fn cost(subject: &RevokedSubject) -> usize {
        let (RevokedSubject::Token(name) | RevokedSubject::User(name)) = subject;
        budget::key(name)
    }

    /// Whether it replaced another.
    pub(super) fn insert(&mut self, revocation: Revocation) -> bool {
        let subject = revocation.subject.clone();
        if let Some(end) = revocation.expires_at {
            self.by_expiry.insert((end, subject.clone()));
        }
        let end = revocation.expires_at;
        let former = self.by_subject.insert(subject.clone(), revocation);
        let replaced = former.is_some();
        if let Some(former_end) = former.and_then(|former| former.expires_at)
            && Some(former_end) != end
        {
            self.by_expiry.remove(&(former_end, subject));
        }
        replaced
    }

    pub(super) fn in_force(&self, now: Timestamp) -> Vec<Revocation> {
        let in_force = |one: &&Revocation| one.expires_at.is_none_or(|end| end > now);
        self.by_subject.values().filter(in_force).cloned().collect()
    }

    /// Forgets one revocation that is over at `now`, and tells what it had cost.
    pub(super) fn forget_one(&mut self, now: Timestamp) -> Option<usize> {
        if !self.has_expired(now) {
            return None;
        }
        let (_, subject) = self.by_expiry.pop_first()?;
        self.by_subject.remove(&subject);
        Some(Self::cost(&subject))
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.by_expiry.first().is_some_and(|(end, _)| *end <= now)
    }
}
