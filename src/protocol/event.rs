//! What the broker says to one client: commands' answers and notices, as frames.

use super::error::ProtocolError;
use super::frame::{Frame, text_frame};
use super::{json, user};
use bytes::Bytes;
use fanfare_storage::Author;
use std::sync::Arc;

/// An event for one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first of every connection, section 5.
    Connected(Connected),
    /// Section 6.
    Subscribed(Subscribed),
    /// Section 6.
    Unsubscribed { channel: Arc<str>, alias: Option<Arc<str>>, meta: Meta },
    /// Section 8.
    Pong,
    /// Section 8.
    KeepAlive,
    /// Section 13; `channel` is the name as the client sent it.
    Error { channel: Option<Box<str>>, error: ProtocolError },
}

/// A user id and metadata (JSON text), each where there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) uid: Option<Arc<str>>,
    pub(crate) umd: Option<Bytes>,
}

impl Meta {
    /// As storage knows it.
    pub(crate) fn author(&self) -> Author {
        Author { uid: self.uid.as_deref().map(str::to_owned), umd: self.umd.clone() }
    }

    /// The metadata as text.
    pub(crate) fn umd_text(&self) -> Option<&str> {
        // What is kept was read as text, or written as such.
        self.umd.as_deref().and_then(|umd| std::str::from_utf8(umd).ok())
    }

    /// Puts another user in place, or none.
    pub(crate) fn replace_uid(&mut self, uid: Option<&str>) -> Result<(), ProtocolError> {
        uid.map_or(Ok(()), user::check_uid)?;
        self.uid = uid.map(Into::into);
        Ok(())
    }

    /// Puts other metadata in place, JSON text.
    pub(crate) fn replace_umd(&mut self, umd: String) -> Result<(), ProtocolError> {
        self.umd = user::checked_umd(umd)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Connected {
    pub(crate) connection_id: Arc<str>,
    pub(crate) secret: Arc<str>,
    /// RFC 3339, UTC.
    pub(crate) expires_at: String,
    pub(crate) meta: Meta,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connected")
            .field("connection_id", &self.connection_id)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub(crate) channel: Arc<str>,
    pub(crate) alias: Option<Arc<str>>,
    pub(crate) auto: bool,
    /// Whether what came after the id that the client named was delivered, where it named one.
    pub(crate) recovered: Option<bool>,
    /// The members of a presence channel, as a JSON array; known when it is joined.
    pub(crate) members: Option<Bytes>,
    pub(crate) meta: Meta,
}

impl Event {
    /// The event as a ready frame.
    pub(crate) fn to_frame(&self) -> Frame {
        let members = match self {
            Self::Subscribed(Subscribed { members: Some(members), .. }) => members.len(),
            _ => 0,
        };
        text_frame(192 + members, |out| self.write(out))
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Connected(connected) => write_connected(out, connected),
            Self::Subscribed(subscribed) => write_subscribed(out, subscribed),
            Self::Unsubscribed { channel, alias, meta } => {
                begin(out, "hotsock.unsubscribed", Some(channel));
                out.extend_from_slice(br#","data":{}"#);
                if alias.is_some() {
                    write_meta(out, alias.as_deref(), meta);
                }
                out.push(b'}');
            }
            Self::Pong => out.extend_from_slice(br#"{"event":"hotsock.pong","data":"{}"}"#),
            Self::KeepAlive => {
                out.extend_from_slice(br#"{"event":"hotsock.keepAlive","data":{}}"#);
            }
            Self::Error { channel, error } => {
                begin(out, "hotsock.error", channel.as_deref());
                out.push(b',');
                write_error(out, error);
                out.push(b'}');
            }
        }
    }
}

/// Appends `"error":{"code":…,"message":…}`, as the HTTP APIs say it too.
pub(crate) fn write_error(out: &mut Vec<u8>, error: &ProtocolError) {
    out.extend_from_slice(br#""error":{"code":""#);
    out.extend_from_slice(error.code.as_str().as_bytes());
    out.extend_from_slice(br#"","message":"#);
    json::string(out, &error.message);
    out.push(b'}');
}

fn begin(out: &mut Vec<u8>, event: &str, channel: Option<&str>) {
    out.extend_from_slice(br#"{"event":""#);
    out.extend_from_slice(event.as_bytes());
    out.push(b'"');
    if let Some(channel) = channel {
        out.extend_from_slice(br#","channel":"#);
        json::string(out, channel);
    }
}

fn write_meta(out: &mut Vec<u8>, alias: Option<&str>, meta: &Meta) {
    out.extend_from_slice(br#","meta":{"#);
    if let Some(alias) = alias {
        out.extend_from_slice(br#""channelAlias":"#);
        json::string(out, alias);
        out.push(b',');
    }
    out.extend_from_slice(br#""uid":"#);
    json::optional_string(out, meta.uid.as_deref());
    out.extend_from_slice(br#","umd":"#);
    out.extend_from_slice(meta.umd.as_deref().unwrap_or(b"null"));
    out.push(b'}');
}

fn write_connected(out: &mut Vec<u8>, connected: &Connected) {
    begin(out, "hotsock.connected", None);
    out.extend_from_slice(br#","data":{"connectionId":"#);
    json::string(out, &connected.connection_id);
    out.extend_from_slice(br#","connectionExpiresAt":"#);
    json::string(out, &connected.expires_at);
    out.extend_from_slice(br#","connectionSecret":"#);
    json::string(out, &connected.secret);
    out.push(b'}');
    write_meta(out, None, &connected.meta);
    out.push(b'}');
}

fn write_subscribed(out: &mut Vec<u8>, subscribed: &Subscribed) {
    begin(out, "hotsock.subscribed", Some(&subscribed.channel));
    out.extend_from_slice(br#","data":{"#);
    let recovered = subscribed.recovered.map(|yes| if yes { &b"true"[..] } else { b"false" });
    let fields: [(&[u8], Option<&[u8]>); 3] = [
        (b"\"autoSubscribed\":", subscribed.auto.then_some(b"true")),
        (b"\"recovered\":", recovered),
        (b"\"members\":", subscribed.members.as_deref()),
    ];
    let there = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (index, (name, value)) in there.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
    out.push(b'}');
    write_meta(out, subscribed.alias.as_deref(), &subscribed.meta);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error::Code;

    fn text(event: &Event) -> String {
        let mut out = Vec::new();
        event.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn section_5_connected() {
        let event = Event::Connected(Connected {
            connection_id: "c".into(),
            secret: "s".into(),
            expires_at: "2026-01-31T12:00:00Z".into(),
            meta: Meta { uid: Some("jim".into()), umd: None },
        });
        assert_eq!(
            text(&event),
            r#"{"event":"hotsock.connected","data":{"connectionId":"c","connectionExpiresAt":"2026-01-31T12:00:00Z","connectionSecret":"s"},"meta":{"uid":"jim","umd":null}}"#
        );
    }

    #[test]
    fn section_6_subscribed() {
        let mut subscribed = Subscribed {
            channel: "live".into(),
            alias: None,
            auto: false,
            recovered: None,
            members: None,
            meta: Meta::default(),
        };
        assert_eq!(
            text(&Event::Subscribed(subscribed.clone())),
            r#"{"event":"hotsock.subscribed","channel":"live","data":{},"meta":{"uid":null,"umd":null}}"#
        );
        subscribed.alias = Some("l".into());
        subscribed.auto = true;
        subscribed.recovered = Some(false);
        subscribed.meta.umd = Some(Bytes::from_static(br#"{"a": 1}"#));
        assert_eq!(
            text(&Event::Subscribed(subscribed.clone())),
            r#"{"event":"hotsock.subscribed","channel":"live","data":{"autoSubscribed":true,"recovered":false},"meta":{"channelAlias":"l","uid":null,"umd":{"a": 1}}}"#
        );
        subscribed.recovered = None;
        subscribed.members = Some(Bytes::from_static(br#"[{"uid":"a","umd":null}]"#));
        let data = r#""data":{"autoSubscribed":true,"members":[{"uid":"a","umd":null}]}"#;
        assert!(text(&Event::Subscribed(subscribed)).contains(data));
    }

    #[test]
    fn section_6_unsubscribed_has_meta_where_there_is_an_alias() {
        let mut event = Event::Unsubscribed {
            channel: "live".into(),
            alias: None,
            meta: Meta { uid: Some("a".into()), umd: None },
        };
        assert_eq!(text(&event), r#"{"event":"hotsock.unsubscribed","channel":"live","data":{}}"#);
        if let Event::Unsubscribed { alias, .. } = &mut event {
            *alias = Some("l".into());
        }
        assert_eq!(
            text(&event),
            r#"{"event":"hotsock.unsubscribed","channel":"live","data":{},"meta":{"channelAlias":"l","uid":"a","umd":null}}"#
        );
    }

    #[test]
    fn section_8_and_13_notices() {
        assert_eq!(text(&Event::Pong), r#"{"event":"hotsock.pong","data":"{}"}"#);
        assert_eq!(text(&Event::KeepAlive), r#"{"event":"hotsock.keepAlive","data":{}}"#);
        let error = ProtocolError::new(Code::NotSubscribed, "a \"quoted\" word");
        assert_eq!(
            text(&Event::Error { channel: Some("c".into()), error: error.clone() }),
            r#"{"event":"hotsock.error","channel":"c","error":{"code":"NOT_SUBSCRIBED","message":"a \"quoted\" word"}}"#
        );
        assert_eq!(
            text(&Event::Error { channel: None, error }),
            r#"{"event":"hotsock.error","error":{"code":"NOT_SUBSCRIBED","message":"a \"quoted\" word"}}"#
        );
    }
}
