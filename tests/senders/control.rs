//! Control frames, which wait behind no data, and messages that may not be sent.

use std::pin::pin;

use anyws::{Error, InvalidMessage, Message, TrySendError, WhenFull};
use support::{
    frames::{Frame, PING, PONG, Role},
    runtimes,
    sockets::{close, now, patient},
    tasks::{poll_with, waker},
};

use super::{FRAME, OVERHEAD, bounds, narrow, text_of, turn};

const POLICIES: [WhenFull; 4] = [
    WhenFull::Wait,
    WhenFull::DropNewest,
    WhenFull::DropOldest,
    WhenFull::Close,
];

fn ping(payload: &'static str) -> Message {
    Message::Ping(payload.into())
}

fn is_full(sent: &Result<(), TrySendError>) -> bool {
    matches!(sent, Err(TrySendError::Full(_)))
}

runtimes! {
    async fn control_frames_stand_before_data_though_the_queue_is_full(rt) {
        for policy in POLICIES {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender_with(bounds(2, policy));
            sender.try_send("1").unwrap();
            sender.try_send("2").unwrap();
            sender.try_send(ping("a")).unwrap();
            now(sender.send(Message::Pong("b".into()))).unwrap();
            let buffered = sender.buffered();
            assert_eq!((buffered.messages, buffered.bytes), (4, 2 + 2 * OVERHEAD));
            turn(&mut socket);
            assert_eq!(now(peer.frame()), Some(Frame::new(PING, "a")));
            assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "b")));
            assert_eq!(now(peer.frame()), Some(Frame::text("1")));
            assert_eq!(now(peer.frame()), Some(Frame::text("2")));
            assert_eq!(sender.buffered().dropped, 0);
        }
    }

    async fn sixteen_control_frames_are_queued_at_most(rt) {
        for policy in POLICIES {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender_with(bounds(2, policy));
            for _ in 0..16 {
                sender.try_send(ping("a")).unwrap();
            }
            assert!(is_full(&sender.try_send(ping("b"))), "{policy:?}");
            // Data has bounds of its own.
            sender.try_send("1").unwrap();
            sender.try_send("2").unwrap();
            turn(&mut socket);
            for _ in 0..16 {
                assert_eq!(now(peer.frame()), Some(Frame::new(PING, "a")));
            }
            sender.try_send(ping("c")).unwrap();
            turn(&mut socket);
            assert_eq!(now(peer.frame()), Some(Frame::text("1")));
            assert_eq!(now(peer.frame()), Some(Frame::text("2")));
            assert_eq!(now(peer.frame()), Some(Frame::new(PING, "c")));
        }
    }

    async fn data_that_is_dropped_takes_no_control_frame_with_it(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(1, WhenFull::DropOldest));
        sender.try_send(ping("a")).unwrap();
        sender.try_send("1").unwrap();
        sender.try_send("2").unwrap();
        assert_eq!(sender.buffered().dropped, 1);
        turn(&mut socket);
        assert_eq!(now(peer.frame()), Some(Frame::new(PING, "a")));
        assert_eq!(now(peer.frame()), Some(Frame::text("2")));
    }

    async fn a_control_frame_that_waits_waits_for_no_data(rt) {
        let (mut socket, room) = narrow(&rt);
        let sender = socket.sender_with(bounds(4, WhenFull::Wait));
        for _ in 0..4 {
            sender.try_send("x").unwrap();
        }
        for _ in 0..16 {
            sender.try_send(ping("")).unwrap();
        }
        let (waker, woken) = waker();
        let mut sending = pin!(sender.send(ping("")));
        assert!(poll_with(&waker, sending.as_mut()).is_pending());
        // Room for the frames of all pings, so that only data is left.
        room.give(16 * 2);
        turn(&mut socket);
        assert_eq!(sender.buffered().bytes, 3 + 3 * OVERHEAD, "a data frame is buffered");
        assert!(woken.take(), "the control frames are gone");
        assert!(poll_with(&waker, sending.as_mut()).is_ready());
        room.give(FRAME);
        turn(&mut socket);
    }

    async fn pings_do_not_pile_up_before_a_peer_that_does_not_read(rt) {
        let (mut socket, _room) = narrow(&rt);
        let sender = socket.sender();
        let accepted = (0..10_000).filter(|_| {
            let is_queued = sender.try_send(Message::Ping(vec![0; 125].into())).is_ok();
            turn(&mut socket);
            is_queued
        });
        // Those that are queued, and what the socket buffers.
        let accepted = accepted.count();
        assert!((16..=32).contains(&accepted), "{accepted}");
    }

    async fn a_message_that_may_not_be_sent_is_refused(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(1, WhenFull::Close));
        sender.try_send("1").unwrap();
        let too_long = || Message::Ping(vec![0; 126].into());
        for (message, reason) in [
            (too_long(), InvalidMessage::ControlTooLong(126)),
            (close(1005, ""), InvalidMessage::CloseCode(1005)),
            (close(1000, &"x".repeat(124)), InvalidMessage::CloseReasonTooLong(124)),
        ] {
            let sent = sender.try_send(message.clone());
            assert!(matches!(&sent, Err(TrySendError::Invalid(it)) if *it == reason), "{sent:?}");
            let sent = sender.send_latest(1, message.clone());
            assert!(matches!(&sent, Err(TrySendError::Invalid(it)) if *it == reason), "{sent:?}");
            let sent = now(sender.send(message));
            assert!(matches!(&sent, Err(Error::InvalidMessage(it)) if *it == reason), "{sent:?}");
        }
        assert_eq!(sender.buffered().messages, 1, "the queue is unharmed, and not too full");
        turn(&mut socket);
        assert_eq!(now(peer.frame()), Some(Frame::text("1")));
        sender.try_send(text_of(1)).unwrap();
        // It is refused for what it is, even after the end.
        socket.abort();
        let sent = sender.try_send(too_long());
        assert!(matches!(sent, Err(TrySendError::Invalid(_))), "{sent:?}");
    }
}
