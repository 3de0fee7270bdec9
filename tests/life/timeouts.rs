//! The idle timeout and the maximum lifetime.

use std::{sync::Arc, time::Duration};

use anyws::{ConfigError, Error, Message, TimeoutPhase, WebSocket, WebSocketConfig, testing};
use futures::{AsyncReadExt, FutureExt, SinkExt};
use support::{
    frames::{CONTINUATION, Frame, PING, Peer, Role, TEXT},
    runtimes,
    sockets::{assert_waits, now, received},
    still::Still,
    time::Paused,
};

const SECOND: Duration = Duration::from_secs(1);
/// The clock ticks once a second with these.
const IDLE: Duration = Duration::from_secs(60);
const LIFETIME: Duration = Duration::from_secs(100);

fn idle_socket(time: &Arc<Paused>) -> (WebSocket, Peer) {
    Role::Server.with_peer(&time.config().set_idle_timeout(IDLE))
}

/// Lets seconds pass, and polls the socket after each: nothing arrives.
async fn wait(time: &Paused, socket: &mut WebSocket, seconds: u32) {
    for _ in 0..seconds {
        time.advance(SECOND).await;
        assert_waits(socket);
    }
}

/// Lets time pass until `next` returns something. Returns the phase of the timeout that this is,
/// and the seconds.
async fn ends(time: &Paused, socket: &mut WebSocket) -> (TimeoutPhase, u32) {
    for second in 0..1000 {
        match socket.next().now_or_never() {
            None => time.advance(SECOND).await,
            Some(Some(Err(Error::Timeout(phase)))) => {
                assert!(now(socket.next()).is_none(), "it is told once");
                return (phase, second);
            }
            Some(other) => panic!("{other:?}"),
        }
    }
    panic!("it does not end");
}

/// Demands that a socket ends now for lack of messages, and not before.
async fn assert_becomes_idle(time: &Paused, socket: &mut WebSocket, seconds: u32) {
    let (phase, took) = ends(time, socket).await;
    assert_eq!(phase, TimeoutPhase::Idle);
    // A tick for the clock, one for the moment that it counts from, and one more read.
    assert!(
        (seconds..=seconds + 3).contains(&took),
        "{took} s instead of {seconds}"
    );
}

runtimes! {
    async fn a_socket_without_messages_is_closed_with_1001(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = idle_socket(&time);
        assert_becomes_idle(&time, &mut socket, 60).await;
        assert!(matches!(now(socket.send("late".into())), Err(Error::Closed)));
        drop(socket);
        let (frames, close) = peer.see_off().await;
        assert_eq!((frames, close.code()), (vec![], 1001));
    }

    async fn pings_and_pongs_do_not_count(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = idle_socket(&time);
        for _ in 0..5 {
            wait(&time, &mut socket, 10).await;
            peer.send(Frame::new(PING, "")).await;
            assert_eq!(received(&mut socket), Message::Ping("".into()));
            now(socket.send(Message::Ping("mine".into()))).unwrap();
        }
        assert_becomes_idle(&time, &mut socket, 10).await;
    }

    async fn messages_count_in_both_directions(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = idle_socket(&time);
        wait(&time, &mut socket, 55).await;
        peer.send(Frame::text("a")).await;
        assert_eq!(received(&mut socket), Message::text("a"));
        wait(&time, &mut socket, 55).await;
        now(socket.send("b".into())).unwrap();
        wait(&time, &mut socket, 55).await;
        now(SinkExt::feed(&mut socket, "c".into())).unwrap();
        wait(&time, &mut socket, 55).await;
        let sender = socket.sender();
        sender.try_send("d").unwrap();
        wait(&time, &mut socket, 55).await;
        assert_becomes_idle(&time, &mut socket, 5).await;
    }

    async fn fragments_and_parts_of_a_frame_count(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = idle_socket(&time);
        wait(&time, &mut socket, 55).await;
        peer.send(Frame::new(TEXT, "a").unfinished()).await;
        wait(&time, &mut socket, 55).await;
        peer.send(Frame::new(CONTINUATION, "b").unfinished()).await;
        // A control frame between them hides nothing.
        peer.send(Frame::new(PING, "")).await;
        assert_waits_for_ping(&mut socket);
        wait(&time, &mut socket, 55).await;
        let last = Frame::new(CONTINUATION, "cd").masked();
        peer.send_bytes(&last[..last.len() - 1]).await;
        wait(&time, &mut socket, 55).await;
        peer.send_bytes(&last[last.len() - 1..]).await;
        assert_eq!(received(&mut socket), Message::text("abcd"));
        wait(&time, &mut socket, 55).await;
        assert_becomes_idle(&time, &mut socket, 5).await;
    }

    async fn pings_within_an_unfinished_message_do_not_count(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = idle_socket(&time);
        peer.send(Frame::new(TEXT, "a").unfinished()).await;
        assert_waits(&mut socket);
        for _ in 0..5 {
            wait(&time, &mut socket, 10).await;
            peer.send(Frame::new(PING, "")).await;
            assert_waits_for_ping(&mut socket);
        }
        assert_becomes_idle(&time, &mut socket, 10).await;
    }

    async fn a_message_that_waits_to_be_read_is_found_first(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = idle_socket(&time);
        assert_waits(&mut socket);
        time.advance(10 * IDLE).await;
        peer.send(Frame::text("at last")).await;
        assert_eq!(received(&mut socket), Message::text("at last"));
        wait(&time, &mut socket, 55).await;
    }

    async fn an_outstanding_ping_does_not_postpone_the_idle_deadline(rt) {
        let time = Paused::new(&rt);
        let config = time.config()
            .set_idle_timeout(IDLE)
            .set_keepalive(Duration::from_secs(40), Duration::from_secs(60));
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        assert_becomes_idle(&time, &mut socket, 60).await;
        let ping = peer.frame().await.unwrap();
        assert_eq!(ping, Frame::new(PING, ping.payload.clone()));
        assert_eq!(peer.frame().await.unwrap().code(), 1001);
    }

    async fn a_socket_is_closed_with_1001_once_it_is_old(rt) {
        let time = Paused::new(&rt);
        for _ in 0..4 {
            let config = time.config().set_max_lifetime(LIFETIME);
            let (mut socket, mut peer) = Role::Server.with_peer(&config);
            let (phase, seconds) = ends(&time, &mut socket).await;
            assert_eq!(phase, TimeoutPhase::Lifetime);
            assert!((100..=112).contains(&seconds), "{seconds}");
            drop(socket);
            assert_eq!(peer.see_off().await.1.code(), 1001);
        }
    }

    async fn a_socket_that_is_never_idle_ends_too(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_max_lifetime(LIFETIME);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        for second in 0..200_u32 {
            // More than a turn in one second: the socket yields, and looks at the time.
            for _ in 0..300 {
                peer.send(Frame::text("")).await;
            }
            for _ in 0..300 {
                match socket.next().now_or_never() {
                    Some(Some(Err(Error::Timeout(TimeoutPhase::Lifetime)))) => {
                        assert!((100..=112).contains(&second), "{second}");
                        return;
                    }
                    Some(Some(Err(error))) => panic!("{error}"),
                    _ => {}
                }
            }
            time.advance(SECOND).await;
        }
        panic!("it does not end");
    }

    async fn a_sending_half_learns_of_the_end_of_life_as_well(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_max_lifetime(LIFETIME);
        let (socket, mut peer) = Role::Server.with_peer(&config);
        let (mut sender, mut receiver) = socket.split();
        assert!(receiver.next().now_or_never().is_none());
        time.advance(LIFETIME + LIFETIME / 5).await;
        let end = now(receiver.next());
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Lifetime)))), "{end:?}");
        assert!(now(receiver.next()).is_none());
        assert!(matches!(now(sender.send("late".into())), Err(Error::Closed)));
        drop((sender, receiver));
        assert_eq!(peer.see_off().await.1.code(), 1001);
    }

    async fn timeouts_that_were_set_need_timers(rt) {
        drop(rt);
        let settings: [fn(WebSocketConfig) -> WebSocketConfig; 4] = [
            |config| config.set_keepalive(SECOND, None),
            |config| config.set_idle_timeout(SECOND),
            |config| config.set_max_lifetime(SECOND),
            |config| config.set_write_timeout(SECOND),
        ];
        for set in settings {
            let config = set(Still::without_timers().config());
            let (_, far) = testing::duplex();
            let socket = testing::server(far, &config);
            assert!(matches!(socket, Err(Error::NoRuntime)), "{socket:?}");
        }
        // Bounds of a queue need none.
        let config = Still::without_timers().config().set_queue(anyws::QueueConfig::default());
        assert!(testing::server(testing::duplex().1, &config).is_ok());
    }

    async fn a_close_behind_messages_that_come_too_late_is_found(rt) {
        let time = Paused::new(&rt);
        for role in Role::BOTH {
            let config = time.config().set_idle_timeout(IDLE);
            let (mut socket, mut peer) = role.with_peer(&config);
            assert_becomes_idle(&time, &mut socket, 60).await;
            let close = now(peer.frame()).unwrap();
            assert_eq!(close.code(), 1001);
            // One read takes them all, but for the last byte.
            let from = role.other();
            let late = [Frame::text("late"), Frame::new(PING, ""), Frame::text("later"), close];
            let bytes: Vec<_> = late.iter().flat_map(|frame| frame.bytes(from)).collect();
            let (last, most) = bytes.split_last().unwrap();
            peer.send_bytes(most).await;
            let mut closing = Box::pin(socket.close(None));
            assert!((&mut closing).now_or_never().is_none());
            peer.send_bytes(&[*last]).await;
            if role == Role::Server {
                // The server ends the connection first, and without another frame.
                assert!((&mut closing).now_or_never().is_none());
                assert_eq!(peer.frame().await, None);
            }
            peer.finish().await;
            now(closing).unwrap();
        }
    }

    async fn a_handler_that_never_waits_is_told_of_its_socket_s_age(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_max_lifetime(LIFETIME);
        for sends in [false, true] {
            let (mut socket, mut peer) = Role::Server.with_peer(&config);
            // Fewer than one turn: the socket would not yield.
            for _ in 0..120 {
                peer.send(Frame::text("")).await;
            }
            let mut seconds = 0;
            let end = loop {
                let done = if sends {
                    now(socket.send("".into()))
                } else {
                    now(socket.next()).expect("no end without an error").map(drop)
                };
                if let Err(error) = done {
                    break error;
                }
                seconds += 1;
                assert!(seconds < 115, "it is not told");
                time.advance(SECOND).await;
            };
            assert!(matches!(end, Error::Timeout(TimeoutPhase::Lifetime)), "{end:?}");
            assert!((100..=112).contains(&seconds), "{seconds}");
            assert!(now(socket.next()).is_none());
            assert!(matches!(now(socket.send("late".into())), Err(Error::Closed)));
            drop(socket);
            assert_eq!(peer.see_off().await.1.code(), 1001);
        }
    }

    async fn sockets_that_were_opened_together_do_not_end_together(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_max_lifetime(LIFETIME);
        let mut sockets: Vec<_> = (0..20).map(|_| Role::Server.with_peer(&config)).collect();
        let mut ended = Vec::new();
        while !sockets.is_empty() {
            let before = sockets.len();
            sockets.retain_mut(|(socket, _)| socket.next().now_or_never().is_none());
            ended.push(before - sockets.len());
            assert!(ended.len() < 120, "some never end");
            time.advance(SECOND).await;
        }
        assert!(ended.iter().filter(|it| **it > 0).count() > 1, "{ended:?}");
    }

    async fn a_long_message_that_is_slowly_accepted_is_not_idle(rt) {
        let time = Paused::new(&rt);
        let (mut near, far) = testing::duplex_with_capacity(1000);
        let mut socket = Role::Server.socket(far, &time.config().set_idle_timeout(IDLE));
        let _ = socket.feed(Message::binary(vec![0; 10_000])).now_or_never();
        for _ in 0..8 {
            wait(&time, &mut socket, 50).await;
            near.read_exact(&mut [0; 1000]).await.unwrap();
        }
        assert_waits(&mut socket);
    }

    async fn the_time_that_a_handler_is_away_counts(rt) {
        let time = Paused::new(&rt);
        let (mut socket, _peer) = idle_socket(&time);
        assert_waits(&mut socket);
        time.advance(2 * IDLE).await;
        // It reads first.
        assert_waits(&mut socket);
        assert_becomes_idle(&time, &mut socket, 0).await;
    }
}

/// Receives a ping: nothing else has arrived.
fn assert_waits_for_ping(socket: &mut WebSocket) {
    assert_eq!(received(socket), Message::Ping("".into()));
    assert_waits(socket);
}

#[test]
fn a_timeout_of_zero_is_a_mistake() {
    let zero = Duration::ZERO;
    let settings = [
        (
            WebSocketConfig::new().set_keepalive(zero, None),
            "set_keepalive",
        ),
        (
            WebSocketConfig::new().set_keepalive(SECOND, zero),
            "set_keepalive",
        ),
        (
            WebSocketConfig::new().set_idle_timeout(zero),
            "set_idle_timeout",
        ),
        (
            WebSocketConfig::new().set_max_lifetime(zero),
            "set_max_lifetime",
        ),
        (
            WebSocketConfig::new().set_write_timeout(zero),
            "set_write_timeout",
        ),
    ];
    for (config, name) in settings {
        let error = config.validate().unwrap_err();
        assert!(
            matches!(&error, Error::Config(ConfigError::ZeroTimeout(it)) if *it == name),
            "{error}"
        );
    }
}

#[test]
fn timeouts_that_never_pass_are_accepted() {
    let config = WebSocketConfig::new()
        .set_keepalive(Duration::MAX, Duration::MAX)
        .set_idle_timeout(Duration::MAX)
        .set_max_lifetime(Duration::MAX)
        .set_write_timeout(Duration::MAX)
        .set_runtime(Arc::new(Still::keeping()));
    let (mut socket, _peer) = Role::Server.with_peer(&config);
    assert_waits(&mut socket);
}
