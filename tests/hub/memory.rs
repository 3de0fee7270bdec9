//! Topics that come and go leave nothing behind.

use allocation_counter::measure;
use anyws::hub::Hub;
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
}
