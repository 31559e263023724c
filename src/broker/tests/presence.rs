//! Protocol section 6.1: members of presence channels, and what they are told.

use super::*;
use crate::broker::presence::{Entered, Full};
use crate::protocol::event::Meta;
use serde_json::json;

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
