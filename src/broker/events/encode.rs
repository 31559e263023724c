//! The JSON form of events (protocol section 12).

use super::kinds::{
    ChannelEvent, ChannelMemberEvent, ChannelStorageEvent, ConnectionEvent, Event, EventKind,
    EventMetadata, MessageEvent, MessageReactionEvent, SubscriptionEvent, Trigger,
};
use crate::protocol::json;
use fanfare_storage::Timestamp;
use std::net::IpAddr;

/// The version of Hotsock whose events these are.
const HOTSOCK_VERSION: &str = "1.13";

impl Event {
    /// Its JSON form, with `source`, `type`, `metadata`, `data` and `dataType` (protocol section
    /// 12).
    ///
    /// ```
    /// # async fn run(mut events: fanfare::EventStream) {
    /// while let Some(Ok(event)) = events.recv().await {
    ///     println!("{}", event.to_json()); // {"source":"hotsock.v1","type":"hotsock.connected",…
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(br#"{"source":"hotsock.v1","type":"#);
        json::string(&mut out, self.name());
        out.extend_from_slice(br#","metadata":"#);
        metadata(&mut out, self.metadata());
        out.extend_from_slice(br#","data":{"#);
        let data_type = match self.kind() {
            EventKind::Connected(connection)
            | EventKind::ConnectionUpdated(connection)
            | EventKind::Disconnected(connection) => write_connection(&mut out, connection),
            EventKind::Subscribed(subscription) | EventKind::Unsubscribed(subscription) => {
                write_subscription(&mut out, subscription)
            }
            EventKind::ChannelUpdated(channel) => write_channel(&mut out, channel),
            EventKind::MessagePublished(message) => write_message(&mut out, message),
            EventKind::MessageReactionAdded(reaction)
            | EventKind::MessageReactionRemoved(reaction) => write_reaction(&mut out, reaction),
            EventKind::ChannelStorageUpdated(entry) => write_entry(&mut out, entry),
            EventKind::MemberAdded(member)
            | EventKind::MemberUpdated(member)
            | EventKind::MemberRemoved(member) => write_member(&mut out, member),
        };
        out.extend_from_slice(br#"},"dataType":"#);
        json::string(&mut out, data_type);
        out.push(b'}');
        // All that is in it came as UTF-8.
        String::from_utf8(out)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

fn metadata(out: &mut Vec<u8>, metadata: &EventMetadata) {
    out.extend_from_slice(br#"{"hotsockVersion":"#);
    json::string(out, HOTSOCK_VERSION);
    let source_ip = metadata.source_ip.map(|ip| ip.to_string());
    let named = [
        (r#","channel":"#, metadata.channel.as_deref()),
        (r#","event":"#, metadata.event.as_deref()),
        (r#","key":"#, metadata.key.as_deref()),
        (r#","reaction":"#, metadata.reaction.as_deref()),
        (r#","connectionId":"#, metadata.connection_id.as_deref()),
        (r#","sourceIp":"#, source_ip.as_deref()),
        (r#","userAgent":"#, metadata.user_agent.as_deref()),
        (r#","requestId":"#, metadata.request_id.as_deref()),
        (r#","trigger":"#, metadata.trigger.map(Trigger::name)),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            out.extend_from_slice(name.as_bytes());
            json::string(out, value);
        }
    }
    out.push(b'}');
}

fn write_connection(out: &mut Vec<u8>, connection: &ConnectionEvent) -> &'static str {
    out.extend_from_slice(br#""id":"#);
    json::string(out, &connection.id);
    out.extend_from_slice(br#","connectedAt":"#);
    json::string(out, &json::rfc_3339(connection.connected_at));
    out.extend_from_slice(br#","disconnectedAt":"#);
    optional_time(out, connection.disconnected_at);
    out.extend_from_slice(br#","keepAlive":"#);
    out.extend_from_slice(if connection.keep_alive { b"true" } else { b"false" });
    out.extend_from_slice(br#","sourceIp":"#);
    json::optional_string(out, connection.source_ip.as_ref().map(IpAddr::to_string).as_deref());
    out.push(b',');
    user(out, connection.uid.as_deref(), connection.umd.as_deref());
    out.extend_from_slice(br#","userAgent":"#);
    json::optional_string(out, connection.user_agent.as_deref());
    "connection"
}

fn write_subscription(out: &mut Vec<u8>, subscription: &SubscriptionEvent) -> &'static str {
    out.extend_from_slice(br#""channel":"#);
    json::string(out, &subscription.channel);
    out.extend_from_slice(br#","connectionId":"#);
    json::string(out, &subscription.connection_id);
    out.push(b',');
    user(out, subscription.uid.as_deref(), subscription.umd.as_deref());
    "subscription"
}

fn write_channel(out: &mut Vec<u8>, channel: &ChannelEvent) -> &'static str {
    out.extend_from_slice(br#""name":"#);
    json::string(out, &channel.name);
    let count = format!(r#","subscriptionsCount":{}"#, channel.subscriptions_count);
    out.extend_from_slice(count.as_bytes());
    "channel"
}

fn write_message(out: &mut Vec<u8>, message: &MessageEvent) -> &'static str {
    out.extend_from_slice(br#""id":"#);
    json::string(out, &message.id.to_string());
    out.extend_from_slice(br#","event":"#);
    json::string(out, &message.event);
    out.extend_from_slice(br#","channel":"#);
    json::string(out, &message.channel);
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(&message.data);
    if message.uid.is_some() || message.umd.is_some() {
        out.extend_from_slice(br#","meta":"#);
        json::meta(out, message.uid.as_deref(), message.umd.as_deref());
    }
    "message"
}

fn write_reaction(out: &mut Vec<u8>, reaction: &MessageReactionEvent) -> &'static str {
    out.extend_from_slice(br#""channel":"#);
    json::string(out, &reaction.channel);
    out.extend_from_slice(br#","messageId":"#);
    json::string(out, &reaction.message_id.to_string());
    out.extend_from_slice(br#","id":"#);
    json::string(out, &reaction.id.to_string());
    out.extend_from_slice(br#","reaction":"#);
    json::string(out, &reaction.reaction);
    out.push(b',');
    user(out, Some(&reaction.uid), reaction.umd.as_deref());
    out.extend_from_slice(br#","createdAt":"#);
    json::string(out, &json::rfc_3339(reaction.created_at));
    out.extend_from_slice(br#","expiresAt":"#);
    optional_time(out, reaction.expires_at);
    "messageReaction"
}

fn write_entry(out: &mut Vec<u8>, entry: &ChannelStorageEvent) -> &'static str {
    out.extend_from_slice(br#""channel":"#);
    json::string(out, &entry.channel);
    out.extend_from_slice(br#","key":"#);
    json::string(out, &entry.key);
    out.extend_from_slice(br#","data":"#);
    out.extend_from_slice(entry.data.as_deref().unwrap_or(b"null"));
    out.extend_from_slice(br#","dataPrevious":"#);
    out.extend_from_slice(entry.data_previous.as_deref().unwrap_or(b"null"));
    out.extend_from_slice(br#","expired":"#);
    out.extend_from_slice(if entry.expired { b"true" } else { b"false" });
    out.extend_from_slice(br#","expiresAt":"#);
    optional_time(out, entry.expires_at);
    out.extend_from_slice(br#","meta":"#);
    json::meta(out, entry.uid.as_deref(), entry.umd.as_deref());
    "channelStorage"
}

fn write_member(out: &mut Vec<u8>, member: &ChannelMemberEvent) -> &'static str {
    user(out, Some(&member.uid), member.umd.as_deref());
    out.extend_from_slice(br#","members":"#);
    out.extend_from_slice(&member.members);
    "channelMember"
}

fn user(out: &mut Vec<u8>, uid: Option<&str>, umd: Option<&[u8]>) {
    out.extend_from_slice(br#""uid":"#);
    json::optional_string(out, uid);
    out.extend_from_slice(br#","umd":"#);
    out.extend_from_slice(umd.unwrap_or(b"null"));
}

fn optional_time(out: &mut Vec<u8>, time: Option<Timestamp>) {
    json::optional_string(out, time.map(json::rfc_3339).as_deref());
}
