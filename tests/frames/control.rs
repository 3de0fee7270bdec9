//! The rows 47 to 53, 55 and 56: pings, pongs and the end of a connection. Each is shown on a
//! stream in memory, for both roles wherever it is about both; the other rows are in `rules`.
//!
//! A test is named after its row and the section of RFC 6455.

use std::{panic::resume_unwind, time::Duration};

use anyws::{Error, Message, ProtocolError, WebSocket, WebSocketConfig, WebSocketUpgrade, testing};
use futures::{FutureExt, future::join};
use support::{
    frames::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, Peer, Role},
    runtimes,
    scripted::{
        Event::{Close, Drop, End},
        Script, Scripted,
    },
    sockets::{assert_waits, close, close_frame, now, order, patient, received},
};

/// The fragments that a message may have.
const MAX_FRAGMENTS: u32 = 131_072;

/// A socket whose stream is watched, and its peer.
fn watched(role: Role, config: &WebSocketConfig) -> (WebSocket, Peer, Script) {
    let (near, far) = testing::duplex();
    let (far, script) = Scripted::new(far);
    (role.socket(far, config), Peer::of(role, near), script)
}

/// A socket whose writes wait, as one is buffered that the stream does not hold, and its peer.
async fn blocked(role: Role, config: &WebSocketConfig) -> (WebSocket, Peer) {
    let (near, far) = testing::duplex_with_capacity(1000);
    let (mut socket, peer) = (role.socket(far, config), Peer::of(role, near));
    socket.feed(Message::binary(vec![7; 3000])).await.unwrap();
    assert_waits(&mut socket);
    (socket, peer)
}

/// What is buffered there.
fn large_frame() -> Frame {
    Frame::new(BINARY, [7; 3000])
}

runtimes! {
    async fn rule_47_a_ping_is_answered_though_the_user_only_reads_5_5_2(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            for payload in [vec![], vec![0xff], vec![7; 125]] {
                peer.send(Frame::new(PING, payload.clone())).await;
                assert_eq!(received(&mut socket), Message::Ping(payload.clone().into()));
                assert_waits(&mut socket);
                assert_eq!(now(peer.frame()), Some(Frame::new(PONG, payload)));
            }
        }
    }

    async fn rule_47_pongs_of_a_peer_that_reads_none_are_bounded_and_the_latest_waits_5_5_3(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = blocked(role, &patient(&rt)).await;
            for number in 0..=200 {
                peer.send(Frame::new(PING, [number; 125])).await;
                // Not at once: the socket yields before it takes the peer for one that does not
                // read.
                let item = socket.next().await;
                assert_eq!(item.unwrap().unwrap(), Message::Ping(vec![number; 125].into()));
                assert_waits(&mut socket);
            }
            let read = async {
                assert_eq!(peer.frame().await, Some(large_frame()));
                let mut pongs = Vec::new();
                while pongs.last() != Some(&200) {
                    let pong = peer.frame().await.expect("a pong comes");
                    let number = pong.payload[0];
                    assert_eq!(pong, Frame::new(PONG, [number; 125]));
                    pongs.push(number);
                }
                peer.send(Frame::text("that is all")).await;
                assert_eq!(peer.frame().now_or_never(), None);
                pongs.pop();
                let bytes = pongs.len() * 125;
                assert!((2 * 1024..=4 * 1024).contains(&bytes), "{role:?}: {bytes}");
                // The first ones, and none is missing between them.
                assert!((0..).zip(&pongs).all(|(number, pong)| number == *pong), "{pongs:?}");
            };
            let (item, ()) = join(socket.next(), read).await;
            assert_eq!(item.unwrap().unwrap(), Message::text("that is all"));
            // It goes on as before.
            peer.send(Frame::new(PING, "again")).await;
            received(&mut socket);
            assert_waits(&mut socket);
            assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "again")));
        }
    }

    /// Autobahn's cases 2.10 and 2.11 want every pong of a peer that reads.
    async fn rule_47_each_ping_of_a_burst_is_answered_if_the_peer_reads_5_5_3(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            let pings = (0..10).flat_map(|number| Frame::new(PING, [number]).bytes(role.other()));
            peer.send_bytes(&pings.collect::<Vec<_>>()).await;
            for number in 0..10 {
                assert_eq!(received(&mut socket), Message::Ping(vec![number].into()));
            }
            assert_waits(&mut socket);
            for number in 0..10 {
                assert_eq!(now(peer.frame()), Some(Frame::new(PONG, [number])), "{role:?}");
            }
        }
    }

    async fn rule_47_no_ping_is_answered_after_a_close_was_received_5_5_2(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = blocked(role, &patient(&rt)).await;
            for number in 0..10 {
                peer.send(Frame::new(PING, [number])).await;
                received(&mut socket);
            }
            peer.send(Frame::close(1000, "")).await;
            peer.send(Frame::new(PING, "too late")).await;
            peer.finish().await;
            assert_eq!(received(&mut socket), close(1000, ""));
            let read = async {
                assert_eq!(peer.frame().await, Some(large_frame()));
                // They were buffered already.
                for number in 0..10 {
                    assert_eq!(peer.frame().await, Some(Frame::new(PONG, [number])));
                }
                assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
                assert_eq!(peer.frame().await, None);
            };
            join(socket.close(None), read).await.0.unwrap();
        }
    }

    async fn rule_48_a_pong_that_nobody_asked_for_5_5_3(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            for payload in [vec![], vec![7; 125]] {
                peer.send(Frame::new(PONG, payload.clone())).await;
                assert_eq!(received(&mut socket), Message::Pong(payload.into()));
            }
            peer.send(Frame::text("go on")).await;
            assert_eq!(received(&mut socket), Message::text("go on"));
            assert_waits(&mut socket);
            assert_eq!(peer.frame().now_or_never(), None, "it is not answered");
        }
    }

    async fn rule_49_nothing_follows_a_close_that_was_sent_5_5_1(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            socket.send(close(1001, "")).await.unwrap();
            for message in ["late".into(), Message::Ping("late".into()), close(1000, "")] {
                assert!(matches!(now(socket.feed(message.clone())), Err(Error::Closed)));
                assert!(matches!(now(socket.send(message)), Err(Error::Closed)));
            }
            peer.send(Frame::new(PING, "late")).await;
            received(&mut socket);
            peer.send(Frame::new(CONTINUATION, "wrong")).await;
            assert!(matches!(now(socket.next()), Some(Err(Error::Protocol(_)))));
            assert_eq!(now(peer.frame()), Some(Frame::close(1001, "")));
            assert_eq!(peer.frame().now_or_never().flatten(), None);
        }
    }

    async fn rule_50_a_close_is_answered_with_its_code_5_5_1(rt) {
        for role in Role::BOTH {
            for code in [1000, 1001, 1003, 1014, 3000, 4999] {
                let (mut socket, mut peer) = role.with_peer(&patient(&rt));
                peer.send(Frame::close(code, "why")).await;
                received(&mut socket);
                assert_eq!(now(peer.frame()).expect("the answer comes").code(), code);
            }
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            peer.send(Frame::new(CLOSE, [])).await;
            assert_eq!(received(&mut socket), Message::Close(None));
            assert_eq!(now(peer.frame()), Some(Frame::new(CLOSE, [])));
        }
    }

    async fn rule_51_the_server_ends_the_stream_right_after_both_closes_7_1_1(rt) {
        // Nobody drops the socket, closes it or polls it again.
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        peer.send(Frame::close(1000, "")).await;
        received(&mut socket);
        assert_eq!(now(peer.frame()), Some(Frame::close(1000, "")));
        assert_eq!(now(peer.frame()), None, "the peer begins");

        let (mut other, mut peer) = Role::Server.with_peer(&patient(&rt));
        other.send(close(1001, "")).await.unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::close(1001, "")));
        assert_eq!(peer.frame().now_or_never(), None, "the peer has not closed yet");
        peer.send(Frame::close(1001, "")).await;
        received(&mut other);
        assert_eq!(now(peer.frame()), None, "the server begins");
        drop((socket, other));
    }

    async fn rule_51_the_client_waits_for_the_server_to_end_the_stream_7_1_1(rt) {
        let (mut socket, mut peer, script) = watched(Role::Client, &patient(&rt));
        peer.send(Frame::close(1000, "")).await;
        received(&mut socket);
        assert_eq!(now(peer.frame()), Some(Frame::close(1000, "")));
        assert!(socket.close(None).now_or_never().is_none());
        assert_eq!(order(&script), []);
        peer.finish().await;
        socket.close(None).await.unwrap();
        assert_eq!(order(&script), [End, Close, Drop]);

        let timeout = Duration::from_millis(20);
        let impatient = patient(&rt).set_close_timeout(timeout);
        let (mut socket, mut peer, script) = watched(Role::Client, &impatient);
        peer.send(Frame::close(1000, "")).await;
        received(&mut socket);
        let started = rt.now();
        socket.close(None).await.unwrap();
        assert!(rt.now() - started >= timeout);
        drop(socket);
        assert_eq!(order(&script), [Drop]);
    }

    async fn rule_52_the_order_in_which_the_stream_ends_7_1_1(rt) {
        for (role, expected) in [
            (Role::Server, [Close, End, Drop]),
            // It drains first, as the server is to begin, and ends its own side then.
            (Role::Client, [End, Close, Drop]),
        ] {
            for closes_first in [false, true] {
                let (mut socket, mut peer, script) = watched(role, &patient(&rt));
                if closes_first {
                    socket.send(close(1000, "")).await.unwrap();
                    drop(socket);
                    peer.send(Frame::text("on its way")).await;
                    peer.send(Frame::close(1000, "")).await;
                } else {
                    peer.send(Frame::close(1000, "")).await;
                    received(&mut socket);
                    drop(socket);
                }
                assert_eq!(peer.frame().await, Some(Frame::close(1000, "")));
                // What comes now is discarded.
                peer.send(Frame::new(BINARY, [0; 10_000])).await;
                peer.finish().await;
                script.dropped().await;
                assert_eq!(order(&script), expected, "{role:?}");
            }
        }
    }

    async fn rule_53_nothing_is_parsed_after_a_failure_7_1_7(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer, script) = watched(role, &patient(&rt));
            let wrong = Frame::new(CONTINUATION, "wrong");
            let late =
                [Frame::new(PING, "late"), Frame::text("late"), Frame::close(4000, "late")];
            let frames = [&[Frame::text("right"), wrong.clone()], &late[..]].concat();
            let bytes: Vec<_> = frames.iter().map(|frame| frame.bytes(role.other())).collect();
            peer.send_bytes(&bytes.concat()).await;
            assert_eq!(received(&mut socket), Message::text("right"));
            assert!(matches!(now(socket.next()), Some(Err(Error::Protocol(_)))));
            assert!(now(socket.next()).is_none());
            for frame in late {
                peer.send(frame).await;
            }
            assert!(now(socket.next()).is_none());
            drop(socket);
            assert_eq!(peer.frame().await.expect("a Close comes").code(), 1002);
            assert_eq!(peer.frame().await, None);
            peer.send(wrong).await;
            peer.finish().await;
            script.dropped().await;
            // Who fails the connection ends it, whatever its role.
            assert_eq!(order(&script), [Close, End, Drop]);
        }
    }

    async fn rule_55_too_many_fragments_are_against_the_policy_7_4_1(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            let start = Frame::new(BINARY, []).unfinished().bytes(role.other());
            let next = Frame::new(CONTINUATION, []).unfinished().bytes(role.other());
            let some = next.repeat(1023);
            let send = async {
                peer.send_bytes(&start).await;
                for _ in 0..MAX_FRAGMENTS / 1024 {
                    peer.send_bytes(&some).await;
                    peer.send_bytes(&next).await;
                }
            };
            // The last of them is one too many.
            let (item, ()) = join(socket.next(), send).await;
            let error = ProtocolError::TooManyFragments(MAX_FRAGMENTS);
            assert!(matches!(&item, Some(Err(Error::Protocol(it))) if *it == error), "{item:?}");
            assert_eq!(now(peer.frame()).expect("a Close comes").code(), 1008);
            assert!(now(socket.next()).is_none());
        }
    }

    async fn rule_55_codes_that_the_application_chooses_7_4_1(rt) {
        for role in Role::BOTH {
            for (code, reason) in [(1001, "shutdown"), (1008, "policy"), (1013, "overload")] {
                let (mut socket, mut peer) = role.with_peer(&patient(&rt));
                assert!(socket.close(close_frame(code, reason)).now_or_never().is_none());
                assert_eq!(now(peer.frame()), Some(Frame::close(code, reason)));
            }
        }
    }

    async fn rule_55_a_handler_that_panics_closes_with_1011_7_4_1(rt) {
        let (mut request, client) = testing::upgrade("/");
        let upgrade = WebSocketUpgrade::<()>::from_request(&mut request).unwrap();
        let response = upgrade.set_config(patient(&rt)).on_upgrade(|mut socket| async move {
            socket.next().await;
            // Without the hook, which would print what nobody has to see.
            resume_unwind(Box::new("on purpose"));
        });
        let mut socket = client.set_config(patient(&rt)).open(&response).unwrap();
        socket.send("panic!".into()).await.unwrap();
        let item = socket.next().await.unwrap().unwrap();
        assert_eq!(item, close(1011, ""));
    }

    async fn rule_56_an_end_without_a_close_is_told_and_1006_is_not_sent_7_1_5(rt) {
        for role in Role::BOTH {
            let whole = Frame::new(BINARY, [7; 300]);
            let bytes = whole.bytes(role.other());
            let fragment = whole.unfinished().bytes(role.other());
            let cuts = [&[][..], &bytes[..1], &bytes[..3], &bytes[..100], &fragment];
            for cut in cuts {
                let (mut socket, mut peer, script) = watched(role, &patient(&rt));
                peer.send_bytes(cut).await;
                peer.finish().await;
                let item = now(socket.next());
                assert!(matches!(item, Some(Err(Error::ClosedWithoutHandshake))), "{item:?}");
                assert!(now(socket.next()).is_none());
                drop(socket);
                script.dropped().await;
                assert_eq!(peer.frame().await, None, "there is nobody to read it");
            }
        }
    }
}
