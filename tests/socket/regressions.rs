//! What was found broken once, and what a peer may not do to others.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use anyws::{
    Error, Message, ServerHandshake, TransportConfig, WebSocketConfig, WebSocketUpgrade,
    testing::{self, Duplex},
};
use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt, channel::oneshot, future::join,
    poll,
};
use support::{
    config,
    frames::{Frame, PING, PONG, with_peer},
    raw::{Request, masked},
    runtimes,
};

/// A client that sends the same bytes for ever, as fast as they are read, after what it sends
/// first.
struct Flood {
    first: io::Cursor<Vec<u8>>,
    again: Vec<u8>,
    /// Tells of its end.
    dropped: Option<oneshot::Sender<()>>,
}

impl Flood {
    fn new(first: Vec<u8>, again: Vec<u8>) -> Self {
        let first = io::Cursor::new(first);
        Self {
            first,
            again,
            dropped: None,
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        if let Some(dropped) = self.dropped.take() {
            let _ = dropped.send(());
        }
    }
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let length = io::Read::read(&mut self.first, buf)?;
        if length > 0 {
            return Poll::Ready(Ok(length));
        }
        let whole = buf.len() / self.again.len();
        let length = whole * self.again.len();
        buf[..length].copy_from_slice(&self.again.repeat(whole));
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream whose first writes wait, and wake nobody when they need not any more.
struct Reluctant {
    io: Duplex,
    waits: usize,
}

impl AsyncRead for Reluctant {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Reluctant {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.waits > 0 {
            self.waits -= 1;
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

runtimes! {
    async fn a_peer_whose_pongs_can_be_written_after_all_is_read_from(rt) {
        let limits = TransportConfig::default().write_buffer_size(0).max_write_buffer_size(1);
        let (mut near, io) = testing::duplex();
        // The flush for the second ping waits, and so does the first one of the third `next`.
        let stream = Reluctant { io, waits: 2 };
        let mut socket = testing::server(stream, &config(&rt).set_transport(limits)).unwrap();
        let frames = [Frame::new(PING, "one"), Frame::new(PING, "two"), Frame::text("last")];
        near.write_all(&frames.map(|frame| frame.masked()).concat()).await.unwrap();
        for expected in [Message::Ping("one".into()), Message::Ping("two".into()), "last".into()] {
            let received = socket.next().now_or_never().expect("it has arrived");
            assert_eq!(received.unwrap().unwrap(), expected);
        }
    }

    async fn a_flood_of_fragments_leaves_others_their_turn(rt) {
        let mut first = Request::new().bytes();
        first.extend(masked(0x02, b""));
        let flood = Flood::new(first, masked(0x00, b""));
        let mut socket = anyws::accept(flood, config(&rt)).await.unwrap();
        // None of the fragments ends the message: a poll that does not give up never returns.
        for _ in 0..10 {
            assert!(poll!(Box::pin(socket.next())).is_pending());
        }
    }

    async fn a_flood_of_messages_leaves_others_their_turn(rt) {
        let again = masked(0x82, b"four");
        let flood = Flood::new(Request::new().bytes(), again);
        let mut socket = anyws::accept(flood, config(&rt)).await.unwrap();
        // A handler that loops on `next` has to come to a wait, though there always is a message.
        while let Poll::Ready(message) = poll!(Box::pin(socket.next())) {
            assert_eq!(message.unwrap().unwrap(), Message::binary("four".as_bytes()));
        }
    }

    async fn a_refused_client_that_floods_is_dropped_in_time(rt) {
        let (sender, dropped) = oneshot::channel();
        let mut flood = Flood::new(Request::plain().line("Host: a").bytes(), vec![0]);
        flood.dropped = Some(sender);
        let config = config(&rt).set_close_timeout(Duration::from_millis(50));
        let refused = anyws::accept(flood, config).await;
        assert!(matches!(refused, Err(Error::Rejected(_))), "{refused:?}");
        assert_eq!(dropped.await, Ok(()));
    }

    async fn pongs_are_bounded_also_where_the_write_buffer_is_not(rt) {
        let transport = TransportConfig::default().max_write_buffer_size(usize::MAX);
        let (mut socket, mut peer) = with_peer(&config(&rt).set_transport(transport)).await;
        // Reads what there is, and answers it, until it waits for more or for the peer to read.
        let mut pings = 0;
        for _ in 0..10_000 {
            let ping = Box::pin(peer.send(Frame::new(PING, [7; 125])));
            if ping.now_or_never().is_none() {
                // 64 KiB are under way each way, and 128 KiB of pongs may wait.
                assert!(pings < 3_000, "{pings}");
                return;
            }
            while let Poll::Ready(message) = poll!(Box::pin(socket.next())) {
                assert!(message.unwrap().unwrap().is_ping());
                pings += 1;
            }
        }
        panic!("{pings} pings were taken from a peer that reads nothing");
    }

    async fn a_receiver_that_waits_writes_what_the_other_half_feeds(rt) {
        let (mut client, server) = testing::pair_with(&config(&rt)).unwrap();
        let (mut sender, mut receiver) = server.split();
        let (waiting, is_waiting) = oneshot::channel();
        rt.spawn(Box::pin(async move {
            let mut next = Box::pin(receiver.next());
            assert!(poll!(&mut next).is_pending());
            waiting.send(()).unwrap();
            assert!(next.await.unwrap().unwrap().is_close());
        }));
        is_waiting.await.unwrap();
        sender.feed("buffered".into()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("buffered"));
        drop(sender);
        client.close(None).await.unwrap();
    }

    async fn no_pong_follows_a_close_that_was_sent_as_a_message(rt) {
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        let pings = ["one", "two"].map(|payload| Frame::new(PING, payload).masked());
        peer.send_bytes(&pings.concat()).await;
        for payload in ["one", "two"] {
            let ping = Message::Ping(payload.into());
            assert_eq!(socket.next().await.unwrap().unwrap(), ping);
        }
        socket.send(Message::Close(None)).await.unwrap();
        let (closed, (frames, _)) = join(socket.close(None), peer.see_off()).await;
        closed.unwrap();
        assert_eq!(frames, ["one", "two"].map(|payload| Frame::new(PONG, payload)));
    }

    async fn control_frames_pass_whatever_the_limits(rt) {
        let transport = TransportConfig::default().max_message_size(1).max_frame_size(1);
        let (mut client, mut server) =
            testing::pair_with(&config(&rt).set_transport(transport)).unwrap();
        let ping = Message::Ping(vec![7; 125].into());
        client.send(ping.clone()).await.unwrap();
        assert_eq!(server.next().await.unwrap().unwrap(), ping);
    }

    async fn a_read_buffer_of_any_size_is_no_panic(rt) {
        let transport = TransportConfig::default().read_buffer_size(usize::MAX);
        let (mut client, mut server) =
            testing::pair_with(&config(&rt).set_transport(transport)).unwrap();
        client.send("hello".into()).await.unwrap();
        assert_eq!(server.next().await.unwrap().unwrap(), Message::text("hello"));
    }

    async fn debug_shows_no_messages(rt) {
        let (mut client, mut server) = testing::pair_with(&config(&rt)).unwrap();
        for _ in 0..2 {
            client.feed("secret".into()).await.unwrap();
        }
        client.flush().await.unwrap();
        server.next().await.unwrap().unwrap();
        server.feed("secret".into()).await.unwrap();
        let shown = format!("{server:?}");
        // The bytes of `secret`, as a slice of bytes would show them.
        assert!(!shown.contains("secret") && !shown.contains("115, 101, 99"), "{shown}");
    }

    async fn a_204_has_neither_length_nor_body(rt) {
        for status in [204, 304] {
            let (near, mut far) = testing::duplex();
            far.write_all(&Request::new().bytes()).await.unwrap();
            let handshake = ServerHandshake::read(near, config(&rt)).await.unwrap();
            let response = http::Response::builder().status(status).body("body").unwrap();
            handshake.reject(response).await.unwrap();
            let mut answer = String::new();
            far.read_to_string(&mut answer).await.unwrap();
            assert!(!answer.contains("content-length"), "{answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        }
    }

    async fn a_connection_whose_future_panics_is_told_of(rt) {
        let (mut request, _client) = testing::upgrade("/");
        let upgrade = anyws::UpgradeIo::new::<Duplex>(async { panic!("on purpose") });
        request.extensions_mut().insert(upgrade);
        let (failed, failure) = oneshot::channel();
        let ws = WebSocketUpgrade::<String>::from_request(&mut request).unwrap();
        let response = ws
            .runtime(Arc::clone(&rt))
            .on_failed_upgrade(|error| failed.send(error).unwrap())
            .on_upgrade(|_| async {});
        assert_eq!(response.status(), 101);
        assert!(matches!(failure.await, Ok(Error::Upgrade(_))));
    }
}

#[cfg(feature = "rt-tokio")]
mod a_tokio_runtime_that_was_shut_down {
    use super::*;

    #[test]
    fn is_no_panic_of_close() {
        support::bounded(|| {
            let tokio = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let rt = Arc::new(anyws::TokioRuntime::new(tokio.handle().clone()));
            let config = WebSocketConfig::new().set_runtime(rt);
            let (mut client, _server) = testing::pair_with(&config).unwrap();
            drop(tokio);
            // Nobody answers, and no timer fires: it is given up.
            let closed = futures::executor::block_on(client.close(None));
            assert!(
                matches!(closed, Ok(()) | Err(Error::Timeout(_))),
                "{closed:?}"
            );
        });
    }
}

#[cfg(feature = "rt-smol")]
mod an_executor_of_smol {
    use super::*;

    #[test]
    fn is_not_kept_alive_by_the_sockets_on_it() {
        support::bounded(|| {
            let executor = Arc::new(smol::Executor::new());
            let rt = Arc::new(anyws::SmolRuntime::with_executor(&executor));
            let (mut request, client) = testing::upgrade("/");
            let (open, is_open) = oneshot::channel();
            let ws = WebSocketUpgrade::<String>::from_request(&mut request).unwrap();
            let response = ws.runtime(rt).on_upgrade(|mut socket| async move {
                open.send(()).unwrap();
                socket.next().await;
            });
            let client = client.open(&response).unwrap();
            smol::block_on(executor.run(is_open)).unwrap();
            assert_eq!(Arc::strong_count(&executor), 1);
            drop(client);
        });
    }
}

/// A stream that gives what it has, and whose writes go as they are told: one that is not told
/// waits.
struct Told {
    incoming: io::Cursor<Vec<u8>>,
    takes: Arc<Mutex<VecDeque<bool>>>,
}

impl AsyncRead for Told {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(io::Read::read(&mut self.incoming, buf))
    }
}

impl AsyncWrite for Told {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.takes.lock().unwrap().pop_front() {
            Some(true) => Poll::Ready(Ok(buf.len())),
            _ => Poll::Pending,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A socket that had stopped to read because its pongs were not taken looked at its state when some
/// had been: where the rest was taken in the same poll, it neither read on nor was woken.
#[test]
fn pongs_that_are_taken_within_one_poll_make_a_socket_read_on() {
    let ping = masked(0x80 | PING, &[7; 125]);
    let takes = Arc::<Mutex<VecDeque<bool>>>::default();
    let stream = Told {
        incoming: io::Cursor::new(ping.repeat(100)),
        takes: Arc::clone(&takes),
    };
    let transport = TransportConfig::default()
        .write_buffer_size(0)
        .max_write_buffer_size(200);
    let config = WebSocketConfig::new().set_transport(transport);
    let mut socket = testing::server(stream, &config).unwrap();
    let received = std::iter::from_fn(|| socket.next().now_or_never()).take(100);
    let received = received.count();
    assert!(received < 100, "it does not stop to read");

    takes.lock().unwrap().extend([true, false, true]);
    let next = socket.next().now_or_never().flatten();
    assert!(matches!(next, Some(Ok(Message::Ping(_)))), "{next:?}");
}
