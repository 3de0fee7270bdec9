//! The peer of a socket, and the stream between them, for loom.

use std::{
    collections::VecDeque,
    io::{self, Read},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures_io::{AsyncRead, AsyncWrite};
use loom::{future::block_on, sync::Mutex};

use super::threads::{Threads, wake};
use crate::{
    config::{TransportConfig, WebSocketConfig},
    connection::Established,
    message::Role,
    socket::{ReceiveHalf, SendHalf, WebSocket, split::split},
};

/// The peer's frames, masked with zeros.
pub(super) const MESSAGE: &[u8] = &[0x81, 0x81, 0, 0, 0, 0, b'!'];
pub(super) const CLOSE: &[u8] = &[0x88, 0x80, 0, 0, 0, 0];

/// The in-memory peer of a socket.
#[derive(Clone)]
pub(super) struct Peer(Arc<Mutex<Wire>>);

/// A stream between a socket and its peer.
pub(super) struct Wire {
    /// Bytes that the socket has not read yet.
    sent: VecDeque<u8>,
    has_ended: bool,
    /// Bytes that the socket has written.
    taken: Vec<u8>,
    /// How many more bytes the socket may write.
    room: usize,
    /// The number of pings sent.
    pings: usize,
    /// The length of `taken` at which the peer answers with a message.
    answer_at: Option<usize>,
    /// The wakers of the last polls, as runtimes keep them.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Peer {
    /// Returns a peer that sends a message once it has received `at` bytes.
    pub(super) fn answering(at: usize) -> Self {
        let peer = Self::default();
        peer.0.lock().unwrap().answer_at = Some(at);
        peer
    }

    /// Returns the halves of a socket that is connected to this peer.
    pub(super) fn halves(&self, runtime: Option<Arc<Threads>>) -> (SendHalf, ReceiveHalf) {
        self.connect(TransportConfig::default(), runtime)
    }

    /// Returns halves that have no space for a message until the peer accepts what is buffered.
    pub(super) fn full_halves(&self) -> (SendHalf, ReceiveHalf) {
        self.take_no_more();
        // Buffered bytes are written if possible; if not, they leave no space.
        let transport = TransportConfig::default()
            .write_buffer_size(0)
            .max_write_buffer_size(1);
        let (mut sender, receiver) = self.connect(transport, None);
        block_on(sender.feed("1".into())).unwrap();
        (sender, receiver)
    }

    /// Returns a whole socket that has no space for a message, for two tasks to share.
    pub(super) fn full_socket(&self) -> Arc<Mutex<WebSocket>> {
        let (sender, receiver) = self.full_halves();
        Arc::new(Mutex::new(sender.reunite(receiver).unwrap()))
    }

    pub(super) fn connect(
        &self,
        transport: TransportConfig,
        runtime: Option<Arc<Threads>>,
    ) -> (SendHalf, ReceiveHalf) {
        let config = WebSocketConfig::new().set_transport(transport);
        let runtime = runtime.map(|runtime| runtime as _);
        let io = Box::new(self.clone());
        let socket = WebSocket::new(Established {
            label: None,
            permit: None,
            io,
            read_ahead: Vec::new(),
            role: Role::Server,
            protocol: None,
            compression: None,
            config: &config,
            runtime,
        });
        split(socket)
    }

    /// Sends a ping with the longest payload. Returns `false`, without sending, once enough pings
    /// were sent to block a socket that writes none of its pongs.
    pub(super) fn send_ping(&self) -> bool {
        // 4 KiB of pongs are buffered; one more waits.
        const PINGS: usize = 4096 / 125 + 1;
        let mut wire = self.0.lock().unwrap();
        wire.pings += 1;
        let is_enough = wire.pings > PINGS;
        drop(wire);
        if !is_enough {
            // Masked with zeros.
            self.send(&[&[0x89, 0xfd, 0, 0, 0, 0][..], &[b'?'; 125]].concat());
        }
        !is_enough
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        let mut wire = self.0.lock().unwrap();
        wire.sent.extend(bytes);
        let reader = wire.reader.take();
        drop(wire);
        wake(reader);
    }

    pub(super) fn take_no_more(&self) {
        self.0.lock().unwrap().room = 0;
    }

    pub(super) fn take(&self, length: usize) {
        let mut wire = self.0.lock().unwrap();
        wire.room += length;
        let writer = wire.writer.take();
        drop(wire);
        wake(writer);
    }

    pub(super) fn taken(&self) -> Vec<u8> {
        self.0.lock().unwrap().taken.clone()
    }

    /// Returns whether the socket has dropped its end.
    pub(super) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

impl Default for Peer {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Wire {
            sent: VecDeque::new(),
            has_ended: false,
            taken: Vec::new(),
            room: usize::MAX,
            pings: 0,
            answer_at: None,
            reader: None,
            writer: None,
        })))
    }
}

/// The socket's end of the stream.
impl AsyncRead for Peer {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        if wire.sent.is_empty() && !wire.has_ended {
            wire.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(wire.sent.read(bytes))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.lock().unwrap();
        if wire.room == 0 {
            wire.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = bytes.len().min(wire.room);
        wire.room -= length;
        wire.taken.extend(&bytes[..length]);
        let answers = wire.answer_at.is_some_and(|at| at <= wire.taken.len());
        drop(wire);
        if answers {
            self.send(MESSAGE);
        }
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The peer ends its side too.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().has_ended = true;
        self.send(&[]);
        Poll::Ready(Ok(()))
    }
}
