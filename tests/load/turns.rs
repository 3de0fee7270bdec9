//! Turns: how much a socket does before other tasks run, and when it may do as much again.
//!
//! The stream under the socket sees how long a turn is: it counts its writes and their bytes.

use std::{future::poll_fn, pin::pin, task::Waker};

use anyws::{Bytes, Message, TransportConfig, WebSocket, WebSocketConfig};
use futures::{
    FutureExt, SinkExt,
    executor::block_on,
    future::{Either, select},
    pending, poll,
};
use support::{
    attack::{Attack, Then, alone, drive},
    config,
    frames::{Frame, Role},
    room::Narrow,
    runtimes,
    sockets::received,
    tasks::{poll_with, waker},
};

/// The length of a turn, from the documentation of `WebSocket`: so many frames, or so many bytes.
const FRAMES: usize = 256;
const BYTES: usize = 2 * 1024 * 1024;

/// Frames that fit into a turn once, but not twice.
const PART: usize = 150;

/// A stream that takes up to `most` bytes with each write, and never waits. Nothing arrives on it.
fn roomy(most: usize) -> Attack {
    Attack::new(Bytes::new(), Then::Wait).takes(most)
}

/// Settings with which nothing is written before a flush.
fn until_flushed() -> WebSocketConfig {
    let transport = TransportConfig::default()
        .write_buffer_size(usize::MAX - 1)
        .max_write_buffer_size(usize::MAX);
    alone().set_transport(transport)
}

/// Sends small messages without a pause, many more than fit into a turn.
async fn send_on(mut socket: WebSocket) {
    for _ in 0..100 * FRAMES {
        socket.send("on and on".into()).await.unwrap();
    }
}

/// Demands that a future yields whenever `moved` has grown by `most`, until it is `all`.
fn assert_takes_turns(
    future: impl Future<Output = anyws::Result<()>>,
    moved: impl Fn() -> usize,
    most: usize,
    all: usize,
) {
    let (mut before, mut turns) = (0, 0);
    let done = drive(future, || {
        let turn = moved() - before;
        assert!(turn <= most, "{turn} in a turn, not {most}");
        before += turn;
        turns += 1;
        // A future that only yields and does nothing must not keep the test for ever.
        turns < 1000
    });
    done.expect("it is woken for its next turn").unwrap();
    assert!(moved() >= all, "{} were written, and not {all}", moved());
    assert!(turns >= all / most, "{turns} turns");
}

#[test]
fn a_writer_takes_one_turn_in_a_poll_however_little_the_stream_takes_at_once() {
    const WRITE: usize = 100;
    const WRITES: usize = 10 * FRAMES;
    for role in Role::BOTH {
        let stream = roomy(WRITE);
        let log = stream.log();
        let mut socket = role.socket(stream, &alone());
        let message = Message::binary(vec![7; WRITES * WRITE]);
        let writes = || log.written().div_ceil(WRITE);
        assert_takes_turns(socket.send(message), writes, FRAMES, WRITES);
    }
}

#[test]
fn a_writer_takes_one_turn_in_a_poll_however_much_the_stream_takes_at_once() {
    const ALL: usize = 5 * BYTES;
    for role in Role::BOTH {
        let stream = roomy(64 * 1024);
        let log = stream.log();
        let mut socket = role.socket(stream, &alone());
        let message = Message::binary(vec![7; ALL]);
        assert_takes_turns(socket.send(message), || log.written(), BYTES, ALL);
    }
}

#[test]
fn a_flush_of_many_messages_takes_one_turn_in_a_poll() {
    const LENGTH: usize = 1000;
    for role in Role::BOTH {
        let stream = roomy(LENGTH);
        let log = stream.log();
        let mut socket = role.socket(stream, &until_flushed());
        for _ in 0..10 * FRAMES {
            block_on(socket.feed(Message::binary(vec![7; LENGTH]))).unwrap();
        }
        assert_eq!(log.written(), 0);
        let writes = || log.written().div_ceil(LENGTH);
        assert_takes_turns(socket.flush(), writes, FRAMES, 10 * FRAMES);
    }
}

#[test]
fn a_handler_that_only_sends_comes_to_the_end_of_its_turn() {
    for role in Role::BOTH {
        let stream = roomy(usize::MAX);
        let log = stream.log();
        let socket = role.socket(stream, &alone());
        // A text of 9 bytes and its header.
        let frame = if role == Role::Client { 15 } else { 11 };
        let (mut before, mut turns) = (0, 0);
        drive(send_on(socket), || {
            let turn = log.written() / frame - before;
            assert!(turn <= FRAMES, "{turn} messages in a turn");
            before += turn;
            turns += 1;
            turns < 10
        });
        assert_eq!(turns, 10, "it is woken for its next turn");
    }
}

/// Small messages wait in the buffer, and a stream that takes all of it never makes a task wait.
#[test]
fn whatever_buffers_messages_comes_to_the_end_of_its_turn() {
    type Sends = fn(WebSocket) -> futures::future::BoxFuture<'static, ()>;
    let ways: [(&str, Sends); 3] = [
        ("feed", |mut socket| {
            async move {
                loop {
                    socket.feed("on and on".into()).await.unwrap();
                }
            }
            .boxed()
        }),
        ("send_all", |mut socket| {
            async move {
                let mut messages = futures::stream::repeat_with(|| Ok("on and on".into()));
                socket.send_all(&mut messages).await.unwrap();
            }
            .boxed()
        }),
        ("start_send", |mut socket| {
            async move {
                loop {
                    poll_fn(|cx| socket.poll_ready_unpin(cx)).await.unwrap();
                    socket.start_send_unpin("on and on".into()).unwrap();
                }
            }
            .boxed()
        }),
    ];
    for role in Role::BOTH {
        for (name, send) in ways {
            let stream = roomy(usize::MAX);
            let log = stream.log();
            let socket = role.socket(stream, &alone());
            let frame = if role == Role::Client { 15 } else { 11 };
            let (mut before, mut turns) = (0, 0);
            drive(send(socket), || {
                let turn = (log.written() - before) / frame;
                before = log.written();
                // What is buffered leaves at once, now and then.
                assert!(
                    turn <= FRAMES + 64 * 1024 / frame,
                    "{name}: {turn} messages in a turn"
                );
                turns += 1;
                turns < 100
            });
            assert_eq!(turns, 100, "{name}: it is woken for its next turn");
            let messages = before / frame;
            assert!(
                messages <= 100 * FRAMES,
                "{name}: {messages} messages in 100 turns"
            );
        }
    }
}

/// A receiver on another thread that waits, again and again, does not leave the sender's thread.
#[test]
fn a_sender_takes_turns_however_often_another_task_waits_to_receive() {
    let ways: [fn(&mut WebSocket, &Waker) -> bool; 2] = [
        |socket, waker| poll_with(waker, pin!(socket.send("on and on".into()))).is_pending(),
        |socket, waker| poll_with(waker, pin!(socket.feed("on and on".into()))).is_pending(),
    ];
    for role in Role::BOTH {
        for send in ways {
            let mut socket = role.socket(roomy(usize::MAX), &alone());
            let ((sender, woken), (receiver, _)) = (waker(), waker());
            // What is fed is written first when the buffer is full, 64 KiB of small frames.
            let sends = 64 * 1024 / 11 + 2 * FRAMES;
            let yields = (0..sends).any(|_| {
                let is_pending = send(&mut socket, &sender);
                assert!(poll_with(&receiver, pin!(socket.next())).is_pending());
                is_pending
            });
            assert!(yields, "{role:?}: {sends} messages without a pause");
            assert!(woken.take(), "it is woken for its next turn");
        }
    }
}

#[test]
fn a_feed_of_large_messages_takes_one_turn_in_a_poll() {
    for role in Role::BOTH {
        let stream = roomy(usize::MAX);
        let log = stream.log();
        let mut socket = role.socket(stream, &alone());
        let feed = async {
            loop {
                socket
                    .feed(Message::binary(vec![7; 100_000]))
                    .await
                    .unwrap();
            }
        };
        let (mut before, mut turns) = (0, 0);
        drive(feed, || {
            let turn = log.written() - before;
            before = log.written();
            assert!(turn <= BYTES + 200_000, "{turn} bytes in a turn");
            turns += 1;
            turns < 20
        });
        assert_eq!(turns, 20, "it is woken for its next turn");
    }
}

/// A socket that had to wait has left the thread to others: what it did before does not count.
#[test]
fn a_read_that_waits_begins_a_new_turn() {
    for role in Role::BOTH {
        let (mut socket, mut peer) = role.with_peer(&alone());
        for _ in 0..3 {
            let burst = Frame::text("in a burst").bytes(role.other()).repeat(PART);
            block_on(peer.send_bytes(&burst));
            // The socket yields for none of them.
            for _ in 0..PART {
                assert_eq!(received(&mut socket), Message::text("in a burst"));
            }
            assert!(socket.next().now_or_never().is_none());
        }
    }
}

#[test]
fn a_write_that_waits_begins_a_new_turn() {
    for role in Role::BOTH {
        let (stream, room) = Narrow::new(1);
        let mut socket = role.socket(stream, &until_flushed());
        block_on(socket.feed(Message::binary(vec![7; 10 * PART]))).unwrap();
        for _ in 0..3 {
            room.give(PART);
            let mut polls = 0;
            let flushed = drive(socket.flush(), || {
                polls += 1;
                true
            });
            assert!(flushed.is_none(), "it waits for room");
            assert_eq!((room.left(), polls), (0, 1));
        }
    }
}

runtimes! {
    async fn other_tasks_run_beside_a_handler_that_only_sends(rt) {
        let socket = Role::Server.socket(roomy(usize::MAX), &config(&rt));
        // This task needs a few polls.
        let other = async {
            for _ in 0..3 {
                pending!();
            }
        };
        match select(pin!(send_on(socket)), pin!(other)).await {
            Either::Right(_) => {}
            Either::Left(_) => panic!("everything was sent before anything else has run"),
        }
    }

    async fn a_writer_that_gave_up_its_turn_is_woken(rt) {
        let stream = roomy(64 * 1024);
        let log = stream.log();
        let mut socket = Role::Server.socket(stream, &config(&rt));
        let mut sending = pin!(socket.send(Message::binary(vec![7; 2 * BYTES])));
        assert!(poll!(&mut sending).is_pending());
        sending.await.unwrap();
        assert!(log.written() > 2 * BYTES);
    }
}
