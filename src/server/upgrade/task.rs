//! The task of a connection: it waits for the socket, then runs the handler.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use futures_core::future::BoxFuture;
use futures_util::FutureExt;

use super::{HandlerOutput, Upgrading, output::sealed::Output};
use crate::{
    connection::Hold,
    error::{BoxError, Error},
    life::Stop,
    rt::Runtime,
    socket::WebSocket,
    trace::{self, TaskSpan},
    tracker::{Guarded, Seat},
};

/// A callback for an upgrade that fails.
pub(super) type Callback = Box<dyn FnOnce(Error) + Send>;

/// A callback for a handler that fails.
pub(super) type ErrorCallback = Box<dyn FnOnce(BoxError) + Send>;

/// Calls `on_failed_upgrade` if the task that owns it is dropped before a handler has started.
///
/// Otherwise nobody would notice that the handler never runs because the runtime was shut down or
/// its executor is gone.
pub(super) struct Guard {
    callback: Option<Callback>,
    /// Becomes `true` if the task is dropped. `None` once there is nothing to guard.
    is_dropped: Option<Arc<AtomicBool>>,
}

/// Shows whether a runtime has dropped a task.
pub(super) struct Watch(Arc<AtomicBool>);

impl Guard {
    pub(super) fn new(callback: Option<Callback>) -> (Self, Watch) {
        let is_dropped = Arc::default();
        let guard = Self {
            callback,
            is_dropped: Some(Arc::clone(&is_dropped)),
        };
        (guard, Watch(is_dropped))
    }

    /// Disables the callback: a handler has the socket.
    fn disarm(mut self) {
        self.is_dropped = None;
    }

    /// Calls `on_failed_upgrade` with `error`.
    pub(super) fn fail(mut self, error: Error) {
        self.is_dropped = None;
        if let Some(callback) = self.callback.take() {
            callback(error);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(is_dropped) = self.is_dropped.take() else {
            return;
        };
        is_dropped.store(true, Ordering::SeqCst);
        if let Some(callback) = self.callback.take() {
            // A panic that leaves a destructor during unwinding aborts the process. The panic hook
            // has already reported this one.
            let _ = catch_unwind(AssertUnwindSafe(|| callback(dropped())));
        }
    }
}

impl Watch {
    pub(super) fn is_dropped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Returns the error of a task that was dropped before its handler had started.
pub(super) fn dropped() -> Error {
    Error::Upgrade(
        "the runtime dropped the task of the connection before its handler ran: it was shut down, \
         its executor no longer exists, or the deadline of a drain has passed"
            .into(),
    )
}

/// Hands a task to its runtime.
pub(super) fn spawn(runtime: &Arc<dyn Runtime>, task: BoxFuture<'static, ()>) {
    // A runtime may poll the task at once, and this call may be inside another handler.
    let _suspended = Hold::suspend();
    runtime.spawn(task);
}

/// The parts of a connection's task, except its handler.
pub(super) struct Job {
    pub(super) upgrading: Upgrading,
    pub(super) guard: Guard,
    pub(super) on_handler_error: Option<ErrorCallback>,
    pub(super) span: TaskSpan,
}

impl Job {
    /// Creates the task, which waits for the socket and runs the handler.
    pub(super) fn into_task<H, Fut>(self, handler: H) -> BoxFuture<'static, ()>
    where
        H: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output: HandlerOutput> + Send + 'static,
    {
        let Self {
            upgrading,
            guard,
            mut on_handler_error,
            span,
        } = self;
        // A server has such a task for each socket, so they are small: blocks, because an `async
        // fn` would hold its arguments twice, and a smaller one for handlers that cannot fail.
        if !Fut::Output::MAY_FAIL {
            return contained(upgrading.task_seat(), span, async move {
                let Some(socket) = upgraded(upgrading, guard).await else {
                    return;
                };
                if socket.has_lifetime() {
                    until_stopped(socket, handler).await;
                } else {
                    handler(socket).await;
                }
            });
        }
        contained(upgrading.task_seat(), span, async move {
            let Some(socket) = upgraded(upgrading, guard).await else {
                return;
            };
            let stop = socket.stop().map(Box::new);
            // This block calls the handler in the first poll, and drops its future in the last one.
            let mut handler = pin!(async { handler(socket).await });
            poll_fn(|cx| {
                let handler = handler.as_mut();
                poll_held(handler, stop.as_deref(), cx, &mut on_handler_error)
            })
            .await;
        })
    }
}

/// Polls a handler that may fail, unless it is stopped, and closes the sockets that it drops by its
/// result.
fn poll_held<Fut>(
    handler: Pin<&mut Fut>,
    stop: Option<&Stop>,
    cx: &mut Context<'_>,
    on_handler_error: &mut Option<ErrorCallback>,
) -> Poll<()>
where
    Fut: Future<Output: HandlerOutput>,
{
    if is_stopped(stop, cx) {
        return Poll::Ready(());
    }
    let mut hold = Hold::begin();
    let output = ready!(handler.poll(cx));
    if let Err(error) = output.into_result() {
        // Closes the sockets that the handler has dropped, with 1011.
        hold.fail();
        if let Some(on_error) = on_handler_error.take() {
            on_error(error);
        }
    }
    Poll::Ready(())
}

/// Runs a handler until its socket is too old. Boxed, because few sockets have a maximum lifetime,
/// and the tasks of the others would be larger.
fn until_stopped<H, Fut>(socket: WebSocket, handler: H) -> BoxFuture<'static, ()>
where
    H: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
{
    let stop = socket.stop();
    Box::pin(async move {
        let mut handler = pin!(handler(socket));
        poll_fn(|cx| {
            if is_stopped(stop.as_ref(), cx) {
                return Poll::Ready(());
            }
            handler.as_mut().poll(cx).map(drop)
        })
        .await;
    })
}

/// Returns whether the handler has to be dropped: its socket is older than it may become.
fn is_stopped(stop: Option<&Stop>, cx: &Context<'_>) -> bool {
    let is_stopped = stop.is_some_and(|stop| stop.poll(cx).is_ready());
    if is_stopped {
        trace::task_too_old();
    }
    is_stopped
}

/// Waits for the socket of a connection; passes a failure to the guard's callback.
fn upgraded(upgrading: Upgrading, guard: Guard) -> impl Future<Output = Option<WebSocket>> {
    AssertUnwindSafe(upgrading).catch_unwind().map(|upgraded| {
        let panicked = |_| Err(Error::Upgrade("its future has panicked".into()));
        match upgraded.unwrap_or_else(panicked) {
            Ok(socket) => {
                guard.disarm();
                Some(socket)
            }
            Err(error) => {
                guard.fail(error);
                None
            }
        }
    })
}

/// Creates a task that runs in a span and contains its panics. If a tracker counts it, it ends at
/// the deadline of a drain.
fn contained(
    seat: Option<Seat>,
    span: TaskSpan,
    task: impl Future<Output = ()> + Send + 'static,
) -> BoxFuture<'static, ()> {
    // The panic hook has reported the panic, and dropping the socket closes it.
    match seat {
        None => {
            let task = AssertUnwindSafe(task).catch_unwind();
            Box::pin(span.instrument(task.map(|ended| trace::task_ended(&ended.map(Some)))))
        }
        Some(seat) => {
            let task = AssertUnwindSafe(Guarded::new(task, seat)).catch_unwind();
            Box::pin(span.instrument(task.map(|ended| trace::task_ended(&ended))))
        }
    }
}
