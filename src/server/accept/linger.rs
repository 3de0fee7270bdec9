//! The end of a connection whose client was refused.

use std::{
    future::poll_fn,
    io::ErrorKind,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures_io::AsyncRead;

use crate::{
    io::BoxIo,
    rt::{Deadline, Runtime},
};

/// Bytes that are read at once, and thrown away.
const READ_SIZE: usize = 4096;

/// Reads of a refused client in one poll; then other tasks have their turn.
const LINGER_BUDGET: usize = 32;

/// Connections that may linger in a process at the same time.
///
/// Each of them keeps a file open for up to the close timeout. Most systems give a process 1,024
/// files at first: refused clients get a quarter of them.
const MAX_LINGERING: usize = 256;

/// How many connections linger.
static LINGERING: AtomicUsize = AtomicUsize::new(0);

/// One of the [`MAX_LINGERING`] places, given back on drop.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let more = |count: usize| (count < MAX_LINGERING).then_some(count + 1);
        let taken = LINGERING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        LINGERING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads on in the background until the client has closed, or the deadline has passed.
///
/// A stream dropped with unread bytes is reset, and the client might never see the answer (RFC
/// 9112, section 9.6). Without timers, or while too many others linger, it is dropped at once.
pub(super) fn linger(io: BoxIo, deadline: Deadline, runtime: Option<&Arc<dyn Runtime>>) {
    let Some(runtime) = runtime.filter(|runtime| runtime.has_timers()) else {
        return;
    };
    if let Some(place) = Place::take() {
        runtime.spawn(Box::pin(discard(io, deadline, place)));
    }
}

async fn discard(mut io: BoxIo, mut deadline: Deadline, _place: Place) {
    poll_fn(|cx| poll_discard(&mut io, cx, &mut deadline)).await;
}

/// The bytes are on the stack of a poll: in the future they would be memory of each refused client.
fn poll_discard(io: &mut BoxIo, cx: &mut Context<'_>, deadline: &mut Deadline) -> Poll<()> {
    let mut discarded = [0; READ_SIZE];
    for _ in 0..LINGER_BUDGET {
        match Pin::new(&mut *io).poll_read(cx, &mut discarded) {
            Poll::Ready(Ok(1..)) => {}
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
            Poll::Ready(_) => return Poll::Ready(()),
            Poll::Pending => return deadline.poll_passed(cx),
        }
    }
    // A client that sends without a pause keeps neither the thread nor the connection.
    cx.waker().wake_by_ref();
    deadline.poll_passed(cx)
}
