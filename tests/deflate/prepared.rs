//! Prepared messages: compressed once, and sent to many.

use allocation_counter::measure;
use anyws::{DeflateConfig, Message, PreparedMessage, Sender, Takeover, WebSocket, hub::Hub};
use support::{
    frames::{Frame, Peer, Role, TEXT},
    runtimes,
    sockets::{now, received},
};

use crate::{
    codec::{RSV1, Receiver, soon, with},
    echo::{json, noise},
};

fn deflate(takeover: Takeover) -> DeflateConfig {
    DeflateConfig::new()
        .send_takeover(takeover)
        .receive_takeover(true)
}

fn frame(socket: &mut WebSocket, peer: &mut Peer, message: &PreparedMessage) -> Frame {
    soon(socket.send_prepared(message)).unwrap();
    now(peer.frame()).unwrap()
}

runtimes! {
    async fn a_message_to_a_thousand_sockets_is_compressed_once(runtime) {
        for takeover in [Takeover::None, Takeover::Window, Takeover::Dedicated] {
            let config = with(&runtime, deflate(takeover));
            let mut sockets: Vec<_> = (0..1000).map(|_| Role::Server.with_peer(&config)).collect();
            let message = PreparedMessage::from(json(1, 32 * 1024));
            let first = {
                let (socket, peer) = &mut sockets[0];
                frame(socket, peer, &message)
            };
            assert!(first.has_bits(RSV1));
            // Long enough to be sent from its own memory.
            let length = first.payload.len();
            assert!(length > 4096, "{length}");
            let info = measure(|| {
                for (socket, _) in &mut sockets[1..] {
                    soon(socket.send_prepared(&message)).unwrap();
                }
            });
            // Compressing needs memory for its result each time; a history of 4 KiB is no result.
            let history = if takeover == Takeover::Window { 4096 + 256 } else { 256 };
            let most = 999 * history;
            // The streams of this test hold what was written, once.
            let streams = 999 * (2 * length as u64 + 512);
            assert!(info.bytes_total <= most + streams, "{takeover:?}: {info:?}");
            for (_, peer) in &mut sockets[1..] {
                assert_eq!(now(peer.frame()).unwrap(), first);
            }
        }
    }

    async fn what_a_hub_publishes_is_compressed_once(runtime) {
        let config = with(&runtime, deflate(Takeover::None));
        let mut sockets: Vec<_> = (0..1000).map(|_| Role::Server.with_peer(&config)).collect();
        let hub = Hub::new();
        let memberships = sockets.iter_mut().map(|(socket, _)| hub.join("room", &socket.sender()));
        let _memberships: Vec<_> = memberships.collect();
        assert_eq!(hub.publish("room", json(1, 32 * 1024)).queued, 1000);
        let (socket, peer) = &mut sockets[0];
        soon(socket.flush()).unwrap();
        let first = now(peer.frame()).unwrap();
        assert!(first.has_bits(RSV1));
        let info = measure(|| {
            for (socket, _) in &mut sockets[1..] {
                soon(socket.flush()).unwrap();
            }
        });
        // What the streams of this test hold, as above.
        let most = 999 * (2 * first.payload.len() as u64 + 768);
        assert!(info.bytes_total <= most, "{info:?}");
        for (_, peer) in &mut sockets[1..] {
            assert_eq!(now(peer.frame()).unwrap(), first);
        }
    }

    async fn each_set_of_parameters_has_its_own_form(runtime) {
        let message = PreparedMessage::from(json(1, 8000));
        let mut forms = Vec::new();
        for (level, bits) in [(1, 15), (6, 15), (6, 9), (1, 15)] {
            let deflate = deflate(Takeover::None).level(level).send_window_bits(bits);
            let (mut socket, mut peer) = Role::Server.with_peer(&with(&runtime, deflate));
            let frame = frame(&mut socket, &mut peer, &message);
            let plain = Receiver::new(bits, false).frame(&frame);
            assert_eq!(plain, json(1, 8000).as_bytes());
            forms.push(frame);
        }
        assert_eq!(forms[0], forms[3]);
        assert_ne!(forms[0], forms[1]);
        assert_ne!(forms[1], forms[2]);
        // A socket without compression gets it as it is, and so does a short threshold.
        let (mut socket, mut peer) = Role::Server.with_peer(&support::config(&runtime));
        assert_eq!(frame(&mut socket, &mut peer, &message), Frame::text(&json(1, 8000)));
        let deflate = deflate(Takeover::None).threshold(usize::MAX);
        let (mut socket, mut peer) = Role::Server.with_peer(&with(&runtime, deflate));
        assert_eq!(frame(&mut socket, &mut peer, &message), Frame::text(&json(1, 8000)));
    }

    async fn uncompressed_is_never_compressed_whoever_sends_it(runtime) {
        let config = with(&runtime, deflate(Takeover::Window));
        let secret = json(2, 500);
        let message = PreparedMessage::from(&*secret).uncompressed();
        let twice = message.clone().uncompressed();
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        for message in [&message, &twice, &message.clone()] {
            assert_eq!(frame(&mut socket, &mut peer, message), Frame::text(&secret));
        }
        // Through the queue, as the last one of its kind too.
        let sender = socket.sender();
        sender.try_send(&twice).unwrap();
        sender.try_send(PreparedMessage::from(&*secret).uncompressed()).unwrap();
        soon(socket.flush()).unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::text(&secret)));
        assert_eq!(now(peer.frame()), Some(Frame::text(&secret)));
        // The other one is compressed as ever.
        let compressed = frame(&mut socket, &mut peer, &PreparedMessage::from(&*secret));
        assert!(compressed.has_bits(RSV1));
    }

    async fn a_message_of_a_sender_refers_to_earlier_ones_unless_others_have_it_too(runtime) {
        let config = with(&runtime, deflate(Takeover::Window));
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        let sender = socket.sender();
        let mut receiver = Receiver::new(12, true);
        let mut length = |socket: &mut WebSocket, sender: &Sender, message: PreparedMessage| {
            sender.try_send(message).unwrap();
            soon(socket.flush()).unwrap();
            let frame = now(peer.frame()).unwrap();
            assert_eq!(receiver.frame(&frame), json(3, 400).as_bytes());
            frame.payload.len()
        };
        let first = length(&mut socket, &sender, json(3, 400).into());
        let again = length(&mut socket, &sender, json(3, 400).into());
        assert!(again < 20, "{again} bytes, and it repeats the first");
        let shared = PreparedMessage::from(json(3, 400));
        let prepared = length(&mut socket, &sender, shared.clone());
        assert_eq!(prepared, first, "it refers to nothing");
        drop(shared);
    }

    async fn many_threads_may_send_one_message(runtime) {
        let config = with(&runtime, deflate(Takeover::Window));
        for length in [1000, 300_000] {
            let text = json(4, length);
            let message = PreparedMessage::from(&*text);
            std::thread::scope(|threads| {
                for _ in 0..8 {
                    threads.spawn(|| {
                        let (mut socket, mut peer) = Role::Server.with_peer(&config);
                        let mut receiver = Receiver::new(12, true);
                        futures::executor::block_on(async {
                            for _ in 0..3 {
                                let send = socket.send_prepared(&message);
                                let (frame, sent) = futures::join!(peer.frame(), send);
                                sent.unwrap();
                                let frame = frame.unwrap();
                                assert!(frame.has_bits(RSV1));
                                assert_eq!(receiver.frame(&frame), text.as_bytes());
                            }
                        });
                    });
                }
            });
        }
    }

    async fn control_frames_and_invalid_messages_are_as_ever(runtime) {
        let deflate = deflate(Takeover::Window).threshold(0);
        let (mut socket, mut peer) = Role::Server.with_peer(&with(&runtime, deflate));
        let ping = PreparedMessage::from(Message::Ping(vec![b'a'; 125].into()));
        for message in [&ping, &ping.clone().uncompressed()] {
            let frame = frame(&mut socket, &mut peer, message);
            assert_eq!(frame.payload, [b'a'; 125]);
            assert!(!frame.has_bits(RSV1));
        }
        let long = PreparedMessage::from(Message::Ping(noise(1, 126).into()));
        for message in [&long, &long.clone().uncompressed()] {
            let sent = soon(socket.send_prepared(message));
            assert!(matches!(sent, Err(anyws::Error::InvalidMessage(_))), "{sent:?}");
        }
        now(peer.send(Frame::new(TEXT, "on")));
        assert_eq!(received(&mut socket), Message::text("on"));
    }
}
