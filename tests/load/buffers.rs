//! What sockets hold, and what the threads keep that poll them: the memory of buffers that go from
//! connection to connection, from thread to thread, and into messages. It is counted by an
//! allocator, for each thread on its own.

use std::{
    cell::RefCell,
    future::Future,
    io::{self, ErrorKind, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    task::{Context, Poll},
    thread,
};

use allocation_counter::{AllocationInfo, measure};
use anyws::{Bytes, Message, Runtime, TransportConfig, WebSocket, testing};
use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt, channel::oneshot,
    executor::block_on, future::BoxFuture, future::join_all,
};
use support::{
    attack::{Attack, Then, alone, drive},
    frames::{BINARY, CONTINUATION, Frame, Role, TEXT},
    sockets::{assert_waits, now, received},
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What is read at once.
const BLOCK: usize = 64 * KIB;

/// What a socket of a test takes with all that belongs to it, beside its buffers.
const SOCKET: usize = 2 * KIB;

/// A thread that does what it is told, and keeps what it has for the next time.
struct Thread {
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    thread: thread::JoinHandle<()>,
}

impl Thread {
    fn start() -> Self {
        let (jobs, todo) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let thread = thread::spawn(|| todo.into_iter().for_each(|job| job()));
        Self { jobs, thread }
    }

    /// Starts a thread that has polled a socket.
    fn start_polling() -> Self {
        let this = Self::start();
        this.run(|| assert_eq!(received(&mut server(burst(1, 10))).len(), 10));
        this
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job = move || done.send(job()).expect("the test waits for it");
        self.jobs.send(Box::new(job)).expect("the thread lives");
        result.recv().expect("the job does not panic")
    }

    /// Counts what the thread allocates and frees for a job.
    fn measure<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> (T, AllocationInfo) {
        self.run(|| {
            let mut result = None;
            let memory = measure(|| result = Some(job()));
            (result.expect("the job was done"), memory)
        })
    }

    fn end(self) {
        drop(self.jobs);
        self.thread.join().expect("no job has panicked");
    }
}

/// A stream that takes as many bytes as it is told, and has none to read.
#[derive(Clone, Default)]
struct Narrow {
    takes: Arc<AtomicUsize>,
    fails: Arc<AtomicBool>,
}

impl Narrow {
    fn takes(bytes: usize) -> Self {
        let this = Self::default();
        this.takes.store(bytes, Relaxed);
        this
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
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.fails.load(Relaxed) {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let takes = self.takes.load(Relaxed);
        let length = bufs.iter().map(|buf| buf.len()).sum::<usize>().min(takes);
        if length == 0 {
            return Poll::Pending;
        }
        self.takes.store(takes - length, Relaxed);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream that polls another socket while it is read.
struct Nested(WebSocket);

impl AsyncRead for Nested {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        assert!(pin!(self.0.next()).poll(cx).is_pending());
        Poll::Pending
    }
}

impl AsyncWrite for Nested {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, b: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(b.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The bytes of equal messages.
fn burst(count: usize, length: usize) -> Vec<u8> {
    Frame::new(BINARY, vec![7; length]).masked().repeat(count)
}

/// The server of a client that has sent these bytes and reads all.
fn server(sent: impl Into<Bytes>) -> WebSocket {
    Role::Server.socket(Attack::new(sent, Then::Wait), &alone())
}

/// The server of a client that sends these bytes for ever.
fn server_again(sent: impl Into<Bytes>) -> WebSocket {
    Role::Server.socket(Attack::new("", Then::Again(sent.into())), &alone())
}

fn narrow(stream: &Narrow) -> WebSocket {
    Role::Server.socket(stream.clone(), &alone())
}

/// Receives the next message, in as many turns as it takes.
fn next(socket: &mut WebSocket) -> Message {
    let item = drive(socket.next(), || true).expect("it has arrived");
    item.expect("no end yet").expect("no error yet")
}

/// Receives and drops `count` messages of 1 KiB.
fn receive_all(socket: &mut WebSocket, count: usize) {
    for _ in 0..count {
        assert_eq!(next(socket).into_data(), [7; KIB][..]);
    }
}

/// Buffers messages of 1,000 bytes, and 4 more for each of them.
fn feed(socket: &mut WebSocket, count: usize) {
    for _ in 0..count {
        block_on(socket.feed(Message::binary(vec![7; 1000]))).unwrap();
    }
}

#[track_caller]
fn assert_at_most(number: impl TryInto<i64>, most: usize, what: &str) {
    let number = number.try_into().ok().expect("it is a size");
    let most = i64::try_from(most).unwrap();
    assert!(number <= most, "{number} {what}, and not {most} at most");
}

/// Demands that at least `least` bytes more were freed than allocated.
#[track_caller]
fn assert_freed(memory: &AllocationInfo, least: usize) {
    let freed = -memory.bytes_current;
    let least = i64::try_from(least).unwrap();
    assert!(freed >= least, "{freed} bytes were freed, and not {least}");
}

#[test]
fn a_thread_that_only_drops_messages_sends_their_buffers_back() {
    let (receiving, working) = (Thread::start(), Thread::start());
    let mut socket = server_again(burst(1, MIB));
    let mut live = 0;
    for round in 0..20 {
        let ((back, message), received) = receiving.measure(move || {
            let message = next(&mut socket);
            (socket, message)
        });
        socket = back;
        assert_eq!(message.len(), MIB);
        let ((), dropped) = working.measure(move || drop(message));
        live += received.bytes_current + dropped.bytes_current;
        if round > 0 {
            assert_at_most(received.bytes_total, 4 * KIB, "bytes for a message");
        }
    }
    assert_at_most(live, MIB + 3 * BLOCK, "bytes are kept");
}

#[test]
fn a_thread_keeps_4_mib_of_payloads_whoever_drops_them() {
    for drops_there in [false, true] {
        let (receiving, other) = (Thread::start(), Thread::start());
        let (messages, received) = receiving.measure(|| {
            let mut socket = server_again(burst(1, MIB));
            (0..12).map(|_| next(&mut socket)).collect::<Vec<_>>()
        });
        let dropping = if drops_there { &other } else { &receiving };
        let ((), dropped) = dropping.measure(move || drop(messages));
        let live = received.bytes_current + dropped.bytes_current;
        assert_at_most(live, 4 * MIB + 3 * BLOCK, "bytes are kept");
        let mut socket = server_again(burst(1, MIB));
        let ((), again) = receiving.measure(move || {
            let messages: Vec<_> = (0..4).map(|_| next(&mut socket)).collect();
            drop(messages);
        });
        assert_at_most(again.bytes_total, BLOCK, "bytes for four messages more");
    }
}

#[test]
fn no_payload_of_more_than_2_mib_is_kept() {
    let ((), memory) = Thread::start().measure(|| {
        let message = next(&mut server(burst(1, 3 * MIB)));
        assert_eq!(message.len(), 3 * MIB);
    });
    assert_at_most(memory.bytes_current, 2 * BLOCK, "bytes are kept");
}

#[test]
fn what_comes_back_to_a_thread_that_has_ended_is_freed() {
    let thread = Thread::start();
    let (message, dropped, mut read) = thread.run(|| {
        let message = next(&mut server(burst(1, MIB)));
        let sockets = [(); 2].map(|()| {
            let mut socket = server(burst(40, KIB));
            receive_all(&mut socket, 1);
            socket
        });
        let [dropped, read] = sockets;
        (message, dropped, read)
    });
    thread.end();
    assert_freed(&measure(|| drop(message)), MIB);
    assert_freed(&measure(|| drop(dropped)), BLOCK);
    assert_freed(&measure(|| receive_all(&mut read, 39)), BLOCK);
}

#[test]
fn a_thread_that_only_drops_sockets_keeps_nothing() {
    let (polling, dropping) = (Thread::start_polling(), Thread::start());
    for (unread, buffered) in [(40, 0), (5, 0), (0, 60), (40, 60)] {
        let sent = burst(1 + unread, KIB);
        let (sockets, made) = polling.measure(move || {
            let sockets = (0..20).map(|_| {
                let attack = Attack::new(sent.clone(), Then::Wait).takes(0);
                let mut socket = Role::Server.socket(attack, &alone());
                receive_all(&mut socket, 1);
                feed(&mut socket, buffered);
                socket
            });
            sockets.collect::<Vec<_>>()
        });
        let ((), dropped) = dropping.measure(move || drop(sockets));
        // What has come back to the other thread: blocks, and buffers that it has outgrown.
        let live = made.bytes_current + dropped.bytes_current;
        assert_at_most(live, 4 * BLOCK + 80 * KIB, "bytes are kept");
    }
}

#[test]
fn a_thread_whose_connections_move_away_goes_on_to_keep_blocks() {
    for ends_unread in [false, true] {
        let (here, there) = (Thread::start_polling(), Thread::start_polling());
        for round in 0..20 {
            let mut socket = server(burst(40, KIB));
            let (mut socket, read) = here.measure(move || {
                receive_all(&mut socket, 1);
                socket
            });
            if round > 0 {
                // A copy of what is unread would be one of 40 KiB.
                assert_at_most(read.bytes_total, 4 * KIB, "bytes for a message of 1 KiB");
            }
            there.run(move || {
                if !ends_unread {
                    receive_all(&mut socket, 39);
                    assert_waits(&mut socket);
                }
            });
        }
    }
}

/// Echoes messages of these bytes, each on the next of the threads, and demands that what comes
/// back is what was sent and nothing else.
fn echo_exactly(threads: &[Thread], byte: u8, count: usize, length: usize) {
    let (mut near, far) = testing::duplex_with_capacity(MIB);
    let mut socket = testing::server(far, &alone()).unwrap();
    let frame = Frame::new(BINARY, vec![byte; length]);
    now(near.write_all(&frame.masked().repeat(count))).unwrap();
    for at in 0..count {
        socket = threads[at % threads.len()].run(move || {
            let message = next(&mut socket);
            assert!(message.clone().into_data() == vec![byte; length]);
            block_on(socket.feed(message)).unwrap();
            socket
        });
    }
    block_on(socket.flush()).unwrap();
    drop(socket);
    let mut echoed = Vec::new();
    now(near.read_to_end(&mut echoed)).unwrap();
    let close = Frame::close(1000, "").bytes(Role::Server);
    let expected = [frame.bytes(Role::Server).repeat(count), close].concat();
    assert!(echoed == expected, "other bytes came back");
}

#[test]
fn no_connection_sees_what_a_buffer_held_before() {
    for threads in [
        vec![Thread::start()],
        (0..3).map(|_| Thread::start()).collect(),
    ] {
        for byte in 0..20 {
            // What is unread stays in its block, or is copied.
            for (count, length) in [(40, KIB), (5, KIB), (600, 100), (2, 100 * KIB)] {
                echo_exactly(&threads, byte, count, length);
            }
        }
    }
}

#[test]
fn frames_that_move_to_another_buffer_stay_in_order() {
    let (mut near, far) = testing::duplex_with_capacity(5 * KIB);
    let mut socket = testing::server(far, &alone()).unwrap();
    let payloads = (0..200).map(|number| vec![number; 1000]);
    let (mut sent, mut arrived) = (Vec::new(), Vec::new());
    let mut part = vec![0; 4990];
    for payload in payloads {
        sent.extend(Frame::new(BINARY, &payload[..]).bytes(Role::Server));
        block_on(socket.feed(Message::binary(payload))).unwrap();
        if sent.len() > arrived.len() + 60 * KIB {
            assert!(socket.flush().now_or_never().is_none());
            let length = now(near.read(&mut part)).unwrap();
            arrived.extend(&part[..length]);
        }
    }
    while socket.flush().now_or_never().is_none() {
        let length = now(near.read(&mut part)).unwrap();
        arrived.extend(&part[..length]);
    }
    drop(socket);
    now(near.read_to_end(&mut arrived)).unwrap();
    sent.extend(Frame::close(1000, "").bytes(Role::Server));
    assert!(arrived == sent, "other bytes arrived");
}

#[test]
fn bursts_of_any_length_are_buffered_in_buffers_that_are_there() {
    let ((), memory) = Thread::start_polling().measure(|| {
        let stream = Narrow::default();
        let mut socket = narrow(&stream);
        let mut send = || {
            for count in [1, 2, 20, 60, 5] {
                feed(&mut socket, count);
                stream.takes.store(MIB, Relaxed);
                block_on(socket.flush()).unwrap();
                stream.takes.store(0, Relaxed);
            }
        };
        (0..5).for_each(|_| send());
        let memory = measure(|| (0..5).for_each(|_| send()));
        let payloads = 5 * 88 * 1000;
        assert_at_most(
            memory.bytes_total,
            payloads + KIB,
            "bytes for the same again",
        );
    });
    assert_at_most(memory.bytes_current, 4 * BLOCK, "bytes are kept");
}

#[test]
fn payloads_of_several_lengths_have_buffers_of_their_own() {
    // Whichever is at the lowest address, and looked at first.
    for lengths in [[MIB, 100 * KIB, 500 * KIB], [100 * KIB, 500 * KIB, MIB]] {
        let ((), memory) = Thread::start_polling().measure(move || {
            let mut socket = server_again(lengths.map(|length| burst(1, length)).concat());
            let mut receive = || drop([(); 3].map(|()| next(&mut socket)));
            (0..3).for_each(|_| receive());
            let memory = measure(|| (0..5).for_each(|_| receive()));
            assert_at_most(memory.bytes_total, 4 * KIB, "bytes for the same again");
        });
        assert_at_most(memory.bytes_current, 2 * MIB, "bytes are kept");
    }
}

/// What a thread has of its own ends with it, in an order that nobody knows.
#[test]
fn what_a_thread_holds_to_its_end_is_given_up() {
    thread_local! {
        static HELD: RefCell<Vec<(WebSocket, Message)>> = const { RefCell::new(Vec::new()) };
    }
    for held_first in [false, true] {
        let thread = Thread::start();
        let dropped = thread.run(move || {
            if held_first {
                HELD.with_borrow_mut(Vec::clear);
            }
            let mut dropped = Vec::new();
            for count in [5, 40] {
                let mut attack = Attack::new(burst(count, KIB), Then::Wait).takes(0);
                dropped.push(attack.dropped());
                let mut socket = Role::Server.socket(attack, &alone());
                receive_all(&mut socket, 1);
                feed(&mut socket, 2);
                let message = next(&mut server(burst(1, MIB)));
                HELD.with_borrow_mut(|held| held.push((socket, message)));
            }
            dropped
        });
        thread.end();
        for dropped in dropped {
            now(dropped).expect("the stream was dropped");
        }
    }
}

#[test]
fn a_thread_keeps_four_blocks() {
    let ((), memory) = Thread::start().measure(|| {
        // A tail of 9 KiB, for which a block is kept.
        let mut sockets: Vec<_> = (0..20).map(|_| server(burst(10, KIB))).collect();
        for it in &mut sockets {
            receive_all(it, 1);
        }
        for it in &mut sockets {
            receive_all(it, 9);
        }
    });
    let copies = 8 * 10 * KIB;
    assert_at_most(memory.bytes_current, 4 * BLOCK + copies, "bytes are kept");
}

/// Those that find no block to spare copy what is unread.
#[test]
fn three_connections_of_a_thread_keep_their_block() {
    const SOCKETS: usize = 20;
    let sent = Bytes::from(burst(10, KIB));
    let (_sockets, memory) = Thread::start().measure(move || {
        let unread = || {
            let mut socket = server(sent.clone());
            receive_all(&mut socket, 1);
            socket
        };
        (0..SOCKETS).map(|_| unread()).collect::<Vec<_>>()
    });
    let copies = SOCKETS * (10 * KIB + SOCKET);
    assert_at_most(memory.bytes_current, 4 * BLOCK + copies, "bytes are held");
}

#[test]
fn a_thread_keeps_four_blocks_of_those_that_were_read_into_at_once() {
    let ((), memory) = Thread::start().measure(|| {
        let mut socket = server("");
        for _ in 0..10 {
            socket = Role::Server.socket(Nested(socket), &alone());
        }
        assert_waits(&mut socket);
    });
    assert_at_most(memory.bytes_current, 4 * BLOCK + 4 * KIB, "bytes are kept");
}

#[test]
fn a_thread_keeps_eight_copies_of_what_was_unread() {
    let ((), memory) = Thread::start().measure(|| {
        // Tails of 7 KiB, which are copied.
        let mut sockets: Vec<_> = (0..30).map(|_| server(burst(8, KIB))).collect();
        for it in &mut sockets {
            receive_all(it, 1);
        }
        for it in &mut sockets {
            receive_all(it, 7);
        }
    });
    let copies = 8 * 7 * (KIB + 8);
    assert_at_most(
        memory.bytes_current,
        BLOCK + copies + 4 * KIB,
        "bytes are kept",
    );
}

#[test]
fn a_thread_keeps_eight_buffers_of_frames() {
    const STAGED: usize = 60;
    let memory = Thread::start_polling().measure(|| {
        let streams: Vec<_> = (0..30).map(|_| Narrow::default()).collect();
        let mut sockets: Vec<_> = streams.iter().map(narrow).collect();
        for it in &mut sockets {
            feed(it, STAGED);
        }
        for it in &streams {
            it.takes.store(MIB, Relaxed);
        }
        for it in &mut sockets {
            block_on(it.flush()).unwrap();
        }
    });
    assert_at_most(memory.1.bytes_current, 8 * BLOCK, "bytes are kept");
}

#[test]
fn no_buffer_of_more_than_128_kib_is_kept_for_frames() {
    let ((), memory) = Thread::start_polling().measure(|| {
        let limits = TransportConfig::default()
            .write_buffer_size(2 * MIB)
            .max_write_buffer_size(4 * MIB);
        let stream = Narrow::takes(2 * MIB);
        let mut socket = Role::Server.socket(stream, &alone().set_transport(limits));
        feed(&mut socket, 1000);
        block_on(socket.flush()).unwrap();
    });
    // The largest one, and those that it has outgrown.
    assert_at_most(memory.bytes_current, 2 * 128 * KIB, "bytes are kept");
}

/// A sender that leaves large buffers to its thread.
fn send_much() {
    let mut socket = narrow(&Narrow::takes(MIB));
    feed(&mut socket, 70);
    block_on(socket.flush()).unwrap();
}

/// What the connections of a thread hold that wait, beside others that leave it large buffers.
fn held(count: usize, mut others: impl FnMut(), mut waiting: impl FnMut() -> WebSocket) -> i64 {
    others();
    let mut sockets = Vec::with_capacity(count);
    let memory = measure(|| {
        for _ in 0..count {
            others();
            sockets.push(waiting());
        }
    });
    drop(sockets);
    memory.bytes_current
}

/// A connection that leaves the copy of a tail to its thread.
fn receive_much() {
    receive_all(&mut server(burst(8, KIB)), 8);
}

#[test]
fn little_that_is_unread_holds_little() {
    const SOCKETS: usize = 100;
    for (others, kept) in [(send_much as fn(), 8 * BLOCK), (receive_much, 8 * 8 * KIB)] {
        let held = held(SOCKETS, others, || {
            let mut socket = server(burst(2, 10));
            assert_eq!(received(&mut socket).len(), 10);
            socket
        });
        assert_at_most(held, SOCKETS * SOCKET + kept, "bytes are held");
    }
}

#[test]
fn little_that_is_buffered_holds_little() {
    const SOCKETS: usize = 100;
    for polls in [false, true] {
        // The thread is one that polls.
        received(&mut server(burst(1, 10)));
        let held = held(SOCKETS, send_much, || {
            let mut socket = narrow(&Narrow::default());
            block_on(socket.feed("0123456789".into())).unwrap();
            if polls {
                assert_waits(&mut socket);
            }
            socket
        });
        assert_at_most(held, SOCKETS * SOCKET + 8 * BLOCK, "bytes are held");
    }
}

#[test]
fn little_that_is_left_of_a_burst_holds_little() {
    const SOCKETS: usize = 100;
    received(&mut server(burst(1, 10)));
    for (buffered, left) in [(60, 12), (60, 500), (3, 12)] {
        let held = held(
            SOCKETS,
            || (),
            || {
                let mut socket = narrow(&Narrow::takes(buffered * 1004 - left));
                feed(&mut socket, buffered);
                assert!(socket.flush().now_or_never().is_none());
                socket
            },
        );
        let kept = 8 * 2 * buffered * 1004;
        assert_at_most(held, SOCKETS * SOCKET + kept, "bytes are held");
    }
}

#[test]
fn a_large_payload_that_was_announced_holds_no_large_buffer() {
    const SOCKETS: usize = 100;
    let much = burst(1, MIB);
    let receive_much = || assert_eq!(next(&mut server(much.clone())).len(), MIB);
    let held = held(SOCKETS, receive_much, || {
        let mut socket = server(much[..100].to_vec());
        assert_waits(&mut socket);
        socket
    });
    assert_at_most(held, SOCKETS * SOCKET + 4 * MIB, "bytes are held");
}

/// Buffers of 1 MiB are idle, and 50 KiB are enough for one of them, but not for this payload.
#[test]
fn a_payload_that_arrives_holds_at_most_twice_its_length() {
    const SOCKETS: usize = 20;
    const LENGTH: usize = 100 * KIB;
    let much = Bytes::from(burst(1, MIB));
    let half = Bytes::from(burst(1, LENGTH)).slice(..LENGTH / 2);
    let receive_much = || assert_eq!(next(&mut server(much.clone())).len(), MIB);
    let held = held(SOCKETS, receive_much, || {
        let mut socket = server(half.clone());
        assert_waits(&mut socket);
        socket
    });
    let payloads = SOCKETS * (2 * LENGTH + SOCKET);
    assert_at_most(held, payloads + 4 * MIB, "bytes are held");
}

#[test]
fn a_payload_holds_at_most_twice_its_length() {
    const SHORT: usize = 20 * KIB;
    // Whatever comes in fragments may come to be as long as the limit.
    let limits = TransportConfig::default().max_message_size(Some(MIB));
    let parts = [
        Frame::new(BINARY, vec![7; SHORT - 1]).unfinished(),
        Frame::new(CONTINUATION, [7]),
    ];
    let sent = parts.map(|it| it.masked()).concat();
    let mut messages = Vec::new();
    let memory = measure(|| {
        for _ in 0..20 {
            assert_eq!(next(&mut server(burst(1, MIB))).len(), MIB);
            let attack = Attack::new(sent.clone(), Then::Wait);
            let config = alone().set_transport(limits);
            messages.push(next(&mut Role::Server.socket(attack, &config)));
        }
    });
    assert!(messages.iter().all(|it| it.len() == SHORT));
    let most = 20 * 2 * SHORT + MIB + 2 * BLOCK;
    assert_at_most(
        memory.bytes_current,
        most,
        "bytes for 20 messages of 20 KiB",
    );
}

/// A buffer has room for a payload, and has never had as many bytes as have arrived of it.
#[test]
fn a_buffer_is_not_used_beyond_what_was_written_to_it() {
    const LENGTH: usize = 160_000;
    const READ: usize = 9000;
    let payload: Vec<u8> = (0..=250).cycle().take(LENGTH).collect();
    let (mut near, far) = testing::duplex();
    let mut socket = testing::server(far, &alone()).unwrap();
    let frame = Frame::new(BINARY, &payload[..]).masked();
    let mut reads = frame.chunks(READ);
    // Its buffer has doubled with each doubling of what has arrived, and grows with the next read.
    for read in reads.by_ref().take(15) {
        now(near.write_all(read)).unwrap();
        assert_waits(&mut socket);
    }

    // The buffer of this message has room for 160,000 bytes, and has had 133,120 so far.
    let parts = [
        Frame::new(BINARY, vec![7; 130 * KIB - 1]).unfinished(),
        Frame::new(CONTINUATION, [7]),
    ];
    let other = next(&mut server(parts.map(|it| it.masked()).concat()));
    assert_eq!(other.len(), 130 * KIB);
    drop(other);

    for read in reads {
        assert_waits(&mut socket);
        now(near.write_all(read)).unwrap();
    }
    assert!(next(&mut socket).into_data() == payload, "other bytes");
}

#[test]
fn text_has_no_spare_room() {
    const LENGTH: usize = 20 * KIB;
    let parts = [
        Frame::new(TEXT, vec![b'a'; LENGTH - 1]).unfinished(),
        Frame::new(CONTINUATION, [b'a']),
    ];
    let mut socket = server(parts.map(|it| it.masked()).concat().repeat(22));
    let mut messages = vec![next(&mut socket)];
    let memory = measure(|| messages.extend((0..20).map(|_| next(&mut socket))));
    assert!(messages.iter().all(|it| it.len() == LENGTH));
    let most = 20 * (LENGTH + KIB) + BLOCK;
    assert_at_most(memory.bytes_current, most, "bytes for 20 texts of 20 KiB");
}

#[test]
fn what_was_written_is_not_held_while_more_is_buffered() {
    let stream = Narrow::default();
    let mut socket = narrow(&stream);
    feed(&mut socket, 60);
    let memory = measure(|| {
        for _ in 0..10_000 {
            stream.takes.store(1004, Relaxed);
            assert!(socket.flush().now_or_never().is_none());
            feed(&mut socket, 1);
        }
    });
    assert_at_most(memory.bytes_max, 4 * BLOCK, "bytes are held");
}

#[test]
fn a_socket_that_has_written_large_payloads_holds_nothing() {
    const SOCKETS: usize = 50;
    let send = |socket: &mut WebSocket| {
        for _ in 0..25 {
            block_on(socket.feed(Message::binary(vec![7; 5000]))).unwrap();
        }
    };
    let streams: Vec<_> = (0..SOCKETS).map(|_| Narrow::default()).collect();
    let mut sockets: Vec<_> = streams.iter().map(narrow).collect();
    let memory = measure(|| {
        for (socket, stream) in sockets.iter_mut().zip(&streams) {
            send(socket);
            stream.takes.store(MIB, Relaxed);
            block_on(socket.flush()).unwrap();
        }
    });
    assert_at_most(memory.bytes_current, 8 * KIB, "bytes are held");
}

#[test]
fn a_socket_whose_write_has_failed_holds_nothing() {
    const SOCKETS: usize = 30;
    received(&mut server(burst(1, 10)));
    let streams: Vec<_> = (0..SOCKETS).map(|_| Narrow::default()).collect();
    let mut sockets: Vec<_> = streams.iter().map(narrow).collect();
    let memory = measure(|| {
        for (socket, stream) in sockets.iter_mut().zip(&streams) {
            feed(socket, 40);
            block_on(socket.feed(Message::binary(vec![7; 20_000]))).unwrap();
            stream.fails.store(true, Relaxed);
            assert!(block_on(socket.flush()).is_err());
        }
    });
    assert_at_most(memory.bytes_current, 8 * BLOCK, "bytes are held");
}

/// Counts what the polls of a future allocate and free, on whatever thread they are.
struct Counted<F> {
    future: Pin<Box<F>>,
    live: Arc<AtomicI64>,
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut poll = Poll::Pending;
        let memory = measure(|| poll = self.future.as_mut().poll(cx));
        self.live.fetch_add(memory.bytes_current, Relaxed);
        poll
    }
}

/// Sockets that are polled by another task for each message, wherever that runs. Each echoes other
/// bytes than the others. Returns how much is live afterwards of what was allocated meanwhile.
async fn echo_by_turns(spawn: impl Fn(BoxFuture<'static, ()>)) -> i64 {
    const SOCKETS: u8 = 16;
    const ROUNDS: usize = 40;
    let live = Arc::new(AtomicI64::new(0));
    let echo = async |number: u8| {
        // Of those that are unread some are in a block and some are copied; the last one is large.
        let lengths = [KIB; 12].into_iter().chain([100; 20]).chain([200 * KIB]);
        let frames = lengths
            .clone()
            .map(|length| Frame::new(BINARY, vec![number; length]));
        let sent: Vec<u8> = frames.flat_map(|it| it.masked()).collect();
        let mut socket = server_again(sent);
        for length in lengths.cycle().take(ROUNDS) {
            let (done, result) = oneshot::channel();
            let turn = async move {
                let message = socket.next().await.unwrap().unwrap();
                assert_eq!(message.len(), length);
                let is_own = message.clone().into_data().iter().all(|&it| it == number);
                assert!(is_own, "bytes of another connection");
                socket.feed(message).await.unwrap();
                // The test waits for it.
                let _ = done.send(socket);
            };
            spawn(Box::pin(Counted {
                future: Box::pin(turn),
                live: Arc::clone(&live),
            }));
            socket = result.await.expect("the task does not panic");
        }
        let memory = measure(|| drop(socket));
        live.fetch_add(memory.bytes_current, Relaxed);
    };
    join_all((0..SOCKETS).map(echo)).await;
    live.load(Relaxed)
}

/// What four threads may keep.
#[cfg(any(feature = "rt-tokio", feature = "rt-smol"))]
const KEPT_BY_FOUR: usize = 4 * (4 * MIB + 4 * BLOCK + 8 * BLOCK);

#[cfg(feature = "rt-tokio")]
#[test]
fn connections_that_move_between_threads_share_no_bytes_on_tokio() {
    support::bounded(|| {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .build()
            .unwrap();
        let runtime = anyws::TokioRuntime::new(tokio.handle().clone());
        let live = block_on(echo_by_turns(|task| runtime.spawn(task)));
        assert_at_most(live, KEPT_BY_FOUR, "bytes are kept");
    });
}

#[cfg(feature = "rt-smol")]
#[test]
fn connections_that_move_between_threads_share_no_bytes_on_smol() {
    support::bounded(|| {
        let executor = smol::Executor::new();
        let (stop, stopped) = smol::channel::unbounded::<()>();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| block_on(executor.run(stopped.recv())));
            }
            let live = block_on(echo_by_turns(|task| executor.spawn(task).detach()));
            drop(stop);
            assert_at_most(live, KEPT_BY_FOUR, "bytes are kept");
        });
    });
}

/// Each task has a thread of its own, which has ended before the next one begins.
#[test]
fn connections_that_move_between_threads_share_no_bytes_on_threads() {
    support::bounded(|| {
        block_on(echo_by_turns(|task| {
            support::threads::ThreadRuntime.spawn(task);
        }));
    });
}
