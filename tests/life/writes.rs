//! The write timeout: a peer that accepts nothing.

use std::{sync::Arc, time::Duration};

use anyws::{Error, Message, TimeoutPhase, TransportConfig, WebSocket, testing};
use futures::{AsyncReadExt, FutureExt};
use support::{
    frames::{Frame, Peer, Role},
    runtimes,
    sockets::{assert_waits, now},
    time::Paused,
};

const SECOND: Duration = Duration::from_secs(1);
/// The clock ticks once a second with it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The stream between the ends holds so much.
const CAPACITY: usize = 1000;

/// A server's socket, and the stream of a peer that has read nothing yet.
fn socket(time: &Arc<Paused>) -> (WebSocket, testing::Duplex) {
    let transport = TransportConfig::default()
        .write_buffer_size(1000)
        .max_write_buffer_size(2000);
    let config = time
        .config()
        .set_write_timeout(TIMEOUT)
        .set_transport(transport);
    let (near, far) = testing::duplex_with_capacity(CAPACITY);
    (Role::Server.socket(far, &config), near)
}

fn large() -> Message {
    Message::binary(vec![0; 10_000])
}

/// Lets time pass until the operation returns something. Returns that, and the seconds.
async fn ends<T>(time: &Paused, mut operation: impl AsyncFnMut() -> Option<T>) -> (T, u32) {
    for second in 0..1000 {
        if let Some(end) = operation().await {
            return (end, second);
        }
        time.advance(SECOND).await;
    }
    panic!("it does not end");
}

fn assert_timed_out(result: &anyws::Result<()>, seconds: u32) {
    assert!(
        matches!(result, Err(Error::Timeout(TimeoutPhase::Write))),
        "{result:?}"
    );
    assert!((10..=13).contains(&seconds), "{seconds}");
}

runtimes! {
    async fn send_fails_when_nothing_is_accepted(rt) {
        let time = Paused::new(&rt);
        let (mut socket, near) = socket(&time);
        let mut send = socket.send(large());
        let (end, seconds) = ends(&time, async || (&mut send).now_or_never()).await;
        assert_timed_out(&end, seconds);
        drop(send);
        // One error is enough for a handler that does both.
        assert!(now(socket.next()).is_none());
        assert!(matches!(now(socket.send("late".into())), Err(Error::Closed)));
        drop(socket);
        time.settle().await;
        // No Close follows, and the stream is dropped at once.
        assert_eq!(read_all(near).await.len(), CAPACITY);
    }

    async fn feed_flush_and_next_fail_as_well(rt) {
        let time = Paused::new(&rt);
        for operation in 0..3 {
            let (mut socket, _near) = socket(&time);
            let _ = socket.feed(large()).now_or_never();
            let (end, seconds) = ends(&time, async || match operation {
                0 => socket.feed(large()).now_or_never(),
                1 => socket.flush().now_or_never(),
                _ => socket.next().now_or_never().map(|end| end.unwrap().map(drop)),
            }).await;
            assert_timed_out(&end, seconds);
        }
    }

    async fn each_byte_that_is_accepted_starts_the_time_again(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut near) = socket(&time);
        let mut send = socket.send(large());
        assert!((&mut send).now_or_never().is_none());
        for _ in 0..5 {
            time.advance(8 * SECOND).await;
            assert!((&mut send).now_or_never().is_none());
            near.read_exact(&mut [0; 10]).await.unwrap();
            assert!((&mut send).now_or_never().is_none());
        }
        let (end, seconds) = ends(&time, async || (&mut send).now_or_never()).await;
        assert_timed_out(&end, seconds);
    }

    async fn a_sender_that_sleeps_is_woken(rt) {
        let time = Paused::new(&rt);
        let (mut socket, _near) = socket(&time);
        let sending = time.run(async move { socket.send(large()).await });
        time.advance(13 * SECOND).await;
        assert_timed_out(&sending.await.unwrap(), 13);
    }

    async fn both_halves_learn_of_it_once_and_the_stream_is_dropped(rt) {
        let time = Paused::new(&rt);
        let (socket, near) = socket(&time);
        let (mut sender, mut receiver) = socket.split();
        let receiving = time.run(async move {
            (receiver.next().await, receiver.next().await, receiver)
        });
        let sending = time.run(async move {
            let end = sender.send(large()).await;
            (end, sender)
        });
        time.advance(13 * SECOND).await;
        let (end, mut sender) = sending.await.unwrap();
        let (first, second, _receiver) = receiving.await.unwrap();
        let is_write = |error: &Error| matches!(error, Error::Timeout(TimeoutPhase::Write));
        assert!(end.as_ref().is_err_and(is_write), "{end:?}");
        assert!(first.as_ref().is_some_and(|it| it.as_ref().is_err_and(is_write)), "{first:?}");
        assert!(second.is_none(), "{second:?}");
        assert!(now(sender.flush()).is_ok() || now(sender.send("".into())).is_err());
        // Though both halves live.
        assert_eq!(read_all(near).await.len(), CAPACITY);
    }

    async fn keepalive_waits_for_what_is_in_front_of_its_ping(rt) {
        let time = Paused::new(&rt);
        let (near, far) = testing::duplex_with_capacity(CAPACITY);
        let config = time.config()
            .set_keepalive(TIMEOUT, TIMEOUT)
            .set_transport(TransportConfig::default().write_buffer_size(0));
        let mut socket = Role::Server.socket(far, &config);
        let mut peer = near;
        // A slow reader: it takes much longer than the timeouts for what is in front.
        let _ = socket.feed(large()).now_or_never();
        for _ in 0..9 {
            time.advance(8 * SECOND).await;
            assert_waits(&mut socket);
            peer.read_exact(&mut [0; 1000]).await.unwrap();
            assert_waits(&mut socket);
        }
        // The rest of the message; then the ping, with which the time has begun.
        let header = Frame::new(2, vec![0; 10_000]).bytes(Role::Server).len() - 10_000;
        for length in [1000, header] {
            peer.read_exact(&mut vec![0; length]).await.unwrap();
            assert_waits(&mut socket);
        }
        let mut peer = Peer::new(peer);
        let ping = peer.frame().now_or_never().expect("it is pinged").unwrap();
        assert_eq!(ping, Frame::new(9, ping.payload.clone()));
    }

    async fn a_peer_that_accepts_nothing_is_given_up_by_keepalive_too(rt) {
        let time = Paused::new(&rt);
        let (_near, far) = testing::duplex_with_capacity(CAPACITY);
        let config = time.config().set_keepalive(TIMEOUT, TIMEOUT);
        let mut socket = Role::Server.socket(far, &config);
        let _ = socket.feed(large()).now_or_never();
        let (end, seconds) = ends(&time, async || socket.next().now_or_never()).await;
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Pong)))), "{end:?}");
        assert!((15..=26).contains(&seconds), "{seconds}");
    }

    async fn a_handler_that_was_away_writes_first_and_judges_after(rt) {
        let time = Paused::new(&rt);
        for sends in [false, true] {
            let (mut socket, mut near) = socket(&time);
            // It gives up its own wait, and does something else for long.
            assert!(socket.send(Message::binary(vec![0; 2500])).now_or_never().is_none());
            near.read_exact(&mut [0; CAPACITY]).await.unwrap();
            time.advance(10 * TIMEOUT).await;
            for _ in 0..3 {
                if sends {
                    assert!(socket.flush().now_or_never().is_none());
                } else {
                    assert_waits(&mut socket);
                }
            }
            near.read_exact(&mut [0; CAPACITY]).await.unwrap();
            // The rest fits.
            if sends {
                now(socket.flush()).unwrap();
            } else {
                assert_waits(&mut socket);
            }
        }
    }
}

/// Reads up to the end of the stream.
async fn read_all(mut near: testing::Duplex) -> Vec<u8> {
    let mut bytes = Vec::new();
    near.read_to_end(&mut bytes).await.unwrap();
    bytes
}
