//! Tokens that were revoked before they expired.

use super::token::TokenIdentity;
use fanfare_storage::{Revocation, RevokedSubject, Timestamp};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound;

/// How many revocations are in force at most; one takes about 200 bytes.
pub(crate) const MAX_REVOCATIONS: usize = 100_000;

/// The revocations in force. What has expired is forgotten by
/// [`forget_expired`](Self::forget_expired), and at the bound.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    lists: RwLock<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    tokens: BTreeMap<String, Term>,
    users: BTreeMap<String, Term>,
}

/// What of a subject's tokens is revoked, and for how long that has to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    issued_before: Timestamp,
    expires_at: Option<Timestamp>,
}

impl Term {
    fn in_force(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }

    fn covers(&self, issued_at: Option<Timestamp>) -> bool {
        issued_at.is_none_or(|issued_at| issued_at < self.issued_before)
    }
}

/// There are [`MAX_REVOCATIONS`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Revocations {
    /// What storage has, whose number was bounded when they were made.
    pub(crate) fn load(&self, revocations: Vec<Revocation>) {
        let mut lists = self.lists.write();
        for revocation in revocations {
            lists.insert(revocation);
        }
    }

    pub(crate) fn insert(&self, revocation: Revocation) {
        self.lists.write().insert(revocation);
    }

    /// The revocation joined with the one that its subject has already: of both, the later ends.
    /// So none ever takes another one back.
    pub(crate) fn joined(
        &self,
        mut revocation: Revocation,
        now: Timestamp,
    ) -> Result<Revocation, TooMany> {
        let mut lists = self.lists.write();
        if lists.len() >= MAX_REVOCATIONS {
            lists.forget_expired(now);
        }
        if let Some(former) = lists.term(&revocation.subject).filter(|term| term.in_force(now)) {
            revocation.issued_before = revocation.issued_before.max(former.issued_before);
            let ends = revocation.expires_at.zip(former.expires_at);
            revocation.expires_at = ends.map(|(one, other)| one.max(other));
        } else if lists.len() >= MAX_REVOCATIONS {
            return Err(TooMany);
        }
        Ok(revocation)
    }

    /// Whether a token is revoked, by its `jti` or as one of its user's. Without `iat` it counts
    /// as issued before everything.
    pub(crate) fn cover(&self, token: &TokenIdentity, now: Timestamp) -> bool {
        let lists = self.lists.read();
        let covers = |list: &BTreeMap<String, Term>, name: Option<&str>| {
            name.and_then(|name| list.get(name))
                .is_some_and(|term| term.in_force(now) && term.covers(token.issued_at))
        };
        covers(&lists.tokens, token.jti.as_deref()) || covers(&lists.users, token.uid.as_deref())
    }

    /// A page of those in force, tokens before users, each in the order of their names' bytes.
    pub(crate) fn page(
        &self,
        after: Option<&RevokedSubject>,
        limit: usize,
        now: Timestamp,
    ) -> Vec<Revocation> {
        let lists = self.lists.read();
        let start = |after: &str| (Bound::Excluded(after.to_owned()), Bound::Unbounded);
        let all = (Bound::Unbounded, Bound::Unbounded);
        let (tokens, users) = match after {
            None => (Some(all.clone()), all),
            Some(RevokedSubject::Token(jti)) => (Some(start(jti)), all),
            Some(RevokedSubject::User(uid)) => (None, start(uid)),
        };
        let tokens = tokens.into_iter().flat_map(|range| lists.tokens.range::<String, _>(range));
        let tokens = tokens.map(|(jti, term)| (RevokedSubject::Token(jti.clone()), *term));
        let users = lists.users.range::<String, _>(users);
        let users = users.map(|(uid, term)| (RevokedSubject::User(uid.clone()), *term));
        tokens
            .chain(users)
            .filter(|(_, term)| term.in_force(now))
            .take(limit)
            .map(|(subject, Term { issued_before, expires_at })| Revocation {
                subject,
                issued_before,
                expires_at,
            })
            .collect()
    }

    pub(crate) fn forget_expired(&self, now: Timestamp) {
        self.lists.write().forget_expired(now);
    }

    pub(crate) fn len(&self) -> usize {
        self.lists.read().len()
    }
}

impl Lists {
    fn len(&self) -> usize {
        self.tokens.len() + self.users.len()
    }

    fn term(&self, subject: &RevokedSubject) -> Option<Term> {
        match subject {
            RevokedSubject::Token(jti) => self.tokens.get(jti),
            RevokedSubject::User(uid) => self.users.get(uid),
        }
        .copied()
    }

    fn insert(&mut self, revocation: Revocation) {
        let Revocation { subject, issued_before, expires_at } = revocation;
        let term = Term { issued_before, expires_at };
        match subject {
            RevokedSubject::Token(jti) => self.tokens.insert(jti, term),
            RevokedSubject::User(uid) => self.users.insert(uid, term),
        };
    }

    fn forget_expired(&mut self, now: Timestamp) {
        self.tokens.retain(|_, term| term.in_force(now));
        self.users.retain(|_, term| term.in_force(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn user(uid: &str, issued_before: u64, expires_at: Option<u64>) -> Revocation {
        let subject = RevokedSubject::User(uid.to_owned());
        Revocation { subject, issued_before: at(issued_before), expires_at: expires_at.map(at) }
    }

    fn token(jti: Option<&str>, uid: Option<&str>, issued_at: Option<u64>) -> TokenIdentity {
        TokenIdentity {
            jti: jti.map(Into::into),
            uid: uid.map(Into::into),
            issued_at: issued_at.map(at),
        }
    }

    #[test]
    fn a_user_s_tokens_are_revoked_up_to_a_time_and_those_without_a_time_too() {
        let revocations = Revocations::default();
        revocations.insert(user("jim", 100, Some(1_000)));
        for (issued_at, revoked) in [(Some(99), true), (Some(100), false), (None, true)] {
            assert_eq!(revocations.cover(&token(None, Some("jim"), issued_at), at(200)), revoked);
        }
        assert!(!revocations.cover(&token(Some("jim"), Some("ann"), None), at(200)));
        assert!(!revocations.cover(&token(None, None, None), at(200)));
        assert!(!revocations.cover(&token(None, Some("jim"), None), at(1_000)), "it has expired");
    }

    #[test]
    fn a_later_revocation_takes_none_back() {
        let revocations = Revocations::default();
        revocations.insert(user("jim", 100, Some(1_000)));
        assert_eq!(
            revocations.joined(user("jim", 50, Some(500)), at(1)),
            Ok(user("jim", 100, Some(1_000)))
        );
        assert_eq!(revocations.joined(user("jim", 150, None), at(1)), Ok(user("jim", 150, None)));
        let fresh = user("jim", 50, Some(2_000));
        assert_eq!(revocations.joined(fresh.clone(), at(1_000)), Ok(fresh), "the first is over");
    }

    #[test]
    fn at_the_bound_what_has_expired_makes_room_and_else_none_is_taken() {
        let revocations = Revocations::default();
        revocations.insert(user("old", 1, Some(10)));
        for number in 1..MAX_REVOCATIONS {
            revocations.insert(user(&format!("user {number}"), 1, None));
        }
        assert_eq!(revocations.joined(user("new", 1, None), at(9)), Err(TooMany));
        assert!(revocations.joined(user("user 1", 2, None), at(9)).is_ok(), "it is there already");
        assert!(revocations.joined(user("new", 1, None), at(10)).is_ok());
        assert_eq!(revocations.len(), MAX_REVOCATIONS - 1);
    }

    #[test]
    fn pages_go_through_all_in_order() {
        let revocations = Revocations::default();
        let jti = |jti: &str| RevokedSubject::Token(jti.to_owned());
        for subject in [jti("b"), jti("a")] {
            revocations.insert(Revocation {
                subject,
                issued_before: Timestamp::MAX,
                expires_at: None,
            });
        }
        revocations.insert(user("z", 1, Some(10)));
        revocations.insert(user("a", 1, None));
        let mut seen = Vec::new();
        loop {
            let page = revocations.page(seen.last(), 1, at(5));
            let Some(one) = page.into_iter().next() else { break };
            seen.push(one.subject);
        }
        let user = |uid: &str| RevokedSubject::User(uid.to_owned());
        assert_eq!(seen, [jti("a"), jti("b"), user("a"), user("z")]);
        assert_eq!(revocations.page(Some(&jti("b")), 9, at(10)).len(), 1, "one has expired");
    }
}
