//! What other hubs send, byte for byte, and what strangers send.

use std::sync::Arc;

use anyws::hub::{Event, Hub};
use futures::FutureExt;
use support::{broker::Broker, runtimes, still::Still};

use super::{Member, bounds};

/// The header of version 1: the hub 1, the epoch 2.
fn header(opcode: u8, flags: u8, number: u64) -> Vec<u8> {
    let mut header = b"anyw".to_vec();
    header.extend([1, opcode, flags, 0]);
    header.extend([1_u64, 2, number].map(u64::to_be_bytes).concat());
    header
}

pub(super) fn envelope(number: u64, text: &str) -> Vec<u8> {
    [&header(1, 0, number), text.as_bytes()].concat()
}

runtimes! {
    async fn messages_of_another_hub_are_read(rt) {
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(&rt));
        events.next().await;
        let mut ann = Member::new(&rt);
        let _membership = hub.join("room", &ann.sender);
        // The first number that is heard of a hub is as good as any.
        plane.inject("room", envelope(7, "first"));
        plane.inject("room", envelope(8, "next"));
        plane.inject("nobody is here", envelope(9, "elsewhere"));
        plane.inject("room", envelope(12, "after three"));
        let event = events.next().await;
        assert!(
            matches!(event, Some(Event::Gap { lost: Some(3), .. })),
            "{event:?}"
        );
        plane.inject("room", envelope(12, "again"));
        plane.inject("room", envelope(8, "late"));
        assert_eq!(hub.ignored(), 2);
        let mut other_epoch = envelope(1, "other epoch");
        other_epoch[23] = 3;
        plane.inject("room", other_epoch);
        let event = events.next().await;
        assert!(
            matches!(event, Some(Event::Gap { lost: None, .. })),
            "{event:?}"
        );
        let mut other_hub = envelope(1, "other hub");
        other_hub[15] = 9;
        plane.inject("room", other_hub);
        let expected = ["first", "next", "after three", "other epoch", "other hub"];
        assert_eq!(ann.read(5).await, expected);
        assert_eq!(ann.queued(), 0);
    }

    async fn what_no_hub_has_sent_is_ignored_and_counted(rt) {
        let plane = Broker::default().plane();
        let (hub, mut events) = Hub::with_backplane(plane.clone(), Arc::clone(&rt));
        events.next().await;
        let ann = Member::new(&rt);
        let _membership = hub.join("room", &ann.sender);
        let good = envelope(1, "x");
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let mut strange = vec![
            Vec::new(),
            b"hello".to_vec(),
            good[..31].to_vec(),
            changed(0, b'A'),
            changed(4, 0),
            changed(4, 2),
            changed(6, 4),
            changed(7, 1),
            [&header(1, 0, 1)[..], b"\xff"].concat(),
            [header(2, 0, 1), vec![0; (16 << 20) + 1]].concat(),
        ];
        strange.extend([0, 3, 8, 9, 10, 255].map(|opcode| changed(5, opcode)));
        let count = strange.len();
        for bytes in strange {
            plane.inject("room", bytes);
        }
        assert_eq!((hub.ignored(), ann.queued()), (count, 0));
        plane.inject("room", good);
        plane.inject("room", header(2, 3, 2));
        assert_eq!((hub.ignored(), ann.queued()), (count, 2));
        // One of the largest messages.
        plane.inject("room", [header(2, 0, 3), vec![0; 16 << 20]].concat());
        assert_eq!(hub.ignored(), count);
    }

    async fn strangers_cannot_make_a_hub_grow(rt) {
        // Its task has no turn, so nothing is freed by another thread.
        let still = Still::keeping();
        let plane = Broker::default().plane();
        let (hub, _events) = Hub::with_backplane(plane.clone(), Arc::new(still.clone()));
        let mut task = still.tasks().pop().unwrap();
        assert!((&mut task).now_or_never().is_none());
        let ann = Member::with_queue(&rt, bounds(1, anyws::WhenFull::DropOldest));
        let _membership = hub.join("room", &ann.sender);
        let cost = allocation_counter::measure(|| {
            for hub in 0..100_000_u64 {
                let mut bytes = envelope(1, "x");
                bytes[8..16].copy_from_slice(&hub.to_be_bytes());
                plane.inject("room", bytes);
            }
        });
        assert_eq!(hub.ignored(), 0);
        // Most of it are the messages that wait for a turn.
        assert!(cost.bytes_max < 4 << 20, "{} bytes", cost.bytes_max);
    }
}
