//! The seats of a tracker: one for each socket and one for each task, and how they are called.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Poll, Waker},
};

use slab::Slab;

use super::{
    Shared,
    client::Client,
    door::Door,
    lock,
    metrics::{Metrics, Traffic},
    wake,
};
use crate::{
    message::CloseFrame,
    sync::{AtomicUsize, Mutex, Ordering},
};

/// Tasks of different threads seldom wait for the same lock.
const SHARDS: usize = 16;

/// All seats. A task that waits locks one shard for a moment.
#[derive(Default)]
pub(super) struct Seats {
    shards: [Shard; SHARDS],
    next: AtomicUsize,
}

/// On a cache line of its own, or threads would slow each other down.
#[derive(Default)]
#[repr(align(64))]
struct Shard(Mutex<Row>);

#[derive(Default)]
struct Row {
    slots: Slab<Slot>,
    /// What these sockets have received since the metrics were told last.
    received: Traffic,
    sent: Traffic,
}

/// What a tracker knows of a socket or a task.
struct Slot {
    /// The task that waits.
    waker: Option<Waker>,
    /// Whose socket it is, if the sockets of a client are limited.
    client: Option<Client>,
    kind: Kind,
    /// The drain waits for it.
    is_counted: bool,
    /// A drain asks it to close.
    is_told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socket,
    Task,
}

/// What a tracker asks of a socket or a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Notice {
    Stay,
    /// Close, and wait for the peer's Close.
    Close,
    /// The deadline has passed: end now.
    Abort,
}

/// A seat of a tracker. Dropping it gives it back.
pub(crate) struct Seat {
    shared: Arc<Shared>,
    /// The number of the shard in the lowest bits, and the index in that shard.
    id: usize,
}

/// Whom to tell that somebody counts no more, outside of all locks: wakers and metrics are the
/// user's.
#[derive(Default)]
#[must_use]
pub(crate) struct Released {
    pub(super) waiting: Vec<Waker>,
    /// The tracker whose sums nobody else tells the metrics.
    pub(super) unreported: Option<Arc<Shared>>,
}

impl Released {
    pub(crate) fn tell(self) {
        if let Some(shared) = self.unreported {
            shared.report();
        }
        wake(self.waiting);
    }
}

impl Seats {
    fn insert(&self, slot: Slot) -> usize {
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let index = lock(&self.shards[shard].0).slots.insert(slot);
        index * SHARDS + shard
    }

    fn with<T>(&self, id: usize, act: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let mut row = lock(&self.shards[id % SHARDS].0);
        row.slots.get_mut(id / SHARDS).map(act)
    }

    fn remove(&self, id: usize) {
        let mut row = lock(&self.shards[id % SHARDS].0);
        let removed = row.slots.try_remove(id / SHARDS);
        if row.slots.is_empty() {
            // The memory of a rush is not kept for ever.
            row.slots = Slab::new();
        }
        drop(row);
        // The waker may be the last owner of a task.
        drop(removed);
    }

    /// Returns the seats of all sockets.
    pub(super) fn sockets(&self) -> Vec<usize> {
        let mut found = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let row = lock(&shard.0);
            let sockets = row
                .slots
                .iter()
                .filter(|(_, slot)| slot.kind == Kind::Socket);
            found.extend(sockets.map(|(index, _)| index * SHARDS + number));
        }
        found
    }

    /// Returns what all sockets have received and sent since the last call.
    pub(super) fn take_traffic(&self) -> (Traffic, Traffic) {
        let mut all = (Traffic::default(), Traffic::default());
        for shard in &self.shards {
            let mut row = lock(&shard.0);
            all.0 += mem::take(&mut row.received);
            all.1 += mem::take(&mut row.sent);
        }
        all
    }

    /// Asks sockets to close.
    pub(super) fn tell(&self, sockets: &[usize]) {
        for id in sockets {
            let waker = self.with(*id, |slot| {
                slot.is_told = slot.kind == Kind::Socket;
                // A task may sit there by now. It is not told, and waits on.
                slot.waker.take_if(|_| slot.is_told)
            });
            wake(waker.flatten());
        }
    }

    /// Wakes all, to see that the deadline has passed.
    pub(super) fn wake_all(&self) {
        for shard in &self.shards {
            let wakers: Vec<_> = {
                let mut row = lock(&shard.0);
                let slots = row.slots.iter_mut();
                slots.filter_map(|(_, slot)| slot.waker.take()).collect()
            };
            wake(wakers);
        }
    }
}

impl Seat {
    /// Takes a seat for a socket that the door has counted.
    pub(super) fn of_socket(shared: &Arc<Shared>, client: Option<Client>) -> Self {
        Self::new(shared, Kind::Socket, client)
    }

    /// Takes a seat for a task that the door has counted.
    pub(super) fn of_task(shared: &Arc<Shared>) -> Self {
        Self::new(shared, Kind::Task, None)
    }

    fn new(shared: &Arc<Shared>, kind: Kind, client: Option<Client>) -> Self {
        let id = shared.seats.insert(Slot {
            waker: None,
            client,
            kind,
            is_counted: true,
            is_told: false,
        });
        let shared = Arc::clone(shared);
        Self { shared, id }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the metrics of the tracker, if there are any.
    pub(super) fn metrics(&self) -> Option<Arc<dyn Metrics>> {
        lock(&self.shared.door).metrics.clone()
    }

    /// Adds what the socket has received and sent.
    pub(super) fn moved(&self, received: Traffic, sent: Traffic) {
        let mut row = lock(&self.shared.seats.shards[self.id % SHARDS].0);
        row.received += received;
        row.sent += sent;
    }

    /// Sets the task to wake, and returns what is asked.
    pub(crate) fn watch(&self, waker: &Waker) -> Notice {
        let seen = self.shared.seats.with(self.id, |slot| {
            let replaced = match &slot.waker {
                Some(old) if old.will_wake(waker) => None,
                _ => slot.waker.replace(waker.clone()),
            };
            (slot.is_told, replaced)
        });
        // What was replaced is dropped here, after the lock.
        self.notice_of(seen.is_some_and(|(is_told, _)| is_told))
    }

    /// Returns what is asked.
    #[inline]
    pub(crate) fn notice(&self) -> Notice {
        if self.shared.is_draining() {
            self.notice_in_drain()
        } else {
            Notice::Stay
        }
    }

    /// Waits until the deadline of a drain has passed.
    pub(crate) fn poll_abort(&self, waker: &Waker) -> Poll<()> {
        match self.watch(waker) {
            Notice::Abort => Poll::Ready(()),
            Notice::Stay | Notice::Close => Poll::Pending,
        }
    }

    #[cold]
    fn notice_in_drain(&self) -> Notice {
        let is_told = self.shared.seats.with(self.id, |slot| slot.is_told);
        self.notice_of(is_told.unwrap_or(false))
    }

    fn notice_of(&self, is_told: bool) -> Notice {
        if self.shared.is_aborted() {
            Notice::Abort
        } else if is_told {
            Notice::Close
        } else {
            Notice::Stay
        }
    }

    /// Returns the Close for the peer of a socket that closes in a drain, if one has begun.
    pub(crate) fn drain_frame(&self) -> Option<CloseFrame> {
        let is_draining = self.shared.is_draining();
        is_draining.then(|| self.shared.close_frame())
    }

    /// Ends the counting: both ends have closed, or the task has ended.
    pub(crate) fn release(&self) -> Released {
        let released = self.shared.seats.with(self.id, |slot| {
            let was_counted = mem::take(&mut slot.is_counted);
            was_counted.then(|| (slot.kind, slot.client.take()))
        });
        match released.flatten() {
            Some((Kind::Socket, client)) => self.shared.leave(|door| door.leave(client)),
            Some((Kind::Task, _)) => self.shared.leave(Door::end_task),
            None => Released::default(),
        }
    }

    /// Forgets the task to wake: it no longer polls.
    pub(crate) fn forget_task(&self) {
        let waker = self.shared.seats.with(self.id, |slot| slot.waker.take());
        drop(waker);
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.notice()).finish()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.release().tell();
        self.shared.seats.remove(self.id);
    }
}
