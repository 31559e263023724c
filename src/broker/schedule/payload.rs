//! What a schedule holds in storage: JSON of a version, which says what is to be done and with
//! which permissions, as they were when it was accepted (protocol section 4).

use crate::broker::events::{Cause, StoredCause};
use crate::protocol::store::StoreFor;
use bytes::Bytes;
use fanfare_storage::Author;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

const VERSION: u32 = 1;
const PUBLISH: &str = "publish";
const SET_ENTRY: &str = "set";

/// Something to be done later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// Who does it; `None` for the server.
    pub(crate) author: Option<Author>,
    /// How long its result is kept, counted from when it is done.
    pub(crate) store: StoreFor,
    /// Whether broker events tell of it (section 12).
    pub(crate) emit: bool,
    /// The request that asked for it, as those events tell it.
    pub(crate) cause: Option<Cause>,
    pub(crate) deed: Deed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Publish {
        event: String,
        /// JSON text.
        data: String,
        /// The connection that gets no copy.
        except: Option<Box<str>>,
        deduplication: Option<String>,
    },
    /// Sets a key of the channel's storage (section 7.3).
    SetEntry {
        key: String,
        /// JSON text; `None` clears.
        value: Option<String>,
    },
}

/// The payload as it is written. Fields are only ever added, and those that are not known are
/// ignored; what must not be ignored needs a new version, or a new deed.
#[derive(Default, Serialize, Deserialize)]
struct Stored<'a> {
    v: u32,
    #[serde(rename = "do")]
    deed: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<StoredAuthor<'a>>,
    /// Seconds; -1 is forever.
    #[serde(default, skip_serializing_if = "is_zero")]
    store: i64,
    #[serde(default, skip_serializing_if = "is_false")]
    emit: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<StoredCause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    except: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deduplication: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredAuthor<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    umd: Option<&'a RawValue>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde wants it
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A payload that can't be carried out by this version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Version(u32),
    Deed(String),
    Malformed(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "it is of version {version}"),
            Self::Deed(deed) => write!(f, "it is to do {deed:?}"),
            Self::Malformed(why) => write!(f, "it is malformed: {why}"),
        }
    }
}

impl Task {
    /// The payload. Fails where texts that should be JSON are not.
    pub(super) fn to_payload(&self) -> Result<Bytes, serde_json::Error> {
        let umd = self.author.as_ref().and_then(|author| author.umd.as_ref());
        let umd = umd.map(|umd| serde_json::from_slice::<&RawValue>(umd)).transpose()?;
        let author =
            self.author.as_ref().map(|author| StoredAuthor { uid: author.uid.clone(), umd });
        let store = match self.store {
            StoreFor::Forever => -1,
            StoreFor::Seconds(seconds) => i64::try_from(seconds).unwrap_or(i64::MAX),
        };
        let cause = self.cause.as_ref().map(Cause::stored);
        let mut stored =
            Stored { v: VERSION, author, store, emit: self.emit, cause, ..Stored::default() };
        match &self.deed {
            Deed::Publish { event, data, except, deduplication } => {
                stored.deed = PUBLISH;
                stored.event = Some(event.clone());
                stored.data = Some(serde_json::from_str(data)?);
                stored.except = except.clone();
                stored.deduplication = deduplication.clone();
            }
            Deed::SetEntry { key, value } => {
                stored.deed = SET_ENTRY;
                stored.key = Some(key.clone());
                stored.data = value.as_deref().map(serde_json::from_str).transpose()?;
            }
        }
        serde_json::to_vec(&stored).map(Bytes::from)
    }

    pub(super) fn from_payload(payload: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Header {
            v: u32,
        }
        let malformed = |error: serde_json::Error| Unreadable::Malformed(error.to_string());
        // Before anything else is looked at: another version may have other fields.
        let Header { v } = serde_json::from_slice(payload).map_err(malformed)?;
        if v != VERSION {
            return Err(Unreadable::Version(v));
        }
        let stored: Stored<'_> = serde_json::from_slice(payload).map_err(malformed)?;
        let text = |raw: &RawValue| raw.get().to_owned();
        let missing = |name| Unreadable::Malformed(format!("it has no {name}"));
        let deed = match stored.deed {
            PUBLISH => Deed::Publish {
                event: stored.event.ok_or_else(|| missing("event"))?,
                data: stored.data.map_or_else(|| "null".to_owned(), text),
                except: stored.except,
                deduplication: stored.deduplication,
            },
            SET_ENTRY => Deed::SetEntry {
                key: stored.key.ok_or_else(|| missing("key"))?,
                value: stored.data.map(text),
            },
            other => return Err(Unreadable::Deed(other.to_owned())),
        };
        Ok(Self {
            author: stored.author.map(|author| Author {
                uid: author.uid,
                umd: author.umd.map(|umd| text(umd).into()),
            }),
            store: u64::try_from(stored.store).map_or(StoreFor::Forever, StoreFor::Seconds),
            emit: stored.emit,
            cause: stored.cause.map(Cause::from),
            deed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn task() -> Task {
        Task {
            author: None,
            store: StoreFor::Seconds(0),
            emit: false,
            cause: None,
            deed: Deed::Publish {
                event: "e".to_owned(),
                data: "1".to_owned(),
                except: None,
                deduplication: None,
            },
        }
    }

    #[test]
    fn a_payload_is_compact_and_stays_readable() {
        let payload = task().to_payload().unwrap();
        assert_eq!(&payload[..], br#"{"v":1,"do":"publish","event":"e","data":1}"#);
        let full = br#"{"v":1,"do":"publish","author":{"uid":"jim","umd":{"a": 1.50}},"store":-1,"emit":true,"cause":{"connectionId":"c","trigger":"client.http"},"event":"e","data":[ 1 ],"except":"c","deduplication":"d"}"#;
        let read = Task::from_payload(full).unwrap();
        assert_eq!(read.store, StoreFor::Forever);
        assert_eq!(read.to_payload().unwrap(), &full[..]);
        let set = br#"{"v":1,"do":"set","store":60,"key":"k","data":{"a": 1}}"#;
        let read = Task::from_payload(set).unwrap();
        let deed = Deed::SetEntry { key: "k".to_owned(), value: Some(r#"{"a": 1}"#.to_owned()) };
        assert_eq!((&read.deed, read.store), (&deed, StoreFor::Seconds(60)));
        assert_eq!(read.to_payload().unwrap(), &set[..]);
        let clear = Task { deed: Deed::SetEntry { key: "k".to_owned(), value: None }, ..read };
        assert_eq!(Task::from_payload(&clear.to_payload().unwrap()).unwrap(), clear);
        let more = br#"{"v":1,"do":"publish","event":"e","new":[{"v":2}],"data":1}"#;
        assert_eq!(Task::from_payload(more), Ok(task()));
    }

    #[test]
    fn what_this_version_does_not_know_is_told_apart() {
        assert_eq!(Task::from_payload(br#"{"v":2}"#), Err(Unreadable::Version(2)));
        let deed = br#"{"v":1,"do":"dance"}"#;
        assert_eq!(Task::from_payload(deed), Err(Unreadable::Deed("dance".to_owned())));
        for bad in [
            "",
            "{}",
            "[]",
            "\u{1}",
            r#"{"v":1}"#,
            r#"{"v":1,"do":"publish"}"#,
            r#"{"v":1,"do":"set"}"#,
        ] {
            let read = Task::from_payload(bad.as_bytes());
            assert!(matches!(read, Err(Unreadable::Malformed(_))), "{bad}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn every_task_is_read_as_it_was_written(
            author in prop::option::of((prop::option::of(".*"), prop::option::of("[0-9]{1,3}"))),
            store in prop::option::of(0_u64..3_155_695_201),
            emit: bool,
            event in ".{1,20}",
            data in "\\[( [1-9][0-9]?\\.50 )?\\]|\"[a-zäß👍]*\"|null|true",
            except in prop::option::of("[a-z]{1,5}"),
            deduplication in prop::option::of(".*"),
        ) {
            let task = Task {
                author: author.map(|(uid, umd)| Author {
                    uid,
                    umd: umd.map(|umd| format!("\"{umd}\"").into()),
                }),
                store: store.map_or(StoreFor::Forever, StoreFor::Seconds),
                emit,
                cause: emit.then(Cause::of_host),
                deed: Deed::Publish {
                    event,
                    data,
                    except: except.map(Into::into),
                    deduplication,
                },
            };
            let payload = task.to_payload().unwrap();
            prop_assert_eq!(Task::from_payload(&payload).unwrap(), task);
        }
    }
}
