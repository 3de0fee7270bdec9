//! A connection with the runtime that it lives on: its closing handshake and its end.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use async_tungstenite::tungstenite::protocol::Role;

use crate::{
    CloseFrame, Result, WebSocketConfig,
    engine::{Engine, drop_frame},
    io::BoxIo,
    rt::{Deadline, Runtime, Timeout, has_timers},
};

/// An engine that is not dropped without having been closed.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Boxed, so that a socket is moved into its handler cheaply; `None` once dropped.
    engine: Option<Box<Engine>>,
    runtime: Option<Arc<dyn Runtime>>,
    close_timeout: Timeout,
}

impl Connection {
    /// Starts a connection on `io`, whose first bytes may have been read already (`early`).
    pub(crate) fn new(
        io: BoxIo,
        early: Vec<u8>,
        role: Role,
        config: &WebSocketConfig,
        runtime: Option<Arc<dyn Runtime>>,
    ) -> Self {
        Self {
            engine: Some(Box::new(Engine::new(io, early, role, config.transport))),
            runtime,
            close_timeout: config.close_timeout,
        }
    }

    pub(crate) fn engine(&mut self) -> &mut Engine {
        self.engine.as_mut().expect("only `drop` takes the engine")
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.engine
            .as_ref()
            .is_none_or(|engine| engine.is_terminated())
    }

    /// Begins to close; returns the deadline of the rest, which is `None` where nothing can wait.
    pub(crate) fn start_close(
        &mut self,
        cx: &mut Context<'_>,
        frame: Option<CloseFrame>,
    ) -> Result<Option<Deadline>> {
        self.engine().start_close(cx, frame)?;
        let runtime = self.runtime.as_ref();
        Ok(has_timers(runtime).then(|| Deadline::start(self.close_timeout, runtime)))
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
}

/// Hands the connection to a task that closes it in order, if there is a runtime to run one.
impl Drop for Connection {
    fn drop(&mut self) {
        let Some(mut engine) = self.engine.take().filter(|engine| !engine.is_finished()) else {
            return;
        };
        let cx = &mut Context::from_waker(Waker::noop());
        // What fails from here on has nobody to be told to.
        let _ = engine.start_close(cx, Some(drop_frame()));
        match self.runtime.take().filter(|runtime| runtime.has_timers()) {
            None => {
                let _ = engine.poll_flush(cx);
            }
            Some(runtime) => {
                let task = finish(engine, Arc::clone(&runtime), self.close_timeout);
                runtime.spawn(Box::pin(task));
            }
        }
    }
}

/// Closes a connection that its user has dropped.
async fn finish(mut engine: Box<Engine>, runtime: Arc<dyn Runtime>, timeout: Timeout) {
    let mut deadline = Deadline::start(timeout, Some(&runtime));
    poll_fn(|cx| match engine.poll_finish(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => deadline.poll_passed(cx),
    })
    .await;
}
