//! What the members of a presence channel are told (protocol section 6.1).

use super::frame::{Frame, text_frame};
use super::json;
use bytes::Bytes;

/// How the members changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    /// A user came, with their first connection.
    Added,
    /// What is shown of a user changed.
    Updated,
    /// A user left, with their last connection.
    Removed,
}

impl ChangeKind {
    /// The event that tells of it.
    pub(crate) const fn event(self) -> &'static str {
        match self {
            Self::Added => "hotsock.memberAdded",
            Self::Updated => "hotsock.memberUpdated",
            Self::Removed => "hotsock.memberRemoved",
        }
    }
}

/// The announcement of a change, and the array of all members in it; `member` is JSON text, as is
/// what `write_members` appends.
pub(crate) fn announcement(
    kind: ChangeKind,
    channel: &str,
    member: &[u8],
    write_members: impl FnOnce(&mut Vec<u8>),
) -> (Frame, Bytes) {
    const END: &[u8] = b"}}";
    let mut length = 0;
    let frame = text_frame(128 + channel.len() + member.len(), |out| {
        out.extend_from_slice(br#"{"event":""#);
        out.extend_from_slice(kind.event().as_bytes());
        out.extend_from_slice(br#"","channel":"#);
        json::string(out, channel);
        out.extend_from_slice(br#","data":{"member":"#);
        out.extend_from_slice(member);
        out.extend_from_slice(br#","members":"#);
        let start = out.len();
        write_members(out);
        length = out.len() - start;
        out.extend_from_slice(END);
    });
    let end = frame.len() - END.len();
    let members = frame.slice(end - length..end);
    (frame, members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_6_1_an_announcement_has_the_member_and_all_members() {
        let member = br#"{"uid":"Pam","umd":{"a": 1}}"#;
        let members = br#"[{"uid":"Jim","umd":null},{"uid":"Pam","umd":{"a": 1}}]"#;
        let write = |out: &mut Vec<u8>| out.extend_from_slice(members);
        let (frame, list) = announcement(ChangeKind::Added, "presence.\"1\"", member, write);
        assert_eq!(&list[..], members);
        let start = frame.iter().position(|byte| *byte == b'{').unwrap();
        assert_eq!(
            std::str::from_utf8(&frame[start..]).unwrap(),
            r#"{"event":"hotsock.memberAdded","channel":"presence.\"1\"","data":{"member":{"uid":"Pam","umd":{"a": 1}},"members":[{"uid":"Jim","umd":null},{"uid":"Pam","umd":{"a": 1}}]}}"#
        );
    }
}
