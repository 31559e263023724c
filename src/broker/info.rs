//! What is known of a channel at a moment.

use crate::protocol::json;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// See [`Broker::channel_info`](crate::Broker::channel_info).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    name: String,
    subscriptions_count: usize,
    /// A JSON array; on presence channels only.
    members: Option<Bytes>,
}

/// A member of a presence channel: a user with at least one subscription (protocol section 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// The user's id.
    pub uid: String,
    /// The user's metadata, JSON text; of several connections', the newest.
    pub umd: Option<Bytes>,
}

impl ChannelInfo {
    pub(super) fn new(name: &str, subscriptions_count: usize, members: Option<Bytes>) -> Self {
        Self { name: name.to_owned(), subscriptions_count, members }
    }

    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many subscriptions it has, without those whose token says `omitFromSubCount`
    /// (protocol section 10).
    #[must_use]
    pub fn subscriptions_count(&self) -> usize {
        self.subscriptions_count
    }

    /// The members in the order in which they came, each user once; none of a channel whose name
    /// does not start with `presence.`.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        #[derive(Deserialize)]
        struct Listed<'a> {
            uid: String,
            #[serde(borrow)]
            umd: &'a RawValue,
        }
        let text = self.members.as_deref().unwrap_or(b"[]");
        let listed: Vec<Listed<'_>> = serde_json::from_slice(text).unwrap_or_default();
        let umd = |umd: &RawValue| Some(umd.get()).filter(|umd| *umd != "null").map(str::to_owned);
        listed
            .into_iter()
            .map(|listed| Member { uid: listed.uid, umd: umd(listed.umd).map(Bytes::from) })
            .collect()
    }

    /// As an answer of the HTTP APIs, which name the channel differently (protocol sections 9 and
    /// 10).
    pub(crate) fn to_json(&self, name_field: &str) -> Vec<u8> {
        let mut out = vec![b'{'];
        json::string(&mut out, name_field);
        out.push(b':');
        json::string(&mut out, &self.name);
        let count = format!(",\"subscriptionsCount\":{}", self.subscriptions_count);
        out.extend_from_slice(count.as_bytes());
        if let Some(members) = &self.members {
            out.extend_from_slice(b",\"members\":");
            out.extend_from_slice(members);
        }
        out.push(b'}');
        out
    }
}
