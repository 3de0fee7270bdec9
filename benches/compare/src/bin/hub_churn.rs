//! Measures sockets that join and leave topics of a hub without a network, and what that asks of
//! the allocator.
//!
//! ```text
//! hub_churn [MILLISECONDS]
//! ```
//!
//! Each topic has one member: joining makes the topic, and leaving ends it. All topics are joined
//! and left again, until the time is over.

use std::env;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use anyws::hub::{Hub, Subscription};
use anyws::{Sender, WebSocket, testing};
use anyws_compare::Result;
use anyws_compare::churn::{HELD, JOIN, LEAVE, LEFT, TOPICS};
use anyws_compare::figures::line;
use anyws_compare::random::Random;
use anyws_compare::stopwatch::Stopwatch;

/// Each of them joins as many topics as the others.
const SOCKETS: usize = 1_000;

fn main() -> Result<()> {
    let milliseconds = env::args()
        .nth(1)
        .map_or(Ok(450), |argument| argument.parse())?;
    let members = Members::new();
    let hub = Hub::new();

    // The hub has no memory of its own yet.
    let mut joined = Ok(Vec::new());
    let held = measure(|| joined = members.join(&hub));
    let mut times = Ok([0.0; 2]);
    let changed = measure(|| {
        times = joined.and_then(|subscriptions| {
            drop(subscriptions);
            members.times(&hub, Duration::from_millis(milliseconds))
        });
    });
    let [join, leave] = times?;
    println!("{}", line(JOIN, join));
    println!("{}", line(LEAVE, leave));
    println!("{}", line(HELD, each(held.bytes_current)));
    let left = held.bytes_current + changed.bytes_current;
    println!("{}", line(LEFT, each(left)));
    Ok(())
}

fn each(bytes: i64) -> f64 {
    // Exact up to 2^53.
    #[expect(clippy::cast_precision_loss)]
    let each = bytes as f64 / TOPICS as f64;
    each
}

/// The sockets, and which of them joins which topic.
struct Members {
    /// In the order of the joins, which is random.
    topics: Vec<(String, Sender)>,
    /// In which order they leave.
    leaving: Vec<usize>,
    /// Open, as long as there are senders.
    _sockets: Vec<(WebSocket, WebSocket)>,
}

impl Members {
    fn new() -> Self {
        let mut random = Random::new(5);
        let mut sockets: Vec<_> = (0..SOCKETS).map(|_| testing::pair()).collect();
        let senders: Vec<_> = sockets.iter_mut().map(|pair| pair.1.sender()).collect();
        let topics = in_random_order(TOPICS, &mut random);
        let topics = topics.into_iter().map(|topic| {
            let sender = senders[topic % SOCKETS].clone();
            (format!("topic {topic}"), sender)
        });
        Self {
            topics: topics.collect(),
            leaving: in_random_order(TOPICS, &mut random),
            _sockets: sockets,
        }
    }

    /// Joins all topics. None has a member yet.
    fn join(&self, hub: &Hub) -> Result<Vec<Option<Subscription>>> {
        let mut subscriptions = Vec::with_capacity(TOPICS);
        for (topic, sender) in &self.topics {
            subscriptions.push(Some(hub.join(topic, sender)));
        }
        if hub.topics() != TOPICS {
            return Err(format!("{} topics after {TOPICS} joins", hub.topics()).into());
        }
        Ok(subscriptions)
    }

    /// Microseconds for a join and for a leave.
    fn times(&self, hub: &Hub, measured: Duration) -> Result<[f64; 2]> {
        let mut join = Stopwatch::default();
        let mut leave = Stopwatch::default();
        let started = Instant::now();
        while started.elapsed() < 2 * measured {
            let mut subscriptions = Vec::new();
            join.take(TOPICS, || {
                subscriptions = self.join(hub)?;
                Ok(())
            })?;
            leave.take(TOPICS, || {
                for &number in &self.leaving {
                    subscriptions[number] = None;
                }
                Ok(())
            })?;
            if hub.topics() != 0 {
                return Err(format!("{} topics after all have left", hub.topics()).into());
            }
        }
        Ok([join.each(), leave.each()])
    }
}

/// The numbers below `count`, shuffled.
fn in_random_order(count: usize, random: &mut Random) -> Vec<usize> {
    let mut numbers: Vec<_> = (0..count).collect();
    for place in (1..count).rev() {
        let other = usize::try_from(random.draw()).unwrap_or_default() % (place + 1);
        numbers.swap(place, other);
    }
    numbers
}
