//! Bursts of pings: a peer that reads has each of them answered, in few writes, whatever budget its
//! runtime gives a task.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use anyws::{Message, WebSocket, WebSocketConfig};
use futures::{AsyncRead, AsyncWrite};
#[cfg(any(feature = "rt-smol", feature = "rt-tokio"))]
use support::tcp;
use support::{
    frames::{Frame, PING, PONG, Role, TEXT, with_peer},
    raw::masked,
    runtimes,
    scripted::Scripted,
    sockets::{assert_waits, patient},
    tasks::waker,
};

/// More than the operations that tokio allows a task before it has to yield.
const PINGS: usize = 300;

/// A pong to a ping of 5 bytes, as a server sends it.
fn pong(number: usize) -> Vec<u8> {
    Frame::new(PONG, format!("{number:05}")).bytes(Role::Server)
}

/// Pings with their numbers, as a client sends them, and a text behind them.
fn burst() -> Vec<u8> {
    let pings =
        (0..PINGS).flat_map(|number| masked(0x80 | PING, format!("{number:05}").as_bytes()));
    pings.chain(masked(0x80 | TEXT, b"the end")).collect()
}

/// Receives up to the text, and goes on to wait for more.
async fn receive(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() {
            break;
        }
    }
}

runtimes! {
    async fn each_ping_of_a_burst_is_answered_in_few_writes(rt) {
        let (near, far) = anyws::testing::duplex();
        let (far, script) = Scripted::new(far);
        let mut socket = support::frames::server(far, &patient(&rt)).await;
        let mut peer = support::frames::Peer::new(near);
        peer.send_bytes(&burst()).await;
        for number in 0..PINGS {
            let item = socket.next().await.unwrap().unwrap();
            assert_eq!(item, Message::Ping(format!("{number:05}").into()));
        }
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("the end"));
        assert_waits(&mut socket);
        let writes = script.writes();
        assert!(writes.concat() == (0..PINGS).flat_map(pong).collect::<Vec<_>>());
        assert!(writes.len() <= 4, "{} writes", writes.len());
    }

    async fn a_ping_between_messages_is_answered_with_them(rt) {
        let (mut socket, mut peer) = with_peer(&patient(&rt)).await;
        for number in 0..3 {
            peer.send(Frame::new(PING, [number])).await;
            socket.next().await.unwrap().unwrap();
            socket.feed("between".into()).await.unwrap();
        }
        socket.flush().await.unwrap();
        for number in 0..3 {
            assert_eq!(peer.frame().await, Some(Frame::new(PONG, [number])));
            assert_eq!(peer.frame().await, Some(Frame::text("between")));
        }
    }

    async fn a_sender_that_never_pauses_starves_no_pong(rt) {
        let (mut socket, mut peer) = with_peer(&patient(&rt)).await;
        for number in 0..100_u8 {
            peer.send(Frame::new(PING, [number; 125])).await;
            socket.next().await.unwrap().unwrap();
            // More than 4 KiB of pongs leave in the course of it, and all of them between messages.
            socket.send("on and on".into()).await.unwrap();
            assert_eq!(peer.frame().await, Some(Frame::new(PONG, [number; 125])));
            assert_eq!(peer.frame().await, Some(Frame::text("on and on")));
        }
    }
}

/// A stream whose runtime lets a task do so many operations, and then wants it to yield: as tokio
/// does it. It takes all that is written.
struct Budgeted {
    incoming: Vec<u8>,
    at: usize,
    written: Vec<u8>,
    budget: usize,
}

impl Budgeted {
    fn poll_proceed(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.budget == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.budget -= 1;
        Poll::Ready(())
    }
}

/// The test keeps the stream, too.
#[derive(Clone)]
struct Shared(std::sync::Arc<std::sync::Mutex<Budgeted>>);

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut this = self.0.lock().unwrap();
        if this.at == this.incoming.len() {
            return Poll::Pending;
        }
        std::task::ready!(this.poll_proceed(cx));
        let length = buf.len().min(this.incoming.len() - this.at);
        let at = this.at;
        buf[..length].copy_from_slice(&this.incoming[at..at + length]);
        this.at += length;
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut this = self.0.lock().unwrap();
        std::task::ready!(this.poll_proceed(cx));
        this.written.extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The longest payloads of pings, of which neighbours differ.
fn payloads() -> impl Iterator<Item = [u8; 125]> {
    (0..=u8::MAX)
        .cycle()
        .take(PINGS)
        .map(|number| [number; 125])
}

/// A write that is pending because the task has to yield is not a peer that does not read.
#[test]
fn each_ping_is_answered_though_the_runtime_wants_the_task_to_yield() {
    for budget in [1, 2, 3, 10] {
        // Of 125 bytes each: far more pongs than stand together.
        let pings = payloads().flat_map(|payload| masked(0x80 | PING, &payload));
        let stream = Shared(std::sync::Arc::new(std::sync::Mutex::new(Budgeted {
            incoming: pings.collect(),
            at: 0,
            written: Vec::new(),
            budget,
        })));
        let socket = Role::Server.socket(stream.clone(), &WebSocketConfig::new());
        let (waker, woken) = waker();
        let mut receiving = pin!(receive(socket));
        let mut polls = 0;
        loop {
            stream.0.lock().unwrap().budget = budget;
            let polled = receiving.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            polls += 1;
            assert!(polls < 10_000, "it yields for ever");
            if !woken.take() {
                break;
            }
        }
        let expected = payloads().map(|payload| Frame::new(PONG, payload));
        let expected: Vec<u8> = expected.flat_map(|pong| pong.bytes(Role::Server)).collect();
        assert!(
            stream.0.lock().unwrap().written == expected,
            "a budget of {budget}"
        );
    }
}

/// Sends the burst over TCP, and demands each of the answers.
#[cfg(any(feature = "rt-smol", feature = "rt-tokio"))]
fn assert_answers(server: &tcp::TcpServer) {
    let mut client = server.open(&support::raw::Request::new());
    client.send(&burst());
    for number in 0..PINGS {
        let frame = client.frame().expect("a pong comes");
        assert_eq!(frame, (0x80 | PONG, format!("{number:05}").into_bytes()));
    }
}

#[cfg(feature = "rt-tokio")]
#[test]
fn each_ping_is_answered_over_tcp_on_tokio() {
    support::bounded(|| {
        assert_answers(&tcp::on_tokio(async |listener| {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = anyws::io::TokioIo::new(stream);
            receive(anyws::accept(stream, WebSocketConfig::new()).await.unwrap()).await;
        }));
    });
}

#[cfg(feature = "rt-smol")]
#[test]
fn each_ping_is_answered_over_tcp_on_smol() {
    support::bounded(|| {
        assert_answers(&tcp::on_smol(async |listener| {
            let (stream, _) = listener.accept().await.unwrap();
            receive(anyws::accept(stream, WebSocketConfig::new()).await.unwrap()).await;
        }));
    });
}
