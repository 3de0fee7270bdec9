//! The order of messages is that of the calls.

use std::{future::Future, pin::Pin};

use anyws::{Message, PreparedMessage};
use futures::{FutureExt, SinkExt, future::join};
use support::{
    frames::{Frame, Peer, Role},
    runtimes,
    sockets::{now, patient, with_limits},
};

use super::{text_of, texts};

runtimes! {
    async fn own_messages_overtake_nothing_that_was_queued_before(rt) {
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&patient(&rt));
            let sender = socket.sender();
            sender.try_send("1").unwrap();
            sender.try_send("2").unwrap();
            now(socket.feed("3".into())).unwrap();
            sender.try_send("4").unwrap();
            now(socket.send("5".into())).unwrap();
            sender.try_send("6").unwrap();
            now(socket.send_prepared(&PreparedMessage::from("7"))).unwrap();
            sender.try_send("8").unwrap();
            now(SinkExt::feed(&mut socket, "9".into())).unwrap();
            sender.try_send("10").unwrap();
            now(socket.flush()).unwrap();
            let all: Vec<_> = (1..=10).map(|it| it.to_string()).collect();
            assert_eq!(texts(&mut peer, 10), all);
        }
    }

    async fn own_messages_overtake_nothing_though_more_is_queued_than_is_buffered(rt) {
        let config = with_limits(&rt, |limits| {
            limits.write_buffer_size(500).max_write_buffer_size(1000)
        });
        for which in 0..3 {
            let (mut socket, mut peer) = Role::Server.with_peer(&config);
            let sender = socket.sender();
            for _ in 0..40 {
                sender.try_send(text_of(700)).unwrap();
            }
            let own = Message::text("own");
            // The stream takes everything, so nothing waits.
            match which {
                0 => now(socket.send(own)).unwrap(),
                1 => now(socket.feed(own)).unwrap(),
                _ => now(SinkExt::feed(&mut socket, own)).unwrap(),
            }
            now(socket.flush()).unwrap();
            for _ in 0..40 {
                assert_eq!(now(peer.frame()).unwrap().payload.len(), 700, "{which}");
            }
            assert_eq!(now(peer.frame()), Some(Frame::text("own")));
        }
    }

    async fn own_messages_overtake_nothing_while_the_stream_is_full(rt) {
        let config = with_limits(&rt, |limits| {
            limits.write_buffer_size(500).max_write_buffer_size(1000)
        });
        let (near, far) = anyws::testing::duplex_with_capacity(500);
        let mut socket = Role::Server.socket(far, &config);
        let mut peer = Peer::new(near);
        let sender = socket.sender();
        for _ in 0..40 {
            sender.try_send(text_of(700)).unwrap();
        }
        let sending = async {
            socket.feed("own".into()).await.unwrap();
            sender.try_send("later").unwrap();
            socket.flush().await.unwrap();
        };
        let reading = async {
            for _ in 0..40 {
                assert_eq!(peer.frame().await.unwrap().payload.len(), 700);
            }
            assert_eq!(peer.frame().await, Some(Frame::text("own")));
            assert_eq!(peer.frame().await, Some(Frame::text("later")));
        };
        join(sending, reading).await;
    }

    async fn own_messages_come_through_though_the_queue_is_never_empty(rt) {
        for call in 0..4 {
            let (mut socket, room) = crate::narrow(&rt);
            let sender = socket.sender_with(crate::bounds(8, anyws::WhenFull::DropNewest));
            let fill = || (0..8).for_each(|_| sender.try_send("x").unwrap());
            fill();
            let mut own: Pin<Box<dyn Future<Output = anyws::Result<()>> + Send>> = match call {
                0 => Box::pin(socket.send("o".into())),
                1 => Box::pin(socket.feed("o".into())),
                2 => Box::pin(SinkExt::feed(&mut socket, "o".into())),
                _ => Box::pin(socket.flush()),
            };
            let turns = (0..20).take_while(|_| {
                let is_pending = own.as_mut().now_or_never().is_none();
                room.give(crate::FRAME);
                fill();
                is_pending
            });
            let turns = turns.count();
            assert!((7..12).contains(&turns), "call {call}: {turns}");
        }
    }

    async fn clones_send_in_the_order_of_their_calls(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let senders = [socket.sender(), socket.sender(), socket.sender().clone()];
        for at in 0..99 {
            senders[at % 3].try_send(at.to_string()).unwrap();
        }
        crate::turn(&mut socket);
        let all: Vec<_> = (0..99).map(|it: usize| it.to_string()).collect();
        assert_eq!(texts(&mut peer, 99), all);
    }
}
