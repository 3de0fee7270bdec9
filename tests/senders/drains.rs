//! Every call of a socket that sends what is queued, and what wakes its task.

use std::{pin::pin, task::Context};

use anyws::{Message, PreparedMessage, WhenFull};
use futures::{FutureExt, SinkExt};
use support::{
    frames::{Frame, PING, PONG, Role},
    runtimes,
    sockets::{now, patient, received},
    tasks::{poll_with, waker},
};

use super::{bounds, text_of, texts};

runtimes! {
    async fn each_call_sends_what_is_queued(rt) {
        for role in Role::BOTH {
            for call in 0..8 {
                let (mut socket, mut peer) = role.with_peer(&patient(&rt));
                let sender = socket.sender();
                sender.try_send("queued").unwrap();
                match call {
                    0 => assert!(socket.next().now_or_never().is_none()),
                    1 => assert!(socket.next_data().now_or_never().is_none()),
                    2 => assert!(socket.closed().now_or_never().is_none()),
                    3 => now(socket.flush()).unwrap(),
                    4 => now(socket.send("own".into())).unwrap(),
                    5 => now(socket.send_prepared(&PreparedMessage::from("own"))).unwrap(),
                    6 => assert!(socket.close(None).now_or_never().is_none()),
                    _ => drop(socket),
                }
                assert_eq!(texts(&mut peer, 1), ["queued"], "{role:?}, call {call}");
                assert_eq!(sender.buffered().messages, 0);
            }
        }
    }

    async fn calls_that_only_buffer_take_what_is_queued(rt) {
        for is_sink in [false, true] {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender();
            sender.try_send("queued").unwrap();
            if is_sink {
                let (waker, _woken) = waker();
                let ready = socket.poll_ready_unpin(&mut Context::from_waker(&waker));
                assert!(ready.is_ready());
            } else {
                now(socket.feed("own".into())).unwrap();
            }
            assert_eq!(sender.buffered().messages, 0);
            assert!(peer.frame().now_or_never().is_none(), "it is only buffered");
            now(socket.flush()).unwrap();
            assert_eq!(texts(&mut peer, 1), ["queued"]);
        }
    }

    async fn closing_the_sink_sends_what_is_queued_first(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        sender.try_send("queued").unwrap();
        now(SinkExt::close(&mut socket)).unwrap();
        assert_eq!(texts(&mut peer, 1), ["queued"]);
        assert_eq!(now(peer.frame()).unwrap().code(), 1000);
        assert!(sender.try_send("late").is_err());
    }

    async fn a_message_wakes_the_task_that_waits(rt) {
        for call in 0..3 {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender();
            let (waker, woken) = waker();
            let poll = |socket: &mut anyws::WebSocket| match call {
                0 => assert!(poll_with(&waker, pin!(socket.next())).is_pending()),
                1 => assert!(poll_with(&waker, pin!(socket.next_data())).is_pending()),
                _ => assert!(poll_with(&waker, pin!(socket.closed())).is_pending()),
            };
            for _ in 0..3 {
                poll(&mut socket);
                assert!(!woken.take(), "there is nothing to do");
                sender.try_send("1").unwrap();
                assert!(woken.take());
                sender.try_send("2").unwrap();
                assert!(!woken.take(), "it is woken once");
                poll(&mut socket);
                assert!(!woken.take(), "it does not wake itself");
                assert_eq!(texts(&mut peer, 2), ["1", "2"]);
            }
        }
    }

    async fn a_flush_sends_more_than_is_buffered_at_once(rt) {
        let config = support::sockets::with_limits(&rt, |limits| {
            limits.write_buffer_size(500).max_write_buffer_size(1000)
        });
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        let sender = socket.sender();
        for _ in 0..40 {
            sender.try_send(text_of(700)).unwrap();
        }
        now(socket.flush()).unwrap();
        assert_eq!(texts(&mut peer, 40).len(), 40);
    }

    async fn closing_sends_more_than_a_batch(rt) {
        for call in 0..3 {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender();
            for at in 0..40 {
                sender.try_send(at.to_string()).unwrap();
            }
            match call {
                0 => drop(socket),
                1 => assert!(socket.close(None).now_or_never().is_none()),
                _ => now(SinkExt::close(&mut socket)).unwrap(),
            }
            assert_eq!(texts(&mut peer, 40).last().unwrap(), "39");
            now(sender.closed());
        }
    }

    async fn a_task_that_waits_for_the_stream_is_not_woken_by_messages(rt) {
        let (mut socket, _room) = crate::narrow(&rt);
        let sender = socket.sender();
        sender.try_send("in the buffer").unwrap();
        sender.try_send("in the queue").unwrap();
        let (waker, woken) = waker();
        for _ in 0..3 {
            assert!(poll_with(&waker, pin!(socket.next())).is_pending());
            sender.try_send("more").unwrap();
            assert!(!woken.take(), "there is no space for it");
        }
    }

    async fn more_than_a_batch_is_taken_at_once(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        for at in 0..200 {
            sender.try_send(at.to_string()).unwrap();
        }
        crate::turn(&mut socket);
        assert_eq!(texts(&mut peer, 200).last().unwrap(), "199");
    }

    async fn a_peer_that_always_has_a_message_holds_up_nothing(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(16, WhenFull::Wait));
        peer.send_bytes(&Frame::text("x").masked().repeat(1000)).await;
        let mut reading = pin!(async {
            loop {
                peer.frame().await.expect("the stream is open");
            }
        });
        // As in the example of `Sender`: each message goes to two members, of which this is one.
        for at in 0..1000 {
            let Some(item) = socket.next().now_or_never() else {
                // The end of a turn.
                assert!(received(&mut socket).is_text());
                continue;
            };
            assert!(item.unwrap().unwrap().is_text());
            let sent = [sender.try_send(text_of(5000)), sender.try_send("y")];
            assert!(sent.iter().all(Result::is_ok), "message {at} has no space");
            assert!(reading.as_mut().now_or_never().is_none());
        }
    }

    async fn a_blocked_write_goes_on_with_what_is_queued(rt) {
        let (near, far) = anyws::testing::duplex_with_capacity(100);
        let mut socket = Role::Server.socket(far, &patient(&rt));
        let mut peer = support::frames::Peer::new(near);
        let sender = socket.sender();
        for _ in 0..10 {
            sender.try_send(text_of(1000)).unwrap();
        }
        let (waker, woken) = waker();
        assert!(poll_with(&waker, pin!(socket.next())).is_pending());
        let mut reading = pin!(async {
            for _ in 0..10 {
                assert_eq!(peer.frame().await.unwrap().payload.len(), 1000);
            }
        });
        while reading.as_mut().now_or_never().is_none() {
            assert!(woken.take(), "the task of the socket sleeps");
            assert!(poll_with(&waker, pin!(socket.next())).is_pending());
        }
    }

    async fn pings_are_answered_beside_a_queue_that_is_stuck(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        sender.try_send("1").unwrap();
        peer.send(Frame::new(PING, "p")).await;
        assert_eq!(received(&mut socket), Message::Ping("p".into()));
        assert!(socket.next().now_or_never().is_none());
        let frames = [now(peer.frame()), now(peer.frame())];
        assert!(frames.contains(&Some(Frame::new(PONG, "p"))), "{frames:?}");
        assert!(frames.contains(&Some(Frame::text("1"))), "{frames:?}");
    }
}
