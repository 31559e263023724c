//! The `channels` claim of one token, checked and compact (protocol section 4).

use super::keyed::Keyed;
use super::pattern::{Pattern, REGEX_PREFIX};
use super::reader::{ClaimError, Object, SwitchOrStrings, quoted};
use super::regex_cache::RegexCache;
use crate::protocol::names;
use crate::protocol::store::StoreFor;

/// SHA-256 of a claim's text.
pub(crate) type Digest = [u8; 32];

/// What one token permits.
#[derive(Debug, Default)]
pub(crate) struct Permissions {
    /// Of the claim that they were read from, zero where there was none: tells whether two are the
    /// same.
    pub(super) digest: Digest,
    pub(super) channels: Keyed<ChannelRules>,
    /// The places in `channels` of those that have an alias, in the aliases' order.
    by_alias: Box<[usize]>,
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
    pub(super) messages: Keyed<MessageRules>,
    pub(super) storage: Keyed<StorageRules>,
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
#[derive(Debug, Default)]
pub(super) struct StorageRules {
    pub(super) get: Option<bool>,
    pub(super) set: Option<bool>,
    pub(super) observe: Option<bool>,
    pub(super) emit_pub_sub_event: Option<bool>,
    pub(super) store: Option<StoreFor>,
    pub(super) schedule_before: Option<u64>,
}

/// Keys in one token, of all levels. What is kept of a key is many times its text.
const MAX_KEYS: usize = 4_000;
/// Cost of the regular expressions in one token, in bytes: some hundred of the usual kind for
/// each of 1 MiB. Without a bound one token could keep a core busy for seconds.
const MAX_REGEX_COST: usize = 1 << 20;

impl Permissions {
    /// Checks and reads the claim.
    pub(super) fn parse(channels: &Object<'_>, regexes: &RegexCache) -> Result<Self, ClaimError> {
        let mut reader = Reader { regexes, keys_left: MAX_KEYS, regex_cost_left: MAX_REGEX_COST };
        let channels = reader.keyed(channels, Level::Channel, Reader::channel)?;
        let by_alias = by_alias(&channels)?;
        Ok(Self { digest: Digest::default(), channels, by_alias })
    }

    /// The digest of the claim's text, which equal permissions share.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The channels that the token names.
    pub(crate) fn exact_keys(&self) -> impl Iterator<Item = &str> {
        self.channels.exact().map(|(key, _)| key)
    }

    /// Whether the token names exactly this channel.
    pub(crate) fn is_exact_key(&self, channel: &str) -> bool {
        self.channels.get(channel).is_some()
    }

    /// The alias that the token gives to a channel.
    pub(crate) fn alias_of(&self, channel: &str) -> Option<&str> {
        self.channels.get(channel)?.alias.as_deref()
    }

    /// The channel that the token gives this alias.
    pub(crate) fn resolve_alias(&self, alias: &str) -> Option<&str> {
        let place = self
            .by_alias
            .binary_search_by(|place| alias_at(&self.channels, *place).cmp(&Some(alias)))
            .ok()?;
        Some(self.channels.nth(self.by_alias[place])?.0)
    }

    /// The channels that a connection with this connect token is subscribed to from its start.
    pub(crate) fn auto_subscribed(&self) -> impl Iterator<Item = &str> {
        let grants = super::Grants { connect: self, subscribe: None };
        self.channels
            .exact()
            .filter(|(_, rules)| rules.auto_subscribe == Some(true))
            .map(|(key, _)| key)
            .filter(move |key| grants.auto_subscribes(key))
    }
}

fn alias_at(channels: &Keyed<ChannelRules>, place: usize) -> Option<&str> {
    channels.nth(place)?.1.alias.as_deref()
}

/// The places of the channels that have an alias. Aliases must be unique in their token and equal
/// to none of its exact keys.
fn by_alias(channels: &Keyed<ChannelRules>) -> Result<Box<[usize]>, ClaimError> {
    let aliased = channels.exact().enumerate().filter(|(_, (_, rules))| rules.alias.is_some());
    let mut places: Vec<usize> = aliased.map(|(place, _)| place).collect();
    places.sort_by_key(|place| alias_at(channels, *place));
    let mut previous = None;
    for &place in &places {
        let alias = alias_at(channels, place);
        let problem = if alias == previous {
            "is another channel's alias too"
        } else if alias.is_some_and(|alias| channels.get(alias).is_some()) {
            "is a channel of the same token"
        } else {
            previous = alias;
            continue;
        };
        let key = channels.nth(place).map_or("", |(key, _)| key);
        return Err(ClaimError::at("alias", problem).within_key(key));
    }
    Ok(places.into())
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
        } else if key.chars().filter(|c| *c != '*').nth(max).is_some() {
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
    keys_left: usize,
    regex_cost_left: usize,
}

impl Reader<'_> {
    /// The rules under each key of an object. A key that is null is as one that is not there.
    fn keyed<T>(
        &mut self,
        object: &Object<'_>,
        level: Level,
        mut read: impl FnMut(&mut Self, &Pattern, &Object<'_>) -> Result<T, ClaimError>,
    ) -> Result<Keyed<T>, ClaimError> {
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
            .collect::<Result<_, _>>()
            .map(Keyed::new)
    }

    fn pattern(&mut self, key: &str, level: Level) -> Result<Pattern, ClaimError> {
        self.keys_left = self.keys_left.checked_sub(1).ok_or_else(|| {
            ClaimError::new(format!("is one key too many; a token may have {MAX_KEYS}"))
        })?;
        if !key.starts_with(REGEX_PREFIX) {
            level.check(key).map_err(ClaimError::new)?;
        }
        let pattern = Pattern::parse(key, self.regexes)
            .map_err(|problem| ClaimError::new(format!("is no usable expression: {problem}")))?;
        self.regex_cost_left =
            self.regex_cost_left.checked_sub(pattern.cost()).ok_or_else(|| {
                ClaimError::new("is one regular expression too many or too large for one token")
            })?;
        Ok(pattern)
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
    ) -> Result<Keyed<T>, ClaimError> {
        let Some(object) = directives.object(name)? else { return Ok(Keyed::default()) };
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
        return Err(ClaimError::at(
            "react",
            format!("has {}, which is no reaction", quoted(wrong)),
        ));
    }
    Ok(Some(ReactRule::Some(reactions.into_iter().map(Into::into).collect())))
}
