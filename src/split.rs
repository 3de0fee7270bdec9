//! The two halves of a socket, for two tasks.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc as StdArc, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use futures_core::stream::{FusedStream, Stream};
use futures_sink::Sink;

use crate::{
    CloseFrame, Error, Message, Result, WebSocket,
    connection::Connection,
    proto::Outgoing,
    sync::{Arc, AtomicWaker, Mutex, MutexGuard},
};

#[cfg(all(test, anyws_loom))]
mod loom_tests;

/// The half of a [`WebSocket`] that sends; made by [`WebSocket::split`].
///
/// While it waits for a peer that does not read, the other half receives on and answers pings.
#[derive(Debug)]
pub struct WebSocketSender(Arc<Shared>);

/// The half of a [`WebSocket`] that receives; made by [`WebSocket::split`].
///
/// Pings are answered while it is polled, also if the other half never sends.
#[derive(Debug)]
pub struct WebSocketReceiver(Arc<Shared>);

/// What the halves share. When both are dropped, the connection is closed as that of a whole socket.
struct Shared {
    /// Locked inside a poll only, never across an await.
    connection: Mutex<Connection>,
    /// A `Waker` is made of it, which only std's `Arc` can be.
    tasks: StdArc<Tasks>,
    /// A copy, to be read without the lock.
    protocol: Option<Box<str>>,
}

/// The tasks of the halves.
///
/// A stream keeps one waker for each direction, but both halves may have to read and to write: a
/// receiver writes pongs, a closing sender reads up to the peer's Close. So the stream wakes both.
#[derive(Default)]
struct Tasks {
    sender: AtomicWaker,
    receiver: AtomicWaker,
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

impl Shared {
    /// Lets the task behind `cx` drive the connection; the other one hears of what changed.
    fn drive<R>(
        &self,
        task: &AtomicWaker,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> R {
        task.register(cx.waker());
        let waker = Waker::from(StdArc::clone(&self.tasks));
        let mut connection = self.lock();
        let before = connection.engine().stage_of_life();
        let result = poll(&mut connection, &mut Context::from_waker(&waker));
        let changed = connection.engine().stage_of_life() != before;
        drop(connection);
        if changed {
            waker.wake();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a poll leaves nothing half done that the other half would trip over.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

pub(crate) fn split(socket: WebSocket) -> (WebSocketSender, WebSocketReceiver) {
    let connection = socket.into_connection();
    let protocol = connection.protocol().map(Into::into);
    let connection = Mutex::new(connection);
    let shared = Arc::new(Shared {
        connection,
        tasks: StdArc::default(),
        protocol,
    });
    (
        WebSocketSender(Arc::clone(&shared)),
        WebSocketReceiver(shared),
    )
}

impl WebSocketSender {
    /// Returns the subprotocol that the handshake chose, if any.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.0.protocol.as_deref()
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
            self.drive(cx, |connection, cx| {
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
            self.drive(cx, |connection, cx| {
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
    /// It reads up to the peer's Close itself, so that it completes though nobody receives: data
    /// that arrives meanwhile goes to the receiver if that asks first, and is discarded otherwise.
    /// The receiver gets the peer's Close in any case.
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::close`].
    ///
    /// # Cancel safety
    ///
    /// As for [`WebSocket::close`].
    pub async fn close(&mut self, frame: impl Into<Option<CloseFrame>>) -> Result<()> {
        let mut frame = Some(frame.into());
        let mut deadline = None;
        poll_fn(|cx| {
            self.drive(cx, |connection, cx| {
                if let Some(frame) = frame.take() {
                    deadline = connection.start_close(frame)?;
                }
                connection.poll_close(cx, deadline.as_mut())
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
        if !Arc::ptr_eq(&self.0, &receiver.0) {
            return Err(ReuniteError(self, receiver));
        }
        drop(receiver);
        let Ok(shared) = Arc::try_unwrap(self.0) else {
            unreachable!("a socket has two halves, and one was dropped");
        };
        let connection = shared
            .connection
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(WebSocket::from_connection(connection))
    }

    fn drive<R>(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> R {
        self.0.drive(&self.0.tasks.sender, cx, poll)
    }

    /// A receiver that waits writes what is staged, as a whole socket does before it waits.
    fn tell_receiver(&self) {
        self.0.tasks.receiver.wake();
    }
}

impl WebSocketReceiver {
    /// Returns the subprotocol that the handshake chose, if any.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.0.protocol.as_deref()
    }

    /// Receives the next message; see [`WebSocket::next`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocket::next`].
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
        let tasks = &self.0.tasks;
        self.0.drive(&tasks.receiver, cx, |connection, cx| {
            connection.engine().poll_next(cx)
        })
    }
}

impl FusedStream for WebSocketReceiver {
    fn is_terminated(&self) -> bool {
        self.0.lock().is_terminated()
    }
}

/// Closing the sink sends Close 1000 and flushes; it does not wait for the peer.
impl Sink<Message> for WebSocketSender {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let ready = self.drive(cx, |connection, cx| connection.engine().poll_ready(cx));
        ready.map_err(|error| *error)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<()> {
        self.0.lock().engine().start_send(message)?;
        self.tell_receiver();
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.drive(cx, |connection, cx| connection.engine().poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.drive(cx, |connection, cx| connection.engine().poll_close_sink(cx))
    }
}

/// The halves given to [`WebSocketSender::reunite`] are of different sockets; here they are again.
#[derive(Debug, thiserror::Error)]
#[error("the halves belong to different WebSockets")]
#[non_exhaustive]
pub struct ReuniteError(pub WebSocketSender, pub WebSocketReceiver);
