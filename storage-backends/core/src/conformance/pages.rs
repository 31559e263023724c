//! Pages of messages: order, bounds, limits.

use super::build::{NOW, Subject, everything, forever, id, ids, message};
use crate::{MessageId, MessagePage, MessageQuery, Order, Publish};
use bytes::Bytes;

const DESCENDING: Order = Order::Descending;

async fn fill(subject: &Subject, numbers: impl IntoIterator<Item = u128>) {
    subject.apply("room", numbers.into_iter().map(forever)).await;
}

pub(super) async fn pages_run_in_both_orders(subject: Subject) {
    fill(&subject, 1..=3).await;
    let up = subject.page("room", everything()).await;
    assert_eq!(ids(&up), [id(1), id(2), id(3)]);
    let down = subject.page("room", MessageQuery { order: DESCENDING, ..everything() }).await;
    assert_eq!(ids(&down), [id(3), id(2), id(1)]);
    assert!(!up.more && !down.more);
}

pub(super) async fn page_bounds_are_inclusive(subject: Subject) {
    fill(&subject, [10, 20, 30, 40]).await;
    for (from, to, expected) in [
        (20, 30, vec![id(20), id(30)]),
        (19, 31, vec![id(20), id(30)]),
        (21, 29, vec![]),
        (20, 20, vec![id(20)]),
        (21, 40, vec![id(30), id(40)]),
        (0, 10, vec![id(10)]),
        (41, 99, vec![]),
        (0, 9, vec![]),
    ] {
        for order in [Order::Ascending, Order::Descending] {
            let query = MessageQuery { from: id(from), to: id(to), order, ..everything() };
            let page = subject.page("room", query).await;
            let mut found = ids(&page);
            if order == DESCENDING {
                found.reverse();
            }
            assert_eq!(found, expected, "from {from} to {to}, {order:?}");
            assert!(!page.more && page.gone.is_none(), "from {from} to {to}, {order:?}");
        }
    }
}

pub(super) async fn an_empty_range_is_an_empty_page(subject: Subject) {
    fill(&subject, 1..=3).await;
    for order in [Order::Ascending, Order::Descending] {
        let (from, to) = (id(3), id(1));
        let page = subject.page("room", MessageQuery { from, to, order, ..everything() }).await;
        assert_eq!(page, MessagePage::default());
    }
}

pub(super) async fn pages_end_at_their_message_limit(subject: Subject) {
    fill(&subject, 1..=5).await;
    for (order, numbers) in [(Order::Ascending, [1, 2, 3, 4, 5]), (DESCENDING, [5, 4, 3, 2, 1])] {
        for max_messages in 0..7 {
            let query = MessageQuery { order, max_messages, ..everything() };
            let page = subject.page("room", query).await;
            let expected: Vec<_> = numbers.into_iter().take(max_messages).map(id).collect();
            assert_eq!(ids(&page), expected, "{max_messages} messages, {order:?}");
            assert_eq!(page.more, max_messages < 5, "{max_messages} messages, {order:?}");
        }
    }
    let query = MessageQuery { to: id(3), max_messages: 3, ..everything() };
    assert!(!subject.page("room", query).await.more, "what lies beyond the range is not more");
}

pub(super) async fn pages_end_at_their_byte_limit(subject: Subject) {
    let writes = (1..=4).map(|number| {
        let data = Bytes::from(vec![b'1'; 10]);
        Publish { message: crate::Message { data, ..message(number) }, ..forever(number) }
    });
    subject.apply("room", writes).await;
    for order in [Order::Ascending, Order::Descending] {
        for (max_bytes, count) in
            [(0, 1), (1, 1), (10, 1), (11, 2), (20, 2), (39, 4), (40, 4), (41, 4)]
        {
            let page = subject.page("room", MessageQuery { order, max_bytes, ..everything() });
            let page = page.await;
            assert_eq!(page.messages.len(), count, "{max_bytes} bytes, {order:?}");
            assert_eq!(page.more, count < 4, "{max_bytes} bytes, {order:?}");
        }
    }
}

pub(super) async fn pages_follow_each_other_without_gap(subject: Subject) {
    for start in [0, 100, 200] {
        fill(&subject, (start..start + 100).filter(|number| number % 2 == 0)).await;
    }
    let all: Vec<_> = (0..300).filter(|number| number % 2 == 0).map(id).collect();
    for limit in [1, 7, 50, 149, 150] {
        let (mut up, mut from) = (Vec::new(), MessageId::MIN);
        loop {
            let query = MessageQuery { from, max_messages: limit, ..everything() };
            let page = subject.page("room", query).await;
            up.extend(ids(&page));
            if !page.more {
                break;
            }
            from = up.last().expect("a page with more is not empty").next();
        }
        assert_eq!(up, all, "upwards by {limit}");

        let (mut down, mut to) = (Vec::new(), MessageId::MAX);
        loop {
            let query = MessageQuery { to, order: DESCENDING, max_messages: limit, ..everything() };
            let page = subject.page("room", query).await;
            down.extend(ids(&page));
            if !page.more {
                break;
            }
            let last = down.last().expect("a page with more is not empty");
            to = MessageId::from_u128(last.as_u128() - 1);
        }
        down.reverse();
        assert_eq!(down, all, "downwards by {limit}");
    }
}

pub(super) async fn extreme_ids_are_found(subject: Subject) {
    let extremes = [MessageId::MIN, MessageId::from_u128(1), MessageId::MAX];
    let writes = extremes.map(|id| {
        let message = crate::Message { id, ..message(0) };
        Publish { message, ..forever(0) }
    });
    subject.apply("room", writes).await;
    assert_eq!(subject.ids("room", NOW).await, extremes);
    for id in extremes {
        let only = MessageQuery { from: id, to: id, ..everything() };
        assert_eq!(ids(&subject.page("room", only).await), [id]);
        assert!(subject.store.message("room", id, NOW).await.unwrap().is_some());
    }
    assert_eq!(subject.store.high_water().await.unwrap(), Some(MessageId::MAX));
}
