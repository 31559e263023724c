use super::channel::Channel;
use super::{View, keys, record};
use crate::{AddReaction, MessageId, Outcome, Reaction, RemoveReaction, Result, Timestamp};

impl Channel<'_, '_> {
    pub(super) fn add_reaction(&mut self, add: AddReaction) -> Result<Outcome> {
        let AddReaction { message, reaction, max_per_message, max_per_user } = add;
        if !self.has_message(message)? {
            return Ok(Outcome::MessageNotFound);
        }
        let key = self.keys.reaction(message, &reaction.uid, &reaction.reaction);
        if self.txn.get(&key)?.is_some() {
            return Ok(Outcome::Unchanged);
        }
        let own = self.keys.reactions_of(message, &reaction.uid);
        if keys(self.txn, &own, max_per_user)?.len() >= max_per_user {
            return Ok(Outcome::LimitReached);
        }
        let count = self.count(message, &reaction.reaction)?;
        let values = self.keys.counts(message);
        if count == 0 && keys(self.txn, &values, max_per_message)?.len() >= max_per_message {
            return Ok(Outcome::LimitReached);
        }
        if let Some(newest) = self.take_id(reaction.id, false)? {
            return Ok(Outcome::IdNotNewest(newest));
        }
        self.put(key, record::encode_reaction(&reaction));
        self.set_count(message, &reaction.reaction, count + 1);
        Ok(Outcome::Applied)
    }

    pub(super) fn remove_reaction(&mut self, remove: &RemoveReaction) -> Result<Outcome> {
        let RemoveReaction { message, reaction, uid, id } = remove;
        if !self.has_message(*message)? {
            return Ok(Outcome::MessageNotFound);
        }
        let key = self.keys.reaction(*message, uid, reaction);
        let Some(record) = self.txn.get(&key)? else {
            return Ok(Outcome::Unchanged);
        };
        let removed: Reaction = record::decode_reaction(uid.clone(), reaction.clone(), record)?;
        if let Some(newest) = self.take_id(*id, false)? {
            return Ok(Outcome::IdNotNewest(newest));
        }
        self.txn.delete(key);
        let count = self.count(*message, reaction)?;
        self.set_count(*message, reaction, count.saturating_sub(1));
        Ok(Outcome::ReactionRemoved(removed))
    }

    fn has_message(&self, id: MessageId) -> Result<bool> {
        let Some(record) = self.txn.get(&self.keys.message(id))? else {
            return Ok(false);
        };
        let end: Option<Timestamp> = record::peek_expiry(&record)?;
        Ok(end.is_none_or(|end| end > self.now))
    }

    fn count(&self, message: MessageId, reaction: &str) -> Result<u64> {
        let record = self.txn.get(&self.keys.count(message, reaction))?;
        Ok(record.map(record::decode_count).transpose()?.unwrap_or(0))
    }

    fn set_count(&mut self, message: MessageId, reaction: &str, count: u64) {
        let key = self.keys.count(message, reaction);
        if count == 0 {
            self.txn.delete(key);
        } else {
            self.put(key, record::encode_count(count));
        }
    }
}
