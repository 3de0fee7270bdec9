//! A peer that reads slowly or not at all: what is buffered, who waits, and what comes of it.

use std::{pin::pin, sync::Arc};

use anyws::{
    Error, Message, Runtime, TransportConfig, WebSocket, WebSocketConfig,
    testing::{self, duplex_with_capacity},
};
use futures::{
    AsyncReadExt, FutureExt, SinkExt,
    future::{join, poll_fn},
    poll,
};
use support::{
    attack::{Attack, Then, alone},
    config,
    frames::{BINARY, CONTINUATION, Frame, PING, Peer, Role, server, with_peer},
    runtimes,
    sockets::{assert_waits, received},
};

/// The watermark of the tests, and the stream's capacity: both well below what is sent.
const WATERMARK: usize = 10_000;
const CAPACITY: usize = 1_000;

fn small(runtime: &Arc<dyn Runtime>) -> WebSocketConfig {
    let transport = TransportConfig::default()
        .write_buffer_size(WATERMARK / 2)
        .max_write_buffer_size(WATERMARK);
    config(runtime).set_transport(transport)
}

/// A server's socket on a narrow stream, and its peer.
async fn narrow(runtime: &Arc<dyn Runtime>) -> (WebSocket, Peer) {
    let (near, far) = duplex_with_capacity(CAPACITY);
    (server(far, &small(runtime)).await, Peer::new(near))
}

fn message(length: usize, content: u8) -> Message {
    Message::binary(vec![content; length])
}

fn frame(length: usize, content: u8) -> Frame {
    Frame::new(BINARY, vec![content; length])
}

/// Fills the queue of a socket whose peer does not read, so that whoever sends has to wait.
async fn fill(socket: &mut WebSocket) {
    socket.feed(message(3 * WATERMARK, b'f')).await.unwrap();
    assert!(
        poll_ready(socket).now_or_never().is_none(),
        "there is no room"
    );
}

/// Waits for room.
async fn poll_ready(socket: &mut WebSocket) -> anyws::Result<()> {
    poll_fn(|cx| socket.poll_ready_unpin(cx)).await
}

async fn assert_frame(peer: &mut Peer, expected: Frame) {
    // Not `assert_eq`: nobody wants to read thousands of bytes.
    assert!(peer.frame().await == Some(expected));
}

/// A message whose frame has `length` bytes as `role` sends it.
fn framed(role: Role, length: usize) -> Message {
    let mask = if role == Role::Client { 4 } else { 0 };
    let header = match length - mask {
        0..=127 => 2,
        128..=65_539 => 4,
        _ => 10,
    };
    Message::binary(vec![7; length - mask - header])
}

/// Feeds a message for which there must be room.
fn feed_now(socket: &mut WebSocket, message: Message) {
    let fed = socket.feed(message).now_or_never();
    fed.expect("there is room").unwrap();
}

#[test]
fn senders_wait_above_the_watermark_and_not_at_it() {
    const KIB: usize = 1024;
    let default = TransportConfig::default;
    let settings = [
        (default(), 128 * KIB),
        (default().write_buffer_size(0), 128 * KIB),
        (default().write_buffer_size(64 * KIB), 128 * KIB),
        (default().write_buffer_size(100 * KIB), 200 * KIB),
        (default().write_buffer_size(256 * KIB), 512 * KIB),
        (default().max_write_buffer_size(100), 100),
        (default().max_write_buffer_size(200 * KIB), 200 * KIB),
        (
            default().write_buffer_size(999).max_write_buffer_size(1000),
            1000,
        ),
    ];
    for role in Role::BOTH {
        for (transport, watermark) in &settings {
            let config = alone().set_transport(*transport);
            let stream = || Attack::new("", Then::Wait).takes(0);

            let mut socket = role.socket(stream(), &config);
            feed_now(&mut socket, framed(role, *watermark));
            feed_now(&mut socket, "at the watermark".into());
            assert!(socket.feed("above it".into()).now_or_never().is_none());
            assert!(socket.send("above it".into()).now_or_never().is_none());

            let mut socket = role.socket(stream(), &config);
            feed_now(&mut socket, framed(role, *watermark + 1));
            assert!(socket.feed("above it".into()).now_or_never().is_none());
            assert!(poll_ready(&mut socket).now_or_never().is_none());
        }
    }
}

#[test]
fn the_answer_to_a_ping_takes_no_room_from_what_the_user_sends() {
    let transport = TransportConfig::default().max_write_buffer_size(100);
    let config = alone().set_transport(transport);
    for role in Role::BOTH {
        let ping = Frame::new(PING, [7; 125]).bytes(role.other());
        let stream = Attack::new(ping, Then::Wait).takes(0);
        let mut socket = role.socket(stream, &config);
        assert!(received(&mut socket).is_ping());
        // The pong waits for the peer to read.
        assert_waits(&mut socket);
        feed_now(&mut socket, framed(role, 100));
        feed_now(&mut socket, "at the watermark".into());
        assert!(socket.feed("above it".into()).now_or_never().is_none());
    }
}

runtimes! {
    async fn one_message_of_any_size_is_taken_by_an_empty_queue(rt) {
        const LENGTH: usize = 8 * 1024 * 1024;
        let (mut socket, mut peer) = with_peer(&config(&rt)).await;
        let fed = socket.feed(message(LENGTH, 1)).now_or_never();
        fed.expect("it does not wait").unwrap();
        let (flushed, ()) = join(socket.flush(), assert_frame(&mut peer, frame(LENGTH, 1))).await;
        flushed.unwrap();
        // The queue is empty again.
        let (sent, ()) =
            join(socket.send(message(LENGTH, 2)), assert_frame(&mut peer, frame(LENGTH, 2))).await;
        sent.unwrap();
    }

    async fn a_message_that_is_sent_in_fragments_is_taken_whole_too(rt) {
        let transport = TransportConfig::default().fragment_size(1024 * 1024);
        let (mut socket, mut peer) = with_peer(&config(&rt).set_transport(transport)).await;
        let fed = socket.feed(message(3 * 1024 * 1024, 1)).now_or_never();
        fed.expect("it does not wait").unwrap();
        let read = async {
            assert_frame(&mut peer, frame(1024 * 1024, 1).unfinished()).await;
            let next = Frame::new(CONTINUATION, vec![1; 1024 * 1024]);
            assert_frame(&mut peer, next.clone().unfinished()).await;
            assert_frame(&mut peer, next).await;
        };
        join(socket.flush(), read).await.0.unwrap();
    }

    async fn both_ends_carry_a_large_message(rt) {
        let (mut client, mut server) = testing::pair_with(&config(&rt)).unwrap();
        // Above the frame limit of 16 MiB.
        let message = message(20 * 1024 * 1024, 1);
        for _ in 0..2 {
            let (sent, received) = join(client.send(message.clone()), server.next()).await;
            sent.unwrap();
            assert!(received.unwrap().unwrap() == message);
            (client, server) = (server, client);
        }
    }

    async fn feed_waits_while_more_than_the_watermark_is_buffered(rt) {
        let (mut socket, mut peer) = narrow(&rt).await;
        fill(&mut socket).await;
        assert!(socket.feed("dropped".into()).now_or_never().is_none());
        let feed = async {
            socket.feed("after it".into()).await.unwrap();
            // Only the watermark was reached.
            socket.flush().await.unwrap();
        };
        join(feed, async {
            assert_frame(&mut peer, frame(3 * WATERMARK, b'f')).await;
            assert_frame(&mut peer, Frame::text("after it")).await;
        })
        .await;
    }

    async fn feed_waits_until_no_more_than_the_watermark_is_buffered_and_no_longer(rt) {
        let (mut near, far) = duplex_with_capacity(CAPACITY);
        let mut socket = server(far, &small(&rt)).await;
        fill(&mut socket).await;
        let mut bytes = vec![0; 2 * WATERMARK];
        let (fed, read) = join(socket.feed("after it".into()), near.read_exact(&mut bytes)).await;
        fed.unwrap();
        read.unwrap();
        assert!(socket.flush().now_or_never().is_none(), "the rest is still buffered");
    }

    async fn send_waits_while_more_than_the_watermark_is_buffered(rt) {
        let (mut socket, mut peer) = narrow(&rt).await;
        fill(&mut socket).await;
        let mut sending = pin!(socket.send("after it".into()));
        assert!(poll!(&mut sending).is_pending());
        let (sent, ()) = join(sending, assert_frame(&mut peer, frame(3 * WATERMARK, b'f'))).await;
        sent.unwrap();
        assert_frame(&mut peer, Frame::text("after it")).await;
    }

    async fn send_waits_until_its_own_message_is_written(rt) {
        let (mut socket, mut peer) = narrow(&rt).await;
        let mut sending = pin!(socket.send(message(2 * CAPACITY, 1)));
        assert!(poll!(&mut sending).is_pending());
        let (sent, ()) = join(sending, assert_frame(&mut peer, frame(2 * CAPACITY, 1))).await;
        sent.unwrap();
    }

    async fn a_socket_that_only_feeds_buffers_no_more_than_the_watermark_and_a_message(rt) {
        let (mut socket, mut peer) = narrow(&rt).await;
        let mut accepted = 0;
        while let Some(fed) = socket.feed(message(100, 1)).now_or_never() {
            fed.unwrap();
            accepted += 1;
        }
        // A header has 2 bytes.
        let bytes = accepted * 102;
        assert!(bytes > WATERMARK, "{bytes}");
        assert!(bytes <= CAPACITY + WATERMARK + 102, "{bytes}");
        let read = async {
            for _ in 0..accepted {
                assert_frame(&mut peer, frame(100, 1)).await;
            }
        };
        join(socket.flush(), read).await.0.unwrap();
    }

    async fn a_message_dropped_while_it_waits_for_room_is_not_sent(rt) {
        let (mut socket, mut peer) = narrow(&rt).await;
        fill(&mut socket).await;
        assert!(socket.send("dropped".into()).now_or_never().is_none());
        assert!(socket.feed("dropped".into()).now_or_never().is_none());
        let (sent, ()) = join(socket.send("sent".into()), async {
            assert_frame(&mut peer, frame(3 * WATERMARK, b'f')).await;
            assert_frame(&mut peer, Frame::text("sent")).await;
        }).await;
        sent.unwrap();
    }

    async fn a_message_dropped_after_there_was_room_is_sent_once_and_whole(rt) {
        let (mut socket, mut peer) = narrow(&rt).await;
        for content in 1..=3 {
            assert!(socket.send(message(2 * CAPACITY, content)).now_or_never().is_none());
        }
        let read = async {
            for content in 1..=3 {
                assert_frame(&mut peer, frame(2 * CAPACITY, content)).await;
            }
        };
        join(socket.flush(), read).await.0.unwrap();
        socket.send("the next".into()).await.unwrap();
        assert_frame(&mut peer, Frame::text("the next")).await;
    }

    async fn once_the_sink_is_ready_a_message_is_accepted(rt) {
        let (mut socket, mut peer) = narrow(&rt).await;
        fill(&mut socket).await;
        let send = async {
            poll_ready(&mut socket).await.unwrap();
            socket.start_send_unpin("accepted".into()).unwrap();
            socket.flush().await.unwrap();
        };
        join(send, async {
            assert_frame(&mut peer, frame(3 * WATERMARK, b'f')).await;
            assert_frame(&mut peer, Frame::text("accepted")).await;
        })
        .await;
    }

    async fn a_blocked_write_never_stops_next_from_reading(rt) {
        let (mut socket, mut peer) = narrow(&rt).await;
        fill(&mut socket).await;
        for text in ["one", "two", "three"] {
            peer.send(Frame::text(text)).await;
            let message = socket.next().now_or_never();
            let message = message.expect("it has arrived").unwrap().unwrap();
            assert_eq!(message, Message::text(text));
        }
    }

    async fn a_waiting_next_writes_on_as_the_peer_reads(rt) {
        let (mut socket, mut peer) = narrow(&rt).await;
        socket.feed(message(WATERMARK, 1)).await.unwrap();
        let talk = async {
            assert_frame(&mut peer, frame(WATERMARK, 1)).await;
            peer.send(Frame::text("got it")).await;
        };
        let (received, ()) = join(socket.next(), talk).await;
        assert_eq!(received.unwrap().unwrap(), Message::text("got it"));
    }

    async fn two_echoes_that_feed_strand_nothing(rt) {
        let (mut client, mut server) = testing::pair_with(&small(&rt)).unwrap();
        let echo = async {
            for _ in 0..1000 {
                let message = server.next().await.unwrap().unwrap();
                server.feed(message).await.unwrap();
            }
            server.flush().await.unwrap();
        };
        let talk = async {
            for number in 0..1000 {
                client.send(Message::text(number.to_string())).await.unwrap();
                let echoed = client.next().await.unwrap().unwrap();
                assert_eq!(echoed, Message::text(number.to_string()));
            }
        };
        join(echo, talk).await;
    }

    async fn who_waits_for_room_hears_that_the_peer_is_gone(rt) {
        let (mut socket, peer) = narrow(&rt).await;
        fill(&mut socket).await;
        let mut sending = pin!(socket.send("nobody hears this".into()));
        assert!(poll!(&mut sending).is_pending());
        drop(peer);
        let sent = sending.await;
        assert!(matches!(sent, Err(Error::Io(_))), "{sent:?}");
    }
}
