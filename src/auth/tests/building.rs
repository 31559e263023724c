//! The builder, with the broker's own parser as its judge.

use super::*;
use crate::protocol::store::StoreFor;
use proptest::prelude::*;

fn soon() -> Timestamp {
    Timestamp::from_unix_seconds(NOW + 60)
}

#[test]
fn section_3_what_is_built_is_read_as_it_was_meant() {
    let key = signing_key(Algorithm::ES256).with_id("k1");
    let token = Claims::connect()
        .and_subscribe()
        .and_umd_scope()
        .expires_at(soon())
        .not_before(now())
        .issued_at(now())
        .audience("us")
        .issuer("me")
        .single_use("j1")
        .uid("jim")
        .umd(&json!({"a": 1}))
        .connection_id("c1")
        .keep_alive()
        .heartbeat_timeout(Duration::from_secs(30))
        .umd_update()
        .umd_propagate()
        .channel(
            "room.1",
            ChannelClaims::new()
                .subscribe(true)
                .auto_subscribe(true)
                .get_info(true)
                .omit_from_sub_count(true)
                .umd_update(true)
                .alias("room")
                .history_start(Timestamp::from_unix_seconds(7))
                .message(
                    "chat",
                    MessageClaims::new()
                        .publish(true)
                        .broadcast(true)
                        .echo(true)
                        .emit_pub_sub_event(true)
                        .react_with(["+1"])
                        .store_for(Duration::from_secs(5))
                        .schedule_before(Timestamp::from_unix_millis(9_999)),
                )
                .message("no", MessageClaims::new().publish(false).react(true))
                .storage(
                    "*",
                    StorageClaims::new()
                        .get(true)
                        .set_value(true)
                        .observe(false)
                        .emit_pub_sub_event(true)
                        .store_forever()
                        .schedule_before(Timestamp::from_unix_millis(9_999)),
                ),
        )
        .channel("#regex:^x", ChannelClaims::new().subscribe(false))
        .sign(&key)
        .unwrap();
    let verifier = Verifier::new(
        vec![key.verifying_key()],
        vec!["us".into()],
        Some("me".into()),
        Duration::ZERO,
    );
    let token = verifier.verify(&token, now()).unwrap();
    assert!([Scope::Connect, Scope::Subscribe, Scope::Umd].iter().all(|one| token.has_scope(*one)));
    assert_eq!(token.uid.as_deref(), Some("jim"));
    assert_eq!((token.connection_id.as_deref(), token.jti.as_deref()), (Some("c1"), Some("j1")));
    assert!(token.single_use && token.keep_alive);
    assert_eq!(token.permissions.alias_of("room.1"), Some("room"));
    let grants = Grants { connect: &token.permissions, subscribe: None };
    let channel = grants.channel("room.1");
    assert_eq!((channel.subscribe, channel.history_start), (Decision::Granted, Some(7)));
    assert_eq!(grants.channel("x").subscribe, Decision::Denied);
    let chat = grants.message("room.1", "chat");
    assert_eq!((chat.publish, chat.store), (Decision::Granted, Some(StoreFor::Seconds(5))));
    assert!(chat.broadcast && chat.echo);
    assert_eq!(grants.message("room.1", "no").publish, Decision::Denied);
    let storage = grants.storage("room.1", "k");
    assert!(storage.get && storage.set && !storage.observe);
    assert_eq!(storage.store, Some(StoreFor::Forever));
}

#[test]
fn section_3_fractions_of_a_second_never_widen_a_token_nor_shorten_a_lifetime() {
    let start = now() + Duration::from_millis(1);
    let end = now() + Duration::from_millis(2_999);
    let rules = MessageClaims::new().store_for(Duration::from_millis(1_001));
    let key = signing_key(Algorithm::HS256);
    let token = Claims::connect()
        .not_before(start)
        .expires_at(end)
        .channel("c", ChannelClaims::new().message("e", rules))
        .sign(&key)
        .unwrap();
    let at = |time| verifier().verify(&token, time);
    assert_eq!(at(start).unwrap_err(), TokenError::NotYet);
    let token = at(now() + Duration::from_millis(1_999)).unwrap();
    assert_eq!(token.expires_at, now() + Duration::from_secs(2));
    let grants = Grants { connect: &token.permissions, subscribe: None };
    assert_eq!(grants.message("c", "e").store, Some(StoreFor::Seconds(2)));
}

#[test]
fn section_3_what_a_broker_would_refuse_is_not_signed() {
    let key = signing_key(Algorithm::HS256);
    let problem = |claims: Claims| claims.sign(&key).unwrap_err().to_string();
    assert_eq!(problem(Claims::connect()), "the claim exp is required");
    let good = || Claims::connect().expires_at(soon());
    assert!(good().sign(&key).is_ok());
    assert!(problem(good().uid("x".repeat(200))).contains("uid"));
    assert!(problem(good().umd(&"x".repeat(2000))).contains("umd"));
    assert!(problem(good().heartbeat_timeout(Duration::from_secs(1))).contains("heartbeatTimeout"));
    let unserializable = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(problem(good().umd(&unserializable)).contains("umd"));
    let wrong = ChannelClaims::new().alias("a b");
    assert!(problem(good().channel("a", wrong)).contains(r#"channels["a"].alias"#));
    assert!(problem(good().channel("#regex:(", ChannelClaims::new())).contains("expression"));
    let mut long = good();
    for number in 0..1_500 {
        long = long.channel(format!("room.{number:040}"), ChannelClaims::new());
    }
    assert!(problem(long).contains("a token has at most 65536 bytes"));
}

/// One call of the builder, with arguments of which some are wrong.
fn call() -> impl Strategy<Value = fn(Claims) -> Claims> {
    fn with(claims: Claims, key: &str, directives: ChannelClaims) -> Claims {
        claims.channel(key, directives)
    }
    let calls: &'static [fn(Claims) -> Claims] = &[
        |claims| claims.expires_at(soon()),
        |claims| claims.expires_at(soon()).uid("jim"),
        |claims| claims.not_before(now()),
        |claims| claims.uid("x".repeat(129)),
        |claims| claims.umd(&"x".repeat(1022)),
        |claims| claims.umd(&"x".repeat(1023)),
        |claims| claims.umd(&()),
        |claims| claims.single_use("j"),
        |claims| claims.single_use(""),
        |claims| claims.heartbeat_timeout(Duration::from_millis(599_001)),
        |claims| claims.heartbeat_timeout(Duration::from_secs(601)),
        |claims| claims.and_subscribe().and_umd_scope(),
        |claims| claims.keep_alive().umd_update().umd_propagate().connection_id(""),
        |claims| with(claims, "a", ChannelClaims::new().alias("b").auto_subscribe(true)),
        |claims| with(claims, "b", ChannelClaims::new().subscribe(false)),
        |claims| with(claims, "c", ChannelClaims::new().alias("b")),
        |claims| with(claims, "d*", ChannelClaims::new().auto_subscribe(true)),
        |claims| with(claims, "e*", ChannelClaims::new().auto_subscribe(false)),
        |claims| with(claims, "f*", ChannelClaims::new().alias("g")),
        |claims| with(claims, "#regex:[a", ChannelClaims::new()),
        |claims| with(claims, "#regex:[a]", ChannelClaims::new().history_start(Timestamp::MAX)),
        |claims| {
            let long = MessageClaims::new().store_for(Duration::from_secs(3_155_695_201));
            with(claims, "h", ChannelClaims::new().message("e", long))
        },
        |claims| {
            let long = MessageClaims::new().store_for(Duration::from_secs(3_155_695_200));
            with(claims, "h", ChannelClaims::new().message("e*", long.react_with(["+1", "é"])))
        },
        |claims| {
            let blank = MessageClaims::new().react_with([" "]);
            with(claims, "i", ChannelClaims::new().message("e", blank))
        },
        |claims| {
            let none = StorageClaims::new().store_for(Duration::ZERO);
            with(claims, "j", ChannelClaims::new().storage("k", none))
        },
        |claims| with(claims, "k l", ChannelClaims::new()),
    ];
    prop::sample::select(calls)
}

proptest! {
    #[test]
    fn section_3_a_broker_accepts_what_the_builder_signs(calls in prop::collection::vec(call(), 0..8)) {
        let key = signing_key(Algorithm::HS256);
        let claims = calls.into_iter().fold(Claims::connect(), |claims, call| call(claims));
        match claims.sign(&key) {
            Ok(token) => prop_assert!(verifier().verify(&token, now()).is_ok()),
            Err(SignError::Invalid(problem)) => prop_assert!(problem.starts_with("the claim ")),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }
}

#[test]
fn another_library_reads_our_tokens_and_we_read_its() {
    use jsonwebtoken as jwt;
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Some {
        exp: u64,
        scope: String,
    }
    for algorithm in Algorithm::ALL.iter().copied().filter(|one| *one != Algorithm::ES512) {
        let theirs: jwt::Algorithm = algorithm.name().parse().unwrap();
        let key = signing_key(algorithm);
        let (encoding, decoding, ours) = if algorithm.name().starts_with("HS") {
            let keys =
                (jwt::EncodingKey::from_secret(SECRET), jwt::DecodingKey::from_secret(SECRET));
            (keys.0, keys.1, key)
        } else {
            let private = private_pem(algorithm);
            let public = pem("PUBLIC KEY", &keys::spki(algorithm, &private));
            let ours = SigningKey::from_pkcs8_pem(algorithm, &private).unwrap();
            let (encoding, decoding) = match &algorithm.name()[..2] {
                "ES" => (
                    jwt::EncodingKey::from_ec_pem(&private),
                    jwt::DecodingKey::from_ec_pem(&public),
                ),
                "Ed" => (
                    jwt::EncodingKey::from_ed_pem(&private),
                    jwt::DecodingKey::from_ed_pem(&public),
                ),
                _ => (
                    jwt::EncodingKey::from_rsa_pem(&private),
                    jwt::DecodingKey::from_rsa_pem(&public),
                ),
            };
            (encoding.unwrap(), decoding.unwrap(), ours)
        };
        let claims = Some { exp: Timestamp::now().as_unix_seconds() + 60, scope: "connect".into() };
        let token = jwt::encode(&jwt::Header::new(theirs), &claims, &encoding).unwrap();
        let verifier = Verifier::new(vec![ours.verifying_key()], Vec::new(), None, Duration::ZERO);
        assert!(verifier.verify(&token, Timestamp::now()).is_ok(), "{algorithm}");
        let token = Claims::connect().expires_in(Duration::from_secs(60)).sign(&ours).unwrap();
        let read = jwt::decode::<Some>(&token, &decoding, &jwt::Validation::new(theirs));
        assert_eq!(read.unwrap().claims.scope, "connect", "{algorithm}");
    }
}
