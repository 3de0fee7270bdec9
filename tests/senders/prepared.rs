//! Messages that are sent to many.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use anyws::{
    Bytes, Error, InvalidMessage, Message, PreparedMessage, Utf8Bytes, WebSocket, testing,
};
use support::{
    frames::{BINARY, CONTINUATION, Frame, Role, TEXT},
    runtimes,
    sockets::{now, patient, with_limits},
};

use super::turn;

/// Memory that counts how often it is there.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_message_to_a_hundred_sockets_is_in_memory_once() {
    const LENGTH: usize = 1024 * 1024;
    let freed = Arc::new(AtomicUsize::new(0));
    let memory = Counted(vec![7; LENGTH], Arc::clone(&freed));
    let message = PreparedMessage::from(Bytes::from_owner(memory));
    let mut sockets: Vec<(WebSocket, WebSocket)> = (0..100).map(|_| testing::pair()).collect();
    let info = allocation_counter::measure(|| {
        for (at, (_, server)) in sockets.iter_mut().enumerate() {
            if at % 2 == 0 {
                server.sender().try_send(message.clone()).unwrap();
                turn(server);
            } else {
                // The streams take 64 KiB, so that the rest stays with the socket.
                let sent = futures::FutureExt::now_or_never(server.send_prepared(&message));
                assert!(sent.is_none());
            }
        }
    });
    // The streams hold 64 KiB each, in memory that grows by doubling.
    let most = 100 * 2 * 64 * 1024 + LENGTH as u64;
    assert!(
        info.bytes_total < most,
        "{} bytes for 100 MiB",
        info.bytes_total
    );
    drop(message);
    assert_eq!(freed.load(SeqCst), 0);
    // Nothing is left for a task in the background.
    for (_, server) in &mut sockets {
        server.abort();
    }
    assert_eq!(freed.load(SeqCst), 1);
}

runtimes! {
    async fn a_prepared_message_is_the_message(rt) {
        let text = || PreparedMessage::from("hello");
        for (message, opcode, payload) in [
            (text(), TEXT, &b"hello"[..]),
            (String::from("hello").into(), TEXT, b"hello"),
            (Utf8Bytes::from("hello").into(), TEXT, b"hello"),
            (Bytes::from_static(b"\xff").into(), BINARY, b"\xff"),
            (vec![0xff].into(), BINARY, b"\xff"),
            (Message::binary(vec![1; 70_000]).into(), BINARY, &vec![1; 70_000]),
            (Message::Ping("p".into()).into(), support::frames::PING, b"p"),
            ((&text()).into(), TEXT, b"hello"),
        ] {
            for role in Role::BOTH {
                let (mut socket, mut peer) = role.with_peer(&patient(&rt));
                let sender = socket.sender();
                let ((), frames) = futures::future::join(
                    async {
                        sender.try_send(&message).unwrap();
                        socket.flush().await.unwrap();
                        socket.send_prepared(&message).await.unwrap();
                    },
                    async { [peer.frame().await, peer.frame().await] },
                ).await;
                for frame in frames {
                    // The peer checks that a client masks, and a server does not.
                    assert_eq!(frame, Some(Frame::new(opcode, payload)), "{role:?}");
                }
                if role == Role::Client {
                    assert_ne!(peer.keys[0], peer.keys[1], "each frame has a key of its own");
                }
            }
        }
    }

    async fn a_prepared_message_is_sent_in_fragments(rt) {
        let config = with_limits(&rt, |limits| limits.fragment_size(1024));
        let message = PreparedMessage::from("x".repeat(2500));
        for role in Role::BOTH {
            let (mut socket, mut peer) = role.with_peer(&config);
            let sender = socket.sender();
            for _ in 0..2 {
                sender.try_send(&message).unwrap();
                turn(&mut socket);
                let part = |opcode, length| Frame::new(opcode, vec![b'x'; length]);
                assert_eq!(now(peer.frame()), Some(part(TEXT, 1024).unfinished()));
                assert_eq!(now(peer.frame()), Some(part(CONTINUATION, 1024).unfinished()));
                assert_eq!(now(peer.frame()), Some(part(CONTINUATION, 452)));
            }
        }
    }

    async fn a_prepared_message_may_be_a_close(rt) {
        let (mut socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let message = PreparedMessage::from(support::sockets::close(4000, "bye"));
        now(socket.send_prepared(&message)).unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::close(4000, "bye")));
        let again = now(socket.send_prepared(&message));
        assert!(matches!(again, Err(Error::Closed)), "{again:?}");
    }

    async fn a_prepared_message_that_may_not_be_sent_is_refused_each_time(rt) {
        let message = PreparedMessage::from(Message::Ping(vec![0; 126].into()));
        let (socket, mut peer) = Role::Server.with_peer(&patient(&rt));
        let (mut sending, receiving) = socket.split();
        for _ in 0..2 {
            let sent = now(sending.send_prepared(&message));
            let reason = InvalidMessage::ControlTooLong(126);
            assert!(matches!(&sent, Err(Error::InvalidMessage(it)) if *it == reason), "{sent:?}");
        }
        let mut socket = sending.reunite(receiving).unwrap();
        assert!(now(socket.send_prepared(&message)).is_err());
        now(socket.send_prepared(&"1".into())).unwrap();
        assert_eq!(now(peer.frame()), Some(Frame::text("1")));
    }
}

#[test]
fn what_is_shown_of_a_message_is_not_its_payload() {
    let shown = format!("{:?}", PreparedMessage::from("secret"));
    assert!(!shown.contains("secret") && shown.contains('6'), "{shown}");
}
