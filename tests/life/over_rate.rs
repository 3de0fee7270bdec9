//! What becomes of a peer that exceeds a rate that closes.

use anyws::{Error, Message, OverRate, Rate, WebSocket};
use support::{
    frames::{CLOSE, Frame, PING, Role},
    runtimes,
    sockets::{assert_waits, now, received},
    time::Paused,
};

use crate::rates::{AT_ONCE, BYTES, BYTES_AT_ONCE, MESSAGES, TICK, send, socket, soon};

fn assert_exceeded(socket: &mut WebSocket) {
    let end = now(socket.next());
    assert!(matches!(&end, Some(Err(error @ Error::RateExceeded)) if error.is_disconnect()));
    assert!(now(socket.next()).is_none(), "it is told once");
    assert!(matches!(
        now(socket.send("late".into())),
        Err(Error::Closed)
    ));
}

runtimes! {
    async fn a_peer_that_is_too_fast_is_closed_with_1008(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time, OverRate::Close);
        send(&mut peer, 0..100).await;
        // The one that was too many has arrived.
        for number in 0..=AT_ONCE {
            assert_eq!(received(&mut socket), Message::text(number.to_string()));
        }
        assert_exceeded(&mut socket);
        drop(socket);
        let (frames, close) = peer.see_off().await;
        assert_eq!((frames, close.code()), (vec![], 1008));
    }

    async fn too_many_bytes_are_closed_with_1008_too(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_byte_rate(BYTES, OverRate::Close);
        for length in [0, 2, 200] {
            let (mut socket, mut peer) = Role::Server.with_peer(&config);
            let frame = Frame::new(2, vec![0; length]).masked();
            peer.send_bytes(&frame.repeat(200)).await;
            // What has arrived with the byte that was too much is not lost.
            for _ in 0..(BYTES_AT_ONCE + 1) / frame.len() {
                assert_eq!(received(&mut socket).len(), length);
            }
            assert_exceeded(&mut socket);
            assert_eq!(now(peer.frame()).unwrap().code(), 1008);
            // The messages that are still there do not keep it from closing.
            peer.send(Frame::new(CLOSE, "")).await;
            peer.finish().await;
            socket.close(None).await.unwrap();
        }
    }

    async fn the_end_of_a_turn_does_not_lose_what_has_arrived(rt) {
        let time = Paused::new(&rt);
        let config = time
            .config()
            .set_byte_rate(Rate::new(1000, 4000), OverRate::Close);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        peer.send_bytes(&Frame::new(2, "").masked().repeat(1000)).await;
        // More than a turn of a task.
        for _ in 0..4100 / 6 {
            assert_eq!(soon(socket.next()).unwrap().unwrap().len(), 0);
        }
        assert_exceeded(&mut socket);
    }

    async fn a_peer_that_keeps_to_its_rate_stays_open(rt) {
        let time = Paused::new(&rt);
        let config = time
            .config()
            .set_message_rate(MESSAGES, OverRate::Close)
            .set_byte_rate(Rate::new(70, 35), OverRate::Close);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        // Between two ticks of the clock.
        time.advance(TICK / 2).await;
        for round in 0..50 {
            // A burst, then as fast as it may.
            for _ in 0..5 {
                peer.send(Frame::new(PING, "1")).await;
                assert_eq!(received(&mut socket), Message::Ping("1".into()), "{round}");
            }
            assert_waits(&mut socket);
            for _ in 0..20 {
                time.advance(TICK).await;
                peer.send(Frame::new(PING, "1")).await;
                assert_eq!(received(&mut socket), Message::Ping("1".into()), "{round}");
            }
            time.advance(5 * TICK).await;
        }
    }

    async fn closed_returns_the_error(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time, OverRate::Close);
        send(&mut peer, 0..100).await;
        assert!(matches!(now(socket.closed()), Err(Error::RateExceeded)));
        assert_eq!(now(peer.frame()).unwrap().code(), 1008);
        // It was told.
        assert!(now(socket.next()).is_none());
    }

    async fn a_receiving_half_gets_the_error_and_the_other_is_closed(rt) {
        let time = Paused::new(&rt);
        let (socket, mut peer) = socket(&time, OverRate::Close);
        let (mut sender, mut receiver) = socket.split();
        send(&mut peer, 0..100).await;
        for _ in 0..=AT_ONCE {
            now(receiver.next()).unwrap().unwrap();
        }
        let end = now(receiver.next());
        assert!(matches!(end, Some(Err(Error::RateExceeded))), "{end:?}");
        assert!(now(receiver.next()).is_none());
        assert!(matches!(now(sender.send("late".into())), Err(Error::Closed)));
        assert_eq!(now(peer.frame()).unwrap().code(), 1008);
    }

    async fn a_half_that_only_sends_gets_the_error(rt) {
        let time = Paused::new(&rt);
        let (socket, mut peer) = socket(&time, OverRate::Close);
        let (mut sender, receiver) = socket.split();
        drop(receiver);
        send(&mut peer, 0..100).await;
        assert!(matches!(now(sender.send("text".into())), Err(Error::RateExceeded)));
        assert!(matches!(now(sender.send("late".into())), Err(Error::Closed)));
        assert_eq!(now(peer.frame()).unwrap().code(), 1008);
    }
}
