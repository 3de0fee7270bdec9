//! What senders have queued for a socket.
//!
//! The task of the socket takes it; nothing is spawned. Nothing of a user runs under the lock:
//! wakers, and messages whose memory is the user's, are dropped or woken after it.

use std::{
    fmt,
    sync::PoisonError,
    task::{Context, Poll, Waker},
};

use super::{
    Behind,
    delivered::{Delivered, Later},
    lane::{Buffered, Lanes, Pushed, TrySendError, Turn},
    order::{Order, Taken},
    waiting::{Wait, Waiter, Waiting},
};
use crate::{
    config::{QueueConfig, WhenFull},
    proto::PreparedMessage,
    sync::{AtomicBool, AtomicWaker, Mutex, MutexGuard, Ordering},
};

/// The messages that the senders of a socket have queued.
#[derive(Default)]
pub(crate) struct Queue {
    /// There is something for the socket's task.
    is_pending: AtomicBool,
    /// Senders have to be woken; see [`wake_ready`](Queue::wake_ready).
    has_ready: AtomicBool,
    /// The task of the socket.
    socket: AtomicWaker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lanes: Lanes,
    order: Option<Order>,
    progress: Progress,
    waiting: Waiting,
    sink_mark: Behind,
}

/// How far a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Open,
    /// An order was given, or the socket is being closed: nothing more is accepted.
    Ordered,
    /// The socket sends nothing any more.
    Over,
}

/// What is dropped or woken after the lock is released.
#[derive(Default)]
struct Deferred {
    drop: Vec<PreparedMessage>,
    waker: Option<Waker>,
    /// The policy of the full queue has dropped the last message.
    is_dropped: bool,
    /// An order was given.
    is_ordered: bool,
    /// Senders have to be woken.
    has_ready: bool,
}

impl Queue {
    pub(super) fn set_config(&self, config: QueueConfig) {
        self.lock().lanes.set_config(config);
    }

    /// Returns the policy of a full queue, and how many messages were dropped by it.
    pub(crate) fn dropped(&self) -> (WhenFull, u64) {
        self.lock().lanes.dropped()
    }

    pub(super) fn register(&self, waker: &Waker) {
        self.socket.register(waker);
    }

    /// Returns whether there is something for the task of the socket.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.is_pending.load(Ordering::Acquire)
    }

    /// Queues a message, or applies the policy of a full queue. With a key, it replaces the queued
    /// message that has the same key. The queue counts as full while senders wait for space.
    pub(crate) fn push(
        &self,
        message: PreparedMessage,
        key: Option<u64>,
    ) -> Result<(), TrySendError> {
        let pushed = self.change(|state, deferred| {
            let turn = state.turn(false);
            state.push(message, key, turn, deferred)
        });
        // An order may have ended waits.
        self.wake_ready();
        pushed
    }

    /// Queues the messages of a hub under one lock, and waits for nothing: a queue that would make
    /// it wait closes its socket. The caller drops `later` once it holds no lock.
    pub(crate) fn deliver(
        &self,
        messages: &[PreparedMessage],
        delivered: &mut Delivered,
        later: &mut Later,
    ) {
        let ((), is_new, mut deferred) = self.change_state(|state, deferred| {
            if state.progress == Progress::Open {
                state.lanes.reserve(messages.len());
            }
            for message in messages {
                state.deliver(message.clone(), delivered, deferred);
            }
        });
        if is_new {
            later.wakers.extend(self.socket.take());
        }
        later.wakers.append(&mut self.take_ready());
        later.messages.append(&mut deferred.drop);
    }

    /// Queues a message once there is space.
    pub(crate) fn poll_push(
        &self,
        cx: &Context<'_>,
        waiter: &mut Waiter<'_>,
        message: &mut Option<PreparedMessage>,
    ) -> Poll<Result<(), TrySendError>> {
        let Some(new) = message.take() else {
            return Poll::Ready(Ok(()));
        };
        let has_turn = waiter.has_waited();
        let pushed = self.change(|state, deferred| {
            let turn = state.turn(has_turn);
            match state.push(new, None, turn, deferred) {
                Err(TrySendError::Full(full)) if state.progress == Progress::Open => {
                    *message = Some(full);
                    deferred.waker = state.waiting.wait(waiter, Wait::Space, cx.waker());
                    Poll::Pending
                }
                pushed => {
                    deferred.waker = state.waiting.forget(waiter);
                    Poll::Ready(pushed)
                }
            }
        });
        self.wake_ready();
        pushed
    }

    /// Gives the socket an order. Nothing more is accepted then.
    pub(crate) fn order(&self, order: Order) {
        self.change(|state, deferred| state.order(order, deferred));
        self.wake_ready();
    }

    /// Waits until the socket sends nothing any more.
    pub(crate) fn poll_over(&self, cx: &Context<'_>, waiter: &mut Waiter<'_>) -> Poll<()> {
        self.change(|state, deferred| {
            if state.progress == Progress::Over {
                return Poll::Ready(());
            }
            deferred.waker = state.waiting.wait(waiter, Wait::End, cx.waker());
            Poll::Pending
        })
    }

    /// Forgets a sender that waits no more.
    pub(super) fn forget(&self, waiter: &mut Waiter<'_>) {
        self.change(|state, deferred| deferred.waker = state.waiting.forget(waiter));
    }

    /// Returns whether nothing more is accepted.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().progress != Progress::Open
    }

    pub(crate) fn buffered(&self) -> Buffered {
        self.lock().lanes.buffered()
    }

    /// Takes what is to be sent: messages until `room` bytes are exceeded. The caller asks again
    /// while [`is_pending`](Self::is_pending) says so.
    pub(crate) fn take(&self, room: usize) -> Taken {
        let mut state = self.lock();
        let was_full = state.lanes.is_control_full();
        let batch = state.lanes.take(room);
        let order = if state.lanes.is_empty() {
            state.order.take()
        } else {
            None
        };
        self.is_pending.store(state.has_work(), Ordering::Release);
        let has_control_room = was_full && !state.lanes.is_control_full();
        if (state.lanes.is_half_empty() || has_control_room) && state.waiting.end_for_space() {
            self.note_ready();
        }
        drop(state);
        Taken { batch, order }
    }

    /// Returns whether senders wait for [`wake_ready`](Self::wake_ready).
    pub(crate) fn has_ready(&self) -> bool {
        self.has_ready.load(Ordering::Acquire)
    }

    /// Notes that senders have to be woken. It is a swap, because loom lets a store be overwritten
    /// by an earlier swap of another thread.
    fn note_ready(&self) {
        self.has_ready.swap(true, Ordering::AcqRel);
    }

    /// Wakes the senders whose wait has ended. The caller holds no lock: a waker may use the
    /// socket.
    pub(crate) fn wake_ready(&self) {
        self.take_ready().into_iter().for_each(Waker::wake);
    }

    fn take_ready(&self) -> Vec<Waker> {
        if self.has_ready() && self.has_ready.swap(false, Ordering::AcqRel) {
            self.lock().waiting.take_ready()
        } else {
            Vec::new()
        }
    }

    /// Returns the mark behind which the sink's next message is sent, and forgets it.
    pub(crate) fn take_sink_mark(&self) -> Behind {
        self.lock().sink_mark.take()
    }

    /// Keeps the mark of a sink that has no space yet.
    pub(crate) fn keep_sink_mark(&self, mark: Behind) {
        self.lock().sink_mark = mark;
    }

    /// Returns a mark behind what is queued now.
    pub(crate) fn mark(&self) -> u64 {
        self.lock().lanes.queued()
    }

    /// Returns whether all that was queued before a mark was taken, and no order is left.
    pub(crate) fn has_passed(&self, mark: u64) -> bool {
        let state = self.lock();
        state.order.is_none() && state.lanes.queued() - state.lanes.left() >= mark
    }

    /// Takes an order that does not wait behind messages.
    pub(super) fn take_urgent(&self) -> Option<Order> {
        if !self.is_pending() {
            return None;
        }
        let mut state = self.lock();
        let order = state.order.take_if(|order| order.is_urgent());
        self.is_pending.store(state.has_work(), Ordering::Release);
        order
    }

    /// Accepts nothing more. What is queued stays. The caller wakes the senders.
    pub(crate) fn stop(&self) {
        self.change(|state, _| {
            if state.progress == Progress::Open {
                state.progress = Progress::Ordered;
                if state.waiting.end_for_space() {
                    self.note_ready();
                }
            }
        });
    }

    /// Ends the queue: the socket sends nothing any more. The caller wakes the senders.
    pub(crate) fn end(&self) {
        self.change(|state, deferred| {
            state.progress = Progress::Over;
            if let Some(Order::Close(close)) = state.order.take_if(|order| !order.is_abort()) {
                deferred.drop.push(close);
            }
            state.lanes.clear(&mut deferred.drop);
            if state.waiting.end_all() {
                self.note_ready();
            }
        });
    }

    /// Changes the state. Wakes the task of the socket if there is something new for it.
    fn change<T>(&self, change: impl FnOnce(&mut State, &mut Deferred) -> T) -> T {
        let (changed, is_new, _deferred) = self.change_state(change);
        if is_new {
            self.socket.wake();
        }
        changed
    }

    /// Changes the state. Returns also whether there is something new for the task of the socket.
    fn change_state<T>(
        &self,
        change: impl FnOnce(&mut State, &mut Deferred) -> T,
    ) -> (T, bool, Deferred) {
        let mut deferred = Deferred::default();
        let mut state = self.lock();
        let changed = change(&mut state, &mut deferred);
        let is_pending = state.has_work();
        let was_pending = self.is_pending();
        self.is_pending.store(is_pending, Ordering::Release);
        if deferred.has_ready {
            self.note_ready();
        }
        drop(state);
        let is_new = is_pending && (deferred.is_ordered || !was_pending);
        (changed, is_new, deferred)
    }

    /// Nothing that runs under the lock panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_work(&self) -> bool {
        self.order.is_some() || !self.lanes.is_empty()
    }

    /// Returns the turn of a sender, who gets no space before those that wait.
    fn turn(&self, has_waited: bool) -> Turn {
        if has_waited || !self.waiting.is_for_space() {
            Turn::Now
        } else {
            Turn::Later
        }
    }

    /// Queues a message, or returns why not.
    fn push(
        &mut self,
        message: PreparedMessage,
        key: Option<u64>,
        turn: Turn,
        deferred: &mut Deferred,
    ) -> Result<(), TrySendError> {
        let is_close = match message.check() {
            Ok(outgoing) => outgoing.is_close(),
            Err(invalid) => return Err(TrySendError::Invalid(invalid.clone())),
        };
        if self.progress != Progress::Open {
            return Err(TrySendError::Closed(message));
        }
        if is_close {
            self.order(Order::Close(message), deferred);
            return Ok(());
        }
        match self.lanes.push(message, key, turn, &mut deferred.drop) {
            Pushed::Queued => Ok(()),
            Pushed::Dropped(message) => {
                deferred.drop.push(message);
                deferred.is_dropped = true;
                Ok(())
            }
            Pushed::Full(message) => Err(TrySendError::Full(message)),
            Pushed::GiveUp(message) => {
                self.order(Order::GiveUp, deferred);
                Err(TrySendError::Full(message))
            }
        }
    }

    /// Queues a message of a hub, and counts what has become of it.
    fn deliver(
        &mut self,
        message: PreparedMessage,
        delivered: &mut Delivered,
        deferred: &mut Deferred,
    ) {
        deferred.is_dropped = false;
        let count = match self.push(message, None, Turn::Never, deferred) {
            Ok(()) if deferred.is_dropped => &mut delivered.dropped,
            Ok(()) => &mut delivered.queued,
            Err(TrySendError::Full(message)) => {
                deferred.drop.push(message);
                // Only control frames are full and do not close the socket.
                if self.progress == Progress::Open {
                    &mut delivered.dropped
                } else {
                    &mut delivered.closed
                }
            }
            Err(TrySendError::Closed(message)) => {
                deferred.drop.push(message);
                &mut delivered.gone
            }
            Err(TrySendError::Invalid(_)) => &mut delivered.dropped,
        };
        *count += 1;
    }

    /// Notes an order. The first one counts, but a socket may be aborted while it closes: its peer
    /// may never answer the Close.
    fn order(&mut self, order: Order, deferred: &mut Deferred) {
        if self.progress != Progress::Open && !order.is_abort() {
            return;
        }
        if order.is_urgent() {
            self.lanes.discard(&mut deferred.drop);
        }
        if self.progress == Progress::Open {
            self.progress = Progress::Ordered;
        }
        deferred.is_ordered = true;
        // Senders that wait for space wake up to an error.
        deferred.has_ready = self.waiting.end_for_space();
        // An order to close is dropped after the lock is released.
        if let Some(Order::Close(close)) = self.order.replace(order) {
            deferred.drop.push(close);
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}
