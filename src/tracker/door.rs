//! The door of a tracker: who is let in, how many are inside, and who waits until all have left.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    task::Waker,
};

use http::request::Parts;

use super::{client::Client, drain::Plan, metrics::Metrics};
use crate::{handshake::Rejection, rt::Runtime};

/// Says whose request it is; the argument is the peer's address, where the server knows it.
pub(super) type Key = dyn Fn(&Parts, Option<IpAddr>) -> Option<IpAddr> + Send + Sync;

/// What is counted at the door. Nothing of a user runs while it is locked.
#[derive(Default)]
pub(super) struct Door {
    pub(super) max_sockets: Option<usize>,
    pub(super) per_client: Option<PerClient>,
    pub(super) metrics: Option<Arc<dyn Metrics>>,
    /// Somebody tells the metrics once a second what has moved.
    pub(super) is_reporting: bool,
    /// The runtime that the user has set.
    pub(super) runtime: Option<Arc<dyn Runtime>>,
    /// The runtime of the socket that was opened last.
    pub(super) last_runtime: Option<Arc<dyn Runtime>>,
    /// `None` until a drain begins.
    pub(super) plan: Option<Plan>,
    /// Sockets, from their permit to their end.
    pub(super) open: usize,
    /// Handlers and guarded futures.
    pub(super) tasks: usize,
    /// The sockets of each client, if they are limited.
    clients: HashMap<Client, usize>,
    /// Those who wait until a drain begins, or until all have left.
    waiting: BTreeMap<u64, Waker>,
    next_waiter: u64,
}

/// How many sockets one client may have.
#[derive(Clone)]
pub(super) struct PerClient {
    pub(super) max: usize,
    pub(super) key: Arc<Key>,
}

impl Door {
    /// Counts a socket, unless it is refused.
    pub(super) fn enter(&mut self, client: Option<Client>) -> Result<(), Rejection> {
        if self.plan.is_some() {
            return Err(Rejection::Draining);
        }
        if self.max_sockets.is_some_and(|max| self.open >= max) {
            return Err(Rejection::TooManySockets);
        }
        if let Some(client) = client {
            let max = self.per_client.as_ref().map_or(usize::MAX, |it| it.max);
            let count = self.clients.get(&client).copied().unwrap_or(0);
            if count >= max {
                return Err(Rejection::TooManyPerClient);
            }
            self.clients.insert(client, count + 1);
        }
        self.open += 1;
        Ok(())
    }

    /// Counts a socket no more. Returns whom to wake.
    pub(super) fn leave(&mut self, client: Option<Client>) -> Vec<Waker> {
        self.open -= 1;
        if let Some(client) = client
            && let Some(count) = self.clients.get_mut(&client)
        {
            *count -= 1;
            if *count == 0 {
                self.clients.remove(&client);
            }
        }
        self.wake_if_empty()
    }

    /// Counts a task no more. Returns whom to wake.
    pub(super) fn end_task(&mut self) -> Vec<Waker> {
        self.tasks -= 1;
        self.wake_if_empty()
    }

    /// Returns whether all have left.
    pub(super) fn is_empty(&self) -> bool {
        self.open == 0 && self.tasks == 0
    }

    /// Adds somebody who waits, or renews the waker. Returns what the caller drops after its lock.
    pub(super) fn wait(&mut self, id: &mut Option<u64>, waker: &Waker) -> Option<Waker> {
        let id = *id.get_or_insert_with(|| {
            self.next_waiter += 1;
            self.next_waiter
        });
        match self.waiting.get(&id) {
            Some(old) if old.will_wake(waker) => None,
            _ => self.waiting.insert(id, waker.clone()),
        }
    }

    /// Removes somebody who waits no more. Returns what the caller drops after its lock.
    pub(super) fn forget(&mut self, id: u64) -> Option<Waker> {
        self.waiting.remove(&id)
    }

    /// Returns all who wait, for the caller to wake after its lock.
    pub(super) fn take_waiting(&mut self) -> Vec<Waker> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().collect()
    }

    fn wake_if_empty(&mut self) -> Vec<Waker> {
        if self.is_empty() {
            self.take_waiting()
        } else {
            Vec::new()
        }
    }
}
