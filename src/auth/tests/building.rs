//! The builder, with the broker's own parser as its judge.

use super::*;
use crate::protocol::store::StoreFor;

fn soon() -> Timestamp {
    Timestamp::from_unix_seconds(NOW + 60)
}

#[test]
fn what_is_built_is_read_as_it_was_meant() {
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
        .heartbeat_timeout(30)
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
                .history_start(7)
                .message(
                    "chat",
                    MessageClaims::new()
                        .publish(true)
                        .broadcast(true)
                        .echo(true)
                        .emit_pub_sub_event(true)
                        .react_with(["+1"])
                        .store_for(Duration::from_secs(5))
                        .schedule_before(9),
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
                        .schedule_before(9),
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
fn what_a_broker_would_refuse_is_not_signed() {
    let key = signing_key(Algorithm::HS256);
    let problem = |claims: Claims| claims.sign(&key).unwrap_err().to_string();
    assert_eq!(problem(Claims::connect()), "the claim exp is required");
    let good = || Claims::connect().expires_at(soon());
    assert!(good().sign(&key).is_ok());
    assert!(problem(good().uid("x".repeat(200))).contains("uid"));
    assert!(problem(good().umd(&"x".repeat(2000))).contains("umd"));
    assert!(problem(good().heartbeat_timeout(1)).contains("heartbeatTimeout"));
    let unserializable = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(problem(good().umd(&unserializable)).contains("umd"));
    let wrong = ChannelClaims::new().alias("a b");
    assert!(problem(good().channel("a", wrong)).contains(r#"channels["a"].alias"#));
    assert!(problem(good().channel("#regex:(", ChannelClaims::new())).contains("expression"));
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
