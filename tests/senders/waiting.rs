//! Senders that wait for space, and messages that replace others.

use std::{
    pin::{Pin, pin},
    sync::Arc,
};

use anyws::{Error, InvalidMessage, Message, QueueConfig, TrySendError, WhenFull};
use futures::FutureExt;
use support::{
    frames::{Frame, Role},
    runtimes,
    sockets::{now, patient},
    tasks::{poll_with, waker},
};

use super::{FRAME, OVERHEAD, bounds, narrow, text_of, texts, turn};

runtimes! {
    async fn a_sender_waits_until_half_of_the_queue_is_free(rt) {
        let (mut socket, room) = narrow(&rt);
        let sender = socket.sender_with(bounds(4, WhenFull::Wait));
        for _ in 0..4 {
            sender.try_send("x").unwrap();
        }
        let (waker, woken) = waker();
        let mut sending = pin!(sender.send("y"));
        assert!(poll_with(&waker, sending.as_mut()).is_pending());
        // The first one goes into the buffer of the socket.
        turn(&mut socket);
        assert_eq!(sender.buffered().messages, 3);
        assert!(!woken.take(), "less than half is free");
        room.give(FRAME);
        turn(&mut socket);
        assert_eq!(sender.buffered().messages, 2);
        assert!(woken.take(), "half is free");
        let sent = poll_with(&waker, sending.as_mut());
        assert!(matches!(sent, std::task::Poll::Ready(Ok(()))), "{sent:?}");
        assert_eq!(sender.buffered().messages, 3);
    }

    async fn a_sender_waits_until_half_of_the_bytes_are_free(rt) {
        let (mut socket, room) = narrow(&rt);
        let sender = socket.sender_with(QueueConfig::default().bytes(400));
        sender.try_send("x").unwrap();
        sender.try_send(text_of(200)).unwrap();
        let (waker, woken) = waker();
        let mut sending = pin!(sender.send(text_of(100)));
        assert!(poll_with(&waker, sending.as_mut()).is_pending());
        turn(&mut socket);
        assert!(!woken.take(), "264 of 400 bytes are taken");
        room.give(FRAME);
        turn(&mut socket);
        assert!(woken.take());
        assert!(poll_with(&waker, sending.as_mut()).is_ready());
    }

    async fn nobody_overtakes_a_sender_that_waits(rt) {
        let (mut socket, room) = narrow(&rt);
        let sender = socket.sender_with(bounds(4, WhenFull::Wait));
        for _ in 0..4 {
            sender.try_send("x").unwrap();
        }
        let (waker, woken) = waker();
        let mut waiting = pin!(sender.send("must arrive"));
        assert!(poll_with(&waker, waiting.as_mut()).is_pending());
        turn(&mut socket);
        // There is space for one, but not for whoever has not waited.
        let pushed = sender.try_send("a tick");
        assert!(matches!(pushed, Err(TrySendError::Full(_))), "{pushed:?}");
        assert!(sender.send("late").now_or_never().is_none());
        assert!(sender.send_latest(1, "a price").is_err());
        room.give(FRAME);
        turn(&mut socket);
        assert!(woken.take());
        assert!(poll_with(&waker, waiting.as_mut()).is_ready());
        sender.try_send("a tick").unwrap();
    }

    async fn a_policy_that_drops_needs_no_turn(rt) {
        let (mut socket, _room) = narrow(&rt);
        let sender = socket.sender_with(bounds(1, WhenFull::Wait));
        sender.try_send("x").unwrap();
        let (waker, _woken) = waker();
        let mut waiting = pin!(sender.send("y"));
        assert!(poll_with(&waker, waiting.as_mut()).is_pending());
        let sender = socket.sender_with(bounds(1, WhenFull::DropOldest));
        sender.try_send("z").unwrap();
        assert_eq!(sender.buffered().dropped, 1);
    }

    async fn all_that_wait_come_to_their_turn(rt) {
        let (mut socket, room) = narrow(&rt);
        let sender = socket.sender_with(bounds(2, WhenFull::Wait));
        sender.try_send("x").unwrap();
        sender.try_send("x").unwrap();
        let mut sending: Vec<_> = (0..20).map(|_| {
            let (waker, woken) = waker();
            let mut future = sender.send("y");
            assert!(poll_with(&waker, Pin::new(&mut future)).is_pending());
            Some((waker, woken, future))
        }).collect();
        // Of which some wait no more.
        for at in [0, 7, 19] {
            sending[at] = None;
        }
        let mut sent = 0;
        for _ in 0..60 {
            room.give(FRAME);
            turn(&mut socket);
            for slot in &mut sending {
                if let Some((waker, woken, future)) = slot
                    && woken.take()
                    && let std::task::Poll::Ready(result) = poll_with(waker, Pin::new(future))
                {
                    result.unwrap();
                    *slot = None;
                    sent += 1;
                }
            }
        }
        assert_eq!(sent, 17, "none was forgotten");
        assert_eq!(sender.buffered().messages, 0);
    }

    async fn a_sender_that_is_dropped_sends_nothing_and_leaves_nothing(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(1, WhenFull::Wait));
        sender.try_send("x").unwrap();
        let (waker, woken) = waker();
        for _ in 0..10_000 {
            assert!(poll_with(&waker, pin!(sender.send("never"))).is_pending());
        }
        assert!(!woken.take());
        drop(waker);
        assert_eq!(Arc::strong_count(&woken), 1, "the queue keeps no waker");
        turn(&mut socket);
        sender.try_send("y").unwrap();
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 2), ["x", "y"]);
        assert!(peer.frame().now_or_never().is_none());
    }

    async fn a_sender_that_has_sent_leaves_no_waker(rt) {
        let (mut socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(1, WhenFull::Wait));
        sender.try_send("x").unwrap();
        let (waker, woken) = waker();
        let mut sending = sender.send("y");
        assert!(poll_with(&waker, Pin::new(&mut sending)).is_pending());
        turn(&mut socket);
        assert!(poll_with(&waker, Pin::new(&mut sending)).is_ready());
        drop(waker);
        assert_eq!(Arc::strong_count(&woken), 1);
        drop(sending);
    }

    async fn a_sender_that_finds_space_by_itself_leaves_no_waker(rt) {
        let (mut socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(1, WhenFull::Wait));
        sender.try_send("x").unwrap();
        let (waker, woken) = waker();
        let mut sending = sender.send("y");
        assert!(poll_with(&waker, Pin::new(&mut sending)).is_pending());
        socket.sender_with(bounds(2, WhenFull::Wait));
        assert!(poll_with(&waker, Pin::new(&mut sending)).is_ready());
        drop(waker);
        assert_eq!(Arc::strong_count(&woken), 1);
        drop(sending);
    }

    async fn only_the_last_waker_of_a_sender_is_woken(rt) {
        let (mut socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(1, WhenFull::Wait));
        sender.try_send("x").unwrap();
        let ((first, of_first), (last, of_last)) = (waker(), waker());
        let mut sending = pin!(sender.send("y"));
        assert!(poll_with(&first, sending.as_mut()).is_pending());
        assert!(poll_with(&last, sending.as_mut()).is_pending());
        drop(first);
        assert_eq!(Arc::strong_count(&of_first), 1);
        turn(&mut socket);
        assert!(of_last.take());
    }

    async fn each_end_wakes_those_that_wait(rt) {
        for end in 0..6 {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender_with(bounds(1, WhenFull::Wait));
            sender.try_send("x").unwrap();
            let ((one, of_one), (two, of_two)) = (waker(), waker());
            let (mut first, mut second) = (pin!(sender.send("y")), pin!(sender.send("z")));
            assert!(poll_with(&one, first.as_mut()).is_pending());
            assert!(poll_with(&two, second.as_mut()).is_pending());
            match end {
                0 => sender.close(None).unwrap(),
                1 => sender.abort(),
                2 => drop(socket),
                3 => socket.abort(),
                4 => {
                    peer.send(Frame::close(1000, "")).await;
                    assert!(matches!(now(socket.next()), Some(Ok(Message::Close(_)))));
                }
                _ => assert!(socket.close(None).now_or_never().is_none()),
            }
            assert!(of_one.take() && of_two.take(), "{end}");
            for (waker, sending) in [(&one, first), (&two, second)] {
                let sent = poll_with(waker, sending);
                assert!(
                    matches!(sent, std::task::Poll::Ready(Err(Error::Closed))),
                    "{end}: {sent:?}",
                );
            }
        }
    }

    async fn send_does_not_wait_to_refuse(rt) {
        let (mut socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(1, WhenFull::Wait));
        sender.try_send("x").unwrap();
        let refused = now(sender.send(Message::Ping(vec![0; 126].into())));
        let too_long = InvalidMessage::ControlTooLong(126);
        let is_told = matches!(&refused, Err(Error::InvalidMessage(it)) if *it == too_long);
        assert!(is_told, "{refused:?}");
    }

    async fn the_latest_replaces_where_it_stands(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(4, WhenFull::Wait));
        sender.try_send("none").unwrap();
        sender.send_latest(1, "old").unwrap();
        sender.send_latest(2, "other").unwrap();
        sender.try_send("last").unwrap();
        let before = sender.buffered();
        // The queue is full, but nothing has to be added.
        sender.send_latest(1, "newer").unwrap();
        sender.send_latest(1, "new").unwrap();
        assert_eq!(sender.buffered(), before, "of the same length, and not dropped");
        let full = sender.send_latest(3, "x");
        assert!(matches!(full, Err(TrySendError::Full(_))), "{full:?}");
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 4), ["none", "new", "other", "last"]);
        // What was sent is not replaced.
        sender.send_latest(1, "again").unwrap();
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 1), ["again"]);
        assert_eq!(sender.buffered().dropped, 0);
    }

    async fn a_larger_latest_that_does_not_fit_follows_the_policy(rt) {
        for policy in [WhenFull::Wait, WhenFull::DropNewest, WhenFull::DropOldest] {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender_with(bounds(9, policy).bytes(1000));
            sender.try_send(text_of(500)).unwrap();
            sender.send_latest(7, "old").unwrap();
            assert_eq!(sender.buffered().bytes, 503 + 2 * OVERHEAD);
            // As large as the space is, then larger.
            sender.send_latest(7, text_of(500 - 2 * OVERHEAD)).unwrap();
            assert_eq!(sender.buffered().bytes, 1000);
            let sent = sender.send_latest(7, text_of(501 - 2 * OVERHEAD));
            let expected = match policy {
                WhenFull::Wait => {
                    assert!(matches!(sent, Err(TrySendError::Full(_))), "{sent:?}");
                    vec![500, 372]
                }
                WhenFull::DropNewest => {
                    sent.unwrap();
                    assert_eq!(sender.buffered().dropped, 1);
                    vec![500, 372]
                }
                _ => {
                    sent.unwrap();
                    assert_eq!(sender.buffered().dropped, 1, "the one before it");
                    vec![373]
                }
            };
            turn(&mut socket);
            let texts = texts(&mut peer, expected.len());
            let lengths: Vec<_> = texts.iter().map(String::len).collect();
            assert_eq!(lengths, expected);
            assert!(peer.frame().now_or_never().is_none(), "{policy:?}");
        }
    }

    async fn the_latest_comes_last(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(9, WhenFull::DropOldest).bytes(1000));
        sender.try_send(text_of(600)).unwrap();
        sender.send_latest(7, "1").unwrap();
        sender.try_send("between").unwrap();
        // It does not fit where the first one stands before the oldest is dropped.
        sender.send_latest(7, text_of(400)).unwrap();
        sender.send_latest(7, "3").unwrap();
        turn(&mut socket);
        let mut latest = None;
        while let Some(Some(frame)) = peer.frame().now_or_never() {
            latest = Some(frame).filter(|it| *it != Frame::text("between")).or(latest);
        }
        assert_eq!(latest, Some(Frame::text("3")));
    }
}
