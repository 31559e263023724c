//! Counting frames without looking into them.

/// Counts the frames in what a server sends (RFC 6455 section 5.2), however it is cut up.
#[derive(Debug, Default)]
pub struct FrameCounter {
    header: [u8; 10],
    header_read: usize,
    payload_left: u64,
}

impl FrameCounter {
    /// Takes the next bytes, and returns how many frames end in them.
    pub fn count(&mut self, mut bytes: &[u8]) -> usize {
        let mut ended = 0;
        while let Some((byte, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let part = bytes.len().min(usize::try_from(self.payload_left).unwrap());
                self.payload_left -= part as u64;
                bytes = &bytes[part..];
                ended += usize::from(self.payload_left == 0);
                continue;
            }
            self.header[self.header_read] = *byte;
            self.header_read += 1;
            bytes = rest;
            if let Some(length) = self.payload_length() {
                self.header_read = 0;
                self.payload_left = length;
                ended += usize::from(length == 0);
            }
        }
        ended
    }

    /// What the header says, once it is whole. A server's frames have no mask.
    fn payload_length(&self) -> Option<u64> {
        match &self.header[..self.header_read] {
            [_, 126, extended @ ..] => {
                extended.try_into().ok().map(|length| u16::from_be_bytes(length).into())
            }
            [_, 127, extended @ ..] => extended.try_into().ok().map(u64::from_be_bytes),
            [_, length] => Some((*length).into()),
            _ => None,
        }
    }
}
