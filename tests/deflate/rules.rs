//! The rules 61 to 70 of RFC 7692, frame by frame, for both roles.

use anyws::{DeflateConfig, Error, Message, ProtocolError, Takeover, WebSocket, WebSocketConfig};
use flate2::FlushCompress;
use support::{
    frames::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, Peer, Role, TEXT},
    runtimes,
    sockets::{assert_waits, now, received},
};

use crate::{
    codec::{RSV1, Receiver, Sender, deflated, frame, soon, with},
    distance::farthest,
    echo::{json, noise},
};

/// Settings that take over from the peer, and compress short messages.
fn takeover() -> DeflateConfig {
    DeflateConfig::new()
        .receive_takeover(true)
        .send_takeover(Takeover::Window)
        .threshold(0)
}

/// Demands that a socket fails with `error`, and tells the peer `code`.
fn assert_failed(socket: &mut WebSocket, peer: &mut Peer, error: &ProtocolError, code: u16) {
    match soon(socket.next()) {
        Some(Err(Error::Protocol(found))) => assert_eq!(found, *error),
        other => panic!("{other:?} is not {error:?}"),
    }
    assert_eq!(now(peer.frame()).expect("a Close comes").code(), code);
    assert!(now(socket.next()).is_none());
}

/// Sends frames to a new socket, which has to fail.
fn assert_fails(config: &WebSocketConfig, frames: &[Frame], error: &ProtocolError, code: u16) {
    for role in Role::BOTH {
        let (mut socket, mut peer) = role.with_peer(config);
        frames.iter().cloned().for_each(|it| now(peer.send(it)));
        assert_failed(&mut socket, &mut peer, error, code);
    }
}

/// Sends frames to a new socket, which has to get this message, and another one after it.
fn assert_received(config: &WebSocketConfig, frames: &[Frame], expected: &Message) {
    for role in Role::BOTH {
        let (mut socket, mut peer) = role.with_peer(config);
        frames.iter().cloned().for_each(|it| now(peer.send(it)));
        assert_eq!(soon(socket.next()).unwrap().unwrap(), *expected);
        now(peer.send(frame(TEXT, b"more")));
        assert_eq!(received(&mut socket), Message::text("more"));
    }
}

/// Cuts a frame into one of each byte.
fn fragments(opcode: u8, payload: &[u8]) -> Vec<Frame> {
    let mut frames: Vec<_> = payload
        .iter()
        .map(|&byte| Frame::new(CONTINUATION, [byte]).unfinished())
        .collect();
    frames[0] = Frame::new(opcode, &payload[..1])
        .with_bits(RSV1)
        .unfinished();
    frames.push(Frame::new(CONTINUATION, ""));
    frames
}

runtimes! {
    async fn rule_61_rsv1_is_for_the_first_frame_of_a_message_rfc7692_6(runtime) {
        let config = with(&runtime, takeover());
        let text = deflated(b"hello");
        let begun = Frame::new(TEXT, &text[..3]).with_bits(RSV1).unfinished();
        let rest = Frame::new(CONTINUATION, &text[3..]);
        assert_received(&config, &[begun.clone(), rest.clone()], &Message::text("hello"));
        for wrong in [
            vec![begun.clone(), rest.clone().with_bits(RSV1)],
            vec![Frame::text("a").unfinished(), rest.with_bits(RSV1)],
            vec![Frame::new(PING, "").with_bits(RSV1)],
            vec![Frame::new(PONG, deflated(b"a")).with_bits(RSV1)],
            vec![Frame::close(1000, "").with_bits(RSV1)],
            vec![frame(TEXT, b"hello").with_bits(0x20)],
            vec![frame(TEXT, b"hello").with_bits(0x10)],
            vec![Frame::text("hello").with_bits(0x20)],
        ] {
            assert_fails(&config, &wrong, &ProtocolError::ReservedBits, 1002);
        }
        // A new message inside another one is wrong, compressed or not.
        for new in [frame(TEXT, b"a"), Frame::text("a")] {
            let error = ProtocolError::ExpectedContinuation;
            assert_fails(&config, &[begun.clone(), new], &error, 1002);
        }
        let plain = WebSocketConfig::new();
        assert_fails(&plain, &[frame(TEXT, b"hello")], &ProtocolError::ReservedBits, 1002);
    }

    async fn rule_61_rsv1_is_refused_before_any_payload_comes_rfc7692_6(runtime) {
        let config = with(&runtime, takeover());
        for frame in [
            Frame::new(PING, "1234").with_bits(RSV1),
            Frame::new(CLOSE, "1234").with_bits(RSV1),
            Frame::text("hello").with_bits(0x30),
        ] {
            let (mut socket, mut peer) = Role::Server.with_peer(&config);
            let bytes = frame.masked();
            // Two bytes, and the key.
            now(peer.send_bytes(&bytes[..6]));
            assert_failed(&mut socket, &mut peer, &ProtocolError::ReservedBits, 1002);
        }
    }

    async fn rule_62_messages_may_come_and_go_uncompressed_rfc7692_6(runtime) {
        let deflate = takeover().threshold(64);
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&with(&runtime, deflate));
            let mut sender = Sender::new(6, 12);
            let mut receiver = Receiver::new(12, true);
            for round in 0..20 {
                let plain = json(round, 300);
                now(peer.send(Frame::text(&plain)));
                assert_eq!(received(&mut socket), Message::text(&plain));
                let compressed = sender.message(plain.as_bytes());
                now(peer.send(Frame::new(TEXT, compressed).with_bits(RSV1)));
                assert_eq!(received(&mut socket), Message::text(&plain));

                for (message, is_compressed) in [
                    (plain.clone().into_bytes(), true),
                    (plain.as_bytes()[..63].into(), false),
                    (noise(round as u64, 300), false),
                ] {
                    soon(socket.send(Message::binary(message.clone()))).unwrap();
                    let frame = now(peer.frame()).unwrap();
                    assert_eq!(frame.has_bits(RSV1), is_compressed);
                    assert_eq!(receiver.frame(&frame), message);
                }
            }
        }
    }

    async fn rule_63_a_message_leaves_out_the_end_of_a_flush_and_may_be_empty_rfc7692_7_2(runtime) {
        let config = with(&runtime, takeover());
        // The examples of section 7.2.3: one block, two fragments, no compression, two blocks.
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        let blocks = [
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ];
        for payload in [&hello[..], &stored, &blocks] {
            let whole = Frame::new(TEXT, payload).with_bits(RSV1);
            assert_received(&config, &[whole], &Message::text("Hello"));
            assert_received(&config, &fragments(TEXT, payload), &Message::text("Hello"));
        }
        // An empty message has a block of no bytes, or nothing, twice too.
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        for payload in [&[0x00][..], &[], &[0x00], &[], &[]] {
            now(peer.send(Frame::new(TEXT, payload).with_bits(RSV1)));
            assert_eq!(received(&mut socket), Message::text(""));
            now(peer.send(frame(BINARY, b"x")));
            assert_eq!(received(&mut socket), Message::binary("x"));
        }
        // It is sent without any compression.
        soon(socket.send("".into())).unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::text("")));
    }

    async fn rule_63_what_is_sent_ends_as_a_flush_does_without_its_end_rfc7692_7_2_1(runtime) {
        for role in Role::BOTH {
            for deflate in [takeover(), takeover().send_takeover(Takeover::Dedicated)] {
                let (mut socket, mut peer) = role.with_peer(&with(&runtime, deflate));
                let mut receiver = Receiver::new(12, true);
                for length in [100, 300, 5000, 100_000] {
                    let plain = json(1, length);
                    let send = async { socket.send(Message::text(&plain)).await.unwrap() };
                    let (frame, ()) = futures::join!(peer.frame(), send);
                    let frame = frame.unwrap();
                    assert!(frame.has_bits(RSV1) && frame.is_last());
                    assert!(!frame.payload.ends_with(&[0, 0, 0xff, 0xff]));
                    // It demands that no block is the last one of a stream.
                    assert_eq!(receiver.message(&frame.payload), plain.as_bytes());
                }
            }
        }
    }

    async fn rule_64_a_block_may_be_the_last_one_of_its_stream_rfc7692_7_2_3_4(runtime) {
        let config = with(&runtime, takeover());
        // The example of section 7.2.3.4, with and without the byte of the empty block.
        let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        for payload in [&hello[..], &hello[..7]] {
            let whole = Frame::new(TEXT, payload).with_bits(RSV1);
            assert_received(&config, &[whole], &Message::text("Hello"));
            assert_received(&config, &fragments(TEXT, payload), &Message::text("Hello"));
        }
        // Another stream in the same message, and its end after the flush.
        let finished = Sender::new(6, 12).flushed(b"Hello", FlushCompress::Finish);
        for after in [
            deflated(b", world"),
            Sender::new(6, 12).flushed(b", world", FlushCompress::Finish),
            [&deflated(b", ")[..], &[0, 0, 0xff, 0xff], &deflated(b"world")].concat(),
        ] {
            let payload = [&finished[..], &after].concat();
            let whole = Frame::new(TEXT, &payload[..]).with_bits(RSV1);
            assert_received(&config, &[whole], &Message::text("Hello, world"));
            assert_received(&config, &fragments(TEXT, &payload), &Message::text("Hello, world"));
        }
    }

    async fn rule_64_later_messages_keep_their_context_after_such_a_block_rfc7692_7_2_3_4(runtime) {
        let (mut socket, mut peer) = Role::Server.with_peer(&with(&runtime, takeover()));
        let mut sender = Sender::new(6, 12);
        let first = json(1, 400);
        let compressed = sender.message(first.as_bytes());
        now(peer.send(Frame::new(TEXT, compressed).with_bits(RSV1)));
        assert_eq!(received(&mut socket), Message::text(&first));
        // A stream that ends, of a peer that then goes on with what both windows hold.
        let middle = Sender::new(6, 12).flushed(b"the end", FlushCompress::Finish);
        now(peer.send(Frame::new(TEXT, middle).with_bits(RSV1)));
        assert_eq!(received(&mut socket), Message::text("the end"));
        let mut next = Sender::with_dictionary(12, &[first.as_bytes(), b"the end"].concat());
        let again = next.message(first.as_bytes());
        assert!(again.len() < 20, "it refers to the first message");
        now(peer.send(Frame::new(TEXT, again).with_bits(RSV1)));
        assert_eq!(received(&mut socket), Message::text(&first));
    }

    async fn rule_64_what_follows_such_a_block_has_to_be_a_stream_rfc7692_7_2_3_4(runtime) {
        let config = with(&runtime, takeover());
        let finished = Sender::new(6, 12).flushed(b"Hello", FlushCompress::Finish);
        for garbage in [&[0x07][..], b"garbage", &[0xff, 0xff]] {
            let payload = [&finished[..], garbage].concat();
            let whole = Frame::new(TEXT, &payload[..]).with_bits(RSV1);
            assert_fails(&config, &[whole], &ProtocolError::InvalidDeflate, 1007);
            assert_fails(&config, &fragments(TEXT, &payload), &ProtocolError::InvalidDeflate, 1007);
        }
    }

    async fn rule_65_without_takeover_each_message_stands_alone_rfc7692_7_1_1(runtime) {
        let text = json(3, 400);
        for role in Role::BOTH {
            for level in 1..=9 {
                let deflate = DeflateConfig::new().level(level);
                let (mut socket, mut peer) = role.with_peer(&with(&runtime, deflate));
                let mut receiver = Receiver::new(15, false);
                let mut first = None;
                for _ in 0..3 {
                    soon(socket.send(Message::text(&text))).unwrap();
                    let frame = now(peer.frame()).unwrap();
                    assert_eq!(receiver.message(&frame.payload), text.as_bytes());
                    // The same text gives the same bytes: the context has forgotten it.
                    assert_eq!(first.get_or_insert_with(|| frame.clone()), &frame);
                }
                // A peer that takes over all the same refers to what is not there.
                let mut sender = Sender::new(6, 15);
                let compressed = sender.message(text.as_bytes());
                now(peer.send(Frame::new(TEXT, compressed).with_bits(RSV1)));
                assert_eq!(received(&mut socket), Message::text(&text));
                let again = sender.message(text.as_bytes());
                now(peer.send(Frame::new(TEXT, again).with_bits(RSV1)));
                assert_failed(&mut socket, &mut peer, &ProtocolError::InvalidDeflate, 1007);
            }
        }
    }

    async fn rule_66_nothing_refers_beyond_the_agreed_window_rfc7692_7_1_2(runtime) {
        for bits in 9..=15 {
            // What repeats at a distance just above the window, and just below it.
            for distance in [(1 << bits) - 300, (1 << bits) - 100, (1 << bits) + 100] {
                for takeover in [Takeover::None, Takeover::Window, Takeover::Dedicated] {
                    let deflate = takeover_with(takeover, bits);
                    let (mut socket, mut peer) = Role::Server.with_peer(&with(&runtime, deflate));
                    let mut receiver = Receiver::new(bits, takeover != Takeover::None);
                    let repeated = noise(1, 90);
                    let filler = noise(2, distance - 90);
                    let message = [&repeated[..], &filler, &repeated, &[7; 300]].concat();
                    for _ in 0..4 {
                        let message = Message::binary(message.clone());
                        let send = async { socket.send(message).await.unwrap() };
                        let (frame, ()) = futures::join!(peer.frame(), send);
                        let frame = frame.unwrap();
                        assert!(frame.has_bits(RSV1), "it is smaller");
                        let plain = receiver.message(&frame.payload);
                        assert_eq!(plain.len(), distance + 390);
                        let farthest = farthest(&frame.payload);
                        assert!(farthest <= 1 << bits, "{farthest} bytes with {bits} bits");
                    }
                }
            }
        }
    }

    async fn rule_67_data_that_cannot_be_inflated_fails_with_1007_rfc7692_7_2_2(runtime) {
        let config = with(&runtime, takeover());
        let whole = deflated(json(1, 500).as_bytes());
        // A block of the type that does not exist, a wrong length, a reference to nothing.
        let stored = [0, 5, 0, 0, 0, 1];
        let wrong: [&[u8]; 5] =
            [&[0x06], b"not deflated", &stored, &[0x4b, 0x04, 0x51], &[0xff]];
        let cuts = [1, 2, whole.len() / 2, whole.len() - 1].map(|end| &whole[..end]);
        for payload in wrong.into_iter().chain(cuts) {
            let frame = Frame::new(BINARY, payload).with_bits(RSV1);
            assert_fails(&config, &[frame], &ProtocolError::InvalidDeflate, 1007);
            let fragments = fragments(BINARY, payload);
            assert_fails(&config, &fragments, &ProtocolError::InvalidDeflate, 1007);
        }
        // With the end that a message leaves out, another one follows that.
        let with_end = [&whole[..], &[0, 0, 0xff, 0xff]].concat();
        let frame = Frame::new(BINARY, with_end).with_bits(RSV1);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        now(peer.send(frame));
        assert_failed(&mut socket, &mut peer, &ProtocolError::InvalidDeflate, 1007);
    }

    async fn rule_69_text_is_checked_after_it_was_inflated_rfc7692_6(runtime) {
        let config = with(&runtime, takeover());
        let long = vec![b'a'; 100_000];
        for wrong in [&b"ok \xff"[..], b"\xc0\x80", b"cut \xe2\x82", &long] {
            let wrong = [wrong, b"\xf8"].concat();
            let payload = deflated(&wrong);
            let whole = Frame::new(TEXT, &payload[..]).with_bits(RSV1);
            assert_fails(&config, &[whole], &ProtocolError::InvalidUtf8, 1007);
            assert_fails(&config, &fragments(TEXT, &payload), &ProtocolError::InvalidUtf8, 1007);
            // As binary data it is right.
            let data = Frame::new(BINARY, payload).with_bits(RSV1);
            assert_received(&config, &[data], &Message::binary(wrong));
        }
        let long = "größer ∀ 語 🦀".repeat(10_000);
        assert_received(&config, &[frame(TEXT, long.as_bytes())], &Message::text(long));
    }

    async fn rule_70_control_frames_may_come_between_compressed_fragments_rfc7692_6(runtime) {
        let config = with(&runtime, takeover());
        let plain = json(1, 3000);
        let fragments = fragments(TEXT, &deflated(plain.as_bytes()));
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&config);
            for (number, fragment) in fragments.iter().take(fragments.len() - 1).enumerate() {
                now(peer.send(fragment.clone()));
                let payload = number.to_be_bytes();
                now(peer.send(Frame::new(PING, payload)));
                assert_eq!(received(&mut socket), Message::Ping(payload.to_vec().into()));
                assert_waits(&mut socket);
                assert_eq!(now(peer.frame()), Some(Frame::new(PONG, payload)));
            }
            now(peer.send(fragments.last().unwrap().clone()));
            assert_eq!(received(&mut socket), Message::text(&plain));
        }
    }
}

fn takeover_with(takeover: Takeover, bits: u8) -> DeflateConfig {
    DeflateConfig::new()
        .send_takeover(takeover)
        .receive_takeover(true)
        .send_window_bits(bits)
        .level(6)
}
