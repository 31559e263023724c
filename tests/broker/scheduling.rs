//! Protocol section 11 over sockets, on every way in, and across restarts on disk.

use crate::client::{Client, backend, request};
use crate::server::{Server, builder, until};
use crate::token::{connect, now};
use fanfare::storage::{Schedule, ScheduleQuery as StoredQuery, Storage};
use fanfare::{HistoryQuery, Message, MessageId, ScheduleQuery, Timestamp};
use http::{Method, Request};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A second or two from now, in UTC.
pub fn soon() -> String {
    expression(now() + 2)
}

fn expression(second: u64) -> String {
    let (days, rest) = (second / 86_400, second % 86_400);
    // Days since 1970 as a date (the proleptic Gregorian calendar, counted from March).
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("at({year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02})")
}

fn scheduler(uid: &str) -> String {
    connect(&json!({"uid": uid, "umd": {"n": 1}, "channels": {"room": {
        "subscribe": true,
        "messages": {
            "chat": {"publish": true, "echo": true, "store": -1, "scheduleBefore": now() + 3_600},
            "quiet": {"publish": true, "scheduleBefore": now() + 3_600},
            "now": {"publish": true},
        },
    }}}))
}

#[tokio::test]
async fn section_11_clients_schedule_over_their_sockets() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &scheduler("jim"), "room").await;
    let mut ann = Client::subscribed(&server, &scheduler("ann"), "room").await;
    let message = |event: &str, data: u64, when: &str| json!({"event": event, "channel": "room", "data": data, "scheduleExpression": when});
    assert_eq!(jim.error(&message("now", 1, &soon())).await, "SCHEDULE_PERMISSION_DENIED");
    assert_eq!(jim.error(&message("chat", 1, "never")).await, "INVALID_SCHEDULE");
    let due = now() + 2;
    jim.send(&message("quiet", 1, &expression(due))).await;
    jim.send(&message("chat", 2, &expression(due))).await;
    jim.assert_silent().await;
    let quiet = ann.next().await;
    assert_eq!((&quiet["event"], &quiet["data"]), (&json!("quiet"), &json!(1)));
    assert_eq!(quiet["meta"], json!({"uid": "jim", "umd": {"n": 1}}));
    assert!(now() >= due);
    // Without `echo` the sender gets no copy, though it is delivered later.
    let (chat, own) = (ann.next().await, jim.next().await);
    assert_eq!((&chat["data"], &chat), (&json!(2), &own));
}

#[tokio::test]
async fn section_11_clients_schedule_over_http() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &scheduler("jim"), "room").await;
    let body = json!({"event": "chat", "channel": "room", "data": 1, "eagerIdGeneration": true,
                      "scheduleExpression": soon(), "scheduleExpressionTimezone": "Etc/UTC"});
    let answer = jim.call(&server, "publishMessage", &body).await;
    assert_eq!(answer.status, 202);
    let answer = answer.json();
    let waiting = server.broker.schedules(&ScheduleQuery::default()).await.unwrap().schedules;
    let id = waiting[0].id.to_string();
    let expected = json!({"channel": "room", "event": "chat", "scheduleArn": id, "scheduleId": id});
    assert_eq!(answer, expected);
    let message = jim.next().await;
    assert_eq!((&message["data"], &message["meta"]["uid"]), (&json!(1), &json!("jim")));
    let wrong = json!({"event": "now", "channel": "room", "scheduleExpression": soon()});
    let code = jim.call(&server, "publishMessage", &wrong).await.code();
    assert_eq!(code, (403, "SCHEDULE_PERMISSION_DENIED".to_owned()));
}

#[tokio::test]
async fn section_11_backends_schedule_and_cancel() {
    let server = Server::start().await;
    let mut jim = Client::subscribed(&server, &scheduler("jim"), "room").await;
    let schedule = async |data: u64, when: &str| {
        let body = json!({"event": "e", "channel": "room", "data": data,
                          "scheduleExpression": when});
        backend(&server, Method::POST, "/publish", &body).await
    };
    let far = schedule(1, "at(2126-01-01T00:00:00)").await;
    assert_eq!(far.status, 202);
    let far = far.json()["scheduleId"].as_str().unwrap().to_owned();
    schedule(2, &soon()).await;
    let cancel = async |id: &str| {
        let path = format!("/schedules/{id}");
        backend(&server, Method::DELETE, &path, &Value::Null).await
    };
    let gone = cancel(&far).await;
    assert_eq!((gone.status.as_u16(), &*gone.text), (204, ""));
    for id in [&*far, "nonsense"] {
        assert_eq!(cancel(id).await.code(), (404, "NOT_FOUND".to_owned()));
    }
    let path = format!("/schedules/{far}");
    let wrong = backend(&server, Method::GET, &path, &Value::Null).await;
    assert_eq!(wrong.code(), (405, "METHOD_NOT_ALLOWED".to_owned()));
    let keyless = Request::delete(&path).body(String::new()).unwrap();
    let keyless = request(server.address, keyless).await;
    assert_eq!(keyless.code(), (401, "INVALID_API_KEY".to_owned()));
    assert_eq!(schedule(3, "at(2001-01-01T00:00:00)").await.code().1, "INVALID_SCHEDULE");

    let message = jim.next().await;
    assert_eq!(message["data"], 2);
    assert!(message.get("meta").is_none());
    assert!(server.broker.schedules(&ScheduleQuery::default()).await.unwrap().schedules.is_empty());
}

/// Schedules before a restart, and looks after it; once more for messages that repeat.
async fn across_a_restart<S: Storage>(open: impl Fn(&Path) -> S) {
    let dir = tempfile::tempdir().unwrap();
    let start = async || {
        let storage: Arc<dyn Storage> = Arc::new(open(dir.path()));
        let held = Arc::downgrade(&storage);
        (Server::with(builder().storage(storage)).await, held)
    };
    let message = |data: u64| Message::new("room", "e").data(&data);
    let (first, held) = start().await;
    let far = Timestamp::now() + Duration::from_secs(3_600);
    let publish = async |message: Message| first.broker.publish(message).await.unwrap();
    let waits = publish(message(1).store_forever().schedule_at(far)).await;
    let passes = publish(message(3).store_forever().schedule_at(far)).await;
    let original = publish(message(2).deduplication_id("d")).await;
    first.broker.shutdown().await.unwrap();
    drop(first);
    // A task that was at work may hold the store a moment longer.
    until(|| held.strong_count() == 0).await;
    let_its_time_pass(&open(dir.path()), passes.id()).await;

    let (second, _) = start().await;
    let history = async || {
        let page = second.broker.history("room", &HistoryQuery::default()).await.unwrap();
        page.messages.iter().map(|one| one.data.to_vec()).collect::<Vec<_>>()
    };
    let done = async {
        while history().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.expect("not delivered");
    assert_eq!(history().await, [b"3"]);
    let waiting = second.broker.schedules(&ScheduleQuery::default()).await.unwrap().schedules;
    assert_eq!(waiting.iter().map(|one| one.id).collect::<Vec<_>>(), [waits.id()]);
    assert_eq!(waiting[0].due, far);
    let again = second.broker.publish(message(4).deduplication_id("d")).await.unwrap();
    assert_eq!((again.id(), again.is_duplicate()), (original.id(), true));
    second.broker.shutdown().await.unwrap();
}

/// Makes a schedule one whose time is past, as if the broker had been down for long.
async fn let_its_time_pass(storage: &impl Storage, id: MessageId) {
    let query = StoredQuery { after: None, until: Timestamp::MAX, limit: 10 };
    let found = storage.schedules(query).await.unwrap().into_iter().find(|one| one.id == id);
    let passed = Schedule { due: Timestamp::from_unix_seconds(now() - 60), ..found.unwrap() };
    assert!(storage.cancel_schedule(id).await.unwrap());
    storage.commit("room", vec![passed.into()], Timestamp::now()).await.unwrap();
    storage.close().await.unwrap();
}

#[tokio::test]
async fn section_11_schedules_survive_a_restart_on_redb() {
    across_a_restart(|path| fanfare_storage_redb::RedbStorage::open(path).unwrap()).await;
}

#[tokio::test]
async fn section_11_schedules_survive_a_restart_on_sled() {
    across_a_restart(|path| fanfare_storage_sled::SledStorage::open(path).unwrap()).await;
}
