//! A connection with the runtime that it lives on: its closing handshake and its end.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use async_tungstenite::tungstenite::protocol::Role;

use crate::{
    CloseFrame, Result, WebSocketConfig,
    engine::Engine,
    io::BoxIo,
    proto::dropping_frame,
    rt::{Deadline, Runtime, Timeout, has_timers},
};

/// An engine that is not dropped without having been closed.
///
/// One pointer, so that a socket is moved into its handler cheaply, and costs a future little that
/// holds it; `None` once dropped.
#[derive(Debug)]
pub(crate) struct Connection(Option<Box<Inner>>);

#[derive(Debug)]
struct Inner {
    engine: Engine,
    runtime: Option<Arc<dyn Runtime>>,
    close_timeout: Timeout,
    protocol: Option<Box<str>>,
}

impl Connection {
    /// Starts a connection on `io`, whose first bytes may have been read already (`early`).
    pub(crate) fn new(
        io: BoxIo,
        early: Vec<u8>,
        role: Role,
        protocol: Option<&str>,
        config: &WebSocketConfig,
        runtime: Option<Arc<dyn Runtime>>,
    ) -> Self {
        Self(Some(Box::new(Inner {
            engine: Engine::new(io, early, role, &config.transport),
            runtime,
            close_timeout: config.close_timeout,
            protocol: protocol.map(Into::into),
        })))
    }

    #[inline]
    pub(crate) fn engine(&mut self) -> &mut Engine {
        &mut self.inner_mut().engine
    }

    /// Returns the subprotocol that the handshake chose, if any.
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.0.as_ref()?.protocol.as_deref()
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|inner| inner.engine.is_terminated())
    }

    /// Begins to close; returns the deadline of the rest, which is `None` where nothing can wait.
    pub(crate) fn start_close(&mut self, frame: Option<CloseFrame>) -> Result<Option<Deadline>> {
        let inner = self.inner_mut();
        inner.engine.start_close(frame)?;
        let runtime = inner.runtime.as_ref();
        Ok(has_timers(runtime).then(|| Deadline::start(inner.close_timeout, runtime)))
    }

    /// Drives the closing handshake up to the deadline; without one, only the Close is written.
    pub(crate) fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        deadline: Option<&mut Deadline>,
    ) -> Poll<Result<()>> {
        let Some(deadline) = deadline else {
            return self.engine().poll_flush(cx);
        };
        if let Poll::Ready(result) = self.engine().poll_finish(cx) {
            return Poll::Ready(result);
        }
        deadline.poll_passed(cx).map(|()| self.engine().give_up())
    }

    #[inline]
    fn inner_mut(&mut self) -> &mut Inner {
        self.0.as_mut().expect("only `drop` takes it")
    }
}

/// Hands the connection to a task that closes it in order, if there is a runtime to run one.
impl Drop for Connection {
    fn drop(&mut self) {
        let Some(mut inner) = self.0.take().filter(|inner| !inner.engine.is_finished()) else {
            return;
        };
        // What fails from here on has nobody to be told to.
        let _ = inner.engine.start_close(Some(dropping_frame()));
        match inner.runtime.take().filter(|runtime| runtime.has_timers()) {
            None => inner.engine.flush_without_waiting(),
            Some(runtime) => {
                let task = finish(inner, Arc::clone(&runtime));
                runtime.spawn(Box::pin(task));
            }
        }
    }
}

/// Closes a connection that its user has dropped.
async fn finish(mut inner: Box<Inner>, runtime: Arc<dyn Runtime>) {
    let mut deadline = Deadline::start(inner.close_timeout, Some(&runtime));
    poll_fn(|cx| match inner.engine.poll_finish(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => deadline.poll_passed(cx),
    })
    .await;
}
