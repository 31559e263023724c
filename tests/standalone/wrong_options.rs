//! What is wrong is said in a sentence that says what would be right, with exit code 2, and
//! without showing a secret.

use crate::process::Start;
use std::fs;

/// Options, and what the sentence has to contain.
const CASES: &[(&[&str], &[&str])] = &[
    (&["--listen", "8080"], &["--listen", "an IP address and a port", "127.0.0.1:8080"]),
    (&["--listen", "localhost:8080"], &["--listen", "an IP address and a port"]),
    (&["--storage", "sqlite:x"], &["--storage", "memory, redb:DIR or sled:DIR"]),
    (&["--storage", "redb"], &["--storage", "memory, redb:DIR or sled:DIR"]),
    (&["--demo", "maybe"], &["--demo", "possible values: on, off"]),
    (&["--max-connection-age", "2"], &["--max-connection-age", "2h, 90s or 1h30m, or off"]),
    (&["--max-connection-age", "0s"], &["--max-connection-age", "from 1s to 365d"]),
    (&["--max-connections", "0"], &["--max-connections", "from 1 up, such as 10000, or off"]),
    (&["--idle-timeout", "0s"], &["--idle-timeout", "from 1s to 365d"]),
    (&["--leeway", "2h"], &["--leeway", "from 1s to 1h, or off"]),
    (&["--drain-delay", "10"], &["--drain-delay", "a time with its units"]),
    (&["--drain-timeout", "off"], &["--drain-timeout", "from 1s to 1h"]),
    (&["--max-replay-bytes", "1KiB"], &["--max-replay-bytes", "from 1MiB to "]),
    (&["--durability", "best"], &["--durability", "lazy, written, synced"]),
    (&["--memory-storage", "1KiB"], &["--memory-storage", "from 1MiB to 1024GiB"]),
    (&["--storage-cache", "1KiB"], &["--storage-cache", "from 1MiB to 1024GiB"]),
    (&["--max-inbound-message", "1GiB"], &["--max-inbound-message", "from 1KiB to 64MiB"]),
    (&["--max-subscriptions", "0"], &["--max-subscriptions", "1..=1000000"]),
    (&["--max-queued-bytes", "1KiB"], &["--max-queued-bytes", "from 16KiB to 1GiB"]),
    (&["--max-unstored-bytes", "0"], &["--max-unstored-bytes", "from 1MiB to "]),
    (&["--max-recovered-bytes", "0"], &["--max-recovered-bytes", "from 16KiB to 1GiB"]),
    (&["--max-recovered-messages", "x"], &["--max-recovered-messages", "invalid digit"]),
    (&["--max-storage-keys", "x"], &["--max-storage-keys"]),
    (&["--max-reactions-per-message", "x"], &["--max-reactions-per-message"]),
    (&["--max-reactions-per-user", "x"], &["--max-reactions-per-user"]),
    (&["--max-message-rate", "many"], &["--max-message-rate", "20 or 20:100, or off"]),
    (&["--max-message-rate", "20:0"], &["--max-message-rate", "from 1 to 1000000"]),
    (&["--allowed-origin", "app.example"], &["--allowed-origin", "https://app.example"]),
    (&["--audience", ""], &["--audience"]),
    (&["--issuer", ""], &["--issuer"]),
    (&["--log", "loud"], &["--log", "warn"]),
    (&["--webhook-queue", "16"], &["--webhook-queue", "from 1MiB to 4GiB"]),
    (&["--webhook-queue", "16MB"], &["--webhook-queue", "such as 16MiB"]),
    (&["--webhook", "http://a.example/SECRET"], &["--webhook: ", "give --webhook-secret"]),
    (&["--webhook-secret", "SECRET"], &["--webhook-secret: --webhook is missing"]),
    (&["--webhook", "http://a", "--webhook-secret", "SECRET"], &["--webhook-secret: ", "32 bytes"]),
    (&["--webhook", "http://a", "--webhook-secret", ""], &["--webhook-secret: ", "32 bytes"]),
    (&["--webhook", "http://a", "--webhook-secret", "@absent"], &["absent can't be read"]),
    (&["--webhook", "http://a", "--webhook-secret", "@text"], &["--webhook-secret: ", "32 bytes"]),
    (&["--webhook", "SECRET", "--webhook-secret", "@long"], &["--webhook: write an http or https"]),
    (
        &["--webhook", "ftp://a:SECRET@b", "--webhook-secret", "@long"],
        &["--webhook: write an http"],
    ),
    (&["--signing-keys", "HS256:AAAA"], &["unexpected argument", "--signing-key"]),
    (&["serve"], &["unexpected argument 'serve'"]),
    (&["--signing-key"], &["--signing-key", "a value is required"]),
    (&["--signing-key", ""], &["--signing-key: write [KID=]ALG:BASE64"]),
    (&["--signing-key", "SECRET"], &["--signing-key: write [KID=]ALG:BASE64", "HS256, "]),
    (&["--signing-key", "HS265:U0VDUkVU"], &["must be one of HS256, ", "EdDSA"]),
    (&["--signing-key", "none:U0VDUkVU"], &["must be one of HS256, "]),
    (&["--signing-key", "HS256:"], &["--signing-key: the key is missing"]),
    (&["--signing-key", "=HS256:U0VDUkVU"], &["--signing-key: the KID is missing"]),
    (&["--signing-key", "HS256:SECRET!"], &["--signing-key: ", "base64"]),
    (&["--signing-key", "HS256:U0VDUkVU"], &["--signing-key: ", "32 bytes"]),
    (&["--signing-key", "RS256:U0VDUkVU"], &["--signing-key: ", "PEM"]),
    (&["--signing-key", "ES256:@absent.pem"], &["--signing-key: ", "absent.pem can't be read"]),
    (&["--signing-key", "ES256:@empty"], &["--signing-key: ", "empty is empty"]),
    (&["--signing-key", "ES256:@text"], &["--signing-key: ", "PEM"]),
    (&["--signing-key", "HS256:@text"], &["--signing-key: ", "base64"]),
    (&["--api-key", "SECRET"], &["--api-key: ", "at least 16 letters, digits and"]),
    (&["--api-key", "SECRETSECRETSECRET!"], &["--api-key: ", "letters, digits and"]),
    (&["--api-key", ""], &["--api-key: ", "at least 16 letters"]),
    (&["--api-key", "@absent"], &["--api-key: ", "absent can't be read"]),
    (&["--api-key", "@text"], &["--api-key: ", "letters, digits and"]),
];

#[test]
fn on_the_command_line() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("empty"), "\n").unwrap();
    fs::write(home.path().join("text"), "SECRET: no key!").unwrap();
    fs::write(home.path().join("long"), "SECRET of more than 32 bytes, so that it is one").unwrap();
    for (options, said) in CASES {
        let outcome = Start::new(home.path()).options(*options).fail();
        assert_eq!(outcome.code, Some(2), "{options:?}: {outcome:?}");
        assert!(outcome.stderr.starts_with("error: "), "{options:?}: {outcome:?}");
        for words in *said {
            assert!(outcome.stderr.contains(words), "{options:?} lacks {words:?}: {outcome:?}");
        }
        for secret in ["SECRET", "U0VDUkVU"] {
            assert!(!outcome.stderr.contains(secret), "{options:?}: {outcome:?}");
        }
    }
    assert!(!home.path().join("fanfare-data").exists(), "wrong options make nothing");
}

#[test]
fn in_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let variables = [
        ("FANFARE_LISTEN", "x"),
        ("FANFARE_LISTEN", ""),
        ("FANFARE_STORAGE", "x"),
        ("FANFARE_SIGNING_KEY", "SECRET"),
        ("FANFARE_SIGNING_KEY", ""),
        ("FANFARE_API_KEY", "SECRET"),
        ("FANFARE_AUDIENCE", ""),
        ("FANFARE_ISSUER", ""),
        ("FANFARE_DEMO", "x"),
        ("FANFARE_ALLOWED_ORIGIN", "x"),
        ("FANFARE_MAX_CONNECTION_AGE", "x"),
        ("FANFARE_WEBHOOK", "SECRET"),
        ("FANFARE_WEBHOOK_SECRET", "SECRET"),
        ("FANFARE_WEBHOOK_QUEUE", "x"),
        ("FANFARE_LOG", "x"),
    ];
    for (name, value) in variables {
        let outcome = Start::new(home.path()).variable(name, value).fail();
        assert_eq!(outcome.code, Some(2), "{name}: {outcome:?}");
        let option = format!("--{}", name["FANFARE_".len()..].to_lowercase().replace('_', "-"));
        assert!(outcome.stderr.contains(&option), "{name}: {outcome:?}");
        assert!(!outcome.stderr.contains("SECRET"), "{name}: {outcome:?}");
    }
}

#[test]
fn help_names_each_option_and_variable_but_no_secret() {
    let home = tempfile::tempdir().unwrap();
    let help = Start::new(home.path())
        .variable("FANFARE_SIGNING_KEY", "CONFIDENTIAL")
        .variable("FANFARE_API_KEY", "CONFIDENTIAL")
        .variable("FANFARE_WEBHOOK", "CONFIDENTIAL")
        .variable("FANFARE_WEBHOOK_SECRET", "CONFIDENTIAL")
        .options(["--help"])
        .print();
    for option in [
        "listen",
        "storage",
        "signing-key",
        "api-key",
        "audience",
        "issuer",
        "demo",
        "allowed-origin",
        "max-connection-age",
        "presence-grace",
        "max-message-rate",
        "webhook",
        "webhook-secret",
        "webhook-queue",
        "drain-delay",
        "drain-timeout",
        "max-replay-bytes",
        "durability",
        "storage-cache",
        "memory-storage",
        "max-connections",
        "idle-timeout",
        "leeway",
        "max-inbound-message",
        "max-subscriptions",
        "max-queued-bytes",
        "max-unstored-bytes",
        "max-recovered-messages",
        "max-recovered-bytes",
        "max-storage-keys",
        "max-reactions-per-message",
        "max-reactions-per-user",
        "log",
    ] {
        let variable = format!("FANFARE_{}", option.to_uppercase().replace('-', "_"));
        assert!(help.contains(&format!("--{option}")), "{option}");
        assert!(help.contains(&variable), "{variable}");
    }
    assert!(!help.contains("CONFIDENTIAL"));
}
