//! Many messages of other hubs at once.

use std::sync::Arc;

use anyws::{
    Message, QueueConfig, Runtime, WebSocket,
    hub::{Event, Hub},
};
use futures::FutureExt;
use support::{broker::Broker, runtimes, still::Still};

use super::{Member, wire::envelope};

/// Lets a task of its own serve a member, and returns the peer.
pub(super) fn serve(member: Member, rt: &Arc<dyn Runtime>) -> WebSocket {
    let mut socket = member.socket;
    rt.spawn(Box::pin(
        async move { while socket.next().await.is_some() {} },
    ));
    member.client
}

/// Reads so many numbers, in order.
pub(super) async fn expect(client: &mut WebSocket, count: u64) {
    for number in 1..=count {
        let message = client.next().await.unwrap().unwrap();
        assert_eq!(message, Message::text(number.to_string()));
    }
}

#[cfg(any(feature = "rt-tokio", feature = "rt-smol"))]
mod a_burst_closes_nobody_who_reads {
    use super::*;

    /// Four times what the queue of a member holds by default.
    const BURST: u64 = 1024;

    // Not on bare threads: nothing there makes the tasks take turns.
    support::ready_made_runtimes!(body);

    async fn body(rt: Arc<dyn Runtime>) {
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(&rt));
        assert!(matches!(events.next().await, Some(Event::Up)));
        let ann = Member::new(&rt);
        let mut subscription = hub.join("room", &ann.sender);
        subscription.ready().await;
        let mut client = serve(ann, &rt);
        for number in 1..=BURST {
            plane.inject("room", envelope(number, &number.to_string()));
        }
        expect(&mut client, BURST).await;
        drop(hub);
        assert!(events.next().await.is_none(), "nothing was lost");
    }
}

runtimes! {
    async fn what_waits_for_a_turn_is_bounded_and_keeps_its_order(rt) {
        const ALL: usize = 30_000;
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(&rt));
        assert!(matches!(events.next().await, Some(Event::Up)));
        let queue = QueueConfig::default().messages(ALL).bytes(100 * ALL);
        let ann = Member::with_queue(&rt, queue);
        let mut subscription = hub.join("room", &ann.sender);
        subscription.ready().await;
        for number in 1..=ALL as u64 {
            plane.inject("room", envelope(number, &number.to_string()));
        }
        // The others have had no turn.
        assert!(ann.queued() >= ALL - 10_000, "{}", ann.queued());
        expect(&mut serve(ann, &rt), ALL as u64).await;
    }

    async fn what_waits_for_a_turn_is_delivered_if_there_is_no_other(rt) {
        let still = Still::keeping();
        let plane = Broker::default().plane();
        let (hub, _events) = Hub::with_backplane(plane.clone(), Arc::new(still.clone()));
        let mut task = still.tasks().pop().unwrap();
        assert!((&mut task).now_or_never().is_none());
        let ann = Member::new(&rt);
        let _subscription = hub.join("room", &ann.sender);
        let mut number = 0;
        let mut inject = |count| {
            for _ in 0..count {
                number += 1;
                plane.inject("room", envelope(number, "x"));
            }
        };
        inject(100);
        assert_eq!(ann.queued(), 64);
        assert!((&mut task).now_or_never().is_none());
        assert_eq!(ann.queued(), 100);
        inject(100);
        assert!(ann.queued() < 200);
        // The runtime is shut down.
        drop(task);
        assert_eq!(ann.queued(), 200);
        inject(56);
        assert_eq!(ann.queued(), 256);
    }

    async fn what_arrives_behind_a_lost_connection_is_no_gap_later(rt) {
        let still = Still::keeping();
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::new(still.clone()));
        let mut task = still.tasks().pop().unwrap();
        let mut turn = || assert!((&mut task).now_or_never().is_none());
        turn();
        let ann = Member::new(&rt);
        let subscription = hub.join("room", &ann.sender);
        turn();
        // More than two turns.
        for number in 1..=150 {
            plane.inject("room", envelope(number, "x"));
        }
        drop(subscription);
        plane.down("lost");
        plane.up();
        for _ in 0..5 {
            turn();
        }
        // A member that joins now has missed nothing.
        let _subscription = hub.join("room", &ann.sender);
        turn();
        plane.inject("room", envelope(200, "x"));
        while let Some(event) = events.next().now_or_never() {
            assert!(!matches!(event, Some(Event::Gap { .. })), "{event:?}");
        }
    }
}
