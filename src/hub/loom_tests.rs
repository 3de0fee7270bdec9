//! Models that show that a topic has one order and loses no member. loom runs them in the orders in
//! which their threads may take turns. A task that sleeps forever is a deadlock in loom, and fails
//! the test. `src/socket/split/loom_tests.rs` has the command.

use std::{future::poll_fn, sync::Arc};

use loom::{future::block_on, model::Builder, thread};

use super::{
    Hub, Subscription,
    link::{Link, Running, Work},
    topic::{Grace, Removed, Topic, Wanted},
    topics::Topics,
};
use crate::{
    life::Queue,
    message::Message,
    proto::PreparedMessage,
    socket::Sender,
    sync::{AtomicBool, AtomicUsize, Ordering},
};

#[test]
fn who_joins_gets_all_from_then_on_once() {
    check(|| {
        let (topic, ann) = (topic(false), Arc::default());
        let publishing = thread::spawn({
            let topic = Arc::clone(&topic);
            move || publish(&topic, &["1", "2", "3"])
        });
        join(&topic, &ann);
        publishing.join().unwrap();
        let texts = taken(&ann);
        assert!(["1", "2", "3"].ends_with(&refs(&texts)), "{texts:?}");
    });
}

#[test]
fn who_leaves_gets_all_until_then() {
    check(|| {
        let (topic, ann) = (topic(false), Arc::default());
        let id = join(&topic, &ann);
        let publishing = thread::spawn({
            let topic = Arc::clone(&topic);
            move || publish(&topic, &["1", "2", "3"])
        });
        topic.leave(id);
        let texts = taken(&ann);
        publishing.join().unwrap();
        assert!(["1", "2", "3"].starts_with(&refs(&texts)), "{texts:?}");
        assert!(taken(&ann).is_empty());
    });
}

#[test]
fn two_publishers_have_one_order_for_two_members() {
    check(|| {
        let (topic, ann, ben) = (topic(false), Arc::default(), Arc::default());
        join(&topic, &ann);
        join(&topic, &ben);
        let publishing = thread::spawn({
            let topic = Arc::clone(&topic);
            move || publish(&topic, &["1", "2"])
        });
        publish(&topic, &["3", "4"]);
        publishing.join().unwrap();
        let texts = taken(&ann);
        assert_eq!(texts, taken(&ben));
        for own in [["1", "2"], ["3", "4"]] {
            let own_texts = texts.iter().filter(|text| own.contains(&text.as_str()));
            assert!(own_texts.eq(own), "{texts:?}");
        }
    });
}

#[test]
fn who_joins_gets_the_latest_message_once() {
    check(|| {
        let (topic, ann) = (topic(false), Arc::default());
        let publishing = thread::spawn({
            let topic = Arc::clone(&topic);
            move || {
                for text in ["1", "2"] {
                    assert!(topic.publish_latest(message(text), None).is_ok());
                }
            }
        });
        join(&topic, &ann);
        publishing.join().unwrap();
        let texts = taken(&ann);
        assert!(["1", "2"].ends_with(&refs(&texts)) && !texts.is_empty());
    });
}

#[test]
fn who_joins_while_the_last_one_leaves_is_a_member() {
    check(|| {
        let hub = Hub::new();
        let (ann, ben) = (Arc::default(), Arc::default());
        let first = join_hub(&hub, &ann);
        let leaving = thread::spawn(move || drop(first));
        let second = join_hub(&hub, &ben);
        leaving.join().unwrap();
        assert_eq!((hub.members("room"), hub.topics()), (1, 1));
        assert_eq!(hub.publish("room", "1").queued, 1);
        drop(second);
        assert_eq!((hub.members("room"), hub.topics()), (0, 0));
        assert!(taken(&ann).is_empty());
        assert_eq!(taken(&ben), ["1"]);
    });
}

#[test]
fn a_latest_message_outlives_the_last_member_that_leaves() {
    check(|| {
        let hub = Hub::new();
        let (ann, ben) = (Arc::default(), Arc::default());
        let first = join_hub(&hub, &ann);
        let leaving = thread::spawn(move || drop(first));
        hub.publish_latest("room", "1");
        leaving.join().unwrap();
        let _second = join_hub(&hub, &ben);
        assert_eq!(taken(&ben), ["1"]);
    });
}

#[test]
fn who_joins_while_a_latest_message_is_cleared_is_a_member() {
    check(|| {
        let hub = Hub::new();
        let ann = Arc::default();
        hub.publish_latest("room", "1");
        let clearing = thread::spawn({
            let hub = hub.clone();
            move || hub.clear_latest("room")
        });
        let _membership = join_hub(&hub, &ann);
        clearing.join().unwrap();
        assert_eq!(hub.publish("room", "2").queued, 1);
        let texts = taken(&ann);
        assert!(["1", "2"].ends_with(&refs(&texts)), "{texts:?}");
    });
}

#[test]
fn who_joins_at_the_end_of_the_grace_is_subscribed() {
    check(|| {
        let topics = Arc::new(Topics::new(true));
        let ann = Arc::default();
        let known = topics.get_or_create("room");
        let id = join(&known, &ann);
        known.look();
        known.subscribed(1);
        known.leave(id);
        let Wanted::Grace(departures) = known.look() else {
            panic!("no grace");
        };
        let joining = thread::spawn({
            let topics = Arc::clone(&topics);
            move || {
                loop {
                    let topic = topics.get_or_create("room");
                    match topic.join(&ann) {
                        Ok(joined) => return (topic, joined.is_news),
                        Err(Removed) => topics.remove(&topic),
                    }
                }
            }
        });
        // As the hub's task does.
        let is_removed = match known.end_grace(departures) {
            Grace::Removed { was_subscribed } => {
                assert!(was_subscribed);
                topics.remove(&known);
                true
            }
            Grace::Ended => false,
            Grace::Again(_) => panic!("nobody has left"),
        };
        let (topic, is_news) = joining.join().unwrap();
        assert_eq!(is_removed, !Arc::ptr_eq(&topic, &known));
        // The successor is subscribed by the task, which looks at it.
        assert_eq!(is_removed, is_news);
        assert!(
            topics
                .get("room")
                .is_some_and(|it| Arc::ptr_eq(&it, &topic))
        );
        assert_eq!((topic.members(), topics.populated()), (1, 1));
    });
}

#[test]
fn no_topic_is_left_behind_if_the_task_ends_while_the_last_one_leaves() {
    check(|| {
        let link = Arc::new(Link::new());
        let hub = Hub::of(Some(Arc::clone(&link)));
        let running = Running::new(&link, Arc::downgrade(&hub.inner.topics));
        let ending = thread::spawn(move || drop(running));
        drop(join_hub(&hub, &Arc::default()));
        ending.join().unwrap();
        assert!(hub.inner.topics.get("room").is_none());
    });
}

#[test]
fn a_member_wakes_once_its_topic_is_subscribed() {
    check(|| {
        let (topic, ann) = (topic(true), Arc::default());
        let link = Arc::new(Link::new());
        let id = join(&topic, &ann);
        // The connection was lost and made again, and the task has yet to see it.
        link.connected();
        topic.subscribed(1);
        link.disconnected("lost".into());
        link.connected();
        let is_subscribed = Arc::new(AtomicBool::new(false));
        let subscribing = thread::spawn({
            let (topic, link) = (Arc::clone(&topic), Arc::clone(&link));
            let is_subscribed = Arc::clone(&is_subscribed);
            move || {
                let mut connection = 0;
                block_on(works(&link, |work| {
                    connection = work.connection;
                    work.is_up
                }));
                topic.unsubscribed();
                is_subscribed.store(true, Ordering::SeqCst);
                topic.subscribed(connection);
            }
        });
        block_on(poll_fn(|cx| topic.poll_subscribed(id, &link, cx)));
        assert!(is_subscribed.load(Ordering::SeqCst));
        subscribing.join().unwrap();
    });
}

#[test]
fn a_member_that_waits_wakes_if_the_hub_ends() {
    check(|| {
        let hub = Hub::of(Some(Arc::new(Link::new())));
        let mut membership = join_hub(&hub, &Arc::default());
        let ending = thread::spawn(move || drop(hub));
        block_on(membership.ready());
        ending.join().unwrap();
    });
}

pub(super) fn check(model: impl Fn() + Send + Sync + 'static) {
    // As in `src/socket/split/loom_tests.rs`.
    let mut loom = Builder::new();
    loom.preemption_bound.get_or_insert(3);
    loom.check(model);
}

pub(super) fn topic(has_backplane: bool) -> Arc<Topic> {
    let populated = Arc::new(AtomicUsize::new(0));
    Arc::new(Topic::new("room".into(), populated, has_backplane))
}

/// Returns the id of the member.
fn join(topic: &Topic, queue: &Arc<Queue>) -> u64 {
    match topic.join(queue) {
        Ok(joined) => joined.id,
        Err(Removed) => panic!("the topic is removed"),
    }
}

fn join_hub(hub: &Hub, queue: &Arc<Queue>) -> Subscription {
    hub.join("room", &Sender::new(Arc::clone(queue)))
}

pub(super) fn message(text: &str) -> PreparedMessage {
    Message::text(text).into()
}

/// Publishes one after the other.
fn publish(topic: &Topic, texts: &[&str]) {
    for text in texts {
        topic.publish(&[message(text)], None, None);
    }
}

/// Takes work as the hub's task does, until `is_done`.
pub(super) async fn works(link: &Link, mut is_done: impl FnMut(Work) -> bool) {
    while !is_done(poll_fn(|cx| link.poll_work(cx)).await) {}
}

/// Takes what is in the queue of a member.
fn taken(queue: &Queue) -> Vec<String> {
    let mut texts = Vec::new();
    while queue.is_pending() {
        for message in queue.take(usize::MAX).batch.into_messages() {
            let payload = message.check().unwrap().payload();
            texts.push(String::from_utf8(payload.to_vec()).unwrap());
        }
    }
    texts
}

fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
