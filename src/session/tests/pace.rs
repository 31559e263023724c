use super::*;
use proptest::prelude::*;

/// A client that may send so many messages, and be told of errors for those that it may not.
fn paced(per_second: u32, burst: u32) -> Client {
    let all = json!({"subscribe": true, "messages": {"*": {"publish": true}}});
    let claims = claims("connect", &json!({"uid": "jim", "channels": {"*": all}}));
    let rate = MessageRate::new(per_second, burst);
    let mut client = Client::connect_paced(&claims, TimerSettings::default(), Some(rate));
    client.said.clear();
    client.subscribe("c");
    client.pass(Duration::from_secs(1 << 20));
    client
}

impl Client {
    fn pass(&mut self, time: Duration) {
        self.now.steady += time;
    }

    /// Whether a message was published, or else refused for being one too many.
    fn publishes(&mut self) -> bool {
        let said = self.send(&json!({"event": "chat", "channel": "c", "data": 1}));
        match &said[..] {
            [] => return std::mem::take(&mut self.published).len() == 1,
            [error] => {
                assert_eq!(error["error"]["code"], "RATE_LIMITED");
                assert_eq!(error["channel"], "c");
            }
            _ => panic!("{said:?}"),
        }
        assert!(self.published.is_empty());
        false
    }
}

#[test]
fn section_13_a_rate_is_refused_beyond_its_burst_and_comes_back_with_time() {
    let mut jim = paced(10, 3);
    assert_eq!([(); 5].map(|()| jim.publishes()), [true, true, true, false, false]);
    jim.pass(Duration::from_millis(99));
    assert!(!jim.publishes(), "what was refused did not count");
    jim.pass(Duration::from_millis(1));
    assert!(jim.publishes());
    assert!(!jim.publishes());
    jim.pass(Duration::from_secs(60));
    assert_eq!([(); 4].map(|()| jim.publishes()), [true, true, true, false]);
    assert_eq!(jim.closed, None);
}

#[test]
fn section_13_every_command_with_an_effect_counts_and_signs_of_life_do_not() {
    let mut jim = paced(1, 1);
    for name in ["ping", "pong", "heartbeat"] {
        jim.send(&json!({"event": format!("hotsock.{name}")}));
    }
    assert!(jim.publishes());
    for name in ["messageReaction", "umdUpdate", "channelStorageSet", "unheardOf"] {
        let message = json!({"event": format!("hotsock.{name}"), "channel": "c", "data": {}});
        assert_eq!(jim.code(&message), "RATE_LIMITED", "{name}");
    }
    assert_eq!(jim.send(&json!({"event": "hotsock.ping"}))[0]["event"], "hotsock.pong");
    let refused = jim.session.admit(jim.now).unwrap_err();
    assert_eq!(refused.code, Code::RateLimited, "requests over HTTP share the rate");
}

#[test]
fn section_6_subscribes_over_the_rate_are_delayed_and_never_refused() {
    let mut jim = paced(10, 2);
    assert!(jim.publishes() && jim.publishes());
    assert_eq!(jim.session.pause(jim.now), None);
    jim.subscribe("d");
    assert_eq!(jim.session.pause(jim.now), Some(Duration::from_millis(100)));
    assert!(!jim.publishes());
    jim.pass(Duration::from_millis(100));
    assert_eq!(jim.session.pause(jim.now), None);
    let said = jim.send(&json!({"event": "hotsock.unsubscribe", "channel": "d"}));
    assert_eq!(said[0]["event"], "hotsock.unsubscribed");
    assert_eq!(jim.session.pause(jim.now), Some(Duration::from_millis(100)));
    jim.pass(Duration::from_millis(200));
    assert!(jim.publishes());
}

#[test]
fn section_13_what_is_no_message_is_told_so_and_slows_its_sender() {
    let mut jim = paced(10, 1);
    let cases = [
        ("rubbish", "INVALID_MESSAGE"),
        ("[]", "INVALID_MESSAGE"),
        (r#"{"channel": 1}"#, "INVALID_MESSAGE"),
        (r#"{"event": 1}"#, "INVALID_MESSAGE"),
        ("{}", "INVALID_EVENT_NAME"),
        (r#"{"channel": "c"}"#, "INVALID_EVENT_NAME"),
    ];
    for (number, (text, code)) in (1..).zip(cases) {
        let said = jim.send_text(text);
        assert_eq!(said[0]["error"]["code"], code, "{text}");
        let pause = (number > 1).then(|| Duration::from_millis(100) * (number - 1));
        assert_eq!(jim.session.pause(jim.now), pause);
    }
}

#[test]
fn without_a_rate_nothing_is_refused() {
    let all = json!({"subscribe": true, "messages": {"*": {"publish": true}}});
    let mut jim = Client::connect(&json!({"channels": {"*": all}}));
    jim.subscribe("c");
    assert!((0..10_000).all(|_| jim.publishes()));
    assert_eq!(jim.session.pause(jim.now), None);
}

proptest! {
    /// However messages are spread, a time holds no more than its rate and one burst, and whoever
    /// keeps to the rate is never refused.
    #[test]
    fn section_13_no_time_holds_more_than_its_rate_and_one_burst(
        per_second in 1_u32..1_000,
        burst in 1_u32..20,
        waits in prop::collection::vec(0_u64..3_000_000, 1..200),
    ) {
        let mut jim = paced(per_second, burst);
        let interval = Duration::from_secs(1) / per_second;
        let mut admitted = Vec::new();
        let mut refused_before = false;
        for wait in waits {
            let wait = Duration::from_micros(wait) / per_second;
            jim.pass(wait);
            if jim.publishes() {
                admitted.push(jim.now.steady);
                refused_before = false;
            } else {
                prop_assert!(wait < interval || refused_before, "refused though it kept to the rate");
                refused_before = true;
            }
        }
        for (index, from) in admitted.iter().enumerate() {
            for (count, to) in (1_u32..).zip(&admitted[index..]) {
                let allowed = (*to - *from).as_nanos() / interval.as_nanos() + u128::from(burst);
                prop_assert!(u128::from(count) <= allowed);
            }
        }
    }
}
