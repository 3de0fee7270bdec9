//! What a hub tells about its backplane, and how much of it is kept.

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use anyws::{
    Runtime,
    hub::{Event, Events, Hub},
};
use futures::{FutureExt, StreamExt};
use support::{
    broker::{Broker, Plane},
    runtimes,
    still::Still,
    tasks::{assert_pending, poll_with, waker},
};

use super::Member;

/// Returns a hub whose backplane is up.
async fn hub(rt: &Arc<dyn Runtime>) -> (Hub, Events, Plane) {
    let plane = Broker::default().plane();
    let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(rt));
    assert!(matches!(events.next().await, Some(Event::Up)));
    (hub, events, plane)
}

runtimes! {
    async fn the_first_events_are_kept_and_the_rest_is_counted(rt) {
        let (_hub, mut events, plane) = hub(&rt).await;
        for number in 0..1024 + 76 {
            plane.event(Event::Skipped(number));
        }
        assert!(matches!(events.next().await, Some(Event::Skipped(76))));
        for number in 0..1024 {
            let event = events.next().await;
            assert!(
                matches!(event, Some(Event::Skipped(it)) if it == number),
                "{event:?}"
            );
        }
        assert_pending(events.next());
    }

    async fn whether_the_hub_is_up_is_kept_for_a_late_reader(rt) {
        let (_hub, mut events, plane) = hub(&rt).await;
        for _ in 0..2000 {
            plane.event(Event::Skipped(7));
        }
        plane.down("lost");
        for _ in 0..2000 {
            plane.event(Event::Skipped(7));
        }
        assert!(matches!(events.next().await, Some(Event::Skipped(2977))));
        for _ in 0..1023 {
            assert!(matches!(events.next().await, Some(Event::Skipped(7))));
        }
        assert!(matches!(events.next().await, Some(Event::Down(_))));
    }

    async fn changes_of_the_connection_have_a_bound(_rt) {
        // Its task has no turn, so nothing is freed by another thread.
        let still = Still::keeping();
        let plane = Broker::default().plane();
        let (_hub, _events) = Hub::with_backplane(plane.clone(), Arc::new(still.clone()));
        let mut task = still.tasks().pop().unwrap();
        assert!((&mut task).now_or_never().is_none());
        for _ in 0..5000 {
            plane.down("lost");
        }
        let cost = allocation_counter::measure(|| {
            for _ in 0..5000 {
                plane.down("lost again");
            }
        });
        assert!(
            cost.bytes_current < 64 * 1024,
            "{} bytes",
            cost.bytes_current
        );
    }

    async fn a_gap_of_each_topic_is_told_however_many_there_are(rt) {
        let (hub, mut events, plane) = hub(&rt).await;
        let ann = Member::new(&rt);
        let names: Vec<_> = (0..3000).map(|at| at.to_string()).collect();
        let mut memberships: Vec<_> = names
            .iter()
            .map(|name| hub.join(name, &ann.sender))
            .collect();
        for _ in 0..2 {
            plane.down("lost");
            plane.up();
            for membership in &mut memberships {
                membership.ready().await;
            }
        }
        let mut told = BTreeSet::new();
        while told.len() < names.len() {
            match events.next().await.unwrap() {
                Event::Gap { topic, lost: None, .. } => told.insert(topic.to_string()),
                Event::Up | Event::Down(_) => continue,
                other => panic!("{other:?}"),
            };
        }
        assert!(told == names.into_iter().collect());
    }

    async fn failures_of_one_kind_are_one_event(rt) {
        let (hub, mut events, plane) = hub(&rt).await;
        plane.down("away");
        assert!(matches!(events.next().await, Some(Event::Down(_))));
        for _ in 0..10_000 {
            hub.publish("room", "x");
        }
        hub.publish("other", "x");
        let Some(Event::PublishFailed {
            topic, lost, error, ..
        }) = events.next().await
        else {
            panic!("no failure");
        };
        assert_eq!((&*topic, lost), ("room", 10_000));
        assert_eq!(error.to_string(), "the backplane is down");
        let next = events.next().await;
        let Some(Event::PublishFailed { topic, lost: 1, .. }) = next else {
            panic!("{next:?}");
        };
        assert_eq!(&*topic, "other");
    }

    async fn the_stream_ends_with_the_last_clone_of_the_hub(rt) {
        let (hub, mut events, plane) = hub(&rt).await;
        let clone = hub.clone();
        let ann = Member::new(&rt);
        let membership = hub.join("room", &ann.sender);
        drop(hub);
        assert_pending(events.next());
        plane.event(Event::Skipped(1));
        drop(clone);
        assert!(matches!(
            StreamExt::next(&mut events).await,
            Some(Event::Skipped(1))
        ));
        assert!(events.next().await.is_none());
        assert!(events.next().await.is_none());
        drop(membership);
    }

    async fn the_last_task_that_reads_is_woken_and_nothing_is_lost(rt) {
        let (_hub, mut events, plane) = hub(&rt).await;
        let wakers = [waker(), waker()];
        for (waker, _) in &wakers {
            // Each future is dropped while it waits.
            assert!(poll_with(waker, Pin::new(&mut events.next())).is_pending());
        }
        plane.event(Event::Skipped(3));
        assert!(wakers[1].1.take() && !wakers[0].1.take());
        assert!(matches!(events.next().await, Some(Event::Skipped(3))));
    }

    async fn nobody_has_to_read_them(rt) {
        let (hub, events, plane) = hub(&rt).await;
        drop(events);
        let cost = allocation_counter::measure(|| {
            for _ in 0..100 {
                plane.event(Event::Skipped(7));
            }
        });
        assert_eq!(cost.bytes_current, 0);
        assert_eq!(hub.publish("room", "x").total(), 0);
    }
}
