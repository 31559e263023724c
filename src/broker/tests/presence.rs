//! Protocol section 6.1: members of presence channels, and what they are told.

use super::faulty::FaultyStorage;
use super::*;
use crate::broker::frame_queue::FrameQueue;
use crate::broker::mailbox::Mail;
use crate::broker::presence::{Entered, Full};
use crate::protocol::event::Meta;
use proptest::prelude::*;
use serde_json::json;
use std::future::poll_fn;
use std::task::Poll;
use tokio::task::JoinSet;

const CHANNEL: &str = "presence.c";

/// A member as a connection holds it, live from the start.
struct Member {
    hub: Arc<Hub>,
    joined: Joined,
    mailbox: Arc<Mailbox>,
    /// Who it was told of when it came.
    members: Value,
}

fn meta(uid: &str, umd: Option<u32>) -> Meta {
    let umd = umd.map(|umd| Bytes::from(umd.to_string()));
    Meta { uid: Some(uid.into()), umd }
}

async fn enter(hub: &Arc<Hub>, uid: &str, umd: Option<u32>) -> Result<Member, Full> {
    enter_with(hub, uid, umd, BUDGET).await
}

async fn enter_with(
    hub: &Arc<Hub>,
    uid: &str,
    umd: Option<u32>,
    budget: usize,
) -> Result<Member, Full> {
    let mailbox = Arc::new(Mailbox::new(budget));
    let registration = registration(&mailbox);
    let (channel, meta) = (CHANNEL.into(), meta(uid, umd));
    let entering = hub.enter(&channel, &meta, Arc::clone(&registration), None);
    let mut entered: Entered = entering.await?;
    let members = serde_json::from_slice(&entered.members).unwrap();
    mailbox.release(&registration, |_| true);
    let joined = entered.take().unwrap();
    Ok(Member { hub: Arc::clone(hub), joined, mailbox, members })
}

fn registration(mailbox: &Arc<Mailbox>) -> Arc<Registration> {
    static KEY: AtomicU64 = AtomicU64::new(1 << 32);
    let key = ConnectionKey(KEY.fetch_add(1, Ordering::Relaxed));
    Arc::new(Registration::new(key, Arc::clone(mailbox), true, Phase::Held))
}

impl Member {
    async fn leave(&self) {
        self.hub.leave(&self.joined).unwrap().await.unwrap();
    }

    async fn update(&self, uid: &str, umd: Option<u32>) {
        let umd = meta(uid, umd).umd;
        let reserved = self.hub.reserve_seat(&CHANNEL.into(), uid.into(), umd).await.unwrap();
        self.hub.update_seat(&self.joined, reserved).await;
    }

    fn received(&self) -> Vec<Value> {
        let (frames, closing) = self.mailbox.drain();
        assert_eq!(closing, None);
        frames.iter().map(parse).collect()
    }
}

#[tokio::test]
async fn a_channel_without_members_is_forgotten() {
    let world = World::new();
    let member = enter(&world.hub, "jim", None).await.unwrap();
    assert_eq!(member.members, json!([{"uid": "jim", "umd": null}]));
    assert_eq!((world.hub.room_count(), world.hub.channel_count()), (1, 1));
    member.leave().await;
    // Left twice is left once.
    member.hub.leave(&member.joined);
    until(|| world.hub.room_count() == 0).await;
    assert_eq!(world.hub.channel_count(), 0);
    assert_eq!(world.hub.members(CHANNEL), "[]");
}

#[tokio::test]
async fn whoever_stops_waiting_to_join_is_no_member() {
    let world = World::new();
    let jim = enter(&world.hub, "jim", None).await.unwrap();
    for _ in 0..20 {
        let registration = registration(&Arc::new(Mailbox::new(BUDGET)));
        let channel = CHANNEL.into();
        let meta = meta("pam", None);
        let joining = world.hub.enter(&channel, &meta, registration, None);
        // Asked for, and given up before the answer is looked at.
        tokio::select! {
            biased;
            _ = joining => panic!("the answer takes a while"),
            () = std::future::ready(()) => {}
        }
        tokio::task::yield_now().await;
    }
    jim.update("jim", Some(1)).await;
    until(|| world.hub.members(CHANNEL) == r#"[{"uid":"jim","umd":1}]"#).await;
    assert_eq!(world.hub.subscriptions_count(CHANNEL), 1);
    let events: Vec<_> = jim.received().into_iter().map(|event| event["event"].clone()).collect();
    assert_eq!(events.last().unwrap(), "hotsock.memberUpdated");
}

/// The members as somebody sees them who was welcomed with a list and told of changes.
struct View(Vec<Value>);

impl View {
    fn of(member: &Member) -> Self {
        Self(member.members.as_array().unwrap().clone())
    }

    /// Follows an event, which must tell of a change and agree with it.
    fn follow(&mut self, event: &Value) {
        let (member, members) = (&event["data"]["member"], &event["data"]["members"]);
        let place = self.0.iter().position(|other| other["uid"] == member["uid"]);
        match (event["event"].as_str().unwrap(), place) {
            ("hotsock.memberAdded", None) => self.0.push(member.clone()),
            // A newcomer that changes something is told of it too.
            ("hotsock.memberUpdated", Some(place)) => self.0[place] = member.clone(),
            ("hotsock.memberRemoved", Some(place)) => drop(self.0.remove(place)),
            (name, place) => panic!("{name} of a member at {place:?}"),
        }
        assert_eq!(Value::from(self.0.clone()), *members);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Join { uid: u8, umd: Option<u32> },
    Update { member: prop::sample::Index, umd: Option<u32> },
    Leave { member: prop::sample::Index },
    Drop { member: prop::sample::Index },
    GiveUp { uid: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let umd = || prop::option::of(0..3_u32);
    let member = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => (0..4_u8, umd()).prop_map(|(uid, umd)| Step::Join { uid, umd }),
        2 => (member(), umd()).prop_map(|(member, umd)| Step::Update { member, umd }),
        1 => member().prop_map(|member| Step::Leave { member }),
        1 => member().prop_map(|member| Step::Drop { member }),
        1 => (0..4_u8).prop_map(|uid| Step::GiveUp { uid }),
    ];
    prop::collection::vec(step, 0..40)
}

/// What is subscribed, by the age of what it shows.
struct Subscription {
    uid: u8,
    umd: Option<u32>,
    member: Member,
    view: View,
}

async fn follow_steps(steps: Vec<Step>) {
    let world = World::new();
    let mut subscribed = Vec::<Subscription>::new();
    let mut order = Vec::<u8>::new();
    for step in steps {
        match step {
            Step::Join { uid, umd } => {
                let member = enter(&world.hub, &uid.to_string(), umd).await.unwrap();
                let view = View::of(&member);
                subscribed.push(Subscription { uid, umd, member, view });
                if !order.contains(&uid) {
                    order.push(uid);
                }
            }
            Step::Update { member, umd } if !subscribed.is_empty() => {
                let mut updated = subscribed.remove(member.index(subscribed.len()));
                updated.member.update(&updated.uid.to_string(), umd).await;
                updated.umd = umd;
                subscribed.push(updated);
            }
            Step::Leave { member } if !subscribed.is_empty() => {
                subscribed.remove(member.index(subscribed.len())).member.leave().await;
            }
            Step::Drop { member } if !subscribed.is_empty() => {
                let gone = subscribed.remove(member.index(subscribed.len()));
                // What comes next is asked for before this has taken place.
                world.hub.lose(&gone.member.joined);
            }
            Step::GiveUp { uid } => {
                let (channel, meta) = (CHANNEL.into(), meta(&uid.to_string(), None));
                let registration = registration(&Arc::new(Mailbox::new(BUDGET)));
                let joining = world.hub.enter(&channel, &meta, registration, None);
                let _ = tokio::time::timeout(Duration::ZERO, joining).await;
            }
            _ => {}
        }
        order.retain(|uid| subscribed.iter().any(|one| one.uid == *uid));
    }
    // A last change, behind all that may still be under way.
    let last = enter(&world.hub, "last", None).await.unwrap();
    last.leave().await;
    let expected: Value = order
        .iter()
        .map(|uid| {
            let newest = subscribed.iter().rfind(|one| one.uid == *uid).unwrap();
            json!({"uid": uid.to_string(), "umd": newest.umd})
        })
        .collect();
    let members: Value = serde_json::from_slice(&world.hub.members(CHANNEL)).unwrap();
    assert_eq!(members, if order.is_empty() { json!([]) } else { expected.clone() });
    for Subscription { member, view, .. } in &mut subscribed {
        member.received().iter().for_each(|event| view.follow(event));
        assert_eq!(Value::from(view.0.clone()), expected);
    }
    assert_eq!(world.hub.subscriptions_count(CHANNEL), subscribed.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn section_6_1_members_and_every_view_of_them_are_the_subscribed_users(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow_steps(steps));
    }
}

/// Takes what waits in a mailbox, once there is something.
async fn mail(mailbox: &Mailbox) -> Vec<Bytes> {
    poll_fn(|context| {
        let mut frames = FrameQueue::default();
        let mail = mailbox.take(&mut frames, None, context);
        assert_eq!(mail, Mail::Taken(None), "nobody who reads is closed");
        if frames.is_empty() { Poll::Pending } else { Poll::Ready(frames.into_frames().into()) }
    })
    .await
}

/// A thousand come at once, all of whom read, and go at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_that_come_at_once_overflow_nobody_and_delay_no_message() {
    const CROWD: usize = 1_000;
    let world = Arc::new(World::new());
    let bystander = world.subscriber("other");
    let watcher = Arc::new(enter(&world.hub, "watcher", None).await.unwrap());
    let watching = Arc::clone(&watcher);
    let watching = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < 2 * CROWD {
            // Of the frames only what they start with is looked at, and the last one.
            for frame in mail(&watching.mailbox).await {
                seen.push((kind(&frame), frame.len()));
            }
        }
        seen
    });
    let mut joining = JoinSet::new();
    for number in 0..CROWD {
        let hub = Arc::clone(&world.hub);
        joining.spawn(async move {
            let member = enter(&hub, &format!("user {number}"), None).await;
            Arc::new(member.unwrap())
        });
    }
    let mut readers = JoinSet::new();
    let mut members = Vec::new();
    while let Some(joined) = joining.join_next().await {
        let member = joined.unwrap();
        // Another channel goes on, whatever is under way here.
        let id = world.publish("other", 1);
        assert_eq!(bystander.messages().last().unwrap().0, id);
        let mailbox = Arc::clone(&member.mailbox);
        readers.spawn(async move {
            loop {
                mail(&mailbox).await;
            }
        });
        members.push(member);
    }
    let list: Value = serde_json::from_slice(&world.hub.members(CHANNEL)).unwrap();
    assert_eq!(list.as_array().unwrap().len(), CROWD + 1);

    for member in &members {
        world.hub.lose(&member.joined);
    }
    let seen = watching.await.unwrap();
    let (came, went) = seen.split_at(CROWD);
    assert!(came.iter().all(|(kind, _)| kind == "hotsock.memberAdded"));
    assert!(went.iter().all(|(kind, _)| kind == "hotsock.memberRemoved"));
    assert!(came.is_sorted_by_key(|(_, len)| *len), "each has one more in its list");
    assert_eq!(world.hub.members(CHANNEL), r#"[{"uid":"watcher","umd":null}]"#);
    readers.abort_all();
    while let Some(reader) = readers.join_next().await {
        assert!(reader.unwrap_err().is_cancelled());
    }
}

/// The event of a frame that starts with it.
fn kind(frame: &Bytes) -> String {
    let start = frame.windows(2).position(|two| two == b"{\"").unwrap();
    let text = std::str::from_utf8(&frame[start..]).unwrap();
    text.split('"').nth(3).unwrap().to_owned()
}

/// Fills a channel up with members, so that every change is a large frame.
async fn large_channel(world: &World) -> Vec<Member> {
    let mut members = Vec::new();
    for number in 0..100 {
        let uid = format!("{number} {}", "x".repeat(500));
        members.push(enter_with(&world.hub, &uid, None, usize::MAX).await.unwrap());
    }
    members
}

#[tokio::test(start_paused = true)]
async fn changes_wait_for_a_member_that_reads_slowly_and_no_message_does() {
    let world = World::new();
    let members = large_channel(&world).await;
    let slow = enter(&world.hub, "slow", Some(0)).await.unwrap();
    let mut view = View::of(&slow);
    let hub = Arc::clone(&world.hub);
    let changing = tokio::spawn(async move {
        for umd in 0..100 {
            members[0].update(&format!("0 {}", "x".repeat(500)), Some(umd)).await;
        }
        drop(hub);
        members
    });
    let (mut seen, mut turns) = (0, 0);
    let mut published = None;
    while seen < 100 {
        // It takes its time, but reads what is there every tenth of a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
        turns += 1;
        assert!(turns < 1_000, "changes stopped coming after {seen}");
        let received = slow.received();
        let bytes: usize = received.iter().map(|event| event.to_string().len()).sum();
        assert!(bytes < BUDGET / 2 + 80_000, "{bytes}");
        let (messages, changes): (Vec<_>, Vec<_>) =
            received.iter().partition(|event| event["id"].is_string());
        // A message that was published in the meantime came at once.
        assert_eq!(messages.into_iter().map(id).next_back(), published);
        changes.iter().for_each(|event| view.follow(event));
        seen += changes.len();
        published = Some(world.publish(CHANNEL, 1));
    }
    assert!(turns >= 8, "the slow reader sets the pace: {turns}");
    drop(changing.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_reads_nothing_is_found_out_and_then_waited_for_no_more() {
    let world = World::new();
    let members = large_channel(&world).await;
    let stalled = enter(&world.hub, "stalled", None).await.unwrap();
    let started = tokio::time::Instant::now();
    let uid = format!("0 {}", "x".repeat(500));
    let mut changes = 0;
    while stalled.mailbox.closing().is_none() {
        changes += 1;
        assert!(changes < 10_000, "it is never found out");
        members[0].update(&uid, Some(changes)).await;
    }
    assert_eq!(stalled.mailbox.closing(), Some(CloseReason::SlowConsumer));
    // On the virtual clock, on which only waiting takes time.
    let waited = started.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
    // Nor is anybody held up afterwards.
    members[0].update(&uid, None).await;
    assert_eq!(started.elapsed(), waited);
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_is_over_when_it_is_over() {
    let mut world = World::new();
    let storage: Arc<dyn Storage> = Arc::<FaultyStorage>::clone(&world.storage);
    let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&world.clock);
    let grace = Duration::from_secs(30);
    let hub = Hub::new(storage, clock, MessageId::MIN, BUDGET, Announcer::new(16))
        .with_presence_grace(grace);
    world.hub = Arc::new(hub);
    let watcher = enter(&world.hub, "watcher", None).await.unwrap();
    let one = enter(&world.hub, "jim", Some(1)).await.unwrap();
    let other = enter(&world.hub, "pam", Some(1)).await.unwrap();
    watcher.received();
    world.hub.lose(&one.joined);
    tokio::time::sleep(Duration::from_secs(20)).await;
    world.hub.lose(&other.joined);
    assert_eq!(watcher.received(), [] as [Value; 0]);
    let members = || world.hub.members(CHANNEL);
    assert_eq!(serde_json::from_slice::<Value>(&members()).unwrap().as_array().unwrap().len(), 3);

    // Who comes back with something else to show was only updated.
    let back = enter(&world.hub, "jim", Some(2)).await.unwrap();
    let events: Vec<_> =
        watcher.received().into_iter().map(|event| event["event"].clone()).collect();
    assert_eq!(events, ["hotsock.memberUpdated"]);
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(watcher.received(), [] as [Value; 0]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let events = watcher.received();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["data"]["member"]["uid"], "pam");

    // What is kept ends with the hub, however long it would have been kept.
    back.leave().await;
    world.hub.lose(&watcher.joined);
    tokio::task::yield_now().await;
    let hub = Arc::downgrade(&world.hub);
    drop((watcher, one, other, back, world));
    until(|| hub.upgrade().is_none()).await;
}
