//! Lingering: how a connection ends after its client was refused.

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

/// How many bytes one read takes and discards.
const READ_SIZE: usize = 4096;

/// How many reads of a refused client one poll may make before it yields.
const LINGER_BUDGET: usize = 32;

/// How many connections of a process may linger at the same time.
///
/// Each of them keeps a file open for up to the close timeout. Most systems allow a process 1,024
/// files by default; refused clients get a quarter of them.
const MAX_LINGERING: usize = 256;

/// The number of connections that linger.
static LINGERING: AtomicUsize = AtomicUsize::new(0);

/// One of the [`MAX_LINGERING`] slots; dropping it frees the slot.
struct Slot;

impl Slot {
    fn take() -> Option<Self> {
        let more = |count: usize| (count < MAX_LINGERING).then_some(count + 1);
        let taken = LINGERING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        LINGERING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps reading in the background until the client has closed or the deadline has passed.
///
/// Dropping a stream with unread bytes resets the connection, and the client might never see the
/// answer (RFC 9112, section 9.6). Without timers, or while too many others linger, the stream is
/// dropped at once.
pub(super) fn linger(io: BoxIo, deadline: Deadline, runtime: Option<&Arc<dyn Runtime>>) {
    let Some(runtime) = runtime.filter(|runtime| runtime.has_timers()) else {
        return;
    };
    if let Some(slot) = Slot::take() {
        runtime.spawn(Box::pin(discard(io, deadline, slot)));
    }
}

async fn discard(mut io: BoxIo, mut deadline: Deadline, _slot: Slot) {
    poll_fn(|cx| poll_discard(&mut io, cx, &mut deadline)).await;
}

/// Reads and discards bytes. They are on the stack of a poll: in the future, each refused client
/// would hold that memory.
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
    // A client that sends without a pause must not starve the thread or keep the connection.
    cx.waker().wake_by_ref();
    deadline.poll_passed(cx)
}
