//! Faults that fuzzing and reading have found.

use std::{pin::pin, sync::Arc, time::Duration};

use anyws::{
    CloseCode, CloseFrame, DeflateConfig, Message, QueueConfig, Runtime, Takeover, WebSocket,
    WebSocketConfig, testing,
};
use futures::{FutureExt, SinkExt, executor::block_on};
use support::{
    config,
    frames::{BINARY, CONTINUATION, Frame, PING, PONG, Peer, Role, TEXT},
    runtimes,
    scripted::Scripted,
    time::Paused,
};

use crate::echo::{json, noise};

const RSV1: u8 = 0x40;
const SECOND: Duration = Duration::from_secs(1);

/// Returns a client and a server that take over in both directions.
fn pair(runtime: &Arc<dyn Runtime>, takeover: Takeover) -> (WebSocket, WebSocket) {
    let deflate = DeflateConfig::new()
        .send_takeover(takeover)
        .receive_takeover(true);
    testing::pair_with(&config(runtime).set_deflate(deflate)).unwrap()
}

/// Receives a message if it is there, in as many turns as that takes.
fn take(client: &mut WebSocket) -> Option<Message> {
    let next = (0..100).find_map(|_| client.next().now_or_never());
    next.map(|next| next.unwrap().unwrap())
}

runtimes! {
    /// A sink that does not wait gives up the message that is being compressed.
    async fn a_message_that_another_one_stopped_leaves_nothing_behind(runtime) {
        for takeover in [Takeover::None, Takeover::Window, Takeover::Dedicated] {
            let (mut client, mut server) = pair(&runtime, takeover);
            let messages = [json(0, 150_000), json(1, 10_000), json(2, 300)];
            for message in &messages {
                server.start_send_unpin(Message::text(message)).unwrap();
            }
            let receive = async {
                for message in &messages {
                    let received = client.next().await.unwrap().unwrap();
                    assert!(received == Message::text(message), "{takeover:?}");
                }
            };
            let (flushed, ()) = futures::join!(server.flush(), receive);
            flushed.unwrap();
        }
    }

    /// Each message stops the compression of the one before, which is then sent as it is: the
    /// compressor of the socket must not refer to that.
    async fn a_message_that_was_given_up_in_the_middle_leaves_nothing_behind(runtime) {
        for takeover in [Takeover::None, Takeover::Window, Takeover::Dedicated] {
            let (mut client, mut server) = pair(&runtime, takeover);
            let sender = server.sender();
            let messages = [json(0, 150_000), json(1, 10_000), json(2, 300)];
            for message in &messages {
                sender.try_send(message.as_str()).unwrap();
            }
            // A Close is sent behind all that is queued, so all of it is taken at once.
            let receive = async {
                for message in messages {
                    let received = client.next().await.unwrap().unwrap();
                    assert!(received == Message::text(message), "{takeover:?}");
                }
                client.close(None).await
            };
            let (closed, _) = futures::join!(server.close(None), receive);
            closed.unwrap();
        }
    }
}

runtimes! {
    /// What a message leaves behind in a compressor that gives it up must not meet a later one.
    async fn messages_that_do_not_become_smaller_harm_no_later_ones(runtime) {
        let all = [(1, 12, 200_000), (3, 12, 16_360), (3, 15, 16_380), (9, 9, 16_360)];
        for (level, bits, length) in all {
            for takeover in [Takeover::None, Takeover::Window, Takeover::Dedicated] {
                let deflate = DeflateConfig::new()
                    .send_takeover(takeover)
                    .receive_takeover(true)
                    .send_window_bits(bits)
                    .level(level);
                let config = config(&runtime).set_deflate(deflate);
                let (mut client, mut server) = testing::pair_with(&config).unwrap();
                // Those that do not become smaller are given up as soon as that is clear.
                let larger = (0..10).map(|round| Message::binary(noise(round, length)));
                for message in larger.chain([Message::text(json(0, 300))]) {
                    let (sent, received) =
                        futures::join!(server.send(message.clone()), client.next());
                    sent.unwrap();
                    let received = received.unwrap().unwrap();
                    assert!(received == message, "{takeover:?}, level {level}");
                }
            }
        }
    }
}

runtimes! {
    /// Other tasks of the thread may run for long between two turns, while the peer reads.
    async fn a_message_that_takes_many_turns_to_compress_is_no_blocked_write(runtime) {
        let time = Paused::new(&runtime);
        let config = time
            .config()
            .set_write_timeout(5 * SECOND)
            .set_deflate(DeflateConfig::new());
        let (mut client, mut server) = testing::pair_with(&config).unwrap();
        let message = Message::text(json(0, 2_000_000));
        let mut send = pin!(server.send(message.clone()));
        let (mut seconds, mut received) = (0, None);
        while send.as_mut().now_or_never().is_none_or(|sent| {
            sent.unwrap();
            false
        }) {
            received = received.or_else(|| take(&mut client));
            time.advance(SECOND).await;
            seconds += 1;
        }
        assert!(seconds > 20, "it takes longer than the timeout");
        while received.is_none() {
            received = take(&mut client);
        }
        assert!(received == Some(message));
    }

    async fn a_socket_that_compresses_is_not_idle(runtime) {
        let time = Paused::new(&runtime);
        let config = time.config().set_deflate(DeflateConfig::new());
        let (near, far) = testing::duplex();
        let mut client = testing::client(near, &config).unwrap();
        let config = config.set_idle_timeout(5 * SECOND);
        let mut server = testing::server(far, &config).unwrap();
        let message = Message::text(json(0, 2_000_000));
        server.feed(message.clone()).await.unwrap();
        let mut seconds = 0;
        let received = loop {
            assert!(server.next().now_or_never().is_none(), "nothing is received");
            if let Some(received) = take(&mut client) {
                break received;
            }
            time.advance(SECOND).await;
            seconds += 1;
        };
        assert!(received == message);
        assert!(seconds > 20, "it takes longer than the timeout");
    }

    /// The answer to a ping waits behind a message that is being inflated.
    async fn a_message_that_takes_many_turns_to_inflate_is_no_silence(runtime) {
        let time = Paused::new(&runtime);
        let config = time.config().set_deflate(DeflateConfig::new());
        let (near, far) = testing::duplex();
        let mut client = testing::client(near, &config).unwrap();
        let config = config.set_keepalive(3 * SECOND, 5 * SECOND);
        let mut server = testing::server(far, &config).unwrap();
        let message = Message::binary(vec![0; 10_000_000]);
        client.send(message.clone()).await.unwrap();
        let mut next = pin!(server.next());
        let mut seconds = 0;
        let received = loop {
            if let Some(received) = next.as_mut().now_or_never() {
                break received.unwrap().unwrap();
            }
            // It answers pings.
            while let Some(ping) = client.next().now_or_never() {
                assert!(ping.unwrap().unwrap().is_ping());
            }
            time.advance(SECOND).await;
            seconds += 1;
        };
        assert!(received == message);
        assert!(seconds > 20, "it takes longer than the timeout");
    }
}

runtimes! {
    /// Over a stream that passes nothing on before a flush.
    async fn pongs_are_flushed_while_a_message_is_compressed(runtime) {
        let config = config(&runtime).set_deflate(DeflateConfig::new());
        let (near, far) = testing::duplex();
        let mut server = Role::Server.socket(Scripted::buffering(far), &config);
        let mut peer = Peer::of(Role::Server, near);
        let message = Message::text(json(0, 1_000_000));
        server.feed(message).await.unwrap();
        peer.send(Frame::new(PING, b"a")).await;
        for _ in 0..4 {
            let next = server.next().now_or_never();
            assert!(next.is_none_or(|ping| ping.unwrap().unwrap().is_ping()));
        }
        let pong = peer.frame().now_or_never().expect("it was flushed");
        assert_eq!(pong, Some(Frame::new(PONG, b"a")));
    }
}

runtimes! {
    /// The last block of a stream (RFC 7692, section 7.2.3.4) takes two bytes of the peer, and the
    /// next stream a decompressor with the history.
    async fn many_streams_in_a_message_take_many_turns(runtime) {
        let deflate = DeflateConfig::new()
            .send_takeover(Takeover::Window)
            .receive_takeover(true)
            .send_window_bits(15)
            .receive_window_bits(15);
        let config = config(&runtime).set_deflate(deflate);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        let streams = 30_000;
        let empty = Frame::new(BINARY, [3, 0].repeat(streams)).with_bits(RSV1);
        peer.send(empty).await;
        let mut turns = 1;
        let received = loop {
            if let Some(received) = socket.next().now_or_never() {
                break received.unwrap().unwrap();
            }
            turns += 1;
        };
        assert_eq!(received, Message::binary(""));
        assert!(turns > streams / 500, "{turns}");
    }
}

runtimes! {
    /// A Close is buffered behind all that is queued, in one turn.
    async fn a_close_compresses_no_more_than_a_turn(runtime) {
        let queue = QueueConfig::default().bytes(10_000_000);
        let config = config(&runtime)
            .set_queue(queue)
            .set_deflate(DeflateConfig::new());
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        let sender = socket.sender();
        let messages: Vec<_> = (0..40).map(|number| json(number, 10_000)).collect();
        for message in &messages {
            sender.try_send(message.as_str()).unwrap();
        }
        let read = async {
            let mut compressed = 0;
            for message in &messages {
                let frame = peer.frame().await.unwrap();
                if frame == Frame::new(TEXT, message.as_str()) {
                    continue;
                }
                compressed += 1;
                assert!(frame.payload.len() < message.len() / 2);
            }
            assert!((1..5).contains(&compressed), "{compressed}");
            assert_eq!(peer.frame().await.unwrap().code(), 1000);
            peer.send(Frame::close(1000, "")).await;
            drop(peer);
        };
        let close = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let (closed, ()) = futures::join!(socket.close(Some(close)), read);
        closed.unwrap();
    }
}

runtimes! {
    /// Else a peer that sends each byte in a frame would keep the thread busy.
    async fn small_fragments_are_only_kept(runtime) {
        let config = config(&runtime).set_deflate(DeflateConfig::new());
        let (mut socket, mut peer) = Role::Client.with_peer(&config);
        let count = 10_000;
        // A block that is not compressed.
        let length = u16::try_from(count).unwrap();
        let mut payload = vec![0];
        payload.extend(length.to_le_bytes());
        payload.extend((!length).to_le_bytes());
        payload.extend(vec![7; count]);
        payload.push(0);
        let first = Frame::new(BINARY, []).with_bits(RSV1).unfinished();
        peer.send(first).await;
        let mut bytes = Vec::new();
        for byte in payload {
            let part = Frame::new(CONTINUATION, [byte]).unfinished();
            bytes.extend(part.bytes(Role::Server));
        }
        bytes.extend(Frame::new(CONTINUATION, []).bytes(Role::Server));
        peer.send_bytes(&bytes).await;
        let mut received = None;
        let measured = allocation_counter::measure(|| {
            while received.is_none() {
                received = socket.next().now_or_never();
            }
        });
        let received = received.unwrap().unwrap().unwrap();
        assert_eq!(received, Message::binary(vec![7; count]));
        assert!(measured.count_total < 500, "{}", measured.count_total);
    }
}

/// The block in which it compresses belongs to the thread, also where nothing else does.
#[test]
fn a_thread_of_dedicated_compressors_keeps_a_block() {
    support::bounded(|| {
        let deflate = DeflateConfig::new()
            .send_takeover(Takeover::Dedicated)
            .receive_takeover(true);
        let config = WebSocketConfig::new().set_deflate(deflate);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        let mut send = |number| {
            let message = Message::text(json(number, 300));
            block_on(socket.send(message)).unwrap();
            block_on(peer.frame()).unwrap();
        };
        send(0);
        let measured = allocation_counter::measure(|| (1..100).for_each(&mut send));
        assert!(measured.bytes_total < 1_000_000, "{}", measured.bytes_total);
    });
}
