//! Protocol section 3: from text to claims.

use super::*;
use proptest::prelude::*;

#[test]
fn section_3_a_whole_token_is_read() {
    let token = verify(&json!({
        "uid": "jim", "umd": {"b": 1.50, "a": [null]}, "scope": "connect subscribe other",
        "nbf": NOW - 1, "iat": NOW + 1000, "jti": "j", "singleUse": true,
        "keepAlive": true, "heartbeatTimeout": 30, "unknown": {"deep": []},
    }))
    .unwrap();
    assert_eq!(token.uid.as_deref(), Some("jim"));
    assert_eq!(token.umd.as_deref(), Some(&br#"{"a":[null],"b":1.5}"#[..]));
    assert!(token.has_scope(Scope::Connect) && token.has_scope(Scope::Subscribe));
    assert!(!token.has_scope(Scope::Umd));
    assert!(token.single_use && token.keep_alive);
    assert_eq!((token.heartbeat_timeout, token.jti.as_deref()), (Some(30), Some("j")));
    assert_eq!(token.expires_at, Timestamp::from_unix_seconds(NOW + 60));
}

#[test]
fn section_3_umd_is_kept_as_it_was_written() {
    let key = signing_key(Algorithm::HS256);
    let payload =
        format!(r#"{{"exp":{},"scope":"connect","umd":{{ "b":1.50,"a":"\u00e4"}}}}"#, NOW + 1);
    let token = sign_raw(&key, r#"{"alg":"HS256"}"#, &payload);
    let token = verifier().verify(&token, now()).unwrap();
    assert_eq!(token.umd.as_deref(), Some(&br#"{ "b":1.50,"a":"\u00e4"}"#[..]));
}

#[test]
fn section_3_exp_is_required_and_its_second_is_too_late() {
    let at = |exp: Value| verify(&json!({"exp": exp})).map(|_| ());
    assert_eq!(at(json!(NOW + 1)), Ok(()));
    assert_eq!(at(json!(NOW)), Err(TokenError::Expired));
    assert_eq!(at(json!(NOW as f64 + 0.5)), Ok(()));
    assert_eq!(at(json!(NOW as f64 - 0.5)), Err(TokenError::Expired));
    assert_eq!(at(json!(1e300)), Ok(()));
    assert_eq!(at(json!(-1)), Err(TokenError::Expired));
    assert_eq!(problem(&json!({"exp": null})), "the claim exp is required");
    assert_eq!(
        problem(&json!({"exp": "soon"})),
        "the claim exp must be a number of seconds since 1970"
    );
}

#[test]
fn section_3_nbf_is_enforced_and_iat_is_not() {
    assert!(verify(&json!({"nbf": NOW})).is_ok());
    assert_eq!(verify(&json!({"nbf": NOW + 1})).unwrap_err(), TokenError::NotYet);
    assert!(verify(&json!({"iat": NOW + 1000})).is_ok());
}

#[test]
fn section_3_leeway_is_zero_unless_it_is_configured() {
    let key = || vec![VerifyingKey::hmac(Algorithm::HS256, SECRET).unwrap()];
    let lenient = Verifier::new(key(), Vec::new(), None, Duration::from_secs(5));
    for (claim, by, good) in
        [("exp", -5, false), ("exp", -4, true), ("nbf", 5, true), ("nbf", 6, false)]
    {
        let token = sign(&claims(&json!({claim: NOW as i64 + by})));
        assert!(verifier().verify(&token, now()).is_err(), "{claim} {by}");
        assert_eq!(lenient.verify(&token, now()).is_ok(), good, "{claim} {by}");
    }
    // A used token must be remembered for as long as it would be accepted.
    let token = lenient.verify(&sign(&claims(&json!({}))), now()).unwrap();
    assert_eq!(token.expires_at, Timestamp::from_unix_seconds(NOW + 65));
}

#[test]
fn section_3_a_configured_audience_or_issuer_is_required() {
    let key = || vec![VerifyingKey::hmac(Algorithm::HS256, SECRET).unwrap()];
    let audience = Verifier::new(key(), vec!["us".into(), "them".into()], None, Duration::ZERO);
    for (aud, good) in [
        (json!(null), false),
        (json!("other"), false),
        (json!([]), false),
        (json!("us"), true),
        (json!(["other", "them"]), true),
        (json!(["other"]), false),
    ] {
        let token = sign(&claims(&json!({"aud": aud})));
        let result = audience.verify(&token, now()).map(|_| ());
        assert_eq!(result, if good { Ok(()) } else { Err(TokenError::Audience) }, "{aud}");
        assert!(verifier().verify(&token, now()).is_ok(), "nothing is configured");
    }
    let issuer = Verifier::new(key(), Vec::new(), Some("me".into()), Duration::ZERO);
    for (iss, good) in [(json!(null), false), (json!("you"), false), (json!("me"), true)] {
        let result = issuer.verify(&sign(&claims(&json!({"iss": iss}))), now()).map(|_| ());
        assert_eq!(result, if good { Ok(()) } else { Err(TokenError::Issuer) }, "{iss}");
    }
}

#[test]
fn section_3_a_key_with_an_id_verifies_its_kid_and_one_without_any() {
    let token = |kid: Value, secret: &[u8]| {
        let mut header = json!({"alg": "HS256"});
        if !kid.is_null() {
            header["kid"] = kid;
        }
        let key = SigningKey::hmac(Algorithm::HS256, secret).unwrap();
        sign_raw(&key, &header.to_string(), &claims(&json!({})).to_string())
    };
    let key = |secret: &[u8]| VerifyingKey::hmac(Algorithm::HS256, secret).unwrap();
    let (old, new) = ([1; 32], [2; 32]);
    let named = vec![key(&old).with_id("old"), key(&new).with_id("new")];
    let named = Verifier::new(named, Vec::new(), None, Duration::ZERO);
    let anonymous = Verifier::new(vec![key(&old), key(&new)], Vec::new(), None, Duration::ZERO);
    for (kid, secret, by_named) in [
        (json!("old"), old, true),
        (json!("new"), new, true),
        (json!("new"), old, false),
        (json!("unknown"), old, false),
        (json!(null), old, false),
    ] {
        let token = token(kid.clone(), &secret);
        assert_eq!(named.verify(&token, now()).is_ok(), by_named, "{kid}");
        assert!(anonymous.verify(&token, now()).is_ok(), "{kid}");
    }
    assert!(anonymous.verify(&token(json!(1), &old), now()).is_err(), "a kid is a string");
}

#[test]
fn section_3_crit_is_refused_and_what_points_to_keys_is_ignored() {
    let key = signing_key(Algorithm::HS256);
    let payload = claims(&json!({})).to_string();
    let with = |more: &str| {
        let header = format!(r#"{{"alg":"HS256",{more}}}"#);
        verifier().verify(&sign_raw(&key, &header, &payload), now()).map(|_| ())
    };
    for ignored in
        [r#""jku":"https://e.example""#, r#""jwk":1"#, r#""x5u":[]"#, r#""x5c":{}"#, r#""typ":7"#]
    {
        assert_eq!(with(ignored), Ok(()), "{ignored}");
    }
    for crit in [r#""crit":["exp"]"#, r#""crit":[]"#, r#""crit":null"#] {
        assert_eq!(with(crit), Err(TokenError::NotVerified), "{crit}");
    }
}

#[test]
fn section_3_a_token_has_one_spelling_only() {
    let good = sign(&claims(&json!({"uid": "jim"})));
    let parts: Vec<_> = good.split('.').collect();
    let &[header, payload, signature] = &parts[..] else { panic!("a token has three parts") };
    assert!(verifier().verify(&good, now()).is_ok());
    // The last character of 32 bytes has two bits that mean nothing.
    let last = signature.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.find(last).unwrap() + 1;
    let unused_bits = format!("{}{}", &signature[..42], &alphabet[next..=next]);
    for wrong in [
        format!("{header}.{payload}.{unused_bits}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}\n"),
        format!(" {good}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{header}.{payload}.{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{signature}"),
        good.replace('.', ""),
        String::new(),
        "..".to_owned(),
    ] {
        let error = verifier().verify(&wrong, now()).unwrap_err();
        assert_eq!(error, TokenError::NotVerified, "{wrong}");
    }
    // The same for what is signed: padding, and the other alphabet.
    let key = signing_key(Algorithm::HS256);
    for message in [format!("{header}=.{payload}"), format!("{header}.{payload}="), "a+/.b".into()]
    {
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap());
        assert!(verifier().verify(&format!("{message}.{signature}"), now()).is_err(), "{message}");
    }
}

#[test]
fn section_3_tokens_that_permit_the_same_share_what_is_kept_of_it() {
    let verifier = verifier();
    let permissions = |uid: &str, channel: &str| {
        let claims = claims(&json!({"uid": uid, "channels": {channel: {"subscribe": true}}}));
        verifier.verify(&sign(&claims), now()).unwrap().permissions
    };
    let jims = permissions("jim", "a");
    assert!(std::sync::Arc::ptr_eq(&jims, &permissions("pam", "a")));
    let others = permissions("pam", "b");
    assert!(others.is_exact_key("b") && !others.is_exact_key("a"));
}

#[test]
fn section_3_umd_of_null_is_told_from_no_umd() {
    let names = |more: Value| {
        let token = verify(&more).unwrap();
        (token.names_umd, token.umd.is_some())
    };
    assert_eq!(names(json!({"scope": "umd"})), (false, false));
    assert_eq!(names(json!({"scope": "umd", "umd": null})), (true, false));
    assert_eq!(names(json!({"scope": "umd", "umd": 0})), (true, true));
    let token = verify(&json!({"umdUpdate": true, "umdPropagate": true})).unwrap();
    assert!(token.umd_update && token.umd_propagate);
    let token = verify(&json!({})).unwrap();
    assert!(!token.umd_update && !token.umd_propagate);
}

#[test]
fn section_3_nothing_is_said_of_what_is_not_verified() {
    let forger = SigningKey::hmac(Algorithm::HS256, &[9; 32]).unwrap();
    for payload in ["{}", "[]", "nonsense", r#"{"exp":1,"scope":1}"#] {
        let token = sign_raw(&forger, r#"{"alg":"HS256"}"#, payload);
        assert_eq!(verifier().verify(&token, now()).unwrap_err(), TokenError::NotVerified);
    }
    let large = sign(&claims(&json!({"x": "x".repeat(70_000)})));
    assert_eq!(verifier().verify(&large, now()).unwrap_err(), TokenError::NotVerified);
}

#[test]
fn section_3_malformed_claims_reject_the_whole_token_and_are_named() {
    for (more, message) in [
        (json!({"scope": null}), "the claim scope is required"),
        (json!({"scope": ["connect"]}), "the claim scope must be a string"),
        (json!({"uid": 1}), "the claim uid must be a string"),
        (json!({"uid": "ä".repeat(129)}), "the claim uid must have at most 128 characters"),
        (json!({"umd": "x".repeat(1023)}), "the claim umd must be at most 1024 bytes of JSON"),
        (json!({"nbf": true}), "the claim nbf must be a number of seconds since 1970"),
        (json!({"iat": "x"}), "the claim iat must be a number of seconds since 1970"),
        (json!({"aud": [1]}), "the claim aud must be a string or an array of strings"),
        (json!({"iss": {}}), "the claim iss must be a string"),
        (json!({"jti": 5}), "the claim jti must be a string"),
        (json!({"singleUse": true}), "the claim singleUse needs the claim jti"),
        (json!({"singleUse": 1, "jti": "a"}), "the claim singleUse must be a boolean"),
        (json!({"keepAlive": "yes"}), "the claim keepAlive must be a boolean"),
        (json!({"umdUpdate": 0}), "the claim umdUpdate must be a boolean"),
        (json!({"umdPropagate": []}), "the claim umdPropagate must be a boolean"),
        (json!({"connectionId": 1}), "the claim connectionId must be a string"),
        (json!({"heartbeatTimeout": 4}), "the claim heartbeatTimeout must be 5 to 600 seconds"),
        (json!({"heartbeatTimeout": 601}), "the claim heartbeatTimeout must be 5 to 600 seconds"),
        (json!({"heartbeatTimeout": 5.5}), "the claim heartbeatTimeout must be an integer"),
        (json!({"channels": []}), "the claim channels must be an object"),
        (json!({"channels": {"a": true}}), r#"the claim channels["a"] must be an object"#),
        (
            json!({"channels": {"a": {"subscribe": "yes"}}}),
            r#"the claim channels["a"].subscribe must be a boolean"#,
        ),
        (
            json!({"channels": {"a": {"historyStart": -1}}}),
            r#"the claim channels["a"].historyStart must be whole seconds since 1970, 0 or more"#,
        ),
        (
            json!({"channels": {"a": {"messages": {"b": {"store": -2}}}}}),
            r#"the claim channels["a"].messages["b"].store must be -1 (forever) or 0 to 3155695200 seconds"#,
        ),
        (
            json!({"channels": {"a": {"storage": {"b": {"store": 0}}}}}),
            r#"the claim channels["a"].storage["b"].store must be -1 (forever) or 1 to 3155695200 seconds"#,
        ),
        (
            json!({"channels": {"a": {"messages": {"b": {"react": ["#"]}}}}}),
            r##"the claim channels["a"].messages["b"].react has "#", which is no reaction"##,
        ),
        (
            json!({"channels": {"a*": {"alias": "b"}}}),
            r#"the claim channels["a*"].alias can't be on a pattern"#,
        ),
        (
            json!({"channels": {"a*": {"autoSubscribe": true}}}),
            r#"the claim channels["a*"].autoSubscribe can't be true on a pattern"#,
        ),
        (
            json!({"channels": {"#regex:^a$": {"alias": "b"}}}),
            r##"the claim channels["#regex:^a$"].alias can't be on a pattern"##,
        ),
        (
            json!({"channels": {"a": {"alias": "b c"}}}),
            r#"the claim channels["a"].alias must be a valid channel name"#,
        ),
        (
            json!({"channels": {"a": {"alias": "x"}, "b": {"alias": "x"}}}),
            r#"the claim channels["b"].alias is another channel's alias too"#,
        ),
        (
            json!({"channels": {"a": {"alias": "b"}, "b": {}}}),
            r#"the claim channels["a"].alias is a channel of the same token"#,
        ),
        (
            json!({"channels": {"a": {"alias": "a"}}}),
            r#"the claim channels["a"].alias is a channel of the same token"#,
        ),
        (json!({"channels": {"": {}}}), r#"the claim channels[""] must not be empty"#),
    ] {
        assert_eq!(problem(&more), message);
    }
    assert!(problem(&json!({"channels": {"#regex:(": {}}})).contains("is no usable expression"));
    assert!(problem(&json!({"channels": {"a b": {}}})).contains("can match no name"));
    assert!(problem(&json!({"channels": {"a": {"messages": {"#a": {}}}}})).contains("can match"));
}

#[test]
fn section_3_a_token_has_bounds() {
    let keys = |count: usize, key: fn(usize) -> String| {
        let keys: serde_json::Map<_, _> = (0..count).map(|n| (key(n), json!({}))).collect();
        json!({"channels": keys})
    };
    assert!(verify(&keys(4_000, |n| format!("{n}"))).is_ok());
    assert!(problem(&keys(4_001, |n| format!("{n}"))).contains("one key too many"));
    let inner: serde_json::Map<_, _> = (0..4_000).map(|n| (n.to_string(), json!({}))).collect();
    assert!(problem(&json!({"channels": {"a": {"messages": inner}}})).contains("key too many"));
    // Usual expressions are small, and there may be many.
    assert!(verify(&keys(1_000, |n| format!("#regex:^room{n}[.]"))).is_ok());
    let large = |n| format!(r"#regex:^\pL{{1,5}}{n}$");
    assert!(verify(&keys(5, large)).is_ok());
    let refused = problem(&keys(50, large));
    assert!(refused.contains("too many or too large for one token"), "{refused}");
    // What is quick to keep may be slow to compile.
    let slow = |n| format!(r"#regex:(?i)[^\pL\PL]{{0}}{n}");
    assert!(problem(&keys(200, slow)).contains("too large for one token"));
}

#[test]
fn section_3_a_key_may_be_as_long_as_the_names_that_it_matches() {
    let with = |key: &str| verify(&json!({"channels": {key: {}}})).map(|_| ());
    assert!(with(&"ä".repeat(256)).is_ok() && with(&"ä".repeat(257)).is_err());
    assert!(with(&("ä".repeat(256) + "**")).is_ok());
    assert!(with(&("ä".repeat(257) + "*")).is_err());
}

#[test]
fn section_3_null_is_as_absent_and_unknown_claims_are_ignored() {
    let token = verify(&json!({
        "uid": null, "umd": null, "nbf": null, "aud": null, "iss": null, "jti": null,
        "channels": {"a": {
            "subscribe": null, "alias": null, "historyStart": null, "messages": null,
            "storage": null, "future": 1,
        }, "b": null},
        "connectionId": null, "singleUse": null, "keepAlive": null, "heartbeatTimeout": null,
    }));
    let token = token.unwrap();
    assert!(token.umd.is_none() && token.connection_id.is_none() && !token.keep_alive);
    assert!(verify(&json!({"channels": null})).is_ok());
    assert!(verify(&json!({"heartbeatTimeout": 30.0})).is_ok());
}

#[test]
fn section_3_of_a_repeated_claim_the_last_counts() {
    let key = signing_key(Algorithm::HS256);
    let payload = format!(r#"{{"uid":"a","exp":{},"scope":"connect","u\u0069d":"b"}}"#, NOW + 1);
    let token = sign_raw(&key, r#"{"alg":"HS256"}"#, &payload);
    assert_eq!(verifier().verify(&token, now()).unwrap().uid.as_deref(), Some("b"));
}

proptest! {
    #[test]
    fn section_3_no_text_makes_the_verifier_panic(text in ".{0,200}", parts in prop::collection::vec(any::<Vec<u8>>(), 3)) {
        prop_assert!(verifier().verify(&text, now()).is_err());
        let parts: Vec<_> = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
        prop_assert!(verifier().verify(&parts.join("."), now()).is_err());
    }

    #[test]
    fn section_3_no_payload_makes_the_parser_panic(payload in r#"[{}\[\]",:a-z0-9#*()\\ -]{0,80}"#) {
        let key = SigningKey::hmac(Algorithm::HS256, SECRET).unwrap();
        let _ = verifier().verify(&sign_raw(&key, r#"{"alg":"HS256"}"#, &payload), now());
        let inner = format!(r##"{{"exp":9e9,"scope":"","channels":{{"#regex:{payload}":{{}}}}}}"##);
        let _ = verifier().verify(&sign_raw(&key, r#"{"alg":"HS256"}"#, &inner), now());
    }
}
