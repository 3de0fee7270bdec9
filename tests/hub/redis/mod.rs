//! Hubs that share their topics over a real Redis.

mod attacks;
mod failures;
#[cfg(all(feature = "rt-tokio", feature = "rt-smol"))]
mod processes;
mod regressions;
mod rooms;

use std::sync::Arc;

use anyws::{
    Runtime,
    hub::{Event, Events, Hub, RedisBackplane},
};
use support::{redis::Redis, tasks::yield_to_tasks};

use super::Member;

/// Runs each test body on tokio and on smol, as far as the features allow.
macro_rules! on_tokio_and_smol {
    ($($(#[$meta:meta])* async fn $name:ident($runtime:ident) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[$meta])*
            async fn body($runtime: std::sync::Arc<dyn anyws::Runtime>) $body

            support::ready_made_runtimes!(body);
        }
    )*};
}
use on_tokio_and_smol;

/// A hub on a server.
struct Node {
    hub: Hub,
    events: Events,
}

impl Node {
    /// Connects to a server that runs.
    async fn new(redis: &Redis, rt: &Arc<dyn Runtime>) -> Self {
        let mut node = Self::starting(&redis.url(), rt);
        let event = node.events.next().await;
        assert!(matches!(event, Some(Event::Up)), "{event:?}");
        node
    }

    fn starting(url: &str, rt: &Arc<dyn Runtime>) -> Self {
        let backplane = RedisBackplane::new(url).unwrap();
        let (hub, events) = Hub::with_backplane(backplane, Arc::clone(rt));
        Self { hub, events }
    }

    /// Waits for an event, and returns what `find` makes of it. Skips others, but fails for those
    /// that tell of a loss.
    async fn expect<T>(&mut self, find: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let event = self.events.next().await.expect("the hub is there");
            if let Some(found) = find(&event) {
                return found;
            }
            assert!(matches!(event, Event::Down(_)), "{event:?}");
        }
    }

    async fn expect_up(&mut self) {
        self.expect(|event| matches!(event, Event::Up).then_some(()))
            .await;
    }

    /// Returns the reason.
    async fn expect_down(&mut self) -> String {
        self.expect(|event| match event {
            Event::Down(error) => Some(error.to_string()),
            _ => None,
        })
        .await
    }

    /// Returns the topic and the number.
    async fn expect_gap(&mut self) -> (String, Option<u64>) {
        self.expect(|event| match event {
            Event::Gap { topic, lost, .. } => Some((topic.to_string(), *lost)),
            _ => None,
        })
        .await
    }

    /// Returns the number of messages and the reason.
    async fn expect_failure(&mut self) -> (u64, String) {
        self.expect(|event| match event {
            Event::PublishFailed { lost, error, .. } => Some((*lost, error.to_string())),
            _ => None,
        })
        .await
    }
}

/// Waits until a member's queue holds so many messages.
async fn until_queued(rt: &Arc<dyn Runtime>, member: &Member, count: usize) {
    until(rt, || member.queued() >= count).await;
    assert_eq!(member.queued(), count);
}

/// Waits, up to the limit of a test, until something holds.
async fn until(rt: &Arc<dyn Runtime>, mut holds: impl FnMut() -> bool) {
    while !holds() {
        yield_to_tasks(rt).await;
    }
}
