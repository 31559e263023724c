//! The `channels` claim of one token, checked and compact (protocol section 4).

use super::pattern::Pattern;
use super::reader::{ClaimError, Object, SwitchOrStrings};
use super::regex_cache::RegexCache;
use crate::protocol::names;
use crate::session::StoreFor;
use std::collections::HashSet;

/// What one token permits.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    pub(super) channels: Box<[(Pattern, ChannelRules)]>,
}

/// Directives under one channel key; `None` where the token says nothing.
#[derive(Debug, Default)]
pub(super) struct ChannelRules {
    pub(super) subscribe: Option<bool>,
    pub(super) auto_subscribe: Option<bool>,
    pub(super) get_info: Option<bool>,
    pub(super) omit_from_sub_count: Option<bool>,
    pub(super) umd_update: Option<bool>,
    pub(super) history_start: Option<u64>,
    pub(super) alias: Option<Box<str>>,
    pub(super) messages: Box<[(Pattern, MessageRules)]>,
    #[cfg_attr(not(test), allow(dead_code))]
    // for channel storage, which the broker does not serve yet
    pub(super) storage: Box<[(Pattern, StorageRules)]>,
}

/// Directives under one event key.
#[derive(Debug, Default)]
pub(super) struct MessageRules {
    pub(super) publish: Option<bool>,
    pub(super) broadcast: Option<bool>,
    pub(super) echo: Option<bool>,
    pub(super) emit_pub_sub_event: Option<bool>,
    pub(super) store: Option<StoreFor>,
    pub(super) react: Option<ReactRule>,
    pub(super) schedule_before: Option<u64>,
}

/// Which reactions one key allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReactRule {
    Denied,
    Any,
    Some(Box<[Box<str>]>),
}

/// Directives under one storage key.
#[cfg_attr(not(test), allow(dead_code))] // for channel storage, which the broker does not serve yet
#[derive(Debug, Default)]
pub(super) struct StorageRules {
    pub(super) get: Option<bool>,
    pub(super) set: Option<bool>,
    pub(super) observe: Option<bool>,
    pub(super) emit_pub_sub_event: Option<bool>,
    pub(super) store: Option<StoreFor>,
    pub(super) schedule_before: Option<u64>,
}

/// Regular expressions in one token. Each may take a moment to compile, so that without a bound
/// one token could keep a core busy for minutes.
const MAX_REGEXES: usize = 100;

impl Permissions {
    /// Checks and reads the claim.
    pub(super) fn parse(channels: &Object<'_>, regexes: &RegexCache) -> Result<Self, ClaimError> {
        let mut reader = Reader { regexes, regexes_left: MAX_REGEXES };
        let channels = reader.keyed(channels, Level::Channel, Reader::channel)?;
        let permissions = Self { channels };
        permissions.check_aliases()?;
        Ok(permissions)
    }

    /// Aliases must be unique in their token and equal to none of its exact keys.
    fn check_aliases(&self) -> Result<(), ClaimError> {
        let mut seen = HashSet::new();
        let keys: HashSet<_> = self.exact_keys().map(|(key, _)| key).collect();
        for (key, rules) in self.exact_keys() {
            let Some(alias) = rules.alias.as_deref() else { continue };
            let problem = if !seen.insert(alias) {
                "is another channel's alias too"
            } else if keys.contains(alias) {
                "is a channel of the same token"
            } else {
                continue;
            };
            return Err(ClaimError::at("alias", problem).within_key(key));
        }
        Ok(())
    }

    /// Whether the token names exactly this channel.
    pub(crate) fn is_exact_key(&self, channel: &str) -> bool {
        self.exact_keys().any(|(key, _)| key == channel)
    }

    /// The alias that the token gives to a channel.
    pub(crate) fn alias_of(&self, channel: &str) -> Option<&str> {
        self.exact_keys().find(|(key, _)| *key == channel)?.1.alias.as_deref()
    }

    /// The channel that the token gives this alias.
    pub(crate) fn resolve_alias(&self, alias: &str) -> Option<&str> {
        let mut keys = self.exact_keys();
        keys.find(|(_, rules)| rules.alias.as_deref() == Some(alias)).map(|(key, _)| key)
    }

    /// The channels that a connection with this connect token is subscribed to from its start.
    pub(crate) fn auto_subscribed(&self) -> impl Iterator<Item = &str> {
        let grants = super::Grants { connect: self, subscribe: None };
        self.exact_keys()
            .filter(|(_, rules)| rules.auto_subscribe == Some(true))
            .map(|(key, _)| key)
            .filter(move |key| grants.auto_subscribes(key))
    }

    fn exact_keys(&self) -> impl Iterator<Item = (&str, &ChannelRules)> {
        self.channels.iter().filter_map(|(key, rules)| Some((key.exact()?, rules)))
    }
}

/// Which kind of name a key stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Channel,
    Event,
    StorageKey,
}

impl Level {
    /// Refuses keys that can match no name at all, which are mistakes.
    fn check(self, key: &str) -> Result<(), &'static str> {
        let (max, forbidden): (_, fn(char) -> bool) = match self {
            Self::Channel => (names::MAX_CHANNEL_CHARS, is_separator),
            Self::StorageKey => (names::MAX_KEY_CHARS, is_separator),
            Self::Event => (names::MAX_EVENT_CHARS, |_| false),
        };
        if key.is_empty() {
            Err("must not be empty")
        } else if names::longer_than(key, max) {
            Err("is longer than any name that it could match")
        } else if key.starts_with('#') || key.contains(forbidden) {
            Err("can match no name: only \"#regex:\" may start with '#', and ',' and white space \
                 are in no channel or storage key")
        } else {
            Ok(())
        }
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, '#' | ',') || c.is_whitespace()
}

struct Reader<'r> {
    regexes: &'r RegexCache,
    regexes_left: usize,
}

impl Reader<'_> {
    /// The rules under each key of an object. A key that is null is as one that is not there.
    fn keyed<T>(
        &mut self,
        object: &Object<'_>,
        level: Level,
        mut read: impl FnMut(&mut Self, &Pattern, &Object<'_>) -> Result<T, ClaimError>,
    ) -> Result<Box<[(Pattern, T)]>, ClaimError> {
        let mut rules_of = |key: &str| {
            let pattern = self.pattern(key, level)?;
            let directives =
                object.object(key).map_err(|_| ClaimError::new("must be an object"))?;
            let directives = directives.ok_or_else(|| ClaimError::new("must be an object"))?;
            let rules = read(self, &pattern, &directives)?;
            Ok((pattern, rules))
        };
        object
            .keys()
            .map(|key| rules_of(key).map_err(|error: ClaimError| error.within_key(key)))
            .collect()
    }

    fn pattern(&mut self, key: &str, level: Level) -> Result<Pattern, ClaimError> {
        if key.starts_with("#regex:") {
            self.regexes_left = self.regexes_left.checked_sub(1).ok_or_else(|| {
                ClaimError::new("is one regular expression too many; a token may have 100")
            })?;
        } else {
            level.check(key).map_err(ClaimError::new)?;
        }
        Pattern::parse(key, self.regexes)
            .map_err(|problem| ClaimError::new(format!("is no usable expression: {problem}")))
    }

    fn channel(
        &mut self,
        key: &Pattern,
        directives: &Object<'_>,
    ) -> Result<ChannelRules, ClaimError> {
        let auto_subscribe = directives.boolean("autoSubscribe")?;
        let alias = directives.string("alias")?;
        if key.exact().is_none() {
            if auto_subscribe == Some(true) {
                return Err(ClaimError::at("autoSubscribe", "can't be true on a pattern"));
            }
            if alias.is_some() {
                return Err(ClaimError::at("alias", "can't be on a pattern"));
            }
        }
        if alias.as_ref().is_some_and(|alias| names::check_channel(alias).is_err()) {
            return Err(ClaimError::at("alias", "must be a valid channel name"));
        }
        Ok(ChannelRules {
            subscribe: directives.boolean("subscribe")?,
            auto_subscribe,
            get_info: directives.boolean("getInfo")?,
            omit_from_sub_count: directives.boolean("omitFromSubCount")?,
            umd_update: directives.boolean("umdUpdate")?,
            history_start: directives.unix_seconds("historyStart")?,
            alias: alias.map(Into::into),
            messages: self.inner(directives, "messages", Level::Event, message_rules)?,
            storage: self.inner(directives, "storage", Level::StorageKey, storage_rules)?,
        })
    }

    fn inner<T>(
        &mut self,
        directives: &Object<'_>,
        name: &str,
        level: Level,
        read: fn(&Object<'_>) -> Result<T, ClaimError>,
    ) -> Result<Box<[(Pattern, T)]>, ClaimError> {
        let Some(object) = directives.object(name)? else { return Ok(Box::default()) };
        self.keyed(&object, level, |_, _, rules| read(rules)).map_err(|error| error.within(name))
    }
}

fn message_rules(directives: &Object<'_>) -> Result<MessageRules, ClaimError> {
    Ok(MessageRules {
        publish: directives.boolean("publish")?,
        broadcast: directives.boolean("broadcast")?,
        echo: directives.boolean("echo")?,
        emit_pub_sub_event: directives.boolean("emitPubSubEvent")?,
        store: store(directives, 0)?,
        react: react(directives)?,
        schedule_before: directives.unix_seconds("scheduleBefore")?,
    })
}

fn storage_rules(directives: &Object<'_>) -> Result<StorageRules, ClaimError> {
    Ok(StorageRules {
        get: directives.boolean("get")?,
        set: directives.boolean("set")?,
        observe: directives.boolean("observe")?,
        emit_pub_sub_event: directives.boolean("emitPubSubEvent")?,
        // For channel storage 0 is invalid (section 2).
        store: store(directives, 1)?,
        schedule_before: directives.unix_seconds("scheduleBefore")?,
    })
}

fn store(directives: &Object<'_>, least: i64) -> Result<Option<StoreFor>, ClaimError> {
    match directives.integer("store")? {
        None => Ok(None),
        Some(-1) => Ok(Some(StoreFor::Forever)),
        Some(seconds) if (least..=names::MAX_STORE_SECONDS).contains(&seconds) => {
            Ok(Some(StoreFor::Seconds(seconds.unsigned_abs())))
        }
        Some(_) => Err(ClaimError::at(
            "store",
            format!("must be -1 (forever) or {least} to 3155695200 seconds"),
        )),
    }
}

fn react(directives: &Object<'_>) -> Result<Option<ReactRule>, ClaimError> {
    let reactions = match directives.switch_or_strings("react")? {
        None => return Ok(None),
        Some(SwitchOrStrings::Switch(true)) => return Ok(Some(ReactRule::Any)),
        Some(SwitchOrStrings::Switch(false)) => return Ok(Some(ReactRule::Denied)),
        Some(SwitchOrStrings::Strings(reactions)) => reactions,
    };
    if let Some(wrong) = reactions.iter().find(|one| !names::is_reaction(one)) {
        return Err(ClaimError::at("react", format!("has {wrong:?}, which is no reaction")));
    }
    Ok(Some(ReactRule::Some(reactions.into_iter().map(Into::into).collect())))
}
