//! The senders that wait for space in a queue, or for its end.

use std::{mem, task::Waker};

use super::Queue;

/// The waiting senders.
#[derive(Default)]
pub(super) struct Waiting(Option<Box<List>>);

#[derive(Default)]
struct List {
    wakers: Vec<(u64, Waker)>,
    next: u64,
}

/// The place of one sender in the list. Dropping it leaves the list.
pub(crate) struct Waiter<'a> {
    queue: &'a Queue,
    /// `None` while the sender has never waited.
    id: Option<u64>,
}

impl<'a> Waiter<'a> {
    pub(crate) fn new(queue: &'a Queue) -> Self {
        Self { queue, id: None }
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
    pub(super) fn wait(&mut self, waiter: &mut Waiter<'_>, waker: &Waker) -> Option<Waker> {
        let list = self.0.get_or_insert_default();
        let id = *waiter.id.get_or_insert_with(|| {
            list.next += 1;
            list.next
        });
        match list.wakers.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) if known.will_wake(waker) => None,
            Some((_, known)) => Some(mem::replace(known, waker.clone())),
            None => {
                list.wakers.push((id, waker.clone()));
                None
            }
        }
    }

    /// Removes a sender. Returns what the caller drops after its lock.
    pub(super) fn forget(&mut self, waiter: &mut Waiter<'_>) -> Option<Waker> {
        let (list, id) = (self.0.as_mut()?, waiter.id.take()?);
        let at = list.wakers.iter().position(|(known, _)| *known == id)?;
        Some(list.wakers.swap_remove(at).1)
    }

    /// Removes all senders, for the caller to wake after its lock.
    pub(super) fn take(&mut self) -> Vec<Waker> {
        let list = self.0.as_mut();
        let wakers = list.map(|list| mem::take(&mut list.wakers));
        wakers
            .into_iter()
            .flatten()
            .map(|(_, waker)| waker)
            .collect()
    }
}
