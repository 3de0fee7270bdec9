//! What is taken over from message to message, and what is not.

use anyws::{DeflateConfig, Message, PreparedMessage, Takeover, WebSocket};
use support::{
    frames::{Frame, Peer, Role, TEXT},
    runtimes,
    sockets::{now, received},
};

use crate::{
    codec::{RSV1, Receiver, Sender, soon, with},
    echo::{json, noise},
};

fn deflate(takeover: Takeover, bits: u8) -> DeflateConfig {
    DeflateConfig::new()
        .send_takeover(takeover)
        .receive_takeover(true)
        .send_window_bits(bits)
        .receive_window_bits(bits)
        .threshold(0)
}

/// Sends a message, and returns it as the peer gets it.
async fn sent(socket: &mut WebSocket, peer: &mut Peer, message: Message) -> Frame {
    let send = async { socket.send(message).await.unwrap() };
    futures::join!(peer.frame(), send).0.unwrap()
}

runtimes! {
    async fn similar_messages_become_smaller_with_takeover(runtime) {
        let lengths = [Takeover::None, Takeover::Window, Takeover::Dedicated].map(|takeover| {
            let config = with(&runtime, deflate(takeover, 12));
            let (mut socket, mut peer) = Role::Server.with_peer(&config);
            let mut receiver = Receiver::new(12, takeover != Takeover::None);
            let mut sum = 0;
            for round in 0..10 {
                let plain = json(round, 300);
                soon(socket.send(Message::text(&plain))).unwrap();
                let frame = now(peer.frame()).unwrap();
                sum += frame.payload.len();
                assert_eq!(receiver.frame(&frame), plain.as_bytes());
            }
            sum
        });
        let [none, window, dedicated] = lengths;
        assert!(4 * window < 3 * none, "{lengths:?}");
        // They refer to the same bytes, and the window is no worse by more than a tenth.
        assert!(10 * window < 11 * dedicated, "{lengths:?}");
    }

    async fn a_message_that_goes_uncompressed_never_parts_the_windows(runtime) {
        for takeover in [Takeover::Window, Takeover::Dedicated] {
            for bits in [9, 12, 15] {
                let (mut socket, mut peer) =
                    Role::Server.with_peer(&with(&runtime, deflate(takeover, bits)));
                let mut receiver = Receiver::new(bits, true);
                let secret = noise(7, 200);
                for round in 0..500 {
                    let plain = match round % 5 {
                        0 => noise(round, 300),
                        // It repeats bytes of the message that went uncompressed before.
                        1 => {
                            let before = noise(round - 1, 300);
                            [&before[..], &[0; 400], &before].concat()
                        }
                        2 => [&secret[..], &secret].concat(),
                        3 => noise(round, 70_000 * usize::from(round % 50 == 3) + 1),
                        _ => json(usize::try_from(round).unwrap(), 300).into_bytes(),
                    };
                    let frame = sent(&mut socket, &mut peer, Message::binary(plain.clone())).await;
                    assert_eq!(receiver.frame(&frame), plain, "round {round}");
                }
            }
        }
    }

    async fn the_peer_may_do_so_too(runtime) {
        for bits in [9, 12, 15] {
            let config = with(&runtime, deflate(Takeover::Window, bits));
            let (mut socket, mut peer) = Role::Server.with_peer(&config);
            let mut sender = Sender::new(6, bits);
            for round in 0..500 {
                let plain = json(round, 300);
                let compressed = sender.message(plain.as_bytes());
                now(peer.send(Frame::new(TEXT, compressed).with_bits(RSV1)));
                assert_eq!(soon(socket.next()).unwrap().unwrap(), Message::text(&plain));
                if round % 3 == 0 {
                    let plain = json(round + 1, 500);
                    now(peer.send(Frame::text(&plain)));
                    assert_eq!(soon(socket.next()).unwrap().unwrap(), Message::text(plain));
                }
            }
        }
    }

    async fn prepared_messages_between_others_never_part_the_windows(runtime) {
        for takeover in [Takeover::None, Takeover::Window, Takeover::Dedicated] {
            let config = with(&runtime, deflate(takeover, 12));
            let sockets = || Role::Server.with_peer(&config);
            let mut sockets = [sockets(), sockets(), sockets()];
            let mut receivers =
                [(); 3].map(|()| Receiver::new(12, takeover != Takeover::None));
            for round in 0..200 {
                let prepared = PreparedMessage::from(json(round, 400));
                let incompressible = PreparedMessage::from(noise(round as u64, 400));
                let plain = PreparedMessage::from(json(round, 500)).uncompressed();
                for (at, ((socket, peer), receiver)) in
                    sockets.iter_mut().zip(&mut receivers).enumerate()
                {
                    for (message, expected) in [
                        (&prepared, json(round, 400).into_bytes()),
                        (&incompressible, noise(round as u64, 400)),
                        (&plain, json(round, 500).into_bytes()),
                    ] {
                        soon(socket.send_prepared(message)).unwrap();
                        let frame = now(peer.frame()).unwrap();
                        let is_compressed = std::ptr::eq(message, &raw const prepared);
                        assert_eq!(frame.has_bits(RSV1), is_compressed);
                        assert_eq!(receiver.frame(&frame), expected);
                    }
                    // Each has its own, which refers to the prepared ones.
                    let own = json(round + at, 400);
                    soon(socket.send(Message::text(&own))).unwrap();
                    let frame = now(peer.frame()).unwrap();
                    assert_eq!(receiver.frame(&frame), own.as_bytes());
                }
            }
        }
    }

    async fn sockets_that_take_turns_on_a_thread_keep_their_windows(runtime) {
        // The thread's compressor remembers whose window it holds: of one socket in a row, of
        // another one, of one that has received a prepared message in between.
        let config = with(&runtime, deflate(Takeover::Window, 12));
        let mut sockets: Vec<_> = (0..5)
            .map(|_| (Role::Server.with_peer(&config), Receiver::new(12, true)))
            .collect();
        let mut turns = noise(42, 8000).into_iter();
        let mut next = || usize::from(turns.next().unwrap());
        for round in 0..1000 {
            let at = [0, next() % 5][next() % 2];
            let ((socket, peer), receiver) = &mut sockets[at];
            let message = json(round / 3, 50 + next());
            if next() % 4 == 0 {
                soon(socket.send_prepared(&message.as_str().into())).unwrap();
            } else {
                soon(socket.send(Message::text(&message))).unwrap();
            }
            let frame = now(peer.frame()).unwrap();
            assert_eq!(receiver.frame(&frame), message.as_bytes(), "round {round}");
        }
    }

    async fn a_socket_that_moves_between_threads_keeps_its_window(runtime) {
        let config = with(&runtime, deflate(Takeover::Window, 12));
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        let (mut other, mut other_peer) = Role::Server.with_peer(&config);
        let mut receiver = Receiver::new(12, true);
        for round in 0..20 {
            let message = json(round, 400);
            let mut send = || soon(socket.send(Message::text(&message))).unwrap();
            if round % 3 == 1 {
                std::thread::scope(|threads| threads.spawn(send).join().unwrap());
            } else {
                send();
            }
            let frame = now(peer.frame()).unwrap();
            assert_eq!(receiver.frame(&frame), message.as_bytes());
            if round % 4 == 0 {
                soon(other.send(Message::text(json(round, 300)))).unwrap();
                now(other_peer.frame()).unwrap();
            }
        }
    }

    async fn the_secret_of_a_connection_never_shows_in_the_bytes_of_another(runtime) {
        let secret = String::from_utf8(noise(5, 400).iter().map(|it| b'a' + it % 16).collect());
        let secret = secret.unwrap();
        for takeover in [Takeover::None, Takeover::Window, Takeover::Dedicated] {
            for level in 1..=9 {
                let config = with(&runtime, deflate(takeover, 12).level(level));
                // What a new thread sends, whose codecs are new.
                let guess = || {
                    let (mut socket, mut peer) = Role::Server.with_peer(&config);
                    soon(socket.send(Message::text(&secret))).unwrap();
                    now(peer.frame()).unwrap()
                };
                let expected = std::thread::scope(|it| it.spawn(guess).join().unwrap());
                let (mut victim, mut peer) = Role::Server.with_peer(&config);
                for _ in 0..3 {
                    soon(victim.send(Message::text(&secret))).unwrap();
                    now(peer.frame()).unwrap();
                    soon(victim.send_prepared(&secret.as_str().into())).unwrap();
                    now(peer.frame()).unwrap();
                    assert_eq!(guess(), expected);
                }
            }
        }
    }

    async fn a_dictionary_of_another_connection_never_helps_to_inflate(runtime) {
        let config = with(&runtime, deflate(Takeover::None, 15));
        let text = json(8, 400);
        let mut sender = Sender::new(6, 15);
        let first = sender.message(text.as_bytes());
        let refers = sender.message(text.as_bytes());
        let (mut victim, mut peer) = Role::Server.with_peer(&config);
        now(peer.send(Frame::new(TEXT, first).with_bits(RSV1)));
        assert_eq!(received(&mut victim), Message::text(&text));
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        now(peer.send(Frame::new(TEXT, refers).with_bits(RSV1)));
        let error = now(socket.next()).unwrap().unwrap_err();
        assert!(matches!(error, anyws::Error::Protocol(_)), "{error:?}");
    }
}
