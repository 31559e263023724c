//! Crowds, which are served by a task that writes to their sockets.

use super::super::frame_queue::FrameQueue;
use super::super::mailbox::Mail;
use super::super::outgoing::Audience;
use super::*;
use std::future::poll_fn;
use std::io::IoSlice;
use std::task::{Context, Poll, Wake, Waker};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// More than a publisher serves by itself.
const CROWD: usize = 10;

/// A subscriber with a socket, its connection's task aside.
struct Listener {
    subscriber: Subscriber,
    socket: Arc<TcpStream>,
    client: TcpStream,
}

impl Listener {
    async fn join(world: &World, budget: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Arc::new(listener.accept().await.unwrap().0);
        let subscriber = Subscriber::join(&world.hub, "c", budget);
        subscriber.received();
        Self { subscriber, socket, client }
    }

    /// Lets others write to the socket, as a connection's task does that has nothing to say.
    fn rest(&self, waker: &Waker) {
        let mut frames = FrameQueue::default();
        let context = Context::from_waker(waker);
        let mail = self.subscriber.mailbox.take(&mut frames, Some(&self.socket), &context);
        assert_eq!(mail, Mail::Taken(None));
        assert!(frames.is_empty());
    }

    /// Reads as many messages as are expected.
    async fn read(&mut self, expected: usize) -> Vec<Value> {
        let mut received = Vec::new();
        let mut bytes = Vec::new();
        while received.len() < expected {
            assert_ne!(self.client.read_buf(&mut bytes).await.unwrap(), 0);
            while let Some(length) = frame_length(&bytes) {
                let frame = bytes.drain(..length).collect::<Vec<_>>();
                received.push(parse(&frame.into()));
            }
        }
        assert!(bytes.is_empty());
        received
    }
}

/// The length of the first frame, if it is there whole; of those that occur here.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let length = match bytes {
        [0x81, length @ ..126, ..] => 2 + usize::from(*length),
        [0x81, 126, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        [] | [_] | [_, 126, ..] => return None,
        other => panic!("not the start of a text frame: {:?}", &other[..2]),
    };
    (bytes.len() >= length).then_some(length)
}

/// Writes what waits until the task is ended, as a connection's task does.
async fn write(mailbox: Arc<Mailbox>, socket: Arc<TcpStream>) {
    let mut frames = FrameQueue::default();
    poll_fn(|context| {
        loop {
            match mailbox.take(&mut frames, Some(&socket), context) {
                Mail::Taken(None) if !frames.is_empty() => {}
                _ => return Poll::<()>::Pending,
            }
            let mut slices = [IoSlice::new(&[]); 8];
            let count = frames.show(&mut slices);
            match socket.try_write_vectored(&slices[..count]) {
                Ok(length) => frames.advance(length),
                Err(_) if socket.poll_write_ready(context).is_pending() => return Poll::Pending,
                Err(_) => {}
            }
        }
    })
    .await;
}

fn data(messages: &[Value]) -> Vec<u64> {
    messages.iter().filter_map(|message| message["data"].as_u64()).collect()
}

struct Never;

impl Wake for Never {
    fn wake(self: Arc<Self>) {
        panic!("the task of an idle connection was woken");
    }
}

#[tokio::test]
async fn whoever_keeps_up_is_written_to_without_being_woken() {
    let world = World::new();
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(Listener::join(&world, BUDGET).await);
    }
    crowd.iter().for_each(|one| one.rest(&Arc::new(Never).into()));
    for number in 0..100 {
        world.publish("c", number);
    }
    world.hub.settled().await;
    for one in &mut crowd {
        assert_eq!(data(&one.read(100).await), (0..100).collect::<Vec<_>>());
        assert_eq!(one.subscriber.mailbox.last_sent(), Some(world.clock.now().steady));
    }
}

/// What it allocates, in all, to bring one message to so many.
fn allocations(size: usize) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (world, mut crowd) = runtime.block_on(async {
        let world = World::new();
        let mut crowd = Vec::new();
        for _ in 0..size {
            crowd.push(Listener::join(&world, BUDGET).await);
        }
        (world, crowd)
    });
    crowd.iter().for_each(|one| one.rest(&Arc::new(Never).into()));
    let publish = || {
        runtime.block_on(async {
            world.publish("c", 1);
            world.hub.settled().await;
        });
    };
    publish();
    let allocated = allocation_counter::measure(publish);
    for one in &mut crowd {
        assert_eq!(runtime.block_on(one.read(2)).len(), 2);
    }
    allocated.count_total
}

#[test]
fn a_delivery_to_one_more_of_a_crowd_allocates_nothing() {
    assert_eq!(allocations(CROWD), allocations(10 * CROWD));
    assert!(allocations(CROWD) <= 12);
}

#[tokio::test]
async fn a_crowd_without_sockets_finds_its_messages_in_its_mailboxes() {
    let world = World::new();
    let crowd = [(); CROWD].map(|()| world.subscriber("c"));
    let published: Vec<_> = (0..3).map(|data| (world.publish("c", data), data)).collect();
    world.hub.settled().await;
    for one in &crowd {
        assert_eq!(one.messages(), published);
    }
}

#[tokio::test]
async fn in_a_crowd_too_the_sender_is_left_out_and_whoever_left_gets_nothing() {
    let world = World::new();
    let mut crowd = Vec::new();
    for _ in 0..CROWD + 2 {
        crowd.push(Listener::join(&world, BUDGET).await);
    }
    crowd.iter().for_each(|one| one.rest(Waker::noop()));
    let (gone, sender) = (crowd.remove(0), crowd.remove(0));
    for number in 0..4 {
        let mut draft = Draft::of_host("c", "e", &number.to_string(), Retention::None);
        if number % 2 == 0 {
            draft.audience = Audience::AllBut(Some(sender.subscriber.key));
        }
        let permit = world.hub.try_reserve(1).unwrap();
        world.hub.publish(&"c".into(), draft.outgoing(Settle::Nobody, permit));
    }
    gone.subscriber.leave();
    world.hub.settled().await;
    for one in &mut crowd {
        assert_eq!(data(&one.read(4).await), [0, 1, 2, 3]);
    }
    assert_eq!(data(&sender.subscriber.received()), [1, 3], "these wait for its task");
    assert!(gone.subscriber.received().is_empty());
    assert!(gone.client.try_read(&mut [0]).is_err(), "something was written");
}

#[tokio::test]
async fn what_a_socket_does_not_take_waits_and_nothing_is_lost() {
    const MESSAGES: u64 = 60_000;
    let world = World::with_budget(256 << 20);
    let mut slow = Listener::join(&world, 256 << 20).await;
    let crowd = [(); CROWD].map(|()| Subscriber::join(&world.hub, "c", 256 << 20));
    slow.rest(Waker::noop());
    for number in 0..MESSAGES {
        world.publish("c", number);
    }
    world.hub.settled().await;
    assert!(crowd.iter().all(|one| one.messages().len() == MESSAGES as usize));
    assert!(slow.subscriber.mailbox.last_sent().is_some(), "nothing was written directly");
    let mailbox = Arc::clone(&slow.subscriber.mailbox);
    let writer = tokio::spawn(write(mailbox, Arc::clone(&slow.socket)));
    let received = slow.read(MESSAGES as usize).await;
    assert!(data(&received) == (0..MESSAGES).collect::<Vec<_>>());
    writer.abort();
}

#[tokio::test]
async fn a_slow_consumer_in_a_crowd_is_closed_after_the_frame_that_was_begun() {
    const MESSAGES: usize = 1_000;
    let world = World::with_budget(256 << 20);
    let mut slow = Listener::join(&world, 1 << 20).await;
    let crowd = [(); CROWD].map(|()| Subscriber::join(&world.hub, "c", 256 << 20));
    slow.rest(Waker::noop());
    let text = format!("{:?}", "x".repeat(30_000));
    for _ in 0..MESSAGES {
        let draft = Draft::of_host("c", "e", &text, Retention::None);
        let permit = world.hub.reserve(draft.size()).await;
        world.hub.publish(&"c".into(), draft.outgoing(Settle::Nobody, permit));
    }
    world.hub.settled().await;
    let (rest, closing) = slow.subscriber.mailbox.drain();
    assert_eq!(closing, Some(CloseReason::SlowConsumer));
    assert!(rest.len() <= 1, "only the frame that was begun is left");
    // Once the rest is written, the client has whole frames.
    slow.subscriber.mailbox.disconnect();
    drop(slow.socket);
    let mut bytes = Vec::new();
    slow.client.read_to_end(&mut bytes).await.unwrap();
    rest.iter().for_each(|rest| bytes.extend_from_slice(rest));
    let mut left = &bytes[..];
    while let Some(length) = frame_length(left) {
        left = &left[length..];
    }
    assert!(left.is_empty() && !bytes.is_empty());
    assert!(crowd.iter().all(|one| one.received().len() == 1 + MESSAGES));
}

#[tokio::test]
async fn a_socket_is_not_written_to_once_its_task_withholds_it() {
    let world = World::new();
    let closing = Listener::join(&world, BUDGET).await;
    let crowd = [(); CROWD].map(|()| world.subscriber("c"));
    closing.rest(Waker::noop());
    let mut frames = FrameQueue::default();
    let context = Context::from_waker(Waker::noop());
    assert!(closing.subscriber.mailbox.withhold(&mut frames, &context));
    assert!(frames.is_empty());
    world.publish("c", 1);
    world.hub.settled().await;
    assert!(closing.client.try_read(&mut [0]).is_err(), "something was written");
    assert!(crowd.iter().all(|one| one.messages().len() == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_and_tasks_that_write_to_one_socket_keep_frames_whole_and_in_order() {
    const MESSAGES: u64 = 3_000;
    let world = Arc::new(World::new());
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(Listener::join(&world, 64 << 20).await);
    }
    let mut writers = tokio::task::JoinSet::new();
    for one in &crowd {
        let mailbox = Arc::clone(&one.subscriber.mailbox);
        writers.spawn(write(Arc::clone(&mailbox), Arc::clone(&one.socket)));
        // What a connection says by itself, in between.
        tokio::spawn(async move {
            for _ in 0..MESSAGES {
                mailbox.push(Bytes::from_static(b"\x81\x0d{\"data\":null}"));
                tokio::task::yield_now().await;
            }
        });
    }
    let publisher = Arc::clone(&world);
    tokio::spawn(async move {
        for number in 0..MESSAGES {
            let draft = Draft::of_host("c", "e", &number.to_string(), Retention::None);
            let permit = publisher.hub.reserve(draft.size()).await;
            publisher.hub.publish(&"c".into(), draft.outgoing(Settle::Nobody, permit));
            tokio::task::yield_now().await;
        }
    });
    for one in &mut crowd {
        let received = one.read(2 * MESSAGES as usize).await;
        assert!(data(&received) == (0..MESSAGES).collect::<Vec<_>>());
    }
}
