//! Messages of one channel that reach each of a crowd in a single write.

use super::subscribers::{Chunk, ConnectionKey, Delivery, Registration};
use crate::session::Now;
use bytes::{Bytes, BytesMut};

/// How many subscribers are brought into the processor's cache at a time. What is needed of each is
/// in memory of its own, and a crowd's is not in the cache: read one by one, between system calls,
/// each has to be waited for; read together, they arrive together.
const FETCHED_AT_ONCE: usize = 16;

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
                let length = many.iter().map(|delivery| delivery.frame.len()).sum();
                let mut bytes = BytesMut::with_capacity(length);
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
        for group in subscribers.chunks(FETCHED_AT_ONCE) {
            for registration in group.iter().flatten() {
                registration.mailbox().fetch();
            }
            for registration in group.iter().flatten() {
                delivered += self.deliver_to(registration);
            }
        }
        delivered
    }

    fn deliver_to(&self, registration: &Registration) -> usize {
        if self.left_out.binary_search(&registration.connection()).is_ok() {
            return self.deliver_in_part(registration);
        }
        registration.mailbox().deliver_burst(registration, self);
        self.deliveries.len()
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
