//! Topics that come and go leave nothing behind.

use allocation_counter::measure;
use anyws::{PreparedMessage, QueueConfig, WhenFull, hub::Hub};
use support::runtimes;

use super::Member;

const TOPICS: usize = 100_000;
const JOINS: usize = 1_000_000;

runtimes! {
    async fn a_million_joins_and_leaves_leave_no_memory_behind(rt) {
        let hub = Hub::new();
        let ann = Member::new(&rt);
        let mut last = [None, None];
        let cost = measure(|| {
            for at in 0..JOINS {
                // Two at a time, so that topics with members come and go around others.
                last[at % 2] = Some(hub.join(&format!("topic {}", at % TOPICS), &ann.sender));
            }
            last = [None, None];
        });
        assert_eq!(hub.topics(), 0);
        // What is left is the empty tables of the 64 parts.
        assert!(
            cost.bytes_current < 64 * 1024,
            "{} bytes",
            cost.bytes_current
        );
        assert!(cost.bytes_max < 128 * 1024, "{} bytes", cost.bytes_max);
    }

    async fn many_topics_at_once_leave_little_memory_behind(rt) {
        let hub = Hub::new();
        let ann = Member::new(&rt);
        let mut each = 0;
        let cost = measure(|| {
            let mut memberships = Vec::with_capacity(TOPICS);
            let filled = measure(|| {
                for at in 0..TOPICS {
                    memberships.push(hub.join(&format!("topic {at}"), &ann.sender));
                }
            });
            each = filled.bytes_current / i64::try_from(TOPICS).unwrap();
            assert_eq!(hub.topics(), TOPICS);
        });
        assert_eq!(hub.topics(), 0);
        assert!(
            cost.bytes_current < 64 * 1024,
            "{} bytes",
            cost.bytes_current
        );
        // The documentation of `Hub` names this figure.
        assert!(
            (200..=300).contains(&each),
            "{each} bytes for each topic"
        );
    }

    async fn a_topic_that_was_large_is_small_again(rt) {
        let hub = Hub::new();
        let ann = Member::new(&rt);
        let _steady = hub.join("room", &ann.sender);
        let cost = measure(|| {
            let crowd: Vec<_> = (0..TOPICS).map(|_| hub.join("room", &ann.sender)).collect();
            drop(crowd);
        });
        assert_eq!(hub.members("room"), 1);
        assert!(cost.bytes_current < 1024, "{} bytes", cost.bytes_current);
    }

    async fn a_backlog_grows_in_few_steps(rt) {
        let hub = Hub::new();
        let ann = Member::with_queue(&rt, QueueConfig::default().messages(JOINS));
        let _membership = hub.join("room", &ann.sender);
        let message = PreparedMessage::from("x");
        let cost = measure(|| {
            for _ in 0..5_000 {
                hub.publish("room", &message);
                hub.publish_all("room", [&message, &message]);
            }
        });
        assert_eq!(ann.queued(), 15_000);
        assert!(cost.bytes_max < 2 << 20, "{} bytes", cost.bytes_max);
        assert!(cost.bytes_total < 4 << 20, "{} bytes", cost.bytes_total);
    }

    async fn a_burst_takes_no_memory_that_it_does_not_fill(rt) {
        let hub = Hub::new();
        let small = QueueConfig::default().messages(JOINS).bytes(1000);
        let dropping = Member::with_queue(&rt, small.when_full(WhenFull::DropNewest));
        let closed = Member::with_queue(&rt, small);
        closed.sender.abort();
        let _memberships = [&dropping, &closed].map(|it| hub.join("room", &it.sender));
        let burst = vec![PreparedMessage::from("x"); TOPICS];
        let cost = measure(|| {
            let delivered = hub.publish_all("room", &burst);
            assert_eq!((delivered.queued, delivered.gone), (15, TOPICS));
        });
        assert!(
            cost.bytes_current < 1024,
            "{} bytes",
            cost.bytes_current
        );
    }
}
