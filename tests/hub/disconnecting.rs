//! A hub that leaves the other processes.

use std::sync::Arc;

use anyws::{
    Runtime,
    hub::{Event, Events, Hub},
};
use support::{
    broker::{Broker, Plane},
    runtimes,
    still::Still,
    tasks::{assert_pending, spawn, yield_to_tasks},
};

use super::Member;

/// Returns a hub whose backplane is up.
async fn hub(broker: &Broker, rt: &Arc<dyn Runtime>) -> (Hub, Events, Plane) {
    let plane = broker.plane();
    let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(rt));
    assert!(matches!(events.next().await, Some(Event::Up)));
    (hub, events, plane)
}

/// Reads to the end of the events. Returns how many messages were not published.
async fn lost(events: &mut Events) -> u64 {
    let mut lost = 0;
    while let Some(event) = events.next().await {
        if let Event::PublishFailed { lost: more, .. } = event {
            lost += more;
        }
    }
    lost
}

runtimes! {
    async fn what_waits_is_published_before(rt) {
        let broker = Broker::default();
        let (here, mut events, plane) = hub(&broker, &rt).await;
        let (there, _events, _plane) = hub(&broker, &rt).await;
        let (ann, mut ben) = (Member::new(&rt), Member::new(&rt));
        let (_ann, mut joined) = (here.join("room", &ann.sender), there.join("room", &ben.sender));
        joined.ready().await;
        plane.stall(true);
        for number in 0..200 {
            here.publish("room", number.to_string());
        }
        while !plane.is_stalling() {
            yield_to_tasks(&rt).await;
        }
        let clone = here.clone();
        here.disconnect();
        here.disconnect();
        assert_pending(events.next());
        plane.stall(false);
        assert_eq!(lost(&mut events).await, 0);
        let expected: Vec<_> = (0..200).map(|number| number.to_string()).collect();
        while ben.queued() < 200 {
            yield_to_tasks(&rt).await;
        }
        assert_eq!(ben.read(200).await, expected);
        // It still serves this process.
        let before = ann.queued();
        assert_eq!(clone.publish("room", "x").queued, 1);
        assert_eq!(ann.queued(), before + 1);
        assert!(events.next().await.is_none());
    }

    async fn what_is_published_later_stays_here(rt) {
        let broker = Broker::default();
        let (here, mut events, _plane) = hub(&broker, &rt).await;
        let (there, _events, _plane) = hub(&broker, &rt).await;
        let mut ben = Member::new(&rt);
        let mut joined = there.join("room", &ben.sender);
        joined.ready().await;
        here.disconnect();
        here.publish("room", "while it ends or later");
        let lost = lost(&mut events).await;
        assert!(lost <= 1, "{lost}");
        here.publish("room", "later");
        // This one arrives, and those before would have.
        let (third, _events, _plane) = hub(&broker, &rt).await;
        third.publish("room", "from another hub");
        while ben.queued() == 0 {
            yield_to_tasks(&rt).await;
        }
        assert_eq!((ben.read(1).await, ben.queued()), (vec!["from another hub".to_owned()], 0));
    }

    async fn nobody_waits_for_it_any_more(rt) {
        let plane = Broker::default().plane_that_is_away();
        let (hub, mut events) = Hub::with_backplane(plane, Arc::clone(&rt));
        let ann = Member::new(&rt);
        let mut before = hub.join("before", &ann.sender);
        assert_pending(before.ready());
        let waiting = spawn(&rt, async move { before.ready().await });
        yield_to_tasks(&rt).await;
        hub.disconnect();
        waiting.await.unwrap();
        let mut meanwhile = hub.join("meanwhile", &ann.sender);
        meanwhile.ready().await;
        assert!(events.next().await.is_none());
        let mut after = hub.join("after", &ann.sender);
        after.ready().await;
        meanwhile.ready().await;
        assert_eq!(hub.publish("after", "x").queued, 1);
        drop((meanwhile, after));
        assert_eq!(hub.topics(), 0);
    }

    async fn what_cannot_be_published_is_told(rt) {
        let broker = Broker::default();
        let (hub, mut events, plane) = hub(&broker, &rt).await;
        plane.down("away");
        hub.publish("room", "x");
        hub.disconnect();
        assert_eq!(lost(&mut events).await, 1);
    }

    async fn a_hub_whose_task_has_ended_disconnects_too(rt) {
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane, Arc::new(Still::default()));
        let ann = Member::new(&rt);
        let mut joined = hub.join("room", &ann.sender);
        assert!(matches!(events.next().await, Some(Event::Down(_))));
        assert_pending(events.next());
        assert_pending(joined.ready());
        hub.disconnect();
        joined.ready().await;
        assert!(events.next().await.is_none());
        // A hub without a backplane has nothing to leave.
        Hub::new().disconnect();
    }
}
