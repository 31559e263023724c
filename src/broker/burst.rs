//! Messages of one channel that reach each of a crowd in a single write.

use super::subscribers::{Chunk, ConnectionKey, Delivery, Registration};
use crate::session::Now;
use bytes::{Bytes, BytesMut};

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Burst<'a> {
    deliveries: Vec<Delivery<'a>>,
    /// All frames, one after the other.
    bytes: Bytes,
    /// Those who do not get all of them.
    left_out: Vec<ConnectionKey>,
    at: Now,
}

impl<'a> Burst<'a> {
    /// One or more messages, which are for all subscribers but their senders.
    pub(super) fn new(deliveries: Vec<Delivery<'a>>, at: Now) -> Self {
        let bytes = match &*deliveries {
            [only] => only.frame.clone(),
            many => {
                let mut bytes = BytesMut::new();
                many.iter().for_each(|delivery| bytes.extend_from_slice(&delivery.frame));
                bytes.freeze()
            }
        };
        let mut left_out: Vec<_> = deliveries.iter().filter_map(Delivery::left_out).collect();
        left_out.sort_unstable();
        left_out.dedup();
        Self { deliveries, bytes, left_out, at }
    }

    pub(super) fn deliveries(&self) -> &[Delivery<'a>] {
        &self.deliveries
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// When it is delivered.
    pub(super) fn at(&self) -> Now {
        self.at
    }

    /// Brings the messages to a part of the subscribers, and returns how many that are in all.
    pub(super) fn deliver(&self, subscribers: &Chunk) -> usize {
        let mut delivered = 0;
        for registration in subscribers.iter().flatten() {
            if self.left_out.binary_search(&registration.connection()).is_ok() {
                delivered += self.deliver_in_part(registration);
            } else {
                delivered += self.deliveries.len();
                registration.mailbox().deliver_burst(registration, self);
            }
        }
        delivered
    }

    fn deliver_in_part(&self, registration: &Registration) -> usize {
        let own = Some(registration.connection());
        let mut delivered = 0;
        for delivery in self.deliveries.iter().filter(|delivery| delivery.left_out() != own) {
            registration.mailbox().deliver(registration, delivery);
            delivered += 1;
        }
        delivered
    }
}
