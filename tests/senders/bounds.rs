//! The bounds of a queue, and what happens when they are reached.

use anyws::{
    Buffered, ConfigError, Error, Message, QueueConfig, Sender, TrySendError, WebSocketConfig,
    WhenFull,
};
use support::{
    frames::{Frame, Role},
    runtimes,
    sockets::{now, patient},
};

use super::{OVERHEAD, bounds, text_of, texts, turn};

/// The messages and the bytes in a queue, and how many were dropped.
fn counts(sender: &Sender) -> (usize, usize, u64) {
    let Buffered {
        messages,
        bytes,
        dropped,
        ..
    } = sender.buffered();
    (messages, bytes, dropped)
}

fn is_full(sent: &Result<(), TrySendError>) -> bool {
    matches!(sent, Err(TrySendError::Full(_)))
}

runtimes! {
    async fn a_queue_has_as_many_messages_as_its_bound(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(3, WhenFull::Wait));
        assert_eq!(counts(&sender), (0, 0, 0));
        for text in ["", "1", "22"] {
            sender.try_send(text).unwrap();
        }
        assert_eq!(counts(&sender), (3, 3 + 3 * OVERHEAD, 0));
        let Err(TrySendError::Full(returned)) = sender.try_send("333") else {
            panic!("the queue is full");
        };
        assert_eq!(counts(&sender), (3, 3 + 3 * OVERHEAD, 0), "nothing was dropped");
        turn(&mut socket);
        assert_eq!(counts(&sender), (0, 0, 0));
        sender.try_send(returned).unwrap();
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 4), ["", "1", "22", "333"]);
    }

    async fn a_queue_has_as_many_bytes_as_its_bound(rt) {
        let (mut socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(QueueConfig::default().bytes(1000));
        sender.try_send(text_of(500 - OVERHEAD)).unwrap();
        assert!(is_full(&sender.try_send(text_of(501 - OVERHEAD))));
        sender.try_send(text_of(500 - OVERHEAD)).unwrap();
        assert_eq!(counts(&sender), (2, 1000, 0));
        assert!(is_full(&sender.try_send("")), "an empty message counts, too");
    }

    async fn an_empty_queue_takes_any_message(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        for (messages, bytes) in [(1, 1), (0, 0)] {
            let config = QueueConfig::default().messages(messages).bytes(bytes);
            let sender = socket.sender_with(config);
            sender.try_send(text_of(10_000)).unwrap();
            assert!(is_full(&sender.try_send("")));
            turn(&mut socket);
            assert_eq!(now(peer.frame()).unwrap().payload.len(), 10_000);
        }
    }

    async fn the_latest_bounds_hold_for_all_senders(rt) {
        let config = patient(&rt).set_queue(bounds(2, WhenFull::Wait));
        let (mut socket, _peer) = Role::Server.with_peer(&config);
        let first = socket.sender();
        first.try_send("1").unwrap();
        first.try_send("2").unwrap();
        assert!(is_full(&first.try_send("3")), "the settings hold");
        let second = socket.sender_with(bounds(3, WhenFull::DropNewest));
        first.try_send("3").unwrap();
        first.try_send("4").unwrap();
        assert_eq!(first.buffered(), second.buffered());
        assert_eq!(counts(&second), (3, 3 + 3 * OVERHEAD, 1));
        let third = socket.sender();
        third.try_send("5").unwrap();
        assert_eq!(counts(&third).2, 2, "the bounds are those of `sender_with`");
    }

    async fn the_default_bounds_are_those_of_the_documentation(rt) {
        let (mut socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        for _ in 0..256 {
            sender.try_send("").unwrap();
        }
        assert!(is_full(&sender.try_send("")));
        let (mut socket, _peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender();
        sender.try_send(text_of((1 << 20) - 2 * OVERHEAD)).unwrap();
        sender.try_send("").unwrap();
        assert!(is_full(&sender.try_send("")));
    }

    async fn drop_newest_keeps_what_came_first(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(2, WhenFull::DropNewest));
        for text in ["1", "2", "3", "4"] {
            sender.try_send(text).unwrap();
        }
        now(sender.send("5")).unwrap();
        assert_eq!(counts(&sender), (2, 2 + 2 * OVERHEAD, 3));
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 2), ["1", "2"]);
        sender.try_send("6").unwrap();
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 1), ["6"]);
        assert_eq!(counts(&sender), (0, 0, 3), "the count stays");
    }

    async fn drop_oldest_makes_room_for_what_came_last(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let config = bounds(3, WhenFull::DropOldest).bytes(1000);
        let sender = socket.sender_with(config);
        for text in ["1", "2", "3", "4"] {
            sender.try_send(text).unwrap();
        }
        now(sender.send("5")).unwrap();
        assert_eq!(counts(&sender), (3, 3 + 3 * OVERHEAD, 2));
        // Only one of the small ones fits beside it.
        sender.try_send(text_of(1000 - 2 * OVERHEAD - 1)).unwrap();
        assert_eq!(counts(&sender), (2, 1000, 4));
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 2), ["5".to_owned(), "x".repeat(871)]);
        // A message that never fits displaces everything.
        sender.try_send("6").unwrap();
        sender.try_send("7").unwrap();
        sender.try_send(text_of(2000)).unwrap();
        assert_eq!(counts(&sender), (1, 2000 + OVERHEAD, 6));
        turn(&mut socket);
        assert_eq!(texts(&mut peer, 1), ["x".repeat(2000)]);
    }

    async fn close_ends_the_socket_with_1013_and_one_error(rt) {
        for is_data in [false, true] {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender_with(bounds(2, WhenFull::Close));
            sender.try_send("1").unwrap();
            sender.try_send("2").unwrap();
            sender.try_send(Message::Ping("not counted".into())).unwrap();
            assert!(is_full(&sender.try_send("3")), "this one closes the socket");
            assert_eq!(counts(&sender), (0, 0, 2), "what was queued is dropped");
            let after = sender.try_send("4");
            assert!(matches!(after, Err(TrySendError::Closed(_))), "{after:?}");

            let item = if is_data { now(socket.next_data()) } else { now(socket.next()) };
            assert!(matches!(item, Some(Err(Error::QueueFull))), "{item:?}");
            assert!(now(socket.next()).is_none(), "the error comes once");
            assert_eq!(now(peer.frame()).unwrap().code(), 1013);
            now(sender.closed());
            assert_eq!(counts(&sender), (0, 0, 2));
        }
    }

    async fn close_is_an_error_of_each_call_that_sends(rt) {
        for which in 0..4 {
            let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
            let sender = socket.sender_with(bounds(1, WhenFull::Close));
            sender.try_send("1").unwrap();
            let waiting = now(sender.send("2"));
            assert!(matches!(waiting, Err(Error::QueueFull)), "{waiting:?}");
            let result = match which {
                0 => now(socket.send("own".into())),
                1 => now(socket.feed("own".into())),
                2 => now(socket.flush()),
                _ => now(socket.closed()),
            };
            assert!(matches!(result, Err(Error::QueueFull)), "{which}: {result:?}");
            let again = now(socket.send("own".into()));
            assert!(matches!(again, Err(Error::Closed)), "{which}: {again:?}");
            assert!(now(socket.next()).is_none(), "{which}: the error comes once");
            assert_eq!(now(peer.frame()).unwrap().code(), 1013);
        }
    }

    async fn close_reaches_a_peer_that_reads_late(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let sender = socket.sender_with(bounds(4, WhenFull::Close));
        // More than the stream and the buffer take.
        for _ in 0..4 {
            sender.try_send(Message::binary(vec![0; 100_000])).unwrap();
        }
        turn(&mut socket);
        let left = (0..9).take_while(|_| sender.try_send("more").is_ok()).count();
        assert!(left < 9, "the queue is full at last");
        let item = now(socket.next());
        assert!(matches!(item, Some(Err(Error::QueueFull))), "{item:?}");
        drop(socket);
        let (frames, close) = peer.see_off().await;
        assert!(frames.len() < 4, "what was queued is gone");
        assert_eq!(close.code(), 1013);
        assert_eq!(frames[0], Frame::new(support::frames::BINARY, vec![0; 100_000]));
    }
}

#[test]
fn a_bound_of_zero_is_an_error_of_the_settings() {
    for (config, name) in [
        (QueueConfig::default().messages(0), "QueueConfig::messages"),
        (QueueConfig::default().bytes(0), "QueueConfig::bytes"),
    ] {
        let checked = WebSocketConfig::new().set_queue(config).validate();
        let error =
            matches!(&checked, Err(Error::Config(ConfigError::ZeroLimit(it))) if *it == name);
        assert!(error, "{checked:?}");
    }
}
