//! The senders that wait for space in a queue, or for its end.

use std::{mem, task::Waker};

use super::Queue;

/// The waiting senders.
#[derive(Default)]
pub(super) struct Waiting(Option<Box<List>>);

#[derive(Default)]
struct List {
    places: Vec<Place>,
    /// Senders that wait no more, and are woken once the socket is not locked.
    ready: Vec<Waker>,
    next: u64,
}

struct Place {
    id: u64,
    wait: Wait,
    waker: Waker,
}

/// What a sender waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Space,
    End,
}

/// A sender's entry in the list. Dropping it removes the entry.
pub(crate) struct Waiter<'a> {
    queue: &'a Queue,
    /// `None` while the sender has never waited.
    id: Option<u64>,
}

impl<'a> Waiter<'a> {
    pub(crate) fn new(queue: &'a Queue) -> Self {
        Self { queue, id: None }
    }

    pub(super) fn has_waited(&self) -> bool {
        self.id.is_some()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.id.is_some() {
            self.queue.forget(self);
        }
    }
}

impl Waiting {
    /// Adds a sender, or renews its waker. Returns what the caller drops after its lock.
    pub(super) fn wait(
        &mut self,
        waiter: &mut Waiter<'_>,
        wait: Wait,
        waker: &Waker,
    ) -> Option<Waker> {
        let list = self.0.get_or_insert_default();
        let id = *waiter.id.get_or_insert_with(|| {
            list.next += 1;
            list.next
        });
        match list.places.iter_mut().find(|place| place.id == id) {
            Some(place) if place.waker.will_wake(waker) => None,
            Some(place) => Some(mem::replace(&mut place.waker, waker.clone())),
            None => {
                let waker = waker.clone();
                list.places.push(Place { id, wait, waker });
                None
            }
        }
    }

    /// Removes a sender. Returns what the caller drops after its lock.
    pub(super) fn forget(&mut self, waiter: &mut Waiter<'_>) -> Option<Waker> {
        let (list, id) = (self.0.as_mut()?, waiter.id.take()?);
        let at = list.places.iter().position(|place| place.id == id)?;
        Some(list.places.swap_remove(at).waker)
    }

    /// Returns whether a sender waits for space.
    pub(super) fn is_for_space(&self) -> bool {
        let list = self.0.as_ref();
        list.is_some_and(|list| list.places.iter().any(|it| it.wait == Wait::Space))
    }

    /// Ends the wait for space. Returns whether there are senders to wake.
    pub(super) fn end_for_space(&mut self) -> bool {
        self.end(|wait| wait == Wait::Space)
    }

    /// Ends all waits. Returns whether there are senders to wake.
    pub(super) fn end_all(&mut self) -> bool {
        self.end(|_| true)
    }

    fn end(&mut self, is_over: impl Fn(Wait) -> bool) -> bool {
        let Some(list) = &mut self.0 else {
            return false;
        };
        let over = list.places.extract_if(.., |it| is_over(it.wait));
        list.ready.extend(over.map(|place| place.waker));
        if list.places.is_empty() {
            list.places = Vec::new();
        }
        !list.ready.is_empty()
    }

    /// Removes the senders whose wait has ended, for the caller to wake after its locks.
    pub(super) fn take_ready(&mut self) -> Vec<Waker> {
        let list = self.0.as_mut();
        list.map(|list| mem::take(&mut list.ready))
            .unwrap_or_default()
    }
}
