//! A handle that sends from anywhere.

use std::{fmt, sync::Arc};

use futures_core::future::FusedFuture;

use super::IntoCloseFrame;
use crate::{
    error::Result,
    future::PollFn,
    life::{Buffered, Order, Queue, TrySendError, Waiter},
    message::Message,
    proto::{InvalidMessage, PreparedMessage},
};

/// A handle that sends from anywhere: from other tasks, threads and connections.
///
/// [`WebSocket::sender`](crate::WebSocket::sender) creates it, and clones send to the same socket.
/// Messages go into a queue with bounds ([`QueueConfig`](crate::QueueConfig)). The task of the
/// socket takes them from there while it is in [`next`](crate::WebSocket::next), `send`, `feed`,
/// `flush` or [`closed`](crate::WebSocket::closed), and writes them. No task is spawned, and no
/// runtime is needed. A handler that does none of this leaves the queue as it is.
///
/// The order is that of the calls. A message that the handler itself sends does not overtake what
/// was queued before it. Control frames never wait behind queued data, and are not dropped to make
/// space.
///
/// A message is accepted, not delivered: if the connection ends, what is still queued is lost, as
/// what is buffered is. When the socket is closed or dropped in order, everything that is queued is
/// sent first.
///
/// ```
/// use anyws::{Sender, WebSocket};
///
/// async fn handle_socket(mut socket: WebSocket, members: &std::sync::Mutex<Vec<Sender>>) {
///     members.lock().unwrap().push(socket.sender());
///     // Receiving also sends what others have queued.
///     while let Some(Ok(message)) = socket.next_data().await {
///         for member in &*members.lock().unwrap() {
///             let _ = member.try_send(message.clone());
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Sender {
    queue: Arc<Queue>,
}

impl Sender {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }

    /// Returns the queue, for the topics of a hub.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// Queues a message at once, or returns why not.
    ///
    /// The message is a text (`&str`, `String`, `Utf8Bytes`), binary data (`Bytes`, `Vec<u8>`), a
    /// [`Message`] or a [`PreparedMessage`]. Pass it as it is: with `.into()`, its type would be
    /// ambiguous. A [`Message::Close`] is [`close`](Self::close).
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`] with the message, if the queue is full and its policy is
    /// [`WhenFull::Wait`](crate::WhenFull::Wait), or if it is
    /// [`WhenFull::Close`](crate::WhenFull::Close) and this message has closed the socket. Also if
    /// 16 control frames are queued. [`TrySendError::Closed`] with the message, once the socket is
    /// closing or closed. [`TrySendError::Invalid`] for a message that may not be sent; see
    /// [`WebSocket::send`](crate::WebSocket::send).
    pub fn try_send(&self, message: impl Into<PreparedMessage>) -> Result<(), TrySendError> {
        self.queue.push(message.into(), None)
    }

    /// Queues a message once there is space for it.
    ///
    /// Only the policy [`WhenFull::Wait`](crate::WhenFull::Wait), the default, waits. Waiting
    /// senders continue once half of the queue is free. Until then the queue counts as full for
    /// everybody else, so nobody overtakes them. The message is what
    /// [`try_send`](Self::try_send) accepts: `sender.send("x")`, without `.into()`.
    ///
    /// A handler must not wait here for its own socket: only its own calls make space. Two handlers
    /// that wait for each other's sockets block each other in the same way.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`](crate::Error::Closed) once the socket is closing or closed, also while
    /// this call waits. [`Error::InvalidMessage`](crate::Error::InvalidMessage) for a message that
    /// may not be sent. [`Error::QueueFull`](crate::Error::QueueFull) if the queue is full and its
    /// policy is [`WhenFull::Close`](crate::WhenFull::Close).
    ///
    /// # Cancel safety
    ///
    /// If you drop the future while it waits for space, the message is not queued.
    pub fn send(
        &self,
        message: impl Into<PreparedMessage>,
    ) -> impl FusedFuture<Output = Result<()>> + Send + Unpin {
        let mut message = Some(message.into());
        let mut waiter = Waiter::new(&self.queue);
        PollFn::new(move |cx| {
            let pushed = self.queue.poll_push(cx, &mut waiter, &mut message);
            pushed.map_err(Into::into)
        })
    }

    /// Queues a message in the place of the queued one that has the same `key`.
    ///
    /// Use it if only the latest value counts: a price, or the position of a cursor. A
    /// message that is still queued under `key` is replaced where it stands, and does not count as
    /// dropped. If there is none, the message is queued as by [`try_send`](Self::try_send). Control
    /// frames have no key.
    ///
    /// # Errors
    ///
    /// As for [`try_send`](Self::try_send).
    pub fn send_latest(
        &self,
        key: u64,
        message: impl Into<PreparedMessage>,
    ) -> Result<(), TrySendError> {
        self.queue.push(message.into(), Some(key))
    }

    /// Closes the socket once everything that is queued was sent, and waits for nothing.
    ///
    /// The task of the socket sends the Close. Its [`next`](crate::WebSocket::next) goes on to
    /// return what the peer sends, up to the peer's Close. From this call on, senders get
    /// [`TrySendError::Closed`]. A second call does nothing. A peer that does not answer is given
    /// up by [`set_keepalive`](crate::WebSocketConfig::set_keepalive) if that is on, or by
    /// [`abort`](Self::abort).
    ///
    /// # Errors
    ///
    /// [`InvalidMessage`] for a code or reason that may not be sent; the socket is unharmed.
    pub fn close(&self, frame: impl IntoCloseFrame) -> Result<(), InvalidMessage> {
        let close = PreparedMessage::from(Message::Close(frame.into_frame()));
        close.check().map_err(Clone::clone)?;
        self.queue.order(Order::Close(close));
        Ok(())
    }

    /// Ends the connection without a Close, and drops what is queued.
    ///
    /// The task of the socket does it when it polls the socket next. This call wakes the task, but
    /// a handler that waits for something else does not notice. Its
    /// [`next`](crate::WebSocket::next) returns `None`. If that loses messages that the socket has
    /// buffered, its next call that sends, or the one that waits for a slow peer, returns
    /// [`Error::Io`](crate::Error::Io). Once the socket is in [`close`](crate::WebSocket::close),
    /// which has a timeout of its own, this call does nothing. See
    /// [`WebSocket::abort`](crate::WebSocket::abort).
    pub fn abort(&self) {
        self.queue.order(Order::Abort);
    }

    /// Waits until the socket sends nothing more: it was closed, has failed or was dropped.
    ///
    /// It only waits, and needs the task of the socket to notice the end. To receive and answer,
    /// use [`WebSocket::closed`](crate::WebSocket::closed).
    ///
    /// # Cancel safety
    ///
    /// You can drop the future at any time: the next call continues to wait.
    #[must_use = "futures do nothing unless polled"]
    pub fn closed(&self) -> impl FusedFuture<Output = ()> + Send + Unpin {
        let mut waiter = Waiter::new(&self.queue);
        PollFn::new(move |cx| self.queue.poll_over(cx, &mut waiter))
    }

    /// Returns whether the socket accepts no more messages: it is closing, closed or dropped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Returns whether `other` sends to the same socket.
    ///
    /// A handler that leaves a list of members can so tell its own entry from one that has replaced
    /// it.
    #[must_use]
    pub fn same_socket(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.queue, &other.queue)
    }

    /// Returns how much is queued and how much was dropped, for all senders of the socket together.
    ///
    /// What the socket has taken over but not written yet, up to
    /// [`max_write_buffer_size`](crate::TransportConfig::max_write_buffer_size), does not count.
    #[must_use]
    pub fn buffered(&self) -> Buffered {
        self.queue.buffered()
    }
}

/// Shows how much is queued, and no message.
impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}
