//! What belongs to no channel.

use super::txn::Txn;
use super::{View, keys, record};
use crate::{
    ErrorKind, MessageId, Order, Outcome, Result, Revocation, Schedule, ScheduleQuery, Timestamp,
    TokenUse,
};
use bytes::Bytes;
use std::ops::ControlFlow;

pub(super) fn high_water(view: &dyn View) -> Result<Option<MessageId>> {
    view.get(keys::HIGH_WATER)?.map(record::decode_id).transpose()
}

pub(super) fn raise_high_water(txn: &mut Txn<'_>, id: MessageId) -> Result<()> {
    if high_water(txn)? < Some(id) {
        txn.put(keys::HIGH_WATER.to_vec(), record::encode_id(id));
    }
    Ok(())
}

pub(super) fn add_schedule(txn: &mut Txn<'_>, schedule: &Schedule) -> Result<Outcome> {
    let key = keys::schedule(schedule.id);
    if txn.get(&key)?.is_some() {
        return Ok(Outcome::Unchanged);
    }
    raise_high_water(txn, schedule.id)?;
    txn.put(key, record::encode_time(schedule.due));
    txn.put(keys::due(schedule.due, schedule.id), record::encode_schedule(schedule));
    Ok(Outcome::Applied)
}

pub(super) fn cancel_schedule(txn: &mut Txn<'_>, id: MessageId) -> Result<bool> {
    let key = keys::schedule(id);
    let Some(due) = txn.get(&key)? else {
        return Ok(false);
    };
    txn.delete(keys::due(record::decode_time(due)?, id));
    txn.delete(key);
    Ok(true)
}

pub(super) fn schedules(view: &dyn View, query: &ScheduleQuery) -> Result<Vec<Schedule>> {
    let mut schedules = Vec::new();
    if query.limit == 0 {
        return Ok(schedules);
    }
    let range = keys::schedules(query.after, query.until);
    view.scan(&range, Order::Ascending, &mut |key, record| {
        match schedule_of(key, record) {
            Ok(schedule) => schedules.push(schedule),
            // What can't be read stays where it is, and must not stop those after it for ever.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(%error, "a schedule can't be read, and stays where it is");
            }
            Err(error) => return Err(error),
        }
        Ok(match schedules.len() < query.limit {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    })?;
    Ok(schedules)
}

fn schedule_of(key: &[u8], record: &[u8]) -> Result<Schedule> {
    let (due, id) = keys::due_parts(key)?;
    record::decode_schedule(due, id, Bytes::copy_from_slice(record))
}

pub(super) fn is_token_spent(view: &dyn View, token: &TokenUse) -> Result<bool> {
    Ok(view.get(&keys::token(token))?.is_some())
}

pub(super) fn spend_token(txn: &mut Txn<'_>, token: &TokenUse) -> Result<bool> {
    let key = keys::token(token);
    if txn.get(&key)?.is_some() {
        return Ok(false);
    }
    txn.put(keys::expiry(token.expires_at, &key), Vec::new());
    txn.put(key, record::encode_time(token.expires_at));
    Ok(true)
}

pub(super) fn revoke(txn: &mut Txn<'_>, revocation: &Revocation) -> Result<()> {
    let key = keys::revocation(&revocation.subject);
    if let Some(former) = txn.get(&key)? {
        let former = record::decode_revocation(revocation.subject.clone(), former)?;
        if let Some(end) = former.expires_at {
            txn.delete(keys::expiry(end, &key));
        }
    }
    if let Some(end) = revocation.expires_at {
        txn.put(keys::expiry(end, &key), Vec::new());
    }
    txn.put(key, record::encode_revocation(revocation));
    Ok(())
}

pub(super) fn revocations(view: &dyn View, now: Timestamp) -> Result<Vec<Revocation>> {
    let mut in_force = Vec::new();
    view.scan(&keys::revocations(), Order::Ascending, &mut |key, record| {
        let subject = keys::revoked_subject(key)?;
        let revocation = record::decode_revocation(subject, Bytes::copy_from_slice(record))?;
        if revocation.expires_at.is_none_or(|end| end > now) {
            in_force.push(revocation);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(in_force)
}
