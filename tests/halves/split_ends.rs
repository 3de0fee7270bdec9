//! The end of a split socket, and of one whose stream fails or buffers: who is told, and who
//! closes.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use anyws::{
    Error, Message, ReceiveHalf, TimeoutPhase, WebSocketConfig,
    testing::{Duplex, duplex, duplex_with_capacity},
};
use futures::{AsyncRead, AsyncWrite, FutureExt};
use support::{
    config,
    frames::{CLOSE, Frame, Peer, Role},
    runtimes,
    scripted::Scripted,
    sockets::{close, patient},
    tasks::{spawn, yield_to_tasks},
};

/// Long enough to be seen, short enough for a test that is to wait for it.
const SHORT: Duration = Duration::from_millis(50);

runtimes! {
    async fn a_send_whose_bytes_are_given_up_in_the_background_is_no_success(rt) {
        let (near, far) = duplex_with_capacity(64);
        let socket = Role::Server.socket(far, &config(&rt).set_close_timeout(SHORT));
        let (mut sender, mut receiver) = socket.split();
        let mut peer = Peer::new(near);
        let buffered = sender.feed(Message::binary(vec![7; 100_000])).await;
        buffered.unwrap();
        let sending = spawn(&rt, async move { (sender.flush().await, sender) });
        yield_to_tasks(&rt).await;
        peer.send(Frame::close(1000, "")).await;
        assert!(receiver.next().await.unwrap().unwrap().is_close());
        // From here on a task closes the connection, and gives up on a peer that does not read.
        drop(receiver);
        let (sent, mut sender) = sending.await.unwrap();
        assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
        let closed = sender.close(None).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
    }

    async fn a_receiver_that_was_told_of_a_failed_write_ends_the_connection(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let socket = Role::Server.socket(far, &config(&rt).set_close_timeout(SHORT));
        let (mut sender, mut receiver) = socket.split();
        script.fail_writes(ErrorKind::BrokenPipe);
        sender.feed("lost".into()).await.unwrap();
        let item = receiver.next().await;
        assert!(matches!(item, Some(Err(Error::Io(_)))), "{item:?}");
        drop(receiver);
        // The sender idles.
        script.dropped().await;
        let sent = sender.flush().await;
        assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
        drop(near);
    }

    async fn close_does_not_wait_for_a_receiver_that_has_seen_its_end(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let socket = Role::Server.socket(far, &patient(&rt));
        let (mut sender, mut receiver) = socket.split();
        script.fail_writes(ErrorKind::BrokenPipe);
        sender.feed("lost".into()).await.unwrap();
        assert!(matches!(receiver.next().await, Some(Err(Error::Io(_)))));
        drop(near);
        let closed = sender.close(None).await;
        assert!(matches!(closed, Err(Error::Io(_))), "{closed:?}");
    }

    async fn an_answer_to_a_close_that_nobody_takes_is_no_error(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        let mut peer = Peer::new(near);
        script.fail_writes(ErrorKind::BrokenPipe);
        peer.send(Frame::close(1000, "")).await;
        peer.finish().await;
        assert!(socket.next().await.unwrap().unwrap().is_close());
        assert!(socket.next().await.is_none());
        socket.close(None).await.unwrap();
    }

    async fn an_answer_to_a_close_that_nobody_takes_later_is_no_error_either(rt) {
        // Room for one message, and for no answer behind it.
        let (near, far) = duplex_with_capacity(6);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        let mut peer = Peer::new(near);
        socket.send("1234".into()).await.unwrap();
        peer.send(Frame::new(CLOSE, [])).await;
        assert!(socket.next().await.unwrap().unwrap().is_close());
        drop(peer);
        socket.close(None).await.unwrap();
    }

    async fn a_message_that_the_answer_to_a_close_takes_with_it_is_an_error(rt) {
        let (near, far) = duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        let mut peer = Peer::new(near);
        script.fail_writes(ErrorKind::BrokenPipe);
        socket.feed("lost".into()).await.unwrap();
        peer.send(Frame::close(1000, "")).await;
        peer.finish().await;
        assert!(socket.next().await.unwrap().unwrap().is_close());
        let closed = socket.close(None).await;
        assert!(matches!(closed, Err(Error::Io(_))), "{closed:?}");
    }

    async fn a_close_that_stays_in_a_stream_that_buffers_was_not_written(rt) {
        let (near, far) = duplex();
        let mut stuck = Wrapped::new(far);
        stuck.keeps = true;
        let mut socket = Role::Server.socket(stuck, &config(&rt).set_close_timeout(SHORT));
        let mut peer = Peer::new(near);
        peer.send(Frame::new(CLOSE, [3, 232])).await;
        let closed = socket.close(None).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
    }

    async fn a_stream_that_cannot_be_shut_down_loses_neither_message_nor_reason(rt) {
        for is_split in [false, true] {
            let (near, far) = duplex();
            let mut stream = Wrapped::new(far);
            stream.fails_to_close = true;
            let mut socket = Role::Server.socket(stream, &patient(&rt));
            let mut peer = Peer::new(near);
            peer.send(Frame::text("last")).await;
            peer.send(Frame::close(4000, "why")).await;
            peer.finish().await;
            let items = if is_split {
                let (mut sender, mut receiver) = socket.split();
                let items = [receiver.next().await, receiver.next().await];
                sender.close(None).await.unwrap();
                items
            } else {
                let items = [socket.next().await, socket.next().await];
                socket.close(None).await.unwrap();
                items
            };
            let expected = [Message::text("last"), close(4000, "why")];
            assert_eq!(items.map(|item| item.unwrap().unwrap()), expected);
        }
    }

    /// A registry, for instance, that is owned by the stream.
    async fn a_stream_may_own_a_half_of_its_socket(rt) {
        let (near, far) = duplex();
        let stream = Wrapped::new(far);
        let owned = Arc::clone(&stream.owned);
        let socket = Role::Server.socket(stream, &config(&rt).set_close_timeout(SHORT));
        let (mut sender, receiver) = socket.split();
        *owned.lock().unwrap() = Some(receiver);
        let closed = sender.close(None).await;
        assert!(matches!(closed, Err(Error::Timeout(TimeoutPhase::Close))), "{closed:?}");
        assert!(owned.lock().unwrap().is_none(), "the stream was dropped");
        drop(near);
    }
}

/// A stream that may own a half, or keep all that is written to it.
struct Wrapped {
    io: Duplex,
    /// Writes end in a buffer, which is never flushed.
    keeps: bool,
    /// It cannot be shut down.
    fails_to_close: bool,
    owned: Arc<Mutex<Option<ReceiveHalf>>>,
}

impl Wrapped {
    fn new(io: Duplex) -> Self {
        Self {
            io,
            keeps: false,
            fails_to_close: false,
            owned: Arc::default(),
        }
    }
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        let owned = self.owned.lock().unwrap().take();
        drop(owned);
    }
}

impl AsyncRead for Wrapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wrapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.keeps {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.keeps {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.keeps {
            return Poll::Pending;
        }
        if self.fails_to_close {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        }
        Pin::new(&mut self.io).poll_close(cx)
    }
}

/// The sender learns of what a panic of the stream has cost it while the receiver was dropped.
#[test]
fn a_send_that_a_panic_of_the_stream_has_cost_is_no_success() {
    let is_armed = Arc::new(AtomicBool::new(false));
    let (near, far) = duplex_with_capacity(64);
    let socket = Role::Server.socket(Mine(far, Arc::clone(&is_armed)), &WebSocketConfig::new());
    let (mut sender, mut receiver) = socket.split();
    let mut peer = Peer::new(near);
    let mut sending = Box::pin(sender.send(Message::binary(vec![7; 100_000])));
    assert!((&mut sending).now_or_never().is_none());
    peer.send(Frame::close(1000, "")).now_or_never().unwrap();
    assert!(
        receiver
            .next()
            .now_or_never()
            .unwrap()
            .unwrap()
            .unwrap()
            .is_close()
    );
    is_armed.store(true, SeqCst);
    drop(receiver);
    let sent = sending.now_or_never();
    assert!(matches!(sent, Some(Err(Error::Io(_)))), "{sent:?}");
}

/// A stream whose writes panic when the test says so.
struct Mine(Duplex, Arc<AtomicBool>);

impl AsyncRead for Mine {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Mine {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.1.load(SeqCst), "the stream is broken");
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
