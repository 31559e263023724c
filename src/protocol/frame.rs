//! WebSocket frames as they go out: header and JSON text in one buffer, encoded once, shared by
//! all that they are sent to (RFC 6455 section 5; a server's frames are not masked, so they are
//! the same for everybody).

use bytes::Bytes;
use fanfare_storage::MessageId;
use std::ops::Range;

/// A ready frame.
pub(crate) type Frame = Bytes;

/// The longest header of an unmasked frame.
const HEADER_ROOM: usize = 10;
const FINAL_TEXT: u8 = 0x81;
const FINAL_CLOSE: u8 = 0x88;
/// What a message's text starts with; the id follows, of fixed length, so that it can be filled
/// in once the message has its place in the channel's order.
const BEFORE_ID: &str = r#"{"id":""#;

/// A text frame of the JSON that `write` appends.
pub(crate) fn text_frame(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Frame {
    let mut buffer = Vec::with_capacity(HEADER_ROOM + capacity);
    buffer.resize(HEADER_ROOM, 0);
    write(&mut buffer);
    let start = put_header(&mut buffer);
    Bytes::from(buffer).slice(start..)
}

/// A close frame (RFC 6455 section 5.5.1); `reason` is cut to what a control frame holds.
pub(crate) fn close_frame(code: u16, reason: &str) -> Frame {
    const MAX_REASON: usize = 123;
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = &reason.as_bytes()[..end];
    let mut frame = Vec::with_capacity(4 + reason.len());
    frame.push(FINAL_CLOSE);
    #[allow(clippy::cast_possible_truncation)] // at most 125
    frame.push(2 + reason.len() as u8);
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason);
    Bytes::from(frame)
}

/// Writes the header right before the payload, which starts at [`HEADER_ROOM`], and returns
/// where the frame starts.
fn put_header(buffer: &mut [u8]) -> usize {
    let length = buffer.len() - HEADER_ROOM;
    let (start, extended) = match length {
        0..=125 => (HEADER_ROOM - 2, None),
        126..=0xffff => (HEADER_ROOM - 4, Some(126)),
        _ => (HEADER_ROOM - 10, Some(127)),
    };
    let header = &mut buffer[start..HEADER_ROOM];
    header[0] = FINAL_TEXT;
    let big_endian = (length as u64).to_be_bytes();
    #[allow(clippy::cast_possible_truncation)] // below 126 where it is used
    {
        header[1] = extended.unwrap_or(length as u8);
    }
    let rest = &mut header[2..];
    rest.copy_from_slice(&big_endian[big_endian.len() - rest.len()..]);
    start
}

/// Who sent a message, as its `meta` shows it; `umd` is JSON text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sender<'a> {
    pub(crate) uid: Option<&'a str>,
    pub(crate) umd: Option<&'a [u8]>,
}

/// A message's frame but for its id.
#[derive(Debug)]
pub(crate) struct UnstampedFrame {
    buffer: Vec<u8>,
    start: usize,
    data: Range<usize>,
    has_id: bool,
}

impl UnstampedFrame {
    /// A message as subscribers see it (protocol section 7.1); messages of the
    /// server's have no sender.
    pub(crate) fn message(
        channel: &str,
        event: &str,
        data: &[u8],
        sender: Option<Sender<'_>>,
    ) -> Self {
        let Sender { uid, umd } = sender.unwrap_or_default();
        let meta = uid.map_or(0, str::len) + umd.map_or(0, <[u8]>::len);
        let size = 160 + channel.len() + event.len() + data.len() + meta;
        let mut buffer = Vec::with_capacity(HEADER_ROOM + size);
        buffer.resize(HEADER_ROOM, 0);
        buffer.extend_from_slice(BEFORE_ID.as_bytes());
        buffer.extend_from_slice(&[b'0'; MessageId::TEXT_LEN]);
        buffer.extend_from_slice(br#"","event":"#);
        super::json::string(&mut buffer, event);
        buffer.extend_from_slice(br#","channel":"#);
        super::json::string(&mut buffer, channel);
        buffer.extend_from_slice(br#","data":"#);
        let data_start = buffer.len();
        buffer.extend_from_slice(data);
        let data = data_start..buffer.len();
        if sender.is_some() {
            buffer.extend_from_slice(br#","meta":"#);
            super::json::meta(&mut buffer, uid, umd);
        }
        buffer.push(b'}');
        let start = put_header(&mut buffer);
        Self { buffer, start, data, has_id: true }
    }

    /// A frame of the JSON that `write` appends, which shows no id: it only has its place among
    /// those that do.
    pub(crate) fn without_id(capacity: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut buffer = Vec::with_capacity(HEADER_ROOM + capacity);
        buffer.resize(HEADER_ROOM, 0);
        write(&mut buffer);
        let start = put_header(&mut buffer);
        Self { buffer, start, data: 0..0, has_id: false }
    }

    /// Bytes that the frame occupies.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Fills in the id. This copies 26 bytes, little enough to be done under a channel's lock.
    pub(crate) fn stamp(mut self, id: MessageId) -> StampedFrame {
        if self.has_id {
            let at = HEADER_ROOM + BEFORE_ID.len();
            let mut text = [0; MessageId::TEXT_LEN];
            let _ = id.encode(&mut text);
            self.buffer[at..at + text.len()].copy_from_slice(&text);
        }
        let Self { buffer, start, data, has_id } = self;
        StampedFrame { whole: Bytes::from(buffer), start, data, has_id }
    }
}

/// A message's frame with its id.
#[derive(Clone, Debug)]
pub(crate) struct StampedFrame {
    whole: Bytes,
    start: usize,
    data: Range<usize>,
    has_id: bool,
}

impl StampedFrame {
    /// The frame, to be shared.
    pub(crate) fn frame(&self) -> Frame {
        self.whole.slice(self.start..)
    }

    /// Bytes that the frame occupies.
    pub(crate) fn len(&self) -> usize {
        self.whole.len()
    }

    /// Bytes of JSON text.
    pub(crate) fn text_len(&self) -> usize {
        self.whole.len() - HEADER_ROOM
    }

    /// The message's `data`, sharing the frame's memory.
    pub(crate) fn data(&self) -> Bytes {
        self.whole.slice(self.data.clone())
    }

    /// Takes the id back, for another one.
    pub(crate) fn unstamp(self) -> UnstampedFrame {
        let Self { whole, start, data, has_id } = self;
        UnstampedFrame { buffer: whole.into(), start, data, has_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::{Role, WebSocketContext};

    /// Reads frames back with the library.
    fn read(frame: &[u8]) -> tungstenite::Message {
        struct Source<'a>(&'a [u8]);
        impl std::io::Read for Source<'_> {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(into)
            }
        }
        impl std::io::Write for Source<'_> {
            fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
                Ok(from.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        WebSocketContext::new(Role::Client, None).read(&mut Source(frame)).unwrap()
    }

    #[test]
    fn frames_of_every_header_size_are_read_back() {
        for size in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let text = "x".repeat(size);
            let frame = text_frame(0, |out| out.extend_from_slice(text.as_bytes()));
            assert_eq!(read(&frame).into_text().unwrap().as_str(), text, "{size}");
        }
    }

    #[test]
    fn a_stamped_message_has_its_id_and_shares_its_data() {
        let data = br#"{"b": 1.50}"#;
        let unstamped = UnstampedFrame::message("a\"b", "e", data, Some(Sender::default()));
        let id: MessageId = "01KQ4ZJ8T3V5N7P9R1S3W5X7Z9".parse().unwrap();
        let stamped = unstamped.stamp(MessageId::MIN).unstamp().stamp(id);
        assert_eq!(
            read(&stamped.frame()).into_text().unwrap().as_str(),
            r#"{"id":"01KQ4ZJ8T3V5N7P9R1S3W5X7Z9","event":"e","channel":"a\"b","data":{"b": 1.50},"meta":{"uid":null,"umd":null}}"#
        );
        assert_eq!(&stamped.data()[..], data);
    }

    #[test]
    fn close_reasons_are_cut_between_characters() {
        let frame = close_frame(1001, &"ä".repeat(100));
        let tungstenite::Message::Close(Some(close)) = read(&frame) else { panic!("no close") };
        assert_eq!(u16::from(close.code), 1001);
        assert_eq!(close.reason.as_str(), "ä".repeat(61));
    }
}
