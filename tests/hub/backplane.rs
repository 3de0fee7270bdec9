//! Hubs that share their topics over a backplane in memory.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use anyws::{
    Bytes, Message, PreparedMessage, QueueConfig, Runtime, Sleep, WhenFull,
    hub::{Event, Events, Hub},
};
use futures::{future::BoxFuture, join};
use support::{
    broker::{Broker, Plane},
    runtimes,
    still::Still,
    tasks::{assert_pending, poll_with, waker, yield_to_tasks},
    time::Paused,
};

use super::{Member, bounds};

/// The grace after the last member has left.
const GRACE: Duration = Duration::from_secs(10);
/// A moment less.
const ALMOST: Duration = Duration::from_millis(9_999);

/// A runtime that has no timers.
#[derive(Debug)]
struct Timeless(Arc<dyn Runtime>);

impl Runtime for Timeless {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        panic!("there are no timers");
    }

    fn has_timers(&self) -> bool {
        false
    }
}

/// One of several hubs.
struct Node {
    hub: Hub,
    events: Events,
    plane: Plane,
}

impl Node {
    async fn new(broker: &Broker, rt: &Arc<dyn Runtime>) -> Self {
        let mut node = Self::starting(broker.plane(), rt).await;
        node.expect_up().await;
        node
    }

    async fn starting(plane: Plane, rt: &Arc<dyn Runtime>) -> Self {
        let (hub, events) = Hub::with_backplane(plane.clone(), Arc::clone(rt));
        while !plane.is_running() {
            yield_to_tasks(rt).await;
        }
        Self { hub, events, plane }
    }

    /// Publishes a message that the backplane does not accept until it is told to.
    async fn stall(&self, rt: &Arc<dyn Runtime>) {
        self.plane.stall(true);
        self.hub.publish("room", "on its way");
        while !self.plane.is_stalling() {
            yield_to_tasks(rt).await;
        }
    }

    async fn expect_up(&mut self) {
        let event = self.events.next().await;
        assert!(matches!(event, Some(Event::Up)), "{event:?}");
    }

    async fn expect_down(&mut self, reason: &str) {
        match self.events.next().await {
            Some(Event::Down(error)) => assert_eq!(error.to_string(), reason),
            event => panic!("{event:?}"),
        }
    }

    async fn expect_gap(&mut self, expected: &str, number: Option<u64>) {
        match self.events.next().await {
            Some(Event::Gap { topic, lost, .. }) => {
                assert_eq!((&*topic, lost), (expected, number));
            }
            event => panic!("{event:?}"),
        }
    }

    async fn expect_failure(&mut self, expected: &str, number: u64) -> String {
        match self.events.next().await {
            Some(Event::PublishFailed {
                topic, lost, error, ..
            }) => {
                assert_eq!((&*topic, lost), (expected, number));
                error.to_string()
            }
            event => panic!("{event:?}"),
        }
    }
}

/// Waits until a member's queue holds so many messages.
async fn until_queued(rt: &Arc<dyn Runtime>, member: &Member, count: usize) {
    while member.queued() < count {
        yield_to_tasks(rt).await;
    }
    assert_eq!(member.queued(), count);
}

runtimes! {
    async fn members_of_all_hubs_get_a_message_once(rt) {
        let broker = Broker::default();
        let nodes = [Node::new(&broker, &rt).await, Node::new(&broker, &rt).await];
        let mut members = [Member::new(&rt), Member::new(&rt)];
        let mut own = nodes[0].hub.join("room", &members[0].sender);
        let mut other = nodes[1].hub.join("room", &members[1].sender);
        own.ready().await;
        other.ready().await;
        assert_eq!(nodes[0].hub.publish("room", "1").queued, 1);
        // The own members have it at once.
        assert_eq!(members[0].queued(), 1);
        assert_eq!(nodes[1].hub.publish_all("room", ["2", "3"]).queued, 2);
        nodes[0].hub.publish_from(&members[0].sender, "room", "4");
        until_queued(&rt, &members[0], 3).await;
        until_queued(&rt, &members[1], 4).await;
        assert_eq!(members[0].read(3).await, ["1", "2", "3"]);
        let mut texts = members[1].read(4).await;
        texts.sort();
        assert_eq!(texts, ["1", "2", "3", "4"]);
        assert_eq!(nodes[0].hub.members("room"), 1);
        assert_eq!((nodes[0].hub.ignored(), nodes[1].hub.ignored()), (0, 0));
    }

    async fn a_hub_without_members_publishes_to_others(rt) {
        let broker = Broker::default();
        let (near, far) = (Node::new(&broker, &rt).await, Node::new(&broker, &rt).await);
        let mut ann = Member::new(&rt);
        let mut membership = far.hub.join("room", &ann.sender);
        membership.ready().await;
        for at in 1..=3 {
            assert_eq!(near.hub.publish("room", at.to_string()).total(), 0);
        }
        near.hub.publish_latest("room", "4");
        until_queued(&rt, &ann, 4).await;
        assert_eq!(ann.read(4).await, ["1", "2", "3", "4"]);
        assert!(near.plane.calls().iter().all(|call| call == "room"));
    }

    async fn only_data_travels_and_it_arrives_as_it_is(rt) {
        let broker = Broker::default();
        let (near, far) = (Node::new(&broker, &rt).await, Node::new(&broker, &rt).await);
        let mut ann = Member::new(&rt);
        let mut membership = far.hub.join("room", &ann.sender);
        membership.ready().await;
        near.hub.publish("room", Message::Ping("x".into()));
        near.hub.publish("room", Message::Close(None));
        near.hub.publish("room", Message::Ping(vec![0; 126].into()));
        let sent = [
            Message::text(""),
            Message::text("n\u{e4}her"),
            Message::binary(Bytes::new()),
            Message::binary(vec![0xff; 100_000]),
        ];
        for message in &sent {
            near.hub.publish(
                "room",
                PreparedMessage::from(message.clone()).uncompressed(),
            );
        }
        until_queued(&rt, &ann, sent.len()).await;
        for message in sent {
            // The stream holds less than the longest message.
            let (flushed, read) = join!(ann.socket.flush(), ann.client.next());
            flushed.unwrap();
            assert_eq!(read.unwrap().unwrap(), message);
        }
        assert_eq!(far.hub.ignored(), 0);
    }

    async fn a_topic_is_subscribed_once_however_many_come_and_go(rt) {
        let time = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = time.clone();
        let node = Node::new(&Broker::default(), &runtime).await;
        let ann = Member::new(&rt);
        for _ in 0..10_000 {
            drop(node.hub.join("room", &ann.sender));
        }
        let mut membership = node.hub.join("room", &ann.sender);
        membership.ready().await;
        time.advance(GRACE).await;
        assert_eq!(node.plane.calls(), ["+room"]);
        drop(membership);
        time.advance(ALMOST).await;
        drop(node.hub.join("room", &ann.sender));
        // The grace begins again with the last member that leaves.
        time.advance(ALMOST).await;
        assert!(node.plane.calls().is_empty());
        time.advance(GRACE).await;
        assert_eq!(node.plane.calls(), ["-room"]);
        assert_eq!(time.timers(), 0);
        let mut membership = node.hub.join("room", &ann.sender);
        membership.ready().await;
        assert_eq!(node.plane.calls(), ["+room"]);
    }

    async fn a_runtime_without_timers_has_no_grace(rt) {
        let runtime: Arc<dyn Runtime> = Arc::new(Timeless(Arc::clone(&rt)));
        let node = Node::new(&Broker::default(), &runtime).await;
        let ann = Member::new(&rt);
        let mut membership = node.hub.join("room", &ann.sender);
        membership.ready().await;
        drop(membership);
        let mut calls = Vec::new();
        while calls.len() < 2 {
            yield_to_tasks(&rt).await;
            calls.extend(node.plane.calls());
        }
        assert_eq!(calls, ["+room", "-room"]);
    }

    async fn a_runtime_that_drops_the_task_leaves_the_hub_down(rt) {
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane, Arc::new(Still::default()));
        let event = events.next().await;
        assert!(matches!(event, Some(Event::Down(_))), "{event:?}");
        let ann = Member::new(&rt);
        let mut membership = hub.join("room", &ann.sender);
        assert_pending(membership.ready());
        assert_eq!(hub.publish("room", "x").queued, 1);
        let event = events.next().await;
        assert!(matches!(event, Some(Event::PublishFailed { lost: 1, .. })), "{event:?}");
        drop(hub);
        assert!(events.next().await.is_none());
    }

    async fn nobody_is_ready_while_the_backplane_is_away(rt) {
        let plane = Broker::default().plane_that_is_away();
        let mut node = Node::starting(plane, &rt).await;
        let (ann, ben) = (Member::new(&rt), Member::new(&rt));
        let mut membership = node.hub.join("room", &ann.sender);
        assert_pending(membership.ready());
        node.plane.down("away");
        node.expect_down("away").await;
        assert_pending(membership.ready());
        node.plane.up();
        membership.ready().await;
        node.expect_up().await;
        node.expect_gap("room", None).await;
        node.plane.down("lost");
        node.expect_down("lost").await;
        let mut second = node.hub.join("room", &ben.sender);
        assert_pending(second.ready());
        assert_pending(membership.ready());
        node.plane.up();
        second.ready().await;
        membership.ready().await;
        assert_eq!(node.plane.calls(), ["+room", "+room"]);
    }

    async fn a_member_that_waits_is_woken_when_the_hub_is_dropped(rt) {
        let node = Node::starting(Broker::default().plane_that_is_away(), &rt).await;
        let ann = Member::new(&rt);
        let mut membership = node.hub.join("room", &ann.sender);
        let (waker, woken) = waker();
        let mut ready = membership.ready();
        assert!(poll_with(&waker, Pin::new(&mut ready)).is_pending());
        drop(node.hub);
        assert!(woken.take());
        ready.await;
    }

    async fn the_last_task_that_waits_is_woken(rt) {
        let node = Node::starting(Broker::default().plane_that_is_away(), &rt).await;
        let ann = Member::new(&rt);
        let mut membership = node.hub.join("room", &ann.sender);
        let wakers = [waker(), waker()];
        let mut ready = membership.ready();
        for (waker, _) in &wakers {
            assert!(poll_with(waker, Pin::new(&mut ready)).is_pending());
        }
        node.plane.up();
        while !wakers[1].1.take() {
            yield_to_tasks(&rt).await;
        }
        assert!(!wakers[0].1.take());
        ready.await;
    }

    async fn messages_wait_for_the_first_connection(rt) {
        let broker = Broker::default();
        let far = Node::new(&broker, &rt).await;
        let ann = Member::new(&rt);
        let mut membership = far.hub.join("room", &ann.sender);
        membership.ready().await;
        let mut near = Node::starting(broker.plane_that_is_away(), &rt).await;
        near.hub.publish("room", "early");
        yield_to_tasks(&rt).await;
        assert_eq!(ann.queued(), 0);
        // Also if the hub is dropped meanwhile.
        let plane = near.plane.clone();
        drop(near.hub);
        plane.up();
        until_queued(&rt, &ann, 1).await;
        near.events.next().await;
        assert!(near.events.next().await.is_none());
    }

    async fn what_is_lost_while_a_hub_is_away_is_told_with_its_number(rt) {
        let broker = Broker::default();
        let mut near = Node::new(&broker, &rt).await;
        let mut far = Node::new(&broker, &rt).await;
        let mut ann = Member::new(&rt);
        let mut membership = far.hub.join("room", &ann.sender);
        membership.ready().await;
        near.hub.publish("room", "1");
        until_queued(&rt, &ann, 1).await;

        // The other one is away.
        far.plane.down("lost");
        far.expect_down("lost").await;
        let calls = near.plane.calls().len();
        near.hub.publish_all("room", ["2", "3"]);
        while near.plane.calls().len() + calls < 3 {
            yield_to_tasks(&rt).await;
        }
        far.plane.up();
        far.expect_up().await;
        far.expect_gap("room", None).await;
        near.hub.publish("room", "4");
        far.expect_gap("room", Some(2)).await;
        until_queued(&rt, &ann, 2).await;

        // The publisher is away.
        near.plane.down("lost");
        near.expect_down("lost").await;
        for _ in 0..5 {
            near.hub.publish("room", "lost");
        }
        assert_eq!(
            near.expect_failure("room", 5).await,
            "the backplane is down"
        );
        near.plane.up();
        near.expect_up().await;
        near.hub.publish("room", "10");
        far.expect_gap("room", Some(5)).await;
        assert_eq!(ann.read(3).await, ["1", "4", "10"]);
    }

    async fn a_publisher_that_is_too_fast_hears_of_it_and_nothing_grows(rt) {
        let broker = Broker::default();
        let mut near = Node::new(&broker, &rt).await;
        let mut far = Node::new(&broker, &rt).await;
        let queue = QueueConfig::default().messages(20_000).bytes(usize::MAX);
        let ann = Member::with_queue(&rt, queue);
        let mut membership = far.hub.join("room", &ann.sender);
        membership.ready().await;
        near.stall(&rt).await;
        for _ in 0..10_007 {
            near.hub.publish("room", "x");
        }
        let reason = near.expect_failure("room", 7).await;
        assert!(reason.contains("full"), "{reason}");
        near.plane.stall(false);
        until_queued(&rt, &ann, 10_001).await;
        near.hub.publish("room", "after");
        far.expect_gap("room", Some(7)).await;
        until_queued(&rt, &ann, 10_002).await;
    }

    async fn the_queue_has_a_bound_in_bytes(rt) {
        let mut node = Node::new(&Broker::default(), &rt).await;
        node.stall(&rt).await;
        let part = PreparedMessage::from(vec![0; (4 << 20) - 24]);
        for _ in 0..4 {
            node.hub.publish("room", &part);
        }
        node.hub.publish("room", "");
        assert!(node.expect_failure("room", 1).await.contains("full"));
        node.plane.stall(false);
        // One message that is larger than all of the queue.
        node.hub.publish("room", vec![0; (16 << 20) + 1]);
        let reason = node.expect_failure("room", 1).await;
        assert_eq!(reason, "the message is larger than 16777216 bytes");
        // The others of its burst are not lost with it.
        let burst = [vec![0; (16 << 20) + 1], vec![0]];
        node.hub.publish_all("room", burst);
        assert!(node.expect_failure("room", 1).await.contains("larger"));
    }

    async fn a_topic_that_is_too_long_stays_in_its_process(rt) {
        let mut node = Node::new(&Broker::default(), &rt).await;
        let mut ann = Member::new(&rt);
        let longest = "x".repeat(4096);
        let long = "x".repeat(4097);
        let mut membership = node.hub.join(&longest, &ann.sender);
        membership.ready().await;
        let _membership = node.hub.join(&long, &ann.sender);
        let event = node.events.next().await;
        let Some(Event::SubscribeFailed { topic, error, .. }) = event else {
            panic!("{event:?}");
        };
        assert_eq!(*topic, *long);
        assert_eq!(error.to_string(), "the topic is longer than 4096 bytes");
        assert_eq!(node.hub.publish(&long, "x").queued, 1);
        assert!(node.expect_failure(&long, 1).await.contains("4096"));
        assert_eq!(ann.read(1).await, ["x"]);
        assert_eq!(node.plane.calls(), ["+".to_owned() + &longest]);
    }

    async fn what_the_backplane_refuses_is_told(rt) {
        let mut node = Node::new(&Broker::default(), &rt).await;
        let ann = Member::new(&rt);
        node.plane.refuse(Some("not allowed"));
        let mut membership = node.hub.join("room", &ann.sender);
        let event = node.events.next().await;
        let Some(Event::SubscribeFailed { topic, error, .. }) = event else {
            panic!("{event:?}");
        };
        assert_eq!(
            (&*topic, error.to_string().as_str()),
            ("room", "not allowed")
        );
        node.hub.publish("room", "x");
        assert_eq!(node.expect_failure("room", 1).await, "not allowed");
        assert_pending(membership.ready());
        // The next connection tries again.
        node.plane.refuse(None);
        node.plane.up();
        node.expect_up().await;
        membership.ready().await;
    }

    async fn a_subscription_that_is_lost_with_the_connection_is_no_failure(rt) {
        let plane = Broker::default().plane();
        let mut node = Node::starting(plane, &rt).await;
        node.expect_up().await;
        let ann = Member::new(&rt);
        node.plane.refuse(Some("lost"));
        node.plane.down("lost");
        let mut membership = node.hub.join("room", &ann.sender);
        node.expect_down("lost").await;
        node.plane.refuse(None);
        node.plane.up();
        node.expect_up().await;
        node.expect_gap("room", None).await;
        membership.ready().await;
        assert_pending(node.events.next());
    }

    async fn the_latest_message_of_another_hub_is_kept_while_it_is_up_to_date(rt) {
        let time = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = time.clone();
        let broker = Broker::default();
        let near = Node::new(&broker, &runtime).await;
        let far = Node::new(&broker, &runtime).await;
        let (mut ann, mut ben) = (Member::new(&rt), Member::new(&rt));
        let mut first = far.hub.join("price", &ann.sender);
        first.ready().await;
        near.hub.publish_latest("price", "1");
        until_queued(&rt, &ann, 1).await;
        drop(first);
        let second = far.hub.join("price", &ben.sender);
        assert_eq!(ben.read(1).await, ["1"]);
        drop(second);
        time.advance(2 * GRACE).await;
        let _third = far.hub.join("price", &ben.sender);
        assert_eq!(ben.queued(), 0);
        assert_eq!(ann.read(1).await, ["1"]);
        // Nor does a hub keep what it does not follow.
        assert_eq!(near.hub.publish_latest("price", "2").total(), 0);
        let late = Member::new(&rt);
        let _late = near.hub.join("price", &late.sender);
        assert_eq!(late.queued(), 0);
    }

    async fn a_slow_member_holds_up_no_other_hub(rt) {
        let broker = Broker::default();
        let (near, far) = (Node::new(&broker, &rt).await, Node::new(&broker, &rt).await);
        let slow = Member::with_queue(&rt, bounds(1, WhenFull::Close));
        let quick = Member::new(&rt);
        let mut memberships = [
            far.hub.join("room", &slow.sender),
            far.hub.join("room", &quick.sender),
        ];
        memberships[1].ready().await;
        near.hub.publish_all("room", ["1", "2", "3"]);
        until_queued(&rt, &quick, 3).await;
        assert!(slow.sender.is_closed());
    }

    async fn the_task_ends_with_the_hub(rt) {
        let broker = Broker::default();
        let time = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = time.clone();
        let mut node = Node::new(&broker, &runtime).await;
        let ann = Member::new(&rt);
        let mut membership = node.hub.join("room", &ann.sender);
        membership.ready().await;
        drop(node.hub);
        assert!(node.events.next().await.is_none());
        drop(membership);
    }
}
