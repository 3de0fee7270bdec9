//! No wakeup is lost between the halves, nor between two tasks that share a whole socket: models
//! that loom runs in the orders in which their threads may take turns. A task that sleeps for ever
//! is a deadlock there, and fails the test.
//!
//! ```sh
//! RUSTFLAGS='--cfg anyws_loom' cargo test --lib --release --target-dir target/loom loom -- --nocapture
//! ```

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io::{self, Read},
    mem,
    pin::Pin,
    sync::{Arc, Mutex as StdMutex},
    task::{Context, Poll, Waker},
    time::Instant,
};

use async_tungstenite::tungstenite::protocol::Role;
use futures_core::future::BoxFuture;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::{FutureExt, SinkExt, StreamExt};
use loom::{future::block_on, model::Builder, sync::Mutex, thread};

use super::{WebSocketReceiver, WebSocketSender, split};
use crate::{Error, Message, Phase, Runtime, Sleep, TransportConfig, WebSocket, WebSocketConfig};

/// The peer's frames, masked with zeros.
const MESSAGE: &[u8] = &[0x81, 0x81, 0, 0, 0, 0, b'!'];
const CLOSE: &[u8] = &[0x88, 0x80, 0, 0, 0, 0];

/// The frames of the messages that the models send.
const ONE: &[u8] = &[0x81, 1, b'1'];
const TWO: &[u8] = &[0x81, 1, b'2'];

/// The Close of a socket that is dropped: 1000.
const DROPPED: &[u8] = &[0x88, 2, 0x03, 0xe8];

#[test]
fn a_receiver_writes_what_is_fed_though_nobody_flushes() {
    check(|| {
        let peer = Peer::answering(ONE.len());
        let (mut sender, receiver) = peer.halves(None);
        let feeding = thread::spawn(move || block_on(sender.feed("1".into())).unwrap());
        assert_receives_message(receiver);
        feeding.join().unwrap();
    });
}

#[test]
fn a_receiver_writes_what_goes_into_the_sink_though_nobody_flushes() {
    check(|| {
        let peer = Peer::answering(ONE.len());
        let (mut sender, receiver) = peer.halves(None);
        let feeding =
            thread::spawn(move || block_on(SinkExt::feed(&mut sender, "1".into())).unwrap());
        assert_receives_message(receiver);
        feeding.join().unwrap();
    });
}

#[test]
fn a_receiver_writes_what_a_dropped_send_has_staged() {
    check(|| {
        let peer = Peer::answering(ONE.len());
        peer.take_no_more();
        let (mut sender, receiver) = peer.halves(None);
        let sending = thread::spawn(move || {
            // Whether there is room already is a matter of order.
            let _ = sender.send("1".into()).now_or_never();
        });
        let receiving = thread::spawn(move || assert_receives_message(receiver));
        peer.take(ONE.len());
        sending.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_room_wakes_once_there_is_some() {
    check(|| {
        let peer = Peer::answering(ONE.len() + TWO.len());
        let (mut sender, receiver) = peer.full_halves();
        let feeding = thread::spawn(move || block_on(sender.feed("2".into())).unwrap());
        let receiving = thread::spawn(move || assert_receives_message(receiver));
        peer.take(ONE.len() + TWO.len());
        feeding.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_room_hears_of_the_peers_close() {
    check(|| {
        let peer = Peer::default();
        let (mut sender, receiver) = peer.full_halves();
        let feeding = thread::spawn(move || {
            let fed = block_on(sender.feed("2".into()));
            assert!(matches!(fed, Err(Error::Closed)), "{fed:?}");
        });
        let receiving = thread::spawn(move || assert_receives_close(receiver));
        peer.send(CLOSE);
        feeding.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_sender_that_closes_hears_of_the_peers_close() {
    check(|| {
        let peer = Peer::default();
        let runtime = Arc::new(Threads::default());
        let (mut sender, receiver) = peer.halves(Some(runtime.clone()));
        let closing = thread::spawn(move || block_on(sender.close(None)).unwrap());
        let receiving = thread::spawn(move || assert_receives_close(receiver));
        peer.send(CLOSE);
        closing.join().unwrap();
        receiving.join().unwrap();
        // The receiver has left the end to a task, if the sender had not come to it before.
        runtime.tasks().into_iter().for_each(block_on);
    });
}

#[test]
fn a_receiver_hears_that_the_sender_has_given_up() {
    check(|| {
        let peer = Peer::default();
        let runtime = Arc::new(Threads::default());
        let (mut sender, mut receiver) = peer.halves(Some(runtime.clone()));
        let closing = thread::spawn(move || {
            let closed = block_on(sender.close(None));
            let is_late = matches!(closed, Err(Error::Timeout(Phase::Close)));
            assert!(is_late, "{closed:?}");
        });
        let receiving = thread::spawn(move || assert!(block_on(receiver.next()).is_none()));
        runtime.timer.fire();
        closing.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn both_halves_wake_when_the_stream_does() {
    check(|| {
        let peer = Peer::default();
        let (mut sender, receiver) = peer.full_halves();
        let flushing = thread::spawn(move || block_on(sender.flush()).unwrap());
        let receiving = thread::spawn(move || assert_receives_message(receiver));
        peer.take(ONE.len());
        peer.send(MESSAGE);
        flushing.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_receiver_that_pongs_hold_up_reads_on_once_they_are_written() {
    check(|| {
        let peer = Peer::default();
        let (mut sender, mut receiver) = peer.full_halves();
        // Pongs fill their place; the last one has to wait, and is above the watermark.
        while peer.send_ping() {
            let item = block_on(receiver.next());
            assert!(matches!(item, Some(Ok(Message::Ping(_)))), "{item:?}");
        }
        peer.send(MESSAGE);
        let flushing = thread::spawn(move || block_on(sender.flush()).unwrap());
        let receiving = thread::spawn(move || assert_receives_message(receiver));
        peer.take(usize::MAX);
        flushing.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_sender_that_closes_goes_on_when_its_receiver_is_dropped() {
    check(|| {
        let peer = Peer::default();
        let runtime = Arc::new(Threads::default());
        let (mut sender, receiver) = peer.halves(Some(runtime));
        peer.send(CLOSE);
        let closing = thread::spawn(move || block_on(sender.close(None)).unwrap());
        drop(receiver);
        closing.join().unwrap();
    });
}

#[test]
fn a_task_that_sends_wakes_beside_one_that_receives_on_a_whole_socket() {
    check(|| {
        let peer = Peer::answering(ONE.len() + TWO.len());
        let socket = peer.full_socket();
        let sending = thread::spawn({
            let socket = Arc::clone(&socket);
            move || {
                block_on(poll_fn(|cx| socket.lock().unwrap().poll_ready_unpin(cx))).unwrap();
                socket.lock().unwrap().start_send_unpin("2".into()).unwrap();
                block_on(poll_fn(|cx| socket.lock().unwrap().poll_flush_unpin(cx))).unwrap();
            }
        });
        let receiving = thread::spawn(move || {
            let item = block_on(poll_fn(|cx| socket.lock().unwrap().poll_next_unpin(cx)));
            assert!(matches!(item, Some(Ok(Message::Text(_)))), "{item:?}");
        });
        peer.take(ONE.len() + TWO.len());
        sending.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn a_task_that_waits_for_room_is_told_of_the_peers_close_on_a_whole_socket() {
    check(|| {
        let peer = Peer::default();
        let socket = peer.full_socket();
        let sending = thread::spawn({
            let socket = Arc::clone(&socket);
            move || {
                let ready = block_on(poll_fn(|cx| socket.lock().unwrap().poll_ready_unpin(cx)));
                assert!(matches!(ready, Err(Error::Closed)), "{ready:?}");
            }
        });
        let receiving = thread::spawn(move || {
            let item = block_on(poll_fn(|cx| socket.lock().unwrap().poll_next_unpin(cx)));
            assert!(matches!(item, Some(Ok(Message::Close(_)))), "{item:?}");
        });
        peer.send(CLOSE);
        sending.join().unwrap();
        receiving.join().unwrap();
    });
}

#[test]
fn of_two_halves_that_are_dropped_one_finishes_the_connection() {
    check(|| {
        let peer = Peer::default();
        let runtime = Arc::new(Threads::default());
        let (sender, receiver) = peer.halves(Some(runtime.clone()));
        drop_at_once(sender, receiver);
        let mut tasks = runtime.tasks();
        let finish = tasks.pop().expect("a task that finishes the connection");
        assert!(tasks.is_empty());
        assert!(!peer.is_alone());
        peer.send(CLOSE);
        block_on(finish);
        assert!(peer.is_alone());
        assert_eq!(peer.taken(), [ONE, DROPPED].concat());
    });
}

#[test]
fn of_two_halves_that_are_dropped_one_writes_the_close_without_a_runtime() {
    check(|| {
        let peer = Peer::default();
        let (sender, receiver) = peer.halves(None);
        drop_at_once(sender, receiver);
        assert!(peer.is_alone());
        assert_eq!(peer.taken(), [ONE, DROPPED].concat());
    });
}

/// Runs a model in the orders in which its threads may take turns.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut loom = Builder::new();
    // How often a thread loses its turn though it could go on. One time more takes twelve times as
    // long, and is for `LOOM_MAX_PREEMPTIONS`.
    loom.preemption_bound.get_or_insert(3);
    loom.check(model);
}

fn assert_receives_message(mut receiver: WebSocketReceiver) {
    let item = block_on(receiver.next());
    assert!(matches!(item, Some(Ok(Message::Text(_)))), "{item:?}");
}

fn assert_receives_close(mut receiver: WebSocketReceiver) {
    let item = block_on(receiver.next());
    assert!(matches!(item, Some(Ok(Message::Close(_)))), "{item:?}");
    assert!(block_on(receiver.next()).is_none());
}

/// Uses and drops both halves, each in a thread of its own.
fn drop_at_once(mut sender: WebSocketSender, mut receiver: WebSocketReceiver) {
    let sending = thread::spawn(move || {
        let fed = sender.feed("1".into()).now_or_never();
        assert!(matches!(fed, Some(Ok(()))), "{fed:?}");
    });
    let item = receiver.next().now_or_never();
    assert!(item.is_none(), "{item:?}");
    drop(receiver);
    sending.join().unwrap();
}

/// The peer of a socket, which is in its memory.
#[derive(Clone)]
struct Peer(Arc<Mutex<Wire>>);

/// A stream between a socket and its peer.
struct Wire {
    /// What the socket has not read yet.
    sent: VecDeque<u8>,
    has_ended: bool,
    /// What the socket has written.
    taken: Vec<u8>,
    /// How much more it may write.
    room: usize,
    /// Pings that were sent.
    pings: usize,
    /// The length of `taken` at which the peer answers with a message.
    answer_at: Option<usize>,
    /// The one that polled last, as runtimes have it.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Peer {
    /// Makes a peer that sends a message once it was sent so many bytes.
    fn answering(at: usize) -> Self {
        let peer = Self::default();
        peer.0.lock().unwrap().answer_at = Some(at);
        peer
    }

    /// Returns the halves of a socket that is connected to this peer.
    fn halves(&self, runtime: Option<Arc<Threads>>) -> (WebSocketSender, WebSocketReceiver) {
        self.connect(TransportConfig::default(), runtime)
    }

    /// Returns halves that have no room for a message until the peer takes what waits.
    fn full_halves(&self) -> (WebSocketSender, WebSocketReceiver) {
        self.take_no_more();
        // What waits is written if it can be, and leaves no room if it cannot.
        let transport = TransportConfig::default()
            .write_buffer_size(0)
            .max_write_buffer_size(1);
        let (mut sender, receiver) = self.connect(transport, None);
        block_on(sender.feed("1".into())).unwrap();
        (sender, receiver)
    }

    /// Returns a whole socket that has no room for a message, for two tasks to share.
    fn full_socket(&self) -> Arc<Mutex<WebSocket>> {
        let (sender, receiver) = self.full_halves();
        Arc::new(Mutex::new(sender.reunite(receiver).unwrap()))
    }

    fn connect(
        &self,
        transport: TransportConfig,
        runtime: Option<Arc<Threads>>,
    ) -> (WebSocketSender, WebSocketReceiver) {
        let config = WebSocketConfig::new().set_transport(transport);
        let runtime = runtime.map(|runtime| runtime as _);
        let io = Box::new(self.clone());
        let socket = WebSocket::new(io, Vec::new(), Role::Server, None, &config, runtime);
        split(socket)
    }

    /// Sends a ping of the longest payload, unless enough of them were sent to hold a socket up
    /// that writes none of its pongs.
    fn send_ping(&self) -> bool {
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

    fn send(&self, bytes: &[u8]) {
        let mut wire = self.0.lock().unwrap();
        wire.sent.extend(bytes);
        let reader = wire.reader.take();
        drop(wire);
        wake(reader);
    }

    fn take_no_more(&self) {
        self.0.lock().unwrap().room = 0;
    }

    fn take(&self, length: usize) {
        let mut wire = self.0.lock().unwrap();
        wire.room += length;
        let writer = wire.writer.take();
        drop(wire);
        wake(writer);
    }

    fn taken(&self) -> Vec<u8> {
        self.0.lock().unwrap().taken.clone()
    }

    /// Tells whether the socket has dropped its end.
    fn is_alone(&self) -> bool {
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

/// The socket's end.
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

    /// The peer ends too.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().has_ended = true;
        self.send(&[]);
        Poll::Ready(Ok(()))
    }
}

/// A runtime that keeps its tasks for the model to run, and has one timer.
#[derive(Default)]
struct Threads {
    tasks: StdMutex<Vec<BoxFuture<'static, ()>>>,
    timer: Timer,
}

impl Threads {
    fn tasks(&self) -> Vec<BoxFuture<'static, ()>> {
        mem::take(&mut self.tasks.lock().unwrap())
    }
}

impl Runtime for Threads {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().push(task);
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.timer.clone())
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

/// A timer that fires when it is told to.
#[derive(Clone, Default)]
struct Timer(Arc<Mutex<Alarm>>);

#[derive(Default)]
struct Alarm {
    has_fired: bool,
    sleeper: Option<Waker>,
}

impl Timer {
    fn fire(&self) {
        let mut alarm = self.0.lock().unwrap();
        alarm.has_fired = true;
        let sleeper = alarm.sleeper.take();
        drop(alarm);
        wake(sleeper);
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.0.lock().unwrap();
        if alarm.has_fired {
            return Poll::Ready(());
        }
        alarm.sleeper = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Sleep for Timer {
    fn reset(self: Pin<&mut Self>, _: Instant) {}
}

fn wake(task: Option<Waker>) {
    if let Some(waker) = task {
        waker.wake();
    }
}
