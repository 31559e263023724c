//! The conformance suite must find a store's faults: here are some, and the case that finds each.

use fanfare_storage::conformance::{self, Harness, Verdict};
use fanfare_storage::{
    Capabilities, Durability, Entry, EntryQuery, FedMessage, Feed, Item, ListedMessage,
    MemoryStorage, MessageId, MessagePage, MessageQuery, Order, Outcome, Result, Retention,
    Revocation, Schedule, ScheduleQuery, Storage, Swept, Timestamp, TokenUse, Write, async_trait,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    AnnouncesNothing,
    BleedsAtNul,
    CommitsByItem,
    ComparesNoOrder,
    FeedsBackwards,
    ForgetsDeduplication,
    ForgetsFulfils,
    ForgetsHighWater,
    ForgetsOnReopen,
    HidesGone,
    HidesMore,
    HushesReplaced,
    IgnoresByteLimit,
    IgnoresClose,
    IgnoresKeyLimit,
    IgnoresReactionLimits,
    InventsGone,
    KeepsNothing,
    NeverUnchanged,
    ReadsForFree,
    ReversesReactions,
    ShiftsBounds,
    ShowsExpired,
    SpendsTwice,
    SweepsNothing,
    SweepsWithoutLimit,
    TrimsValues,
}

/// What the nodes of one store share.
#[derive(Debug, Default)]
struct Cluster {
    store: MemoryStorage,
    feeds: Mutex<Vec<(usize, UnboundedSender<FedMessage>)>>,
}

/// A store that outlives its handles and is shared by nodes, with a fault.
#[derive(Debug)]
struct Node {
    number: usize,
    fault: Fault,
    cluster: Arc<Cluster>,
    /// Fails once it is closed, as the node then must.
    gate: MemoryStorage,
}

impl Node {
    async fn pass(&self) -> Result<()> {
        if self.fault == Fault::IgnoresClose { Ok(()) } else { self.gate.check().await }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn name<'a>(&self, channel: &'a str) -> &'a str {
        if self.has(Fault::BleedsAtNul) {
            channel.split('\0').next().unwrap_or_default()
        } else {
            channel
        }
    }

    fn spoil(&self, item: &mut Item) {
        if self.has(Fault::ForgetsFulfils) {
            item.fulfils = None;
        }
        match &mut item.write {
            Write::Publish(publish) => {
                if self.has(Fault::ForgetsDeduplication) {
                    publish.deduplication = None;
                }
                if self.has(Fault::KeepsNothing) {
                    publish.retention = Retention::None;
                }
            }
            Write::AddReaction(add) if self.has(Fault::IgnoresReactionLimits) => {
                (add.max_per_message, add.max_per_user) = (usize::MAX, usize::MAX);
            }
            Write::SetEntry(set) => {
                if self.has(Fault::IgnoresKeyLimit) {
                    set.max_keys = usize::MAX;
                }
                if self.has(Fault::TrimsValues)
                    && let Some(value) = &mut set.value
                {
                    *value = value.trim_ascii().to_vec().into();
                }
                if self.has(Fault::NeverUnchanged) && set.value.is_none() {
                    set.value = Some("null".into());
                }
            }
            _ => {}
        }
    }

    fn feed_others(&self, channel: &str, items: &[Item], outcomes: &[Outcome]) {
        let mut published: Vec<_> = items
            .iter()
            .zip(outcomes)
            .filter_map(|(item, outcome)| match (&item.write, outcome) {
                (Write::Publish(publish), Outcome::Applied) => Some(publish.message.clone()),
                _ => None,
            })
            .collect();
        if self.has(Fault::FeedsBackwards) {
            published.reverse();
        }
        for message in published {
            for (number, feed) in &*self.cluster.feeds.lock().unwrap() {
                if *number != self.number {
                    let fed = FedMessage { channel: channel.to_owned(), message: message.clone() };
                    let _ = feed.send(fed);
                }
            }
        }
    }
}

fn hush(outcome: &mut Outcome) {
    if matches!(outcome, Outcome::ExpiredEntryReplaced(_)) {
        *outcome = Outcome::EntryChanged(None);
    }
}

#[derive(Debug)]
struct NodeFeed(UnboundedReceiver<FedMessage>);

#[async_trait]
impl Feed for NodeFeed {
    async fn next(&mut self) -> Result<Option<FedMessage>> {
        Ok(self.0.recv().await)
    }
}

#[async_trait]
impl Storage for Node {
    fn capabilities(&self) -> Capabilities {
        Capabilities { durability: Durability::Written, shared: true }
    }

    async fn commit(
        &self,
        channel: &str,
        mut items: Vec<Item>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        self.pass().await?;
        let store = &self.cluster.store;
        items.iter_mut().for_each(|item| self.spoil(item));
        let name = self.name(channel);
        if self.has(Fault::CommitsByItem) {
            let mut outcomes = Vec::new();
            for item in items {
                outcomes.extend(store.commit(name, vec![item], now).await?);
                tokio::task::yield_now().await;
            }
            return Ok(outcomes);
        }
        let mut outcomes = store.commit(name, items.clone(), now).await?;
        if self.has(Fault::HushesReplaced) {
            outcomes.iter_mut().for_each(hush);
        }
        self.feed_others(channel, &items, &outcomes);
        Ok(outcomes)
    }

    async fn messages(&self, channel: &str, mut query: MessageQuery) -> Result<MessagePage> {
        self.pass().await?;
        match self.fault {
            Fault::ShowsExpired => query.now = Timestamp::EPOCH,
            Fault::ComparesNoOrder => query.order = Order::Ascending,
            Fault::ShiftsBounds => query.from = query.from.next(),
            Fault::IgnoresByteLimit => query.max_bytes = usize::MAX,
            _ => {}
        }
        let mut page = self.cluster.store.messages(self.name(channel), query).await?;
        match self.fault {
            Fault::HidesGone => page.gone = None,
            Fault::InventsGone => page.gone = page.gone.max(Some(MessageId::MAX)),
            Fault::HidesMore => page.more = false,
            Fault::ReversesReactions => {
                page.messages.iter_mut().for_each(|listed| listed.reactions.reverse());
            }
            _ => {}
        }
        Ok(page)
    }

    async fn message(
        &self,
        channel: &str,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Option<ListedMessage>> {
        self.pass().await?;
        self.cluster.store.message(self.name(channel), id, now).await
    }

    async fn entry(&self, channel: &str, key: &str, now: Timestamp) -> Result<Option<Entry>> {
        self.pass().await?;
        self.cluster.store.entry(self.name(channel), key, now).await
    }

    async fn entries(&self, channel: &str, query: EntryQuery) -> Result<Vec<Entry>> {
        self.pass().await?;
        self.cluster.store.entries(self.name(channel), query).await
    }

    async fn schedules(&self, query: ScheduleQuery) -> Result<Vec<Schedule>> {
        self.pass().await?;
        self.cluster.store.schedules(query).await
    }

    async fn cancel_schedule(&self, id: MessageId) -> Result<bool> {
        self.pass().await?;
        self.cluster.store.cancel_schedule(id).await
    }

    async fn spend_token(&self, token: TokenUse, now: Timestamp) -> Result<bool> {
        self.pass().await?;
        Ok(self.cluster.store.spend_token(token, now).await? || self.has(Fault::SpendsTwice))
    }

    async fn is_token_spent(&self, token: &TokenUse, now: Timestamp) -> Result<bool> {
        self.pass().await?;
        if self.has(Fault::ReadsForFree) {
            return Ok(!self.cluster.store.spend_token(token.clone(), now).await?);
        }
        self.cluster.store.is_token_spent(token, now).await
    }

    async fn revoke(&self, revocation: Revocation) -> Result<()> {
        self.pass().await?;
        self.cluster.store.revoke(revocation).await
    }

    async fn revocations(&self, now: Timestamp) -> Result<Vec<Revocation>> {
        self.pass().await?;
        self.cluster.store.revocations(now).await
    }

    async fn high_water(&self) -> Result<Option<MessageId>> {
        self.pass().await?;
        self.cluster.store.high_water().await
    }

    async fn raise_high_water(&self, id: MessageId) -> Result<()> {
        self.pass().await?;
        if self.has(Fault::ForgetsHighWater) {
            return Ok(());
        }
        self.cluster.store.raise_high_water(id).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<Swept> {
        self.pass().await?;
        if self.has(Fault::SweepsNothing) {
            return Ok(Swept::default());
        }
        let limit = if self.has(Fault::SweepsWithoutLimit) { usize::MAX } else { limit };
        let mut swept = self.cluster.store.sweep(now, limit).await?;
        if self.has(Fault::AnnouncesNothing) {
            swept.entries.clear();
        }
        Ok(swept)
    }

    async fn check(&self) -> Result<()> {
        self.pass().await
    }

    async fn close(&self) -> Result<()> {
        self.cluster.feeds.lock().unwrap().retain(|(number, _)| *number != self.number);
        self.gate.close().await
    }

    async fn feed(&self) -> Result<Option<Box<dyn Feed>>> {
        self.pass().await?;
        let (sender, receiver) = unbounded_channel();
        self.cluster.feeds.lock().unwrap().push((self.number, sender));
        Ok(Some(Box::new(NodeFeed(receiver))))
    }
}

struct Nodes {
    fault: Fault,
    last: Mutex<(usize, Arc<Cluster>)>,
}

impl Nodes {
    fn new(fault: Fault) -> Self {
        Self { fault, last: Mutex::default() }
    }

    fn node(&self) -> Arc<dyn Storage> {
        let mut last = self.last.lock().unwrap();
        last.0 += 1;
        Arc::new(Node {
            number: last.0,
            fault: self.fault,
            cluster: last.1.clone(),
            gate: MemoryStorage::new(),
        })
    }
}

#[async_trait]
impl Harness for Nodes {
    async fn create(&self) -> Arc<dyn Storage> {
        self.last.lock().unwrap().1 = Arc::default();
        self.node()
    }

    /// What has a fault is to be found, however rarely it shows; that ends the test of it.
    fn model_cases(&self) -> u32 {
        if self.fault == Fault::None { 128 } else { 2_048 }
    }

    async fn reopen(&self) -> Option<Arc<dyn Storage>> {
        if self.fault == Fault::ForgetsOnReopen {
            self.last.lock().unwrap().1 = Arc::default();
        }
        Some(self.node())
    }

    async fn join(&self) -> Option<Arc<dyn Storage>> {
        Some(self.node())
    }
}

mod without_fault {
    use super::{Fault, Nodes};

    fanfare_storage::conformance_tests!(Nodes::new(Fault::None));
}

#[test]
fn nothing_is_skipped_that_applies() {
    for case in ["everything_survives_reopening", "other_nodes_are_heard"] {
        assert_eq!(conformance::run(case, Nodes::new(Fault::None)), Verdict::Passed);
    }
}

/// Whether a case finds a fault.
fn finds(case: &str, fault: Fault) -> bool {
    catch_unwind(AssertUnwindSafe(|| conformance::run(case, Nodes::new(fault)))).is_err()
}

#[test]
fn every_fault_is_found_by_its_case() {
    let missed: Vec<_> = [
        ("sweeps_announce_entries_that_ask_for_it", Fault::AnnouncesNothing),
        ("channels_do_not_bleed_into_each_other", Fault::BleedsAtNul),
        ("dropped_commits_are_whole", Fault::CommitsByItem),
        ("pages_run_in_both_orders", Fault::ComparesNoOrder),
        ("other_nodes_are_heard", Fault::FeedsBackwards),
        ("repeats_are_dropped", Fault::ForgetsDeduplication),
        ("a_schedule_is_fulfilled_once", Fault::ForgetsFulfils),
        ("high_water_is_raised_and_never_lowered", Fault::ForgetsHighWater),
        ("everything_survives_reopening", Fault::ForgetsOnReopen),
        ("marks_survive_reopening", Fault::ForgetsOnReopen),
        ("gone_tells_what_was_swept", Fault::HidesGone),
        ("pages_end_at_their_message_limit", Fault::HidesMore),
        ("expired_entries_are_announced_to_who_replaces_them", Fault::HushesReplaced),
        ("pages_end_at_their_byte_limit", Fault::IgnoresByteLimit),
        ("reactions_count_for_the_byte_limit_of_pages", Fault::IgnoresByteLimit),
        ("one_message_comes_with_so_many_reactions", Fault::IgnoresByteLimit),
        ("a_closed_store_refuses_everything", Fault::IgnoresClose),
        ("keys_are_limited", Fault::IgnoresKeyLimit),
        ("reactions_per_message_are_limited", Fault::IgnoresReactionLimits),
        ("reactions_per_user_are_limited", Fault::IgnoresReactionLimits),
        ("gone_is_silent_where_nothing_is_missing", Fault::InventsGone),
        ("messages_are_kept_byte_for_byte", Fault::KeepsNothing),
        ("clearing_removes", Fault::NeverUnchanged),
        ("looking_does_not_spend", Fault::ReadsForFree),
        ("reactions_come_in_the_order_of_their_ids", Fault::ReversesReactions),
        ("page_bounds_are_inclusive", Fault::ShiftsBounds),
        ("expired_messages_never_show", Fault::ShowsExpired),
        ("a_token_is_spent_once", Fault::SpendsTwice),
        ("sweeps_end_at_their_limit", Fault::SweepsNothing),
        ("sweeps_end_at_their_limit", Fault::SweepsWithoutLimit),
        ("entries_are_kept_byte_for_byte", Fault::TrimsValues),
    ]
    .into_iter()
    .filter(|(case, fault)| !finds(case, *fault))
    .collect();
    assert_eq!(missed, [], "the suite does not notice these");
}

#[test]
fn the_model_finds_faults() {
    let missed: Vec<_> = [
        Fault::AnnouncesNothing,
        Fault::BleedsAtNul,
        Fault::ComparesNoOrder,
        Fault::ForgetsDeduplication,
        Fault::ForgetsFulfils,
        Fault::ForgetsHighWater,
        Fault::HidesGone,
        Fault::HidesMore,
        Fault::HushesReplaced,
        Fault::IgnoresByteLimit,
        Fault::IgnoresKeyLimit,
        Fault::IgnoresReactionLimits,
        Fault::InventsGone,
        Fault::KeepsNothing,
        Fault::NeverUnchanged,
        Fault::ReversesReactions,
        Fault::ShiftsBounds,
        Fault::ShowsExpired,
        Fault::SpendsTwice,
    ]
    .into_iter()
    .filter(|fault| !finds("random_operations_agree_with_the_model", *fault))
    .collect();
    assert_eq!(missed, [], "the model does not notice these");
}
