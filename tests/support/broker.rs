//! A backplane in memory: what a crate that brings another broker would write, and a switch for
//! everything that can go wrong.

use std::{
    collections::HashSet,
    fmt,
    future::{pending, poll_fn},
    sync::{Arc, Mutex, MutexGuard},
    task::{Poll, Waker},
};

use anyws::{
    BoxError, Bytes,
    hub::{Backplane, Event, Inbox, Publication},
};
use futures::future::{BoxFuture, FutureExt};

/// Connects hubs.
#[derive(Clone, Default)]
pub struct Broker(Arc<Mutex<Vec<Plane>>>);

/// The backplane of one hub. Clones are the same one.
#[derive(Clone)]
pub struct Plane {
    broker: Broker,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    inbox: Option<Inbox>,
    is_up: bool,
    topics: HashSet<String>,
    calls: Vec<String>,
    /// Why subscriptions and publications fail.
    refusal: Option<&'static str>,
    /// Publications wait.
    is_stalled: bool,
    waiting: Vec<Waker>,
}

impl Broker {
    /// Adds a backplane that is up as soon as it runs.
    pub fn plane(&self) -> Plane {
        let plane = self.plane_that_is_away();
        plane.state().is_up = true;
        plane
    }

    /// Adds a backplane that is neither up nor down yet.
    pub fn plane_that_is_away(&self) -> Plane {
        let plane = Plane {
            broker: self.clone(),
            state: Arc::default(),
        };
        self.0.lock().unwrap().push(plane.clone());
        plane
    }
}

impl Plane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Connects: nothing is subscribed.
    pub fn up(&self) {
        let mut state = self.state();
        state.is_up = true;
        state.topics.clear();
        let inbox = state.inbox.clone();
        drop(state);
        if let Some(inbox) = inbox {
            inbox.event(Event::Up);
        }
    }

    /// Loses the connection.
    pub fn down(&self, reason: &'static str) {
        let mut state = self.state();
        state.is_up = false;
        let inbox = state.inbox.clone();
        drop(state);
        if let Some(inbox) = inbox {
            inbox.event(Event::Down(reason.into()));
        }
    }

    /// Fails what comes.
    pub fn refuse(&self, reason: Option<&'static str>) {
        self.state().refusal = reason;
    }

    /// Lets publications wait.
    pub fn stall(&self, is_stalled: bool) {
        let mut state = self.state();
        state.is_stalled = is_stalled;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Returns whether the hub's task runs.
    pub fn is_running(&self) -> bool {
        self.state().inbox.is_some()
    }

    /// Returns whether publications wait.
    pub fn is_stalling(&self) -> bool {
        !self.state().waiting.is_empty()
    }

    /// Returns the calls so far, and forgets them: `+topic`, `-topic`, and `topic` for messages.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state().calls)
    }

    /// Delivers bytes to this hub that no hub has sent.
    pub fn inject(&self, topic: &str, envelope: impl Into<Bytes>) {
        let inbox = self.state().inbox.clone().expect("the hub runs");
        inbox.deliver(topic, envelope.into());
    }

    /// Passes an event on.
    pub fn event(&self, event: Event) {
        let inbox = self.state().inbox.clone().expect("the hub runs");
        inbox.event(event);
    }

    fn subscriber(&self, topic: &str) -> Option<Inbox> {
        let state = self.state();
        let is_subscribed = state.is_up && state.topics.contains(topic);
        state.inbox.clone().filter(|_| is_subscribed)
    }

    fn answer(&self, call: String) -> BoxFuture<'_, Result<(), BoxError>> {
        let mut state = self.state();
        state.calls.push(call);
        let refusal = state.refusal;
        async move { refusal.map_or(Ok(()), |refusal| Err(refusal.into())) }.boxed()
    }
}

impl Backplane for Plane {
    fn publish<'a>(&'a self, batch: &'a [Publication]) -> BoxFuture<'a, Result<(), BoxError>> {
        let publish = async move {
            poll_fn(|cx| {
                let mut state = self.state();
                if !state.is_stalled {
                    return Poll::Ready(());
                }
                state.waiting.push(cx.waker().clone());
                Poll::Pending
            })
            .await;
            for publication in batch {
                let topic = publication.topic();
                self.answer(topic.to_owned()).await?;
                let planes = self.broker.0.lock().unwrap().clone();
                for inbox in planes.iter().filter_map(|plane| plane.subscriber(topic)) {
                    inbox.deliver(topic, publication.envelope().clone());
                }
            }
            Ok(())
        };
        publish.boxed()
    }

    fn subscribe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
        let subscribe = async move {
            self.answer(format!("+{topic}")).await?;
            self.state().topics.insert(topic.to_owned());
            Ok(())
        };
        subscribe.boxed()
    }

    fn unsubscribe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
        let unsubscribe = async move {
            self.answer(format!("-{topic}")).await?;
            self.state().topics.remove(topic);
            Ok(())
        };
        unsubscribe.boxed()
    }

    fn run(&self, inbox: Inbox) -> BoxFuture<'_, ()> {
        let run = async move {
            self.state().inbox = Some(inbox.clone());
            let is_up = self.state().is_up;
            if is_up {
                inbox.event(Event::Up);
            }
            pending::<()>().await;
        };
        run.boxed()
    }
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane").finish_non_exhaustive()
    }
}
