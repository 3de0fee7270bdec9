//! One order for all members of a topic, also while members come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use anyws::{Message, PreparedMessage, QueueConfig, WhenFull, hub::Hub};
use support::runtimes;

use super::{Member, bounds};

const PUBLISHERS: usize = 8;
const MESSAGES: usize = 500;

fn roomy() -> QueueConfig {
    QueueConfig::default()
        .messages(usize::MAX)
        .bytes(usize::MAX)
}

/// Publishes from several threads at once, while `meanwhile` runs.
fn publish(hub: &Hub, meanwhile: impl FnOnce()) {
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            scope.spawn(move || {
                for at in 0..MESSAGES {
                    hub.publish("room", format!("{publisher} {at}"));
                }
            });
        }
        meanwhile();
    });
}

/// Checks that each publisher's messages are in order. Returns how many there are of each.
fn check(texts: &[String]) -> [usize; PUBLISHERS] {
    let mut counts = [0; PUBLISHERS];
    let mut next = [None; PUBLISHERS];
    for text in texts {
        let (publisher, at) = text.split_once(' ').unwrap();
        let (publisher, at): (usize, usize) = (publisher.parse().unwrap(), at.parse().unwrap());
        let expected = next[publisher].replace(at + 1);
        assert!(
            expected.is_none_or(|expected| expected == at),
            "{text} after {expected:?}"
        );
        counts[publisher] += 1;
    }
    counts
}

runtimes! {
    async fn all_members_get_the_messages_of_eight_publishers_in_one_order(rt) {
        let hub = Hub::new();
        let mut members = [(); 4].map(|()| Member::with_queue(&rt, roomy()));
        let _memberships = members
            .each_ref()
            .map(|member| hub.join("room", &member.sender));
        publish(&hub, || {});
        let mut first = Vec::new();
        for member in &mut members {
            let texts = member.read(PUBLISHERS * MESSAGES).await;
            assert_eq!(check(&texts), [MESSAGES; PUBLISHERS]);
            if first.is_empty() {
                first = texts;
            } else {
                assert!(first == texts);
            }
        }
    }

    async fn who_joins_meanwhile_gets_all_from_then_on_once(rt) {
        let hub = Hub::new();
        let mut all = Member::with_queue(&rt, roomy());
        let _all = hub.join("room", &all.sender);
        let mut late: Vec<_> = (0..50).map(|_| Member::with_queue(&rt, roomy())).collect();
        let mut memberships = Vec::new();
        publish(&hub, || {
            for member in &late {
                memberships.push(hub.join("room", &member.sender));
            }
        });
        let texts = all.read(PUBLISHERS * MESSAGES).await;
        for member in &mut late {
            let count = member.queued();
            assert!(member.read(count).await == texts[texts.len() - count..]);
        }
    }

    async fn who_leaves_meanwhile_gets_all_until_then(rt) {
        let hub = Hub::new();
        let mut all = Member::with_queue(&rt, roomy());
        let _all = hub.join("room", &all.sender);
        let mut early: Vec<_> = (0..50).map(|_| Member::with_queue(&rt, roomy())).collect();
        let memberships: Vec<_> = early
            .iter()
            .map(|it| hub.join("room", &it.sender))
            .collect();
        publish(&hub, || drop(memberships));
        assert_eq!(hub.members("room"), 1);
        let texts = all.read(PUBLISHERS * MESSAGES).await;
        for member in &mut early {
            let count = member.queued();
            assert!(member.read(count).await == texts[..count]);
        }
    }

    async fn members_that_come_and_go_meanwhile_are_counted_right(rt) {
        let hub = Hub::new();
        let steady = Member::with_queue(&rt, roomy());
        let _steady = hub.join("room", &steady.sender);
        let guests = [(); 4].map(|()| Member::with_queue(&rt, roomy()));
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for guest in &guests {
                let (hub, is_over) = (&hub, &is_over);
                scope.spawn(move || {
                    while !is_over.load(SeqCst) {
                        let rooms = ["room", "other"].map(|room| hub.join(room, &guest.sender));
                        assert!((1..=5).contains(&hub.members("room")));
                        drop(rooms);
                    }
                });
            }
            publish(&hub, || {});
            is_over.store(true, SeqCst);
        });
        assert_eq!(steady.queued(), PUBLISHERS * MESSAGES);
        assert_eq!(
            (hub.members("room"), hub.members("other"), hub.topics()),
            (1, 0, 1)
        );
    }

    async fn who_has_joined_is_found_though_others_leave_at_the_same_moment(rt) {
        let hub = Hub::new();
        let members = [(); 3].map(|()| Member::with_queue(&rt, bounds(1, WhenFull::DropOldest)));
        thread::scope(|scope| {
            for member in &members {
                let hub = &hub;
                scope.spawn(move || {
                    for _ in 0..50_000 {
                        let membership = hub.join("room", &member.sender);
                        assert!(hub.publish("room", "x").queued > 0);
                        drop(membership);
                    }
                });
            }
        });
        assert_eq!(hub.topics(), 0);
    }

    async fn a_waker_and_a_payload_may_use_the_hub(rt) {
        /// A payload that leaves the room when its memory is freed.
        struct Leaves(Hub, Arc<AtomicBool>);
        impl AsRef<[u8]> for Leaves {
            fn as_ref(&self) -> &[u8] {
                b"payload"
            }
        }
        impl Drop for Leaves {
            fn drop(&mut self) {
                self.0.publish("room", "in drop");
                self.1.store(true, SeqCst);
            }
        }
        let hub = Hub::new();
        let full = Member::with_queue(&rt, bounds(1, WhenFull::DropOldest));
        let _membership = hub.join("room", &full.sender);
        let was_dropped = Arc::new(AtomicBool::new(false));
        let payload = Leaves(hub.clone(), Arc::clone(&was_dropped));
        hub.publish("room", anyws::Bytes::from_owner(payload));
        // Displaces it.
        hub.publish("room", "next");
        assert!(was_dropped.load(SeqCst));
    }

    async fn a_handler_may_leave_while_it_is_published_to(rt) {
        let hub = Hub::new();
        let mut ann = Member::new(&rt);
        let membership = hub.join("room", &ann.sender);
        hub.publish_all("room", ["1", "2", "leave", "3"].map(PreparedMessage::from));
        ann.socket.flush().await.unwrap();
        while let Some(Ok(Message::Text(text))) = ann.client.next().await {
            if text == "leave" {
                break;
            }
        }
        drop(membership);
        assert_eq!(hub.publish("room", "4").total(), 0);
        assert_eq!(ann.read(1).await, ["3"]);
    }
}
