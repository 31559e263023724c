//! What is known of a channel at a moment.

/// See [`Broker::channel_info`](crate::Broker::channel_info).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    name: String,
    subscriptions_count: usize,
}

impl ChannelInfo {
    pub(super) fn new(name: &str, subscriptions_count: usize) -> Self {
        Self { name: name.to_owned(), subscriptions_count }
    }

    /// The channel's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many subscriptions it has, without those whose token says `omitFromSubCount`
    /// (protocol section 10).
    #[must_use]
    pub fn subscriptions_count(&self) -> usize {
        self.subscriptions_count
    }
}
