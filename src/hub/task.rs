//! The task of a hub that has a backplane: it subscribes, publishes, and tells what was lost.

use std::{
    collections::VecDeque,
    error::Error,
    future::{pending, poll_fn},
    pin::pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::future::{join_all, select};

use super::{
    backplane::{Backplane, Publication},
    inbox::Inbox,
    link::{Link, Running, Work},
    outbox::Outbound,
    topic::{Grace, Topic, Wanted},
    topics::Topics,
};
use crate::rt::{Deadline, Runtime};

/// How long a topic without members stays subscribed: pages that are reloaded cost nothing.
const GRACE: Duration = Duration::from_secs(10);
/// How many subscriptions are on their way at once.
const AT_ONCE: usize = 256;

/// Speaks to the backplane until the hub is dropped.
pub(super) async fn run(running: Running, backplane: impl Backplane, runtime: Arc<dyn Runtime>) {
    let topics = Weak::clone(running.topics());
    let link = Arc::clone(running.link());
    let inbox = Inbox::new(topics.clone(), Arc::clone(&link));
    let mut task = Task {
        topics,
        link: Arc::clone(&link),
        backplane: &backplane,
        runtime,
        leaving: VecDeque::new(),
        timer: None,
    };
    let arrivals = poll_fn(|cx| link.poll_arrivals(cx));
    let connection = async {
        backplane.run(inbox).await;
        link.returned();
        pending::<()>().await;
    };
    // The connection first: what fails because it is lost is not a refusal.
    let serving = pin!(task.serve());
    select(pin!(connection), select(arrivals, serving)).await;
}

/// What the task knows.
struct Task<'a> {
    topics: Weak<Topics>,
    link: Arc<Link>,
    backplane: &'a dyn Backplane,
    runtime: Arc<dyn Runtime>,
    /// Topics without members, with the end of their grace and the number of departures.
    leaving: VecDeque<(Instant, Arc<Topic>, u64)>,
    /// The end of the first grace.
    timer: Option<Deadline>,
}

/// The messages on their way. Those that are left if the task is dropped may be lost.
struct Sending {
    link: Arc<Link>,
    batch: Vec<Outbound>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.link.lose_all(&self.batch);
    }
}

impl Task<'_> {
    async fn serve(&mut self) {
        loop {
            let work = poll_fn(|cx| self.poll_work(cx)).await;
            let is_over = work.is_over && work.batch.is_empty();
            self.follow(work).await;
            if is_over {
                return;
            }
        }
    }

    /// Waits for something to do, or for the end of a grace.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<Work> {
        if let Poll::Ready(work) = self.link.poll_work(cx) {
            return Poll::Ready(work);
        }
        let Some((end, ..)) = self.leaving.front() else {
            return Poll::Pending;
        };
        let left = end.saturating_duration_since(self.runtime.now());
        if left.is_zero() {
            return Poll::Ready(self.link.no_work());
        }
        let start = || Deadline::start(left, Some(&self.runtime));
        let timer = self.timer.get_or_insert_with(start);
        timer.poll_passed(cx).map(|()| self.link.no_work())
    }

    async fn follow(&mut self, work: Work) {
        let mut sending = Sending {
            link: Arc::clone(&self.link),
            batch: work.batch,
        };
        let mut looked_at = work.listed;
        if work.is_reset {
            // What is listed is among all.
            looked_at = self
                .topics
                .upgrade()
                .map_or(Vec::new(), |topics| topics.all());
            for topic in &looked_at {
                topic.unsubscribed();
            }
        }
        self.end_graces().await;
        let wanted = self.look_at(&looked_at);
        if work.is_up {
            self.subscribe(&wanted, work.connection).await;
        }
        if work.is_up && work.is_reset {
            let populated = looked_at.iter().filter(|topic| topic.members() > 0);
            let names = populated.map(|topic| Arc::clone(topic.name()));
            // Before it is up: who joins later has missed nothing.
            let names = names.collect();
            if self.link.tell_up() {
                self.link.events.push_gaps(names);
            }
        }
        // If the connection was lost while it subscribed, the batch is lost, too.
        if !sending.batch.is_empty() && self.link.is_still_up(work.connection) {
            self.publish(&sending.batch).await;
            sending.batch.clear();
        }
    }

    /// Returns the topics to subscribe to.
    fn look_at<'t>(&mut self, topics: &'t [Arc<Topic>]) -> Vec<&'t Arc<Topic>> {
        let mut wanted = Vec::new();
        for topic in topics {
            match topic.look() {
                Wanted::Nothing => {}
                Wanted::Subscribe => wanted.push(topic),
                Wanted::Grace(departures) => self.start_grace(topic, departures),
            }
        }
        wanted
    }

    fn start_grace(&mut self, topic: &Arc<Topic>, departures: u64) {
        let now = self.runtime.now();
        // Without timers there is no grace, as nothing would end it.
        let has_timers = self.runtime.has_timers();
        let end = if has_timers { now + GRACE } else { now };
        self.leaving.push_back((end, Arc::clone(topic), departures));
    }

    /// Removes topics that have had no members for long enough.
    async fn end_graces(&mut self) {
        let now = self.runtime.now();
        let mut ended = Vec::new();
        while self.leaving.front().is_some_and(|(end, ..)| *end <= now)
            && let Some((_, topic, departures)) = self.leaving.pop_front()
        {
            match topic.end_grace(departures) {
                Grace::Ended => {}
                Grace::Again(departures) => self.start_grace(&topic, departures),
                Grace::Removed { was_subscribed } => {
                    if let Some(topics) = self.topics.upgrade() {
                        topics.remove(&topic);
                    }
                    if was_subscribed {
                        ended.push(topic);
                    }
                }
            }
        }
        self.timer = None;
        for chunk in ended.chunks(AT_ONCE) {
            let ends = chunk
                .iter()
                .map(|topic| self.backplane.unsubscribe(topic.name()));
            // If it fails, messages come for nobody.
            join_all(ends).await;
        }
    }

    async fn subscribe(&self, topics: &[&Arc<Topic>], connection: u64) {
        for chunk in topics.chunks(AT_ONCE) {
            if !self.link.is_still_up(connection) {
                return;
            }
            let subscribed = chunk
                .iter()
                .map(|topic| self.subscribe_to(topic, connection));
            join_all(subscribed).await;
        }
    }

    async fn subscribe_to(&self, topic: &Topic, connection: u64) {
        if !Link::carries(topic.name()) {
            return self.link.refuse_long(topic.name());
        }
        match self.backplane.subscribe(topic.name()).await {
            Ok(()) => topic.subscribed(connection),
            // Otherwise the next connection subscribes again.
            Err(error) if self.link.is_still_up(connection) => {
                self.link.refuse(topic.name(), error);
            }
            Err(_) => {}
        }
    }

    async fn publish(&self, batch: &[Outbound]) {
        let batch: Vec<_> = batch.iter().map(Publication::new).collect();
        let Err(error) = self.backplane.publish(&batch).await else {
            return;
        };
        let error: Arc<dyn Error + Send + Sync> = error.into();
        for publication in &batch {
            self.link.lose(publication.shared_topic(), 1, &error);
        }
    }
}
