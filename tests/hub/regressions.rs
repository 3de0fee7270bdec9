//! Faults that were found, so that they do not come back.

use std::{
    fmt,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyws::{
    BoxError, Runtime,
    hub::{Backplane, Event, Hub, Inbox, Publication},
};
use futures::{
    channel::oneshot,
    future::{BoxFuture, FutureExt},
};
use support::{
    broker::Broker,
    runtimes,
    still::Still,
    tasks::{assert_pending, yield_to_tasks},
    time::Paused,
};

use super::Member;

/// A backplane that is neither up nor down, and returns when the test says so.
struct Returning {
    end: Mutex<Option<oneshot::Receiver<()>>>,
    inbox: Arc<Mutex<Option<Inbox>>>,
    /// Closed once the backplane is dropped.
    _alive: oneshot::Sender<()>,
}

/// What the test keeps of it.
struct Kept {
    end: oneshot::Sender<()>,
    inbox: Arc<Mutex<Option<Inbox>>>,
    dropped: oneshot::Receiver<()>,
}

impl Returning {
    fn new() -> (Self, Kept) {
        let (end, wait) = oneshot::channel();
        let (alive, dropped) = oneshot::channel();
        let inbox = Arc::default();
        let this = Self {
            end: Mutex::new(Some(wait)),
            inbox: Arc::clone(&inbox),
            _alive: alive,
        };
        (
            this,
            Kept {
                end,
                inbox,
                dropped,
            },
        )
    }
}

impl Backplane for Returning {
    fn publish<'a>(&'a self, _: &'a [Publication]) -> BoxFuture<'a, Result<(), BoxError>> {
        pending().boxed()
    }

    fn subscribe<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
        async { Ok(()) }.boxed()
    }

    fn unsubscribe<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
        async { Ok(()) }.boxed()
    }

    fn run(&self, inbox: Inbox) -> BoxFuture<'_, ()> {
        *self.inbox.lock().unwrap() = Some(inbox);
        let end = self.end.lock().unwrap().take().unwrap();
        end.map(drop).boxed()
    }
}

impl fmt::Debug for Returning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returning").finish_non_exhaustive()
    }
}

runtimes! {
    async fn the_task_ends_with_the_hub_though_the_backplane_has_returned(rt) {
        let (backplane, kept) = Returning::new();
        let (hub, mut events) = Hub::with_backplane(backplane, Arc::clone(&rt));
        kept.end.send(()).unwrap();
        let event = events.next().await;
        assert!(matches!(event, Some(Event::Down(_))), "{event:?}");
        yield_to_tasks(&rt).await;
        drop(hub);
        kept.dropped.await.unwrap_err();
    }

    async fn a_backplane_that_returns_after_its_hub_loses_nothing_in_silence(rt) {
        let (backplane, kept) = Returning::new();
        let (hub, mut events) = Hub::with_backplane(backplane, Arc::clone(&rt));
        hub.publish("room", "waits for the first connection");
        drop(hub);
        yield_to_tasks(&rt).await;
        kept.end.send(()).unwrap();
        let event = events.next().await;
        assert!(matches!(event, Some(Event::Down(_))), "{event:?}");
        let event = events.next().await;
        assert!(
            matches!(event, Some(Event::PublishFailed { lost: 1, .. })),
            "{event:?}"
        );
        assert!(events.next().await.is_none());
        kept.dropped.await.unwrap_err();
    }

    async fn no_event_follows_the_last_one(rt) {
        let (backplane, kept) = Returning::new();
        let (hub, mut events) = Hub::with_backplane(backplane, Arc::clone(&rt));
        yield_to_tasks(&rt).await;
        drop(hub);
        assert!(events.next().await.is_none());
        let inbox = kept.inbox.lock().unwrap().take().unwrap();
        inbox.event(Event::Skipped(1));
        inbox.event(Event::Down("late".into()));
        assert!(events.next().await.is_none());
    }

    async fn topics_end_though_the_backplane_has_returned(rt) {
        let time = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = time.clone();
        let (backplane, kept) = Returning::new();
        let (hub, mut events) = Hub::with_backplane(backplane, runtime);
        kept.end.send(()).unwrap();
        events.next().await;
        let (ann, ben) = (Member::new(&rt), Member::new(&rt));
        let membership = hub.join("room", &ann.sender);
        hub.publish_latest("room", "x");
        drop(membership);
        time.advance(Duration::from_secs(10)).await;
        let _membership = hub.join("room", &ben.sender);
        assert_eq!(ben.queued(), 0);
    }

    async fn what_was_being_published_when_the_task_ends_is_told(_rt) {
        let still = Still::keeping();
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::new(still.clone()));
        let mut task = still.tasks().pop().unwrap();
        // It connects, and then sees that it has.
        assert!((&mut task).now_or_never().is_none());
        assert!((&mut task).now_or_never().is_none());
        assert!(matches!(events.next().await, Some(Event::Up)));
        plane.stall(true);
        hub.publish("room", "on its way");
        assert!((&mut task).now_or_never().is_none());
        hub.publish("room", "behind it");
        // The runtime is shut down.
        drop(task);
        let mut lost = 0;
        while let Some(Some(event)) = events.next().now_or_never() {
            if let Event::PublishFailed { lost: more, .. } = event {
                lost += more;
            }
        }
        assert_eq!(lost, 2);
    }

    async fn a_gap_of_many_topics_is_not_dropped_for_changes_of_the_connection(rt) {
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(&rt));
        let ann = Member::new(&rt);
        let mut membership = hub.join("room", &ann.sender);
        membership.ready().await;
        plane.down("lost");
        plane.up();
        yield_to_tasks(&rt).await;
        membership.ready().await;
        yield_to_tasks(&rt).await;
        for _ in 0..2000 {
            plane.down("lost again");
        }
        let mut gaps = 0;
        while let Some(Some(event)) = events.next().now_or_never() {
            gaps += usize::from(matches!(event, Event::Gap { .. }));
        }
        assert_eq!(gaps, 1);
    }

    async fn a_topic_without_members_forgets_its_latest_message_with_the_connection(rt) {
        let time = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = time.clone();
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), runtime);
        events.next().await;
        let (ann, ben) = (Member::new(&rt), Member::new(&rt));
        let mut membership = hub.join("price", &ann.sender);
        membership.ready().await;
        hub.publish_latest("price", "1");
        drop(membership);
        // The grace begins, and others may publish while the connection is away.
        time.settle().await;
        plane.down("lost");
        plane.up();
        time.settle().await;
        // Nor is the topic subscribed now.
        hub.publish_latest("price", "2");
        let mut membership = hub.join("price", &ben.sender);
        assert_eq!(ben.queued(), 0);
        membership.ready().await;
        hub.publish_latest("price", "3");
        let _membership = hub.join("price", &ann.sender);
        assert_eq!((ann.queued(), ben.queued()), (2, 1));
    }

    async fn topics_leave_no_memory_behind_once_the_task_has_ended(rt) {
        let (backplane, _kept) = Returning::new();
        let still = Still::keeping();
        let (hub, _events) = Hub::with_backplane(backplane, Arc::new(still.clone()));
        let (ann, ben) = (Member::new(&rt), Member::new(&rt));
        let steady = hub.join("steady", &ann.sender);
        let cost = allocation_counter::measure(|| {
            for at in 0..10_000 {
                drop(hub.join(&format!("before {at}"), &ann.sender));
            }
            // The runtime is shut down.
            drop(still.tasks());
            for at in 0..10_000 {
                drop(hub.join(&format!("after {at}"), &ann.sender));
            }
        });
        assert!(
            cost.bytes_current < 64 * 1024,
            "{} bytes",
            cost.bytes_current
        );
        // What is published now reaches the members of this process, and is kept for them.
        assert_eq!(hub.publish_latest("steady", "x").queued, 1);
        let second = hub.join("steady", &ben.sender);
        assert_eq!(ben.queued(), 1);
        drop((steady, second));
        drop(hub.join("steady", &ben.sender));
        assert_eq!((ben.queued(), hub.topics()), (1, 0));
    }

    async fn the_numbers_of_messages_take_little_memory_however_long_the_topics_are(rt) {
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(&rt));
        events.next().await;
        plane.down("away");
        drop(events);
        let cost = allocation_counter::measure(|| {
            for at in 0..150_000 {
                hub.publish(&format!("{at:01024}"), "x");
            }
        });
        assert!(cost.bytes_max < 16 << 20, "{} bytes", cost.bytes_max);
    }

    async fn what_is_published_while_nobody_is_a_member_is_no_gap(rt) {
        let time = Paused::new(&rt);
        let runtime: Arc<dyn Runtime> = time.clone();
        let broker = Broker::default();
        let planes = [broker.plane(), broker.plane()];
        let near = Hub::with_backplane(planes[0].clone(), Arc::clone(&runtime)).0;
        let (far, mut events) = Hub::with_backplane(planes[1].clone(), runtime);
        assert!(matches!(events.next().await, Some(Event::Up)));
        let ann = Member::new(&rt);
        let publish = async |count| {
            for _ in 0..count {
                near.publish("room", "x");
            }
            time.settle().await;
        };
        let mut membership = far.join("room", &ann.sender);
        membership.ready().await;
        publish(1).await;
        drop(membership);
        // In the grace, when it was subscribed.
        publish(2).await;
        let mut membership = far.join("room", &ann.sender);
        membership.ready().await;
        publish(1).await;
        drop(membership);
        // In the grace, while the connection is away.
        time.settle().await;
        planes[1].down("lost");
        assert!(matches!(events.next().await, Some(Event::Down(_))));
        publish(2).await;
        planes[1].up();
        assert!(matches!(events.next().await, Some(Event::Up)));
        let mut membership = far.join("room", &ann.sender);
        membership.ready().await;
        publish(1).await;
        drop(membership);
        // After the grace.
        time.settle().await;
        time.advance(Duration::from_secs(20)).await;
        publish(2).await;
        let mut membership = far.join("room", &ann.sender);
        membership.ready().await;
        publish(1).await;
        assert_eq!(ann.queued(), 4);
        assert_pending(events.next());
    }

    async fn a_refused_topic_is_tried_again_with_the_next_member(rt) {
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(&rt));
        assert!(matches!(events.next().await, Some(Event::Up)));
        let (ann, ben) = (Member::new(&rt), Member::new(&rt));
        plane.refuse(Some("not allowed"));
        let mut first = hub.join("room", &ann.sender);
        let event = events.next().await;
        assert!(matches!(event, Some(Event::SubscribeFailed { .. })), "{event:?}");
        plane.refuse(None);
        let mut second = hub.join("room", &ben.sender);
        second.ready().await;
        first.ready().await;
    }

    async fn a_backplane_that_connects_when_the_task_has_ended_loses_nothing_in_silence(_rt) {
        let still = Still::keeping();
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::new(still.clone()));
        let mut task = still.tasks().pop().unwrap();
        assert!((&mut task).now_or_never().is_none());
        // The runtime is shut down, but the backplane has a thread of its own.
        drop(task);
        plane.up();
        hub.publish("room", "x");
        let mut lost = 0;
        while let Some(Some(event)) = events.next().now_or_never() {
            if let Event::PublishFailed { lost: more, .. } = event {
                lost += more;
            }
        }
        assert_eq!(lost, 1);
    }

    async fn a_crowd_that_has_waited_for_a_topic_leaves_no_memory_behind(rt) {
        let still = Still::keeping();
        let plane = Broker::default().plane_that_is_away();
        let (hub, _events) = Hub::with_backplane(plane.clone(), Arc::new(still.clone()));
        let mut task = still.tasks().pop().unwrap();
        assert!((&mut task).now_or_never().is_none());
        let ann = Member::new(&rt);
        let mut steady = hub.join("room", &ann.sender);
        let cost = allocation_counter::measure(|| {
            let mut crowd: Vec<_> = (0..10_000).map(|_| hub.join("room", &ann.sender)).collect();
            for membership in &mut crowd {
                assert_pending(membership.ready());
            }
            plane.up();
            assert!((&mut task).now_or_never().is_none());
            drop(crowd);
        });
        assert!(steady.ready().now_or_never().is_some());
        assert!(cost.bytes_current < 16 * 1024, "{} bytes", cost.bytes_current);
    }
}
