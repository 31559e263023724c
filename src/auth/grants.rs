//! What the tokens in force permit on a channel (protocol section 4).

use super::Permissions;
use super::keyed::Keyed;
use super::permissions::{ChannelRules, MessageRules, ReactRule, StorageRules};
use crate::protocol::store::StoreFor;
use std::sync::Arc;

/// The tokens in force on a connection for one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grants<'a> {
    /// The token that the connection was opened with.
    pub(crate) connect: &'a Permissions,
    /// The token that the channel was subscribed to with, where there was one.
    pub(crate) subscribe: Option<&'a Permissions>,
}

/// What a boolean directive comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Decision {
    /// No key that matches says anything.
    #[default]
    Unset,
    /// One is true and none is false.
    Granted,
    /// One is false.
    Denied,
}

/// What may be done with a channel as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChannelGrants {
    pub(crate) subscribe: Decision,
    pub(crate) get_info: bool,
    pub(crate) omit_from_sub_count: bool,
    pub(crate) umd_update: Decision,
    /// Unix seconds, inclusive.
    pub(crate) history_start: Option<u64>,
}

/// What may be done with one event on a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageGrants {
    pub(crate) publish: Decision,
    /// Of the connect token alone.
    pub(crate) broadcast: bool,
    pub(crate) echo: bool,
    pub(crate) emit_pub_sub_event: bool,
    pub(crate) store: Option<StoreFor>,
    pub(crate) react: ReactGrant,
    /// Unix seconds.
    pub(crate) schedule_before: Option<u64>,
}

impl MessageGrants {
    /// Whether it may be published, at least by somebody who is subscribed.
    pub(crate) fn may_publish(&self) -> bool {
        self.publish == Decision::Granted || self.may_broadcast()
    }

    /// Whether it may be published without a subscription.
    pub(crate) fn may_broadcast(&self) -> bool {
        self.broadcast && self.publish != Decision::Denied
    }

    /// Whether anything may be done with the event.
    pub(crate) fn is_any(&self) -> bool {
        self.may_publish() || self.react != ReactGrant::None
    }
}

/// Which reactions may be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReactGrant {
    #[default]
    None,
    Any,
    /// Sorted and without repetition.
    Some(Arc<[Box<str>]>),
}

impl ReactGrant {
    pub(crate) fn permits(&self, reaction: &str) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::Some(allowed) => allowed.binary_search_by(|one| (**one).cmp(reaction)).is_ok(),
        }
    }
}

/// What may be done with one key of a channel's storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StorageGrants {
    pub(crate) get: bool,
    pub(crate) set: bool,
    pub(crate) observe: bool,
    pub(crate) emit_pub_sub_event: bool,
    pub(crate) store: Option<StoreFor>,
    /// Unix seconds.
    pub(crate) schedule_before: Option<u64>,
}

/// Rules that apply, with what decides between their numbers.
struct Match<'a, T> {
    rules: &'a T,
    of_subscribe: bool,
    exact_channel: bool,
    exact_key: bool,
}

impl<'a> Grants<'a> {
    pub(crate) fn channel(&self, name: &str) -> ChannelGrants {
        let rules = self.channel_rules(name);
        let subscribe = match decide(&rules, |rules| rules.subscribe) {
            Decision::Unset if self.auto_subscribes(name) => Decision::Granted,
            decision => decision,
        };
        ChannelGrants {
            subscribe,
            get_info: granted(&rules, |rules| rules.get_info),
            omit_from_sub_count: granted(&rules, |rules| rules.omit_from_sub_count),
            umd_update: decide(&rules, |rules| rules.umd_update),
            // The latest start shows least.
            history_start: number(&rules, |rules| rules.history_start).max(),
        }
    }

    /// Whether `autoSubscribe` grants the subscription: in the connect token only, unless it or
    /// `subscribe` is denied anywhere.
    pub(super) fn auto_subscribes(&self, name: &str) -> bool {
        let own = Grants { connect: self.connect, subscribe: None };
        granted(&own.channel_rules(name), |rules| rules.auto_subscribe) && {
            let all = self.channel_rules(name);
            decide(&all, |rules| rules.auto_subscribe) != Decision::Denied
                && decide(&all, |rules| rules.subscribe) != Decision::Denied
        }
    }

    pub(crate) fn message(&self, channel: &str, event: &str) -> MessageGrants {
        let channels = self.channel_rules(channel);
        let rules = inner(&channels, event, |rules| &rules.messages);
        let own: Vec<_> = rules.iter().filter(|found| !found.of_subscribe).collect();
        MessageGrants {
            publish: decide(&rules, |rules| rules.publish),
            broadcast: decide_all(own.iter().map(|found| found.rules.broadcast))
                == Decision::Granted,
            echo: granted(&rules, |rules| rules.echo),
            emit_pub_sub_event: granted(&rules, |rules| rules.emit_pub_sub_event),
            store: longest(&rules, |rules| rules.store),
            react: react(&rules),
            schedule_before: number(&rules, |rules: &MessageRules| rules.schedule_before).min(),
        }
    }

    /// Whether any key of the channel's storage is observed by what the tokens say.
    pub(crate) fn observes_any(&self, channel: &str) -> bool {
        self.any_key(channel, |rules| rules.observe)
    }

    /// Whether any key of the channel's storage may be read by what the tokens say.
    pub(crate) fn gets_any(&self, channel: &str) -> bool {
        self.any_key(channel, |rules| rules.get)
    }

    fn any_key(&self, channel: &str, directive: impl Fn(&StorageRules) -> Option<bool>) -> bool {
        let rules = self.channel_rules(channel);
        rules.iter().any(|found| found.rules.storage.any(|rules| directive(rules) == Some(true)))
    }

    pub(crate) fn storage(&self, channel: &str, key: &str) -> StorageGrants {
        let channels = self.channel_rules(channel);
        let rules = inner(&channels, key, |rules| &rules.storage);
        StorageGrants {
            get: granted(&rules, |rules| rules.get),
            set: granted(&rules, |rules| rules.set),
            observe: granted(&rules, |rules| rules.observe),
            emit_pub_sub_event: granted(&rules, |rules| rules.emit_pub_sub_event),
            store: longest(&rules, |rules| rules.store),
            schedule_before: number(&rules, |rules: &StorageRules| rules.schedule_before).min(),
        }
    }

    fn channel_rules(&self, name: &str) -> Vec<Match<'a, ChannelRules>> {
        let tokens = [(Some(self.connect), false), (self.subscribe, true)];
        let tokens = tokens.into_iter().filter_map(|(token, which)| Some((token?, which)));
        let mut found = Vec::new();
        for (token, of_subscribe) in tokens {
            token.channels.for_each_matching(name, |exact_channel, rules| {
                found.push(Match { rules, of_subscribe, exact_channel, exact_key: false });
            });
        }
        found
    }
}

/// The rules of a channel's inner keys that match a name.
fn inner<'a, T>(
    channels: &[Match<'a, ChannelRules>],
    name: &str,
    rules: impl Fn(&'a ChannelRules) -> &'a Keyed<T>,
) -> Vec<Match<'a, T>> {
    let mut found = Vec::new();
    for &Match { rules: channel, of_subscribe, exact_channel, .. } in channels {
        rules(channel).for_each_matching(name, |exact_key, rules| {
            found.push(Match { rules, of_subscribe, exact_channel, exact_key });
        });
    }
    found
}

/// An explicit `false` wins over everything, in any order; else any `true` grants.
fn decide_all(values: impl Iterator<Item = Option<bool>>) -> Decision {
    values.fold(Decision::Unset, |decision, value| match (decision, value) {
        (Decision::Denied, _) | (_, Some(false)) => Decision::Denied,
        (_, Some(true)) => Decision::Granted,
        (decision, None) => decision,
    })
}

fn decide<T>(matches: &[Match<'_, T>], value: impl Fn(&T) -> Option<bool>) -> Decision {
    decide_all(matches.iter().map(|found| value(found.rules)))
}

fn granted<T>(matches: &[Match<'_, T>], value: impl Fn(&T) -> Option<bool>) -> bool {
    decide(matches, value) == Decision::Granted
}

/// The values that count: those of the subscribe token where it has any, and of these those of
/// the most exact keys, the channel's before the event's.
fn number<'m, T, N>(
    matches: &'m [Match<'_, T>],
    value: impl Fn(&T) -> Option<N> + 'm,
) -> impl Iterator<Item = N> + 'm {
    let rank = |found: &Match<'_, T>| (found.of_subscribe, found.exact_channel, found.exact_key);
    let best = matches.iter().filter(|found| value(found.rules).is_some()).map(rank).max();
    let among = matches.iter().filter(move |found| Some(rank(found)) == best);
    among.filter_map(move |found| value(found.rules))
}

/// Of equally exact values the longest retention wins.
fn longest<T>(
    matches: &[Match<'_, T>],
    value: impl Fn(&T) -> Option<StoreFor>,
) -> Option<StoreFor> {
    number(matches, value).max()
}

/// A `false` denies; else `true` allows any; else the union of the arrays is allowed.
fn react(matches: &[Match<'_, MessageRules>]) -> ReactGrant {
    let rules = || matches.iter().filter_map(|found| found.rules.react.as_ref());
    if rules().any(|rule| *rule == ReactRule::Denied) {
        return ReactGrant::None;
    }
    if rules().any(|rule| *rule == ReactRule::Any) {
        return ReactGrant::Any;
    }
    let lists = rules().filter_map(|rule| match rule {
        ReactRule::Some(reactions) => Some(reactions.iter().cloned()),
        ReactRule::Any | ReactRule::Denied => None,
    });
    let mut allowed: Vec<_> = lists.flatten().collect();
    allowed.sort_unstable();
    allowed.dedup();
    if allowed.is_empty() { ReactGrant::None } else { ReactGrant::Some(allowed.into()) }
}
