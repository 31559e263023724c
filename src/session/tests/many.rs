//! Connections with many subscriptions, whose names are looked up rather than walked through.

use super::*;
use crate::auth::{Digest, Grants};
use crate::session::subscriptions::REMEMBERED_BYTES;
use proptest::prelude::*;
use std::sync::LazyLock;

/// A client that may have as many subscriptions as the channels `c0` to `c39` allow.
fn client(channels: &Value) -> Client {
    let mut client = Client::connect(&json!({"uid": "jim", "channels": channels}));
    Arc::get_mut(&mut client.session.settings).unwrap().max_subscriptions = CHANNELS;
    client
}

fn anything() -> Value {
    json!({"*": {"subscribe": true, "messages": {"*": {"publish": true}}}})
}

fn fill(client: &mut Client, number: usize) {
    (0..number).for_each(|number| _ = client.subscribe(&format!("c{number}")));
}

fn is_indexed(client: &mut Client) -> bool {
    client.session.subscriptions.walking(|_| ()).is_some()
}

#[test]
fn only_many_subscriptions_are_indexed() {
    let mut client = client(&anything());
    fill(&mut client, 16);
    assert!(!is_indexed(&mut client));
    client.subscribe("c16");
    assert!(is_indexed(&mut client));
    for number in 8..17 {
        client.send(&unsubscribe(&format!("c{number}")));
        assert!(is_indexed(&mut client), "a few more or less change nothing");
    }
    client.send(&unsubscribe("c7"));
    assert!(!is_indexed(&mut client));
}

#[test]
fn section_4_of_two_subscriptions_with_an_alias_it_is_the_older_one_s() {
    let token = subscribe_token(&json!({
        "uid": "jim", "channels": {"older": {"subscribe": true, "alias": "x"}},
    }));
    // The order in a map differs from one to the next.
    for others in [0, 20].repeat(10) {
        let mut channels = anything();
        channels["younger"] = json!({"alias": "x"});
        let mut client = client(&channels);
        fill(&mut client, others);
        assert_eq!(client.subscribe_with("older", &token)[0]["meta"]["channelAlias"], "x");
        assert_eq!(client.subscribe("younger")["meta"]["channelAlias"], "x");
        client.set_permissions(&anything());
        let message = json!({"event": "e", "channel": "x"});
        assert_eq!(client.publish(&message).channel, "older");
        assert_eq!(client.send(&unsubscribe("x"))[0]["channel"], "older");
        assert_eq!(client.publish(&message).channel, "younger");
        assert_eq!(client.send(&unsubscribe("x"))[0]["channel"], "younger");
        assert_eq!(client.session.subscription_count(), others);
    }
}

#[test]
fn what_is_remembered_of_permissions_is_bounded_for_all_subscriptions_together() {
    let mut client = client(&anything());
    fill(&mut client, CHANNELS);
    let mut most = 0;
    for number in 0..16 {
        // Of the longest names that an event may have.
        let event = format!("{number:\u{1F980}>128}");
        for channel in 0..CHANNELS {
            let channel = format!("c{channel}");
            client.publish(&json!({"event": event, "channel": channel}));
            let remembered = client.session.subscriptions.remembered();
            assert!((event.len()..=REMEMBERED_BYTES).contains(&remembered), "{remembered}");
            most = most.max(remembered);
            if number == 3 {
                client.send(&unsubscribe(&channel));
                client.subscribe(&channel);
            }
        }
    }
    assert!(most > REMEMBERED_BYTES / 10 * 9, "{most}");
}

const CHANNELS: usize = 40;
const ALIASES: usize = 6;

/// Subscribe tokens of which each names some channels, with an alias that it shares with others.
static TOKENS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let token = |number: usize| {
        let mut channels = anything();
        for step in 0..number % 4 {
            let messages = json!({"e": {"store": number, "echo": true}});
            let channel = format!("c{}", (number * 7 + step * 11) % CHANNELS);
            channels[channel] = json!({"messages": messages});
        }
        if !number.is_multiple_of(3) {
            let alias = format!("a{}", number % ALIASES);
            channels[format!("c{}", number * 3 % CHANNELS)] = json!({"alias": alias});
        }
        let jti = format!("token-{number}");
        let claims = json!({"uid": "jim", "jti": jti, "channels": channels});
        (jti, subscribe_token(&claims))
    };
    (0..16).map(token).collect()
});

/// Permissions of a connection, that name some channels and give some of the same aliases.
fn permissions(number: usize) -> Value {
    let mut channels = anything();
    for alias in 0..number {
        let channel = format!("c{}", (number * 5 + alias * 9) % CHANNELS);
        channels[channel] = json!({
            "alias": format!("a{alias}"),
            "messages": {"e": {"publish": alias.is_multiple_of(2), "store": alias}},
        });
    }
    channels[format!("c{}", number * 6 + 1)]["subscribe"] = json!(number.is_multiple_of(2));
    channels
}

#[derive(Clone, Debug)]
enum Step {
    Subscribe(usize, Option<usize>),
    Unsubscribe(usize),
    Publish(usize),
    End(usize),
    SetPermissions(usize),
    Revoke(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let token = prop::option::of(0..TOKENS.len());
    let step = prop_oneof![
        24 => (0..CHANNELS, token).prop_map(|(channel, token)| Step::Subscribe(channel, token)),
        6 => (0..CHANNELS).prop_map(Step::Unsubscribe),
        6 => (0..CHANNELS).prop_map(Step::Publish),
        2 => (0..CHANNELS).prop_map(Step::End),
        1 => (0..=ALIASES).prop_map(Step::SetPermissions),
        1 => (0..TOKENS.len()).prop_map(Step::Revoke),
    ];
    prop::collection::vec(step, 1..150)
}

impl Client {
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Subscribe(channel, token) => {
                let channel = format!("c{channel}");
                match token {
                    Some(token) => _ = self.subscribe_with(&channel, &TOKENS[token].1),
                    None => {
                        _ = self.send(&json!({"event": "hotsock.subscribe", "channel": channel}));
                    }
                }
            }
            Step::Unsubscribe(channel) => _ = self.send(&unsubscribe(&format!("c{channel}"))),
            Step::Publish(channel) => {
                let channel = format!("c{channel}");
                self.send(&json!({"event": "e", "channel": channel}));
                self.published.clear();
            }
            Step::End(channel) => _ = self.end_subscription(&format!("c{channel}")),
            Step::SetPermissions(number) => _ = self.set_permissions(&permissions(number)),
            Step::Revoke(token) => _ = self.revoke(&TOKENS[token].0),
        }
    }
}

/// All that is looked up by other names than the channels' own.
fn looked_up(
    subscriptions: &Subscriptions<u32>,
    digests: &[Digest],
) -> Vec<(Option<Arc<str>>, bool, bool)> {
    let channels = (0..CHANNELS).map(|number| format!("c{number}"));
    let aliases = (0..ALIASES).map(|number| format!("a{number}"));
    let by_name = channels.chain(aliases).map(|name| {
        let own = subscriptions.by_own_alias(&name).cloned();
        (own, subscriptions.has_alias(&name), subscriptions.has_exact_key(&name))
    });
    let by_digest = digests.iter().map(|digest| {
        let found = subscriptions.permissions_of(digest);
        (None, found.is_some(), found.is_none_or(|found| found.digest() == digest))
    });
    by_name.chain(by_digest).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_index_says_what_a_walk_finds_and_what_is_remembered_is_true(steps in steps()) {
        let mut client = client(&permissions(3));
        let verifier = Arc::clone(&client.session.settings.verifier);
        let digests: Vec<_> = TOKENS
            .iter()
            .map(|(_, token)| *verifier.verify(token, client.now.wall).unwrap().permissions.digest())
            .collect();
        for step in steps {
            client.take(&step);
            let subscriptions = &mut client.session.subscriptions;
            let indexed = looked_up(subscriptions, &digests);
            let walked = subscriptions.walking(|walked| looked_up(walked, &digests));
            prop_assert!(walked.is_none_or(|walked| walked == indexed), "after {step:?}");
            let (Step::Subscribe(channel, _) | Step::Publish(channel)) = step else { continue };
            let channel = Arc::<str>::from(format!("c{channel}"));
            let found = subscriptions.active(&channel);
            let subscribe = found.and_then(|(_, found)| found.permissions.clone());
            let connect = Arc::clone(&client.session.permissions);
            let evaluated = Grants { connect: &connect, subscribe: subscribe.as_deref() };
            let evaluated = evaluated.message(&channel, "e");
            let (_, remembered, _) = client.session.message_grants(&channel, "e");
            prop_assert_eq!(remembered, evaluated, "after {:?}", step);
        }
    }
}
