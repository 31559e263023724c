use super::*;
use std::sync::{Condvar, Mutex};
use tokio::task::JoinHandle;

/// Commits when the gate is open, and writes down what it was given.
#[derive(Default)]
struct Recorder {
    gate: Mutex<Gate>,
    changed: Condvar,
    log: Mutex<Vec<Event>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Gate {
    #[default]
    Open,
    Shut,
}

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Begun,
    Group(Vec<u32>),
    Settled,
}

const FAILS_ALONE: u32 = 1000;
const FAILS_FOR_ALL: u32 = 2000;
const PANICS: u32 = 3000;
const IS_NOT_ANSWERED: u32 = 4000;

struct Recording(Arc<Recorder>);

impl GroupCommit for Recording {
    type Request = u32;
    type Response = u32;

    fn commit(&mut self, group: Vec<u32>) -> Result<Vec<Result<u32>>> {
        self.0.log.lock().unwrap().push(Event::Begun);
        let gate = self.0.gate.lock().unwrap();
        drop(self.0.changed.wait_while(gate, |gate| *gate == Gate::Shut).unwrap());
        self.0.log.lock().unwrap().push(Event::Group(group.clone()));
        assert!(!group.contains(&PANICS), "as the test wants");
        let failure = || Error::new(ErrorKind::Corrupt, "engine", "as the test wants");
        if group.contains(&FAILS_FOR_ALL) {
            return Err(failure());
        }
        let answered = group.into_iter().filter(|request| *request != IS_NOT_ANSWERED);
        let answers = answered.map(|request| match request {
            FAILS_ALONE => Err(failure()),
            request => Ok(request + 1),
        });
        Ok(answers.collect())
    }

    fn settle(&mut self) -> Result<()> {
        self.0.log.lock().unwrap().push(Event::Settled);
        Ok(())
    }
}

impl Recorder {
    fn set(&self, gate: Gate) {
        *self.gate.lock().unwrap() = gate;
        self.changed.notify_all();
    }

    fn groups(&self) -> Vec<Vec<u32>> {
        let log = self.log.lock().unwrap().clone();
        log.into_iter()
            .filter_map(|event| if let Event::Group(group) = event { Some(group) } else { None })
            .collect()
    }

    fn count(&self, wanted: &Event) -> usize {
        self.log.lock().unwrap().iter().filter(|event| *event == wanted).count()
    }
}

type Writer = Arc<GroupWriter<Recording>>;

fn start(limits: GroupLimits) -> (Writer, Arc<Recorder>) {
    let recorder = Arc::<Recorder>::default();
    let writer = GroupWriter::start("test", Recording(recorder.clone()), limits).unwrap();
    (Arc::new(writer), recorder)
}

fn submit(writer: &Writer, request: u32, bytes: usize) -> JoinHandle<Result<u32>> {
    let writer = writer.clone();
    tokio::spawn(async move { writer.submit("test", request, bytes).await })
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

/// Submits one request, which the shut gate holds, and then others, one after the other.
async fn hold(
    writer: &Writer,
    recorder: &Recorder,
    requests: impl IntoIterator<Item = u32>,
    bytes: usize,
) -> Vec<JoinHandle<Result<u32>>> {
    recorder.set(Gate::Shut);
    let begun = recorder.count(&Event::Begun);
    let mut submitted = vec![submit(writer, 0, 0)];
    until(|| recorder.count(&Event::Begun) > begun).await;
    for (number, request) in requests.into_iter().enumerate() {
        submitted.push(submit(writer, request, bytes));
        until(|| writer.queue.waiting() > number).await;
    }
    submitted
}

async fn answers(submitted: Vec<JoinHandle<Result<u32>>>) -> Vec<Result<u32>> {
    let mut answers = Vec::new();
    for one in submitted {
        answers.push(one.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn what_waits_is_one_group_in_order() {
    let (writer, recorder) = start(GroupLimits::default());
    let submitted = hold(&writer, &recorder, 1..=100, 10).await;
    recorder.set(Gate::Open);
    let answers: Vec<_> = answers(submitted).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (1..=101).collect::<Vec<_>>());
    assert_eq!(recorder.groups(), [vec![0], (1..=100).collect()]);
}

#[tokio::test]
async fn groups_end_at_their_limits() {
    let by_requests = GroupLimits { group_requests: 30, ..GroupLimits::default() };
    let by_bytes = GroupLimits { group_bytes: 30 * (1000 + 256), ..GroupLimits::default() };
    for limits in [by_requests, by_bytes] {
        let (writer, recorder) = start(limits);
        let submitted = hold(&writer, &recorder, 1..=100, 1000).await;
        recorder.set(Gate::Open);
        assert!(answers(submitted).await.iter().all(Result::is_ok));
        let sizes: Vec<_> = recorder.groups().iter().map(Vec::len).collect();
        assert_eq!(sizes, [1, 30, 30, 30, 10]);
    }
    let tiny = GroupLimits { group_bytes: 1, group_requests: 0, ..GroupLimits::default() };
    let (writer, recorder) = start(tiny);
    let submitted = hold(&writer, &recorder, 1..=3, 1000).await;
    recorder.set(Gate::Open);
    assert!(answers(submitted).await.iter().all(Result::is_ok), "one request is always taken");
    assert_eq!(recorder.groups().len(), 4);
}

#[tokio::test]
async fn beyond_the_queue_callers_wait() {
    let limits = GroupLimits { queue_bytes: 10 * (1000 + 256), ..GroupLimits::default() };
    let (writer, recorder) = start(limits);
    let mut submitted = hold(&writer, &recorder, 1..=9, 1000).await;
    assert_eq!(writer.permits.available_permits(), 1000, "the held request has no bytes");
    submitted.push(submit(&writer, 10, 1000));
    // Larger than the queue, so that it is to be alone.
    submitted.push(submit(&writer, 11, 1_000_000));
    submitted.push(submit(&writer, 12, 1000));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(writer.queue.waiting(), 9, "the queue is beyond its bound");
    recorder.set(Gate::Open);
    assert!(answers(submitted).await.iter().all(Result::is_ok));
    let groups = recorder.groups();
    assert!(groups.contains(&vec![11]), "{groups:?}");
    assert_eq!(groups.concat(), (0..=12).collect::<Vec<_>>(), "in order");
}

#[tokio::test]
async fn failures_reach_those_whom_they_concern() {
    let (writer, recorder) = start(GroupLimits::default());
    let submitted = hold(&writer, &recorder, [1, FAILS_ALONE, 2], 0).await;
    recorder.set(Gate::Open);
    let alone = answers(submitted).await;
    assert!(alone[1].is_ok() && alone[3].is_ok());
    let error = alone[2].as_ref().unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Corrupt, "test"));

    for (bad, kind) in [(FAILS_FOR_ALL, ErrorKind::Corrupt), (PANICS, ErrorKind::Unavailable)] {
        let submitted = hold(&writer, &recorder, [1, bad, 2], 0).await;
        recorder.set(Gate::Open);
        let answers = answers(submitted).await;
        assert!(answers[0].is_ok(), "it was in a group of its own");
        for answer in &answers[1..] {
            assert_eq!(answer.as_ref().unwrap_err().kind(), kind);
        }
    }

    let submitted = hold(&writer, &recorder, [1, IS_NOT_ANSWERED], 0).await;
    recorder.set(Gate::Open);
    let answers = answers(submitted).await;
    assert_eq!(answers[2].as_ref().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(writer.submit("test", 7, 0).await.unwrap(), 8, "the thread goes on");
}

#[tokio::test]
async fn closing_finishes_what_waits_and_refuses_the_rest() {
    let limits = GroupLimits { queue_bytes: 2000, ..GroupLimits::default() };
    let (writer, recorder) = start(limits);
    let submitted = hold(&writer, &recorder, 1..=2, 256).await;
    // These wait for their places in the queue.
    let late: Vec<_> = (3..=20).map(|request| submit(&writer, request, 256)).collect();
    until(|| writer.permits.available_permits() < 512).await;
    tokio::task::yield_now().await;
    let closings: Vec<_> = (0..2)
        .map(|_| {
            let writer = writer.clone();
            tokio::spawn(async move { writer.close().await })
        })
        .collect();
    recorder.set(Gate::Open);
    let answered = answers(submitted).await;
    assert!(answered.iter().all(Result::is_ok));
    for answer in answers(late).await {
        assert!(answer.is_ok(), "a caller that waited before was refused");
    }
    for closing in closings {
        closing.await.unwrap().unwrap();
    }
    let log = recorder.log.lock().unwrap().clone();
    assert_eq!(log.last(), Some(&Event::Settled));
    assert_eq!(recorder.count(&Event::Settled), 1);
    let error = writer.submit("test", 1, 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    writer.close().await.unwrap();
}

#[tokio::test]
async fn a_dropped_caller_stops_nobody() {
    let (writer, recorder) = start(GroupLimits::default());
    let mut submitted = hold(&writer, &recorder, 1..=3, 0).await;
    submitted.remove(2).abort();
    recorder.set(Gate::Open);
    assert!(answers(submitted).await.iter().all(Result::is_ok));
    assert_eq!(recorder.groups(), [vec![0], vec![1, 2, 3]], "what was handed over is done");
}

#[tokio::test]
async fn an_engine_is_settled_in_time() {
    let after = Duration::from_millis(1);
    let limits = GroupLimits { settle_after: Some(after), ..GroupLimits::default() };
    let (writer, recorder) = start(limits);
    writer.submit("test", 1, 0).await.unwrap();
    until(|| recorder.count(&Event::Settled) == 1).await;
    writer.submit("test", 1, 0).await.unwrap();
    until(|| recorder.count(&Event::Settled) == 2).await;
    writer.close().await.unwrap();
    assert_eq!(recorder.count(&Event::Settled), 3);
}
