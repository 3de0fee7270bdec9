//! Two tasks that poll one socket, by whatever means: no wakeup is lost between them.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use anyws::{
    Error, Message, TransportConfig, WebSocket, WebSocketConfig,
    testing::{self, Duplex, duplex_with_capacity},
};
use futures::{
    AsyncRead, AsyncWrite, FutureExt, SinkExt, StreamExt,
    channel::oneshot,
    future::{BoxFuture, Either, join, select},
    stream::FuturesUnordered,
};
use proptest::{prelude::*, test_runner::Config};
use support::{
    frames::{BINARY, CLOSE, Frame, PING, Peer, Role, TEXT},
    runtimes,
    sockets::{patient, with_limits},
    still::Still,
    tasks::{Task, poll_with, spawn, waker, yield_to_tasks},
};

/// More than a stream in memory and the queue of a socket hold.
const LARGE: usize = 300 * 1024;

fn large() -> Message {
    Message::binary(vec![7; LARGE])
}

/// Receives to the end, and returns how many messages came before the Close.
async fn receive_all(
    mut stream: impl futures::Stream<Item = anyws::Result<Message>> + Unpin,
) -> usize {
    let mut received = 0;
    while let Some(item) = stream.next().await {
        if !item.unwrap().is_close() {
            received += 1;
        }
    }
    received
}

runtimes! {
    async fn the_sink_of_futures_own_split_wakes_though_its_stream_waits(rt) {
        for is_receiving_first in [false, true] {
            let (mut client, server) = testing::pair_with(&patient(&rt)).unwrap();
            let (mut sink, stream) = StreamExt::split(server);
            let send = async move { sink.send(large()).await.map(|()| sink) };
            let receive = async move { receive_all(stream).await };
            let (sending, receiving) = if is_receiving_first {
                let receiving = spawn(&rt, receive);
                yield_to_tasks(&rt).await;
                (spawn(&rt, send), receiving)
            } else {
                let sending = spawn(&rt, send);
                yield_to_tasks(&rt).await;
                (sending, spawn(&rt, receive))
            };
            yield_to_tasks(&rt).await;
            assert!(client.next().await.unwrap().unwrap() == large());
            let _sink = sending.await.unwrap().unwrap();
            client.send("for the stream".into()).await.unwrap();
            client.close(None).await.unwrap();
            assert_eq!(receiving.await.unwrap(), 1);
        }
    }

    async fn forward_both_ways_carries_all(rt) {
        const COUNT: usize = 40;
        let (client, server) = testing::pair_with(&patient(&rt)).unwrap();
        let (sink, stream) = StreamExt::split(server);
        let echoing = spawn(&rt, stream.filter(|item| {
            let is_data = item.as_ref().is_ok_and(|it| !it.is_close());
            async move { is_data }
        }).forward(sink));
        let (mut sink, mut stream) = StreamExt::split(client);
        let sending = spawn(&rt, async move {
            for _ in 0..COUNT {
                sink.send(large()).await.unwrap();
            }
            sink
        });
        for _ in 0..COUNT {
            assert!(stream.next().await.unwrap().unwrap() == large());
        }
        SinkExt::close(&mut sending.await.unwrap()).await.unwrap();
        assert!(stream.next().await.unwrap().unwrap().is_close());
        echoing.await.unwrap().unwrap();
    }

    async fn futures_with_wakers_of_their_own_wake_in_one_task(rt) {
        let (mut client, server) = testing::pair_with(&patient(&rt)).unwrap();
        let (mut sink, mut stream) = StreamExt::split(server);
        let mut both: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
        both.push(async move {
            sink.send(large()).await.unwrap();
            // What is left of the sink would keep the socket from its end.
        }.boxed());
        both.push(async move {
            let item = stream.next().await;
            assert_eq!(item.unwrap().unwrap(), Message::text("hello"));
        }.boxed());
        let talk = spawn(&rt, async move {
            assert!(client.next().await.unwrap().unwrap() == large());
            client.send("hello".into()).await.unwrap();
            client
        });
        while both.next().await.is_some() {}
        talk.await.unwrap();
    }

    async fn a_send_that_select_leaves_waiting_wakes_beside_next(rt) {
        let (mut client, server) = testing::pair_with(&patient(&rt)).unwrap();
        let (mut sink, mut stream) = StreamExt::split(server);
        let (read, may_read) = oneshot::channel();
        let talk = spawn(&rt, async move {
            client.send("first".into()).await.unwrap();
            may_read.await.unwrap();
            assert!(client.next().await.unwrap().unwrap() == large());
            client.send("second".into()).await.unwrap();
            client
        });
        let mut send = pin!(sink.send(large()));
        let Either::Right((first, _)) = select(&mut send, stream.next()).await else {
            panic!("nobody has read what was sent");
        };
        assert_eq!(first.unwrap().unwrap(), Message::text("first"));
        read.send(()).unwrap();
        let (done, second) = join(send, stream.next()).await;
        done.unwrap();
        assert_eq!(second.unwrap().unwrap(), Message::text("second"));
        talk.await.unwrap();
    }

    async fn a_receiver_that_pongs_hold_up_wakes_beside_a_sender_that_flushes(rt) {
        let (mut near, far) = duplex_with_capacity(64);
        let low = |it: TransportConfig| it.write_buffer_size(10).max_write_buffer_size(20);
        let config = with_limits(&rt, low);
        let socket = Mutex::new(Role::Server.socket(far, &config));
        let receive = async {
            let is_text = |message: Message| message.is_text();
            let next = || poll_fn(|cx| socket.lock().unwrap().poll_next_unpin(cx));
            while !is_text(next().await.unwrap().unwrap()) {}
        };
        let flush = async {
            poll_fn(|cx| socket.lock().unwrap().poll_flush_unpin(cx)).await.unwrap();
        };
        let mut sent = Frame::new(PING, [7; 50]).masked().repeat(200);
        sent.extend(Frame::text("the last one").masked());
        let mut receiving = Task::new(receive);
        // The receiver is held up by pongs that nobody reads.
        while receiving.run() | write_some(&mut near, 64, &mut sent) {}
        assert!(!receiving.is_done() && !sent.is_empty());
        // It takes the write side of the stream over from the receiver.
        let mut flushing = Task::new(flush);
        flushing.run();
        let mut written = Vec::new();
        while flushing.run()
            | receiving.run()
            | read_some(&mut near, 64, &mut written)
            | write_some(&mut near, 64, &mut sent)
        {}
        assert!(receiving.is_done() && flushing.is_done());
    }

    async fn who_closes_and_who_receives_both_wake_at_the_end(rt) {
        for is_receiving_first in [false, true] {
            let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let socket = Mutex::new(socket);
            let receive = async {
                while poll_fn(|cx| socket.lock().unwrap().poll_next_unpin(cx)).await.is_some() {}
            };
            // The future of `close` is made anew for each poll, as nothing may be held between.
            let close = poll_fn(|cx| {
                let mut socket = socket.lock().unwrap();
                let closed = pin!(socket.close(None)).poll(cx);
                closed.map(Result::unwrap)
            });
            let (mut receiving, mut closing) = (Task::new(receive), Task::new(close));
            if is_receiving_first {
                receiving.run();
            }
            closing.run();
            receiving.run();
            let mut talking = Task::new(async {
                peer.see_off().await;
            });
            while talking.run() | receiving.run() | closing.run() {}
            assert!(closing.is_done() && receiving.is_done(), "{is_receiving_first}");
        }
    }

    async fn a_sender_that_waits_for_room_is_told_of_the_end_by_futures_own_split(rt) {
        for end in [Some(Frame::close(1000, "")), Some(Frame::new(0, "wrong")), None] {
            let (near, far) = duplex_with_capacity(64);
            let socket = Role::Server.socket(far, &patient(&rt));
            let (mut sink, mut stream) = StreamExt::split(socket);
            let mut peer = Peer::new(near);
            sink.feed(large()).await.unwrap();
            let sending = spawn(&rt, async move {
                // The first one goes to a place that the sink of `futures` has for one message.
                sink.feed("a place".into()).await?;
                sink.feed("no room".into()).await
            });
            yield_to_tasks(&rt).await;
            match end {
                Some(frame) => peer.send(frame).await,
                None => peer.finish().await,
            }
            assert!(stream.next().await.is_some());
            let sent = sending.await.unwrap();
            assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
        }
    }
}

/// A stream keeps one waker for its write side, and a task that receives writes, too.
#[test]
fn a_task_that_sends_is_woken_by_the_stream_though_another_task_receives() {
    for role in Role::BOTH {
        let (mut near, far) = duplex_with_capacity(64);
        let mut socket = role.socket(far, &WebSocketConfig::new());
        assert!(socket.feed(large()).now_or_never().is_some());
        let ((sends, is_woken), (receives, _)) = (waker(), waker());
        assert!(poll_with(&sends, pin!(socket.flush())).is_pending());
        assert!(poll_with(&receives, pin!(socket.next())).is_pending());
        is_woken.take();
        assert!(read_some(&mut near, 64, &mut Vec::new()));
        assert!(is_woken.take(), "{role:?}");
    }
}

/// What one task receives may be all that the other one waits for: nothing happens to the stream.
#[test]
fn a_task_that_waits_for_room_is_woken_by_the_end_that_another_task_receives() {
    for role in Role::BOTH {
        let (near, far) = duplex_with_capacity(64);
        let mut socket = role.socket(far, &WebSocketConfig::new());
        let mut peer = Peer::of(role, near);
        assert!(socket.feed(large()).now_or_never().is_some());
        let ((sends, is_woken), (receives, _)) = (waker(), waker());
        let poll_room =
            |socket: &mut WebSocket| socket.poll_ready_unpin(&mut Context::from_waker(&sends));
        assert!(poll_room(&mut socket).is_pending());
        peer.send(Frame::close(1000, "")).now_or_never().unwrap();
        is_woken.take();
        assert!(poll_with(&receives, pin!(socket.next())).is_ready());
        assert!(is_woken.take(), "{role:?}");
        let room = poll_room(&mut socket);
        assert!(matches!(room, Poll::Ready(Err(Error::Closed))), "{room:?}");
    }
}

/// Where one task does both, its waker is all that the stream gets: nothing is allocated for a
/// second one, nor kept.
#[test]
fn one_task_that_does_both_costs_no_second_waker() {
    let (near, far) = duplex_with_capacity(64);
    let mut socket = Role::Server.socket(far, &WebSocketConfig::new());
    let mut peer = Peer::new(near);
    let (waker, _woken) = waker();
    let mut turn = || {
        assert!(poll_with(&waker, pin!(socket.next())).is_pending());
        peer.send(Frame::text("hello")).now_or_never().unwrap();
        let received = poll_with(&waker, pin!(socket.next()));
        let Poll::Ready(Some(Ok(message))) = received else {
            panic!("{received:?}");
        };
        assert!(poll_with(&waker, pin!(socket.feed(message))).is_ready());
        assert!(poll_with(&waker, pin!(socket.next())).is_pending());
        peer.frame().now_or_never().unwrap();
    };
    turn();
    let one = allocation_counter::measure(&mut turn).count_total;
    let four = allocation_counter::measure(|| (0..4).for_each(|_| turn())).count_total;
    assert_eq!(four, 4 * one);
}

/// A stream that wakes a waker which it replaces by another one, as those of async-io do. Nothing
/// arrives but what the test sends, and nothing is taken.
#[derive(Clone, Default)]
struct Jealous(Arc<Mutex<Slots>>);

#[derive(Default)]
struct Slots {
    arrived: Vec<u8>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

fn replace(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if let Some(old) = slot.replace(cx.waker().clone())
        && !old.will_wake(cx.waker())
    {
        old.wake();
    }
}

impl AsyncRead for Jealous {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut slots = self.0.lock().unwrap();
        if slots.arrived.is_empty() {
            replace(&mut slots.reader, cx);
            return Poll::Pending;
        }
        let length = slots.arrived.len().min(buf.len());
        buf[..length].copy_from_slice(&slots.arrived[..length]);
        slots.arrived.drain(..length);
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Jealous {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        replace(&mut self.0.lock().unwrap().writer, cx);
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn tasks_that_have_nothing_to_do_do_not_wake_each_other_again_and_again() {
    for cancels in [false, true] {
        let stream = Jealous::default();
        let socket = Role::Server.socket(stream.clone(), &Still::default().config());
        let socket = Mutex::new(socket);
        let received = Mutex::new(0);
        let mut receiving = Task::new(async {
            while poll_fn(|cx| socket.lock().unwrap().poll_next_unpin(cx))
                .await
                .is_some()
            {
                *received.lock().unwrap() += 1;
            }
        });
        socket
            .lock()
            .unwrap()
            .start_send_unpin("waits".into())
            .unwrap();
        let mut sending = Task::new(async {
            poll_fn(|cx| socket.lock().unwrap().poll_flush_unpin(cx))
                .await
                .unwrap();
        });
        let mut polls = 0;
        for number in 1..=10 {
            sending.run();
            if cancels {
                // It has gone while it waited.
                sending = Task::new(std::future::pending());
            }
            {
                let mut slots = stream.0.lock().unwrap();
                slots.arrived.extend(Frame::text("hello").masked());
                let reader = slots.reader.take();
                drop(slots);
                reader.into_iter().for_each(Waker::wake);
            }
            while receiving.run() | sending.run() {
                polls += 1;
                assert!(polls < 100, "they wake each other for ever");
            }
            assert_eq!(*received.lock().unwrap(), number);
        }
    }
}

#[test]
fn a_task_that_was_dropped_while_it_waited_is_not_kept() {
    let (near, far) = duplex_with_capacity(64);
    let mut socket = Role::Server.socket(far, &WebSocketConfig::new());
    let mut peer = Peer::new(near);
    let (dead, dead_task) = waker();
    assert!(poll_with(&dead, pin!(socket.send(large()))).is_pending());
    let (waker, _woken) = waker();
    drop(dead);
    assert!(poll_with(&waker, pin!(socket.next())).is_pending());
    // Something moves, so that the dead task is woken, which is the last that it is needed for.
    assert!(peer.frame().now_or_never().is_none());
    assert!(poll_with(&waker, pin!(socket.next())).is_pending());
    assert!(dead_task.take());
    assert!(poll_with(&waker, pin!(socket.next())).is_pending());
    assert_eq!(Arc::strong_count(&dead_task), 1);
}

/// What a task that sends does.
#[derive(Clone, Debug)]
enum Op {
    Send(usize),
    Feed(usize),
    Flush,
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// `Sink::close`: the other task receives up to the peer's Close.
    Sink,
    /// `WebSocket::close`, which reads, too.
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let length = prop_oneof![0..100_usize, 1000..20_000_usize, Just(200_000)];
    prop_oneof![
        3 => length.clone().prop_map(Op::Send),
        2 => length.prop_map(Op::Feed),
        1 => Just(Op::Flush),
    ]
}

/// The frames that the peer sends: data, with pings between, and a Close.
fn frames(messages: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..messages {
        bytes.extend(Frame::new(BINARY, vec![7; number * 37]).masked());
        bytes.extend(Frame::new(PING, vec![1; number]).masked());
    }
    bytes
}

/// Counts the frames with an opcode among those that a server has sent, which are not cut.
fn count_frames(mut bytes: &[u8], opcode: u8) -> usize {
    let mut count = 0;
    while let [first, length, rest @ ..] = bytes {
        count += usize::from(*first == 0x80 | opcode);
        let (length, rest) = match length {
            126 => (usize::from(rest[0]) << 8 | usize::from(rest[1]), &rest[2..]),
            127 => {
                let (length, rest) = rest.split_first_chunk().unwrap();
                (usize::try_from(u64::from_be_bytes(*length)).unwrap(), rest)
            }
            length => (usize::from(*length), rest),
        };
        bytes = &rest[length..];
    }
    count
}

/// Polls a stream of bytes in memory, as a test does it that has nothing else to do.
fn poll_now<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn read_some(near: &mut Duplex, most: usize, written: &mut Vec<u8>) -> bool {
    let mut bytes = vec![0; most];
    let read = poll_now(|cx| Pin::new(near).poll_read(cx, &mut bytes));
    let length = read.map_or(0, |read| read.unwrap());
    written.extend(&bytes[..length]);
    length > 0
}

fn write_some(near: &mut Duplex, most: usize, rest: &mut Vec<u8>) -> bool {
    let length = most.min(rest.len());
    let wrote = poll_now(|cx| Pin::new(near).poll_write(cx, &rest[..length]));
    let length = match wrote {
        Some(Ok(length)) => length,
        _ => 0,
    };
    rest.drain(..length);
    length > 0
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    /// Whatever the order, whoever is polled only when it is woken comes to the end.
    #[test]
    fn tasks_that_are_polled_only_when_woken_come_to_their_end(
        ops in prop::collection::vec(op(), 0..8),
        messages in 0..12_usize,
        capacity in prop_oneof![1..40_usize, Just(1000), Just(65_536)],
        watermark in prop_oneof![Just(2), Just(2000), Just(131_072)],
        ending in prop_oneof![Just(Ending::Sink), Just(Ending::Close)],
        order in prop::collection::vec((0..4_u8, 1..3000_usize), 0..400),
    ) {
        let (mut near, far) = duplex_with_capacity(capacity);
        let transport = TransportConfig::default()
            .write_buffer_size(watermark / 2)
            .max_write_buffer_size(watermark);
        let config = Still::default().config().set_transport(transport);
        let socket: Mutex<WebSocket> = Mutex::new(testing::server(far, &config).unwrap());
        let received = Mutex::new(0);
        let receive = async {
            loop {
                match poll_fn(|cx| socket.lock().unwrap().poll_next_unpin(cx)).await {
                    Some(Ok(Message::Binary(_))) => *received.lock().unwrap() += 1,
                    Some(item) => drop(item.unwrap()),
                    None => break,
                }
            }
        };
        let send = async {
            for op in &ops {
                let length = match op {
                    Op::Send(length) | Op::Feed(length) => *length,
                    Op::Flush => 0,
                };
                if !matches!(op, Op::Flush) {
                    poll_fn(|cx| socket.lock().unwrap().poll_ready_unpin(cx)).await.unwrap();
                    let message = Message::text("x".repeat(length));
                    socket.lock().unwrap().start_send_unpin(message).unwrap();
                }
                if !matches!(op, Op::Feed(_)) {
                    poll_fn(|cx| socket.lock().unwrap().poll_flush_unpin(cx)).await.unwrap();
                }
            }
            match ending {
                Ending::Sink => {
                    poll_fn(|cx| socket.lock().unwrap().poll_close_unpin(cx)).await.unwrap();
                }
                Ending::Close => {
                    poll_fn(|cx| pin!(socket.lock().unwrap().close(None)).poll(cx)).await.unwrap();
                }
            }
        };
        let (mut receiving, mut sending) = (Task::new(receive), Task::new(send));
        let (mut rest, mut written) = (frames(messages), Vec::new());
        for (who, most) in order {
            match who {
                0 => drop(receiving.run()),
                1 => drop(sending.run()),
                2 => drop(write_some(&mut near, most, &mut rest)),
                _ => drop(read_some(&mut near, most, &mut written)),
            }
        }
        // From here on the peer reads and sends all, and closes once it is sent a Close.
        let close = Frame::new(CLOSE, []).bytes(Role::Server);
        let mut has_closed = false;
        let mut turns = 0;
        loop {
            turns += 1;
            // A peer that takes a byte in a turn takes seven messages of 200,000.
            prop_assert!(turns < 4_000_000, "it goes on and on");
            let mut moved = receiving.run() | sending.run();
            moved |= read_some(&mut near, 65_536, &mut written);
            moved |= write_some(&mut near, 65_536, &mut rest);
            let is_close = written.ends_with(&close) || written.ends_with(b"\x88\x02\x03\xe8");
            if !has_closed && is_close {
                has_closed = true;
                moved = true;
                rest.extend(Frame::close(1000, "").masked());
            }
            if has_closed && rest.is_empty() {
                poll_now(|cx| Pin::new(&mut near).poll_close(cx)).unwrap().unwrap();
            }
            if !moved {
                break;
            }
        }
        prop_assert!(sending.is_done(), "the task that sends sleeps");
        prop_assert!(receiving.is_done(), "the task that receives sleeps");
        if matches!(ending, Ending::Sink) {
            prop_assert_eq!(*received.lock().unwrap(), messages);
        }
        let texts = count_frames(&written, TEXT);
        let sent = ops.iter().filter(|op| !matches!(op, Op::Flush)).count();
        prop_assert_eq!(texts, sent);
    }
}
