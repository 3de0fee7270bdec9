//! A connection with its runtime: its closing handshake and its end.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use self::driver::Driver;
pub(crate) use self::{
    driver::{Closer, Reading, SendSlot, Side, Tasks},
    hold::Hold,
};
use crate::{
    config::{Compression, WebSocketConfig},
    error::Result,
    io::BoxIo,
    life::{End, Life, Stop, Timers},
    message::{CloseFrame, Role},
    proto::dropping_frame,
    rt::{Deadline, Runtime, Timeout, has_timers},
    tracker::{Meta, Permit, Record},
};

mod driver;
mod hold;
mod operations;

/// The result of the opening handshake.
pub(crate) struct Established<'a> {
    pub(crate) io: BoxIo,
    /// Bytes of the peer that were read after the handshake.
    pub(crate) read_ahead: Vec<u8>,
    pub(crate) role: Role,
    pub(crate) protocol: Option<&'a str>,
    /// The compression that the handshake has agreed, if any.
    pub(crate) compression: Option<Compression>,
    pub(crate) config: &'a WebSocketConfig,
    pub(crate) runtime: Option<Arc<dyn Runtime>>,
    /// What counts the socket in a tracker, if there is one.
    pub(crate) permit: Option<Permit>,
    /// What the server calls such sockets, for the metrics of the tracker.
    pub(crate) label: Option<&'static str>,
}

/// A connection with its runtime. The runtime closes it when its user drops it.
///
/// It is one pointer, so that sockets are cheap to move and the futures that hold one are small. It
/// is `None` once dropped or taken.
#[derive(Debug)]
pub(crate) struct Connection(Option<Box<Inner>>);

struct Inner {
    driver: Driver,
    runtime: Option<Arc<dyn Runtime>>,
    close_timeout: Duration,
    protocol: Option<Box<str>>,
}

impl Connection {
    pub(crate) fn new(established: Established<'_>) -> Self {
        let Established {
            io,
            read_ahead,
            role,
            protocol,
            compression,
            config,
            runtime,
            permit,
            label,
        } = established;
        let seat = permit.map(|permit| permit.open(runtime.as_ref()));
        let meta = Meta::new(protocol, label);
        let record = seat
            .as_ref()
            .and_then(|seat| Record::open(seat, runtime.as_ref(), meta));
        Self(Some(Box::new(Inner {
            driver: Driver::new(
                io,
                read_ahead,
                role,
                &config.transport,
                compression.as_ref(),
                Life::start(config.life.as_ref(), runtime.as_ref(), seat),
                record,
            ),
            runtime,
            close_timeout: config.close_timeout.duration(),
            protocol: protocol.map(Into::into),
        })))
    }

    /// Returns the connection, and leaves `None` behind.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Returns the subprotocol that the handshake chose, if any.
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.0.as_ref()?.protocol.as_deref()
    }

    /// Returns whether the handshake has agreed to compression.
    pub(crate) fn has_compression(&self) -> bool {
        let inner = self.0.as_ref();
        inner.is_some_and(|inner| inner.driver.has_compression())
    }

    /// Returns the frame of the peer's Close, once it was received with a code.
    pub(crate) fn close_frame(&self) -> Option<CloseFrame> {
        self.0.as_ref()?.driver.close_frame()
    }

    pub(crate) fn runtime(&self) -> Option<Arc<dyn Runtime>> {
        self.0.as_ref()?.runtime.clone()
    }

    /// Returns the moment at which a handler of this connection is dropped, if there is one.
    pub(crate) fn stop(&self) -> Option<Stop> {
        let inner = self.0.as_ref()?;
        // The handler has as long again as the closing handshake may take.
        let grace = inner.close_timeout.saturating_mul(2);
        Stop::of(inner.driver.life()?, grace)
    }

    /// Starts to close. Returns the deadline for the rest; `None` if there is none, because nothing
    /// can wait.
    ///
    /// A `timeout` of the caller replaces the one of the settings.
    pub(crate) fn start_close(
        &mut self,
        frame: Option<CloseFrame>,
        timeout: Option<Duration>,
    ) -> Result<Option<Deadline>> {
        let inner = self.inner_mut();
        if let Some(timeout) = timeout {
            Timeout::Configured(timeout).check(inner.runtime.as_ref())?;
        }
        inner.driver.start_close(frame)?;
        let timeout = timeout.unwrap_or(inner.close_timeout);
        Ok(self.start_deadline(timeout))
    }

    /// Returns the deadline of a closing handshake that starts now, if there are timers.
    pub(crate) fn deadline(&mut self) -> Option<Deadline> {
        let timeout = self.inner_mut().close_timeout;
        self.start_deadline(timeout)
    }

    fn start_deadline(&mut self, timeout: Duration) -> Option<Deadline> {
        let runtime = self.inner_mut().runtime.as_ref();
        has_timers(runtime).then(|| Deadline::start(timeout, runtime))
    }

    /// Drives the closing handshake until the deadline. Without a deadline, it only writes the
    /// Close.
    pub(crate) fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Option<&mut Deadline>,
        closer: Closer,
    ) -> Poll<Result<()>> {
        let Some(deadline) = deadline else {
            return self.poll_flush(cx);
        };
        let driver = self.driver();
        if let Poll::Ready(result) = driver.poll_finish(cx, closer) {
            return Poll::Ready(result);
        }
        ready!(deadline.poll_passed(cx));
        Poll::Ready(self.driver().time_out(Side::Sender))
    }

    /// Closes the TCP connection until the deadline, if the peer's messages have ended and nobody
    /// else closes it.
    pub(crate) fn poll_abandoned(
        &mut self,
        cx: &mut Context<'_>,
        deadline: &mut Option<Deadline>,
    ) -> Poll<()> {
        let mut closed = self.driver().poll_finish(cx, Closer::Nobody);
        if let (Poll::Pending, Some(deadline)) = (&closed, deadline) {
            let passed = deadline.poll_passed(cx);
            closed = passed.map(|()| self.driver().time_out(Side::Receiver));
        }
        closed.map(|closed| self.driver().keep_finish_error(closed))
    }

    /// Returns the runtime that has to finish this connection because nobody else does: the peer's
    /// messages have ended, but the TCP connection has not.
    pub(crate) fn finisher(&mut self) -> Option<Arc<dyn Runtime>> {
        let inner = self.0.as_mut()?;
        if inner.driver.is_receiving() || inner.driver.is_finished() {
            return None;
        }
        inner.driver.flush_at_once();
        inner.runtime.clone().filter(|runtime| runtime.has_timers())
    }

    /// Ends the connection at once, on behalf of `caller`. Returns the waiting tasks, which the
    /// caller has to wake, and the stream, which it has to drop.
    pub(crate) fn abort(&mut self, caller: Side) -> (Tasks, Option<BoxIo>) {
        (self.driver().abort(caller), self.take_stream())
    }

    /// Returns the stream of a finished connection; see [`Driver::take_stream`].
    pub(crate) fn take_stream(&mut self) -> Option<BoxIo> {
        self.0.as_mut()?.driver.take_stream()
    }

    /// Closes a connection that its user has dropped: writes what its stream accepts at once, and
    /// leaves the rest to a task.
    ///
    /// A task may never run, for instance when a runtime shuts down. So only what has to wait is
    /// left to it.
    fn close_dropped(mut self, has_failed: bool) {
        let Some(mut inner) = self.0.take() else {
            return;
        };
        let frame = inner.dropping_frame(has_failed || std::thread::panicking());
        // Nobody is left to get an error.
        let _ = inner.driver.start_close(Some(frame));
        inner.driver.end_life();
        let is_written = inner.driver.flush_at_once();
        if inner.driver.is_finished() {
            return;
        }
        match inner.runtime.take() {
            Some(runtime) if runtime.has_timers() => {
                let task = finish(inner, Arc::clone(&runtime));
                runtime.spawn(Box::pin(task));
            }
            // A runtime such as tokio holds up a task's writes after a number of operations, to
            // make it yield. It does not hold up those of a new task.
            Some(runtime) if !is_written => runtime.spawn(Box::pin(async move {
                inner.driver.flush_at_once();
            })),
            _ => {}
        }
    }

    #[inline]
    fn driver(&mut self) -> &mut Driver {
        &mut self.inner_mut().driver
    }

    #[inline]
    fn inner_mut(&mut self) -> &mut Inner {
        self.0.as_mut().expect("only `drop` and `take` take it")
    }
}

impl Inner {
    /// Returns the Close of a connection that its user drops.
    fn dropping_frame(&self, has_failed: bool) -> CloseFrame {
        let Some(life) = self.driver.life() else {
            return dropping_frame(has_failed);
        };
        if let Some(frame) = life.drain_frame() {
            return frame;
        }
        if life.timers.as_ref().is_some_and(Timers::is_too_old) {
            return End::Lifetime.frame();
        }
        dropping_frame(has_failed)
    }
}

/// Does not show the subprotocol, because some clients use it to pass tokens.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("driver", &self.driver)
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}

/// Closes the connection: at once, or after the poll of the handler that drops it.
impl Drop for Connection {
    fn drop(&mut self) {
        let inner = self.0.as_ref();
        if inner.is_some_and(|inner| !inner.driver.is_finished())
            && let Some(connection) = hold::keep(self.take())
        {
            connection.close_dropped(false);
        }
    }
}

/// Completes the closing handshake of a connection that its user has dropped.
async fn finish(mut inner: Box<Inner>, runtime: Arc<dyn Runtime>) {
    let mut deadline = Deadline::start(inner.close_timeout, Some(&runtime));
    poll_fn(|cx| match inner.driver.poll_finish(cx, Closer::Nobody) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => {
            ready!(deadline.poll_passed(cx));
            let _ = inner.driver.time_out(Side::Receiver);
            Poll::Ready(())
        }
    })
    .await;
}
