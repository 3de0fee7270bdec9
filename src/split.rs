//! The two halves of a socket, for two tasks.

use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::Pin,
    sync::{
        Arc as StdArc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_core::stream::{FusedStream, Stream};
use futures_sink::Sink;

use crate::{
    CloseFrame, Error, Message, Result, WebSocket,
    connection::Connection,
    engine::{Closer, Side},
    proto::Outgoing,
    sync::{Arc, AtomicWaker, Mutex, MutexGuard},
};

#[cfg(all(test, anyws_loom))]
mod loom_tests;

/// The half of a [`WebSocket`] that sends; made by [`WebSocket::split`].
///
/// While it waits for a peer that does not read, the other half receives on and answers pings.
#[derive(Debug)]
pub struct WebSocketSender(Half);

/// The half of a [`WebSocket`] that receives; made by [`WebSocket::split`].
///
/// Pings are answered while it is polled, also if the other half never sends. Once it has received
/// the peer's Close or an error, dropping it closes the TCP connection in the background, while the
/// other half may live on.
#[derive(Debug)]
pub struct WebSocketReceiver(Half);

/// A half's part in what both share; says so when it is dropped.
#[derive(Debug)]
struct Half {
    side: Side,
    shared: Arc<Shared>,
}

/// What the halves share. When both are dropped, the connection is closed as that of a whole socket.
struct Shared {
    /// Locked inside a poll only, never across an await.
    connection: Mutex<Connection>,
    /// A `Waker` is made of it, which only std's `Arc` can be.
    tasks: StdArc<Tasks>,
    /// A sender that closes leaves what the peer still sends to the receiver, while that lives.
    receiver_lives: AtomicBool,
    /// A copy, to be read without the lock.
    protocol: Option<Box<str>>,
}

/// The tasks of the halves, while they wait.
///
/// A stream keeps one waker for each direction, but both halves may have to read and to write: a
/// receiver writes pongs, a closing sender reads up to the end. So the stream wakes both.
#[derive(Default)]
struct Tasks {
    sender: AtomicWaker,
    receiver: AtomicWaker,
}

impl Tasks {
    fn of(&self, side: Side) -> &AtomicWaker {
        match side {
            Side::Sender => &self.sender,
            Side::Receiver => &self.receiver,
        }
    }
}

impl Wake for Tasks {
    fn wake(self: StdArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &StdArc<Self>) {
        self.sender.wake();
        self.receiver.wake();
    }
}

impl Half {
    fn drive<R>(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Connection, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        self.shared.drive(self.side, cx, poll)
    }
}

impl Shared {
    /// Lets the task behind `cx` drive the connection; the other one is woken if it may go on.
    fn drive<R>(
        &self,
        side: Side,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Connection, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let task = self.tasks.of(side);
        task.register(cx.waker());
        let waker = Waker::from(StdArc::clone(&self.tasks));
        let other = WakeOnDrop(self.tasks.of(side.other()));
        let mut connection = self.lock();
        let before = connection.engine().state();
        let polled = poll(&mut connection, &mut Context::from_waker(&waker));
        let has_changed = connection.engine().state() != before;
        let stream = connection.take_stream();
        drop(connection);
        drop(stream);
        if polled.is_ready() {
            // It waits no more: its waker would keep the memory of a task that may end.
            task.take();
        }
        if !has_changed {
            mem::forget(other);
        }
        polled
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a poll leaves nothing half done that the other half would trip over.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the other half, also where a stream has panicked: it may wait for what this one was about
/// to do.
struct WakeOnDrop<'a>(&'a AtomicWaker);

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        self.0.wake();
    }
}

/// A half that is gone waits for nothing, and leaves the rest to the other one; or to a task, if
/// the receiver has seen the end and the sender has nothing left to do.
impl Drop for Half {
    fn drop(&mut self) {
        let Self { side, shared } = self;
        shared.tasks.of(*side).take();
        if *side == Side::Sender {
            return;
        }
        shared.receiver_lives.store(false, Ordering::Release);
        let mut connection = shared.lock();
        let finisher = connection.finisher();
        let stream = connection.take_stream();
        drop(connection);
        drop(stream);
        // A sender that closes reads by itself from now on.
        shared.tasks.sender.wake();
        if let Some(runtime) = finisher {
            runtime.spawn(Box::pin(finish(Arc::clone(shared))));
        }
    }
}

/// Closes the TCP connection of a sender that may not send any more.
async fn finish(shared: Arc<Shared>) {
    let mut deadline = shared.lock().deadline();
    poll_fn(|cx| {
        shared.drive(Side::Receiver, cx, |connection, cx| {
            connection.poll_abandoned(cx, &mut deadline)
        })
    })
    .await;
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

pub(crate) fn split(socket: WebSocket) -> (WebSocketSender, WebSocketReceiver) {
    let mut connection = socket.into_connection();
    connection.engine().set_shared(true);
    let protocol = connection.protocol().map(Into::into);
    let shared = Arc::new(Shared {
        connection: Mutex::new(connection),
        tasks: StdArc::default(),
        receiver_lives: AtomicBool::new(true),
        protocol,
    });
    let half = |side, shared| Half { side, shared };
    (
        WebSocketSender(half(Side::Sender, Arc::clone(&shared))),
        WebSocketReceiver(half(Side::Receiver, shared)),
    )
}

impl WebSocketSender {
    /// Returns the subprotocol that the handshake chose, if any.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.0.shared.protocol.as_deref()
    }

    /// Sends a message; see [`WebSocket::send`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::send`].
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::send`].
    pub async fn send(&mut self, message: Message) -> Result<()> {
        let mut message = Some(Outgoing::new(message));
        poll_fn(|cx| {
            self.0.drive(cx, |connection, cx| {
                connection
                    .engine()
                    .poll_send(cx, &mut message)
                    .map_err(|error| *error)
            })
        })
        .await
    }

    /// Stages a message; see [`WebSocket::feed`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::send`].
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::send`].
    pub async fn feed(&mut self, message: Message) -> Result<()> {
        let mut message = Some(Outgoing::new(message));
        poll_fn(|cx| {
            self.0.drive(cx, |connection, cx| {
                connection
                    .engine()
                    .poll_feed(cx, &mut message)
                    .map_err(|error| *error)
            })
        })
        .await?;
        self.tell_receiver();
        Ok(())
    }

    /// Writes all that is staged; see [`WebSocket::flush`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::flush`].
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::flush`].
    pub async fn flush(&mut self) -> Result<()> {
        poll_fn(|cx| Sink::poll_flush(Pin::new(self), cx)).await
    }

    /// Closes the connection; see [`WebSocket::close`].
    ///
    /// What the peer sends before its own Close goes to the receiving half as long as that lives:
    /// poll it, or drop it. Once it is dropped, data that arrives is discarded.
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::close`]; [`Error::Timeout`] as well if the receiving half lives and has
    /// not received the peer's Close within the close timeout.
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::close`].
    pub async fn close(&mut self, frame: impl Into<Option<CloseFrame>>) -> Result<()> {
        let mut frame = Some(frame.into());
        let mut deadline = None;
        poll_fn(|cx| {
            self.0.drive(cx, |connection, cx| {
                if let Some(frame) = frame.take() {
                    deadline = connection.start_close(frame)?;
                }
                let closer = if self.0.shared.receiver_lives.load(Ordering::Acquire) {
                    Closer::BesideReceiver
                } else {
                    Closer::User
                };
                connection.poll_close(cx, deadline.as_mut(), closer)
            })
        })
        .await
    }

    /// Puts the halves of a socket together again.
    ///
    /// # Errors
    ///
    /// If the halves are of different sockets they are given back.
    pub fn reunite(self, receiver: WebSocketReceiver) -> Result<WebSocket, ReuniteError> {
        if !Arc::ptr_eq(&self.0.shared, &receiver.0.shared) {
            return Err(ReuniteError(self, receiver));
        }
        // The halves find nothing any more that is theirs to finish.
        let mut connection = self.0.shared.lock().take();
        connection.engine().set_shared(false);
        Ok(WebSocket::from_connection(connection))
    }

    /// A receiver that waits writes what is staged, as a whole socket does before it waits.
    fn tell_receiver(&self) {
        self.0.shared.tasks.receiver.wake();
    }
}

impl WebSocketReceiver {
    /// Returns the subprotocol that the handshake chose, if any.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.0.shared.protocol.as_deref()
    }

    /// Receives the next message; see [`WebSocket::next`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::next`]. After a [`close`](WebSocketSender::close) of the other half that
    /// has run out of time it is `None` at once.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped at any time: no message is lost.
    pub async fn next(&mut self) -> Option<Result<Message>> {
        poll_fn(|cx| Stream::poll_next(Pin::new(self), cx)).await
    }
}

impl Stream for WebSocketReceiver {
    type Item = Result<Message>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0
            .drive(cx, |connection, cx| connection.engine().poll_next(cx))
    }
}

impl FusedStream for WebSocketReceiver {
    fn is_terminated(&self) -> bool {
        self.0.shared.lock().is_terminated()
    }
}

/// Closing the sink sends Close 1000 and flushes; it does not wait for the peer.
impl Sink<Message> for WebSocketSender {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let ready = self
            .0
            .drive(cx, |connection, cx| connection.engine().poll_ready(cx));
        ready.map_err(|error| *error)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<()> {
        self.0.shared.lock().engine().start_send(message)?;
        self.tell_receiver();
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0
            .drive(cx, |connection, cx| connection.engine().poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0
            .drive(cx, |connection, cx| connection.engine().poll_close_sink(cx))
    }
}

/// The halves given to [`WebSocketSender::reunite`] are of different sockets; here they are again.
#[derive(Debug, thiserror::Error)]
#[error("the halves belong to different WebSockets")]
#[non_exhaustive]
pub struct ReuniteError(pub WebSocketSender, pub WebSocketReceiver);
