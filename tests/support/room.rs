//! A stream that takes as many bytes as a test gives it room for.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};

/// The stream. Nothing arrives on it, and it does not wake a writer that waits for room.
pub struct Narrow {
    room: Room,
    /// The most bytes that one write takes.
    most: usize,
}

/// How many more bytes a stream takes; the test keeps it.
#[derive(Clone, Default)]
pub struct Room(Arc<AtomicUsize>);

impl Narrow {
    /// Makes a stream that has no room yet, and takes at most `most` bytes with one write.
    pub fn new(most: usize) -> (Self, Room) {
        let room = Room::default();
        let this = Self {
            room: room.clone(),
            most,
        };
        (this, room)
    }
}

impl Room {
    pub fn give(&self, bytes: usize) {
        self.0.fetch_add(bytes, Relaxed);
    }

    /// Returns how many bytes the stream still takes.
    pub fn left(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl AsyncRead for Narrow {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Narrow {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = buf.len().min(self.most).min(self.room.left());
        if taken == 0 {
            return Poll::Pending;
        }
        self.room.0.fetch_sub(taken, Relaxed);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
