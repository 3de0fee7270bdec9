//! Pings to a silent peer, and what becomes of one that does not answer.

use std::{sync::Arc, time::Duration};

use anyws::{Error, Message, TimeoutPhase, WebSocket, testing};
use futures::{AsyncWriteExt, FutureExt, SinkExt};
use support::{
    frames::{Frame, PING, PONG, Peer, Role},
    runtimes,
    scripted::Scripted,
    sockets::{assert_waits, now, received},
    time::Paused,
};

const SECOND: Duration = Duration::from_secs(1);
/// The clock ticks once a second with these.
const INTERVAL: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(10);

fn socket(time: &Arc<Paused>) -> (WebSocket, Peer) {
    Role::Server.with_peer(&time.config().set_keepalive(INTERVAL, TIMEOUT))
}

/// Lets seconds pass, and polls the socket after each: nothing arrives.
async fn wait(time: &Paused, socket: &mut WebSocket, seconds: u32) {
    for _ in 0..seconds {
        time.advance(SECOND).await;
        assert_waits(socket);
    }
}

/// Lets time pass until the peer gets a frame. Returns it, and the seconds that it took.
async fn next_frame(time: &Paused, socket: &mut WebSocket, peer: &mut Peer) -> (Frame, u32) {
    for second in 0..1000 {
        assert_waits(socket);
        if let Some(frame) = peer.frame().now_or_never() {
            return (frame.unwrap(), second);
        }
        time.advance(SECOND).await;
    }
    panic!("nothing is sent");
}

/// Demands that a frame is a ping, and answers it.
async fn answer(peer: &mut Peer, ping: Frame) {
    assert_eq!(ping, Frame::new(PING, ping.payload.clone()));
    peer.send(Frame::new(PONG, ping.payload)).await;
}

fn assert_timed_out(socket: &mut WebSocket) {
    let end = now(socket.next());
    assert!(
        matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Pong)))),
        "{end:?}"
    );
    assert!(now(socket.next()).is_none());
    assert!(matches!(
        now(socket.send("late".into())),
        Err(Error::Closed)
    ));
}

runtimes! {
    async fn a_peer_that_answers_is_pinged_for_ever(rt) {
        let time = Paused::new(&rt);
        for role in Role::BOTH {
            let config = time.config().set_keepalive(INTERVAL, TIMEOUT);
            let (mut socket, mut peer) = role.with_peer(&config);
            let (ping, first) = next_frame(&time, &mut socket, &mut peer).await;
            // A random half to whole of the interval, and a tick.
            assert!((10..=22).contains(&first), "the first ping comes after {first} s");
            answer(&mut peer, ping).await;
            for _ in 0..5 {
                let (ping, seconds) = next_frame(&time, &mut socket, &mut peer).await;
                assert!((20..=22).contains(&seconds), "a ping comes after {seconds} s");
                answer(&mut peer, ping).await;
            }
        }
    }

    async fn a_silent_peer_is_given_up_with_1011(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        let (ping, _) = next_frame(&time, &mut socket, &mut peer).await;
        assert_eq!(ping.payload.len(), 4);
        wait(&time, &mut socket, 10).await;
        assert!(peer.frame().now_or_never().is_none(), "it comes too early");
        // The clock may be late by a tick. Then the task reads once more.
        time.advance(2 * SECOND).await;
        assert_waits(&mut socket);
        assert_timed_out(&mut socket);
        drop(socket);
        let (frames, close) = peer.see_off().await;
        assert_eq!((frames, close.code()), (vec![], 1011));
    }

    async fn close_completes_the_handshake_after_the_error(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        drop(next_frame(&time, &mut socket, &mut peer).await);
        wait(&time, &mut socket, 10).await;
        time.advance(2 * SECOND).await;
        // One more read before the judgement.
        assert_waits(&mut socket);
        assert_timed_out(&mut socket);
        // The peer's Close completes the handshake, and is no message any more.
        let (frames, close) = futures::join!(peer.see_off(), async {
            socket.close(None).await.unwrap();
        }).0;
        assert_eq!((frames, close.code()), (vec![], 1011));
        assert!(now(socket.next()).is_none());
    }

    async fn any_byte_is_a_sign_of_life(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        drop(next_frame(&time, &mut socket, &mut peer).await);
        wait(&time, &mut socket, 9).await;
        // No pong, and not even a frame.
        let frame = Frame::text("slow").masked();
        peer.send_bytes(&frame[..1]).await;
        wait(&time, &mut socket, 15).await;
        for byte in &frame[1..frame.len() - 1] {
            peer.send_bytes(&[*byte]).await;
            wait(&time, &mut socket, 15).await;
        }
        peer.send_bytes(&frame[frame.len() - 1..]).await;
        assert_eq!(received(&mut socket), Message::text("slow"));
        assert!(peer.frame().now_or_never().is_none(), "whoever sends is not pinged");
    }

    async fn a_handler_that_was_away_reads_first_and_judges_after(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        let (ping, _) = next_frame(&time, &mut socket, &mut peer).await;
        // The answer waits while the handler does something else, for much longer than the timeout.
        answer(&mut peer, ping).await;
        time.advance(10 * (INTERVAL + TIMEOUT)).await;
        assert_waits(&mut socket);
        assert_waits(&mut socket);
        // Only now does the interval run.
        let (ping, seconds) = next_frame(&time, &mut socket, &mut peer).await;
        assert!((20..=22).contains(&seconds), "{seconds}");
        answer(&mut peer, ping).await;
        wait(&time, &mut socket, 15).await;
    }

    async fn a_read_that_a_runtime_refuses_is_no_silence(rt) {
        let time = Paused::new(&rt);
        let (near, far) = testing::duplex();
        // Every other read is pending though there is something, as tokio's are when a task has
        // used up its budget.
        let slow = Scripted::slow(far);
        let config = time.config().set_keepalive(INTERVAL, TIMEOUT);
        let (mut socket, mut peer) = (Role::Server.socket(slow, &config), Peer::new(near));
        let mut ping = None;
        for _ in 0..25 {
            // A byte with each poll, and none with every other.
            (0..20).for_each(|_| assert_waits(&mut socket));
            ping = ping.or_else(|| peer.frame().now_or_never().flatten());
            if ping.is_some() {
                break;
            }
            time.advance(SECOND).await;
        }
        answer(&mut peer, ping.expect("it is pinged")).await;
        time.advance(10 * TIMEOUT).await;
        (0..20).for_each(|_| assert_waits(&mut socket));
        wait(&time, &mut socket, 15).await;
    }

    async fn a_peer_that_was_silent_meanwhile_is_found_at_the_next_poll(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        // It was not pinged before the handler left, so it is pinged first.
        time.advance(10 * (INTERVAL + TIMEOUT)).await;
        assert!(peer.frame().now_or_never().is_none(), "nobody pings for a handler that is away");
        let (ping, seconds) = next_frame(&time, &mut socket, &mut peer).await;
        assert_eq!(seconds, 0);
        assert_eq!(ping, Frame::new(PING, ping.payload.clone()));
        wait(&time, &mut socket, 10).await;
        time.advance(2 * SECOND).await;
        assert_waits(&mut socket);
        assert_timed_out(&mut socket);
    }

    async fn without_a_timeout_it_only_pings(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_keepalive(INTERVAL, None);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        for _ in 0..5 {
            let (ping, seconds) = next_frame(&time, &mut socket, &mut peer).await;
            assert_eq!(ping, Frame::new(PING, ping.payload.clone()));
            assert!(seconds <= 22, "{seconds}");
            time.advance(SECOND).await;
        }
    }

    async fn answers_to_its_pings_are_no_messages_but_those_to_others_are(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        let (ping, _) = next_frame(&time, &mut socket, &mut peer).await;
        // Two frames in one read, the answer in front, and once more: that one is nobody's.
        let answer = Frame::new(PONG, ping.payload.clone()).masked();
        let bytes = [&answer[..], &Frame::text("behind").masked(), &answer].concat();
        peer.send_bytes(&bytes).await;
        assert_eq!(received(&mut socket), Message::text("behind"));
        assert_eq!(received(&mut socket), Message::Pong(ping.payload.into()));
        // A user's own ping.
        now(socket.send(Message::Ping("mine".into()))).unwrap();
        assert_eq!(peer.frame().await, Some(Frame::new(PING, "mine")));
        peer.send(Frame::new(PONG, "mine")).await;
        assert_eq!(received(&mut socket), Message::Pong("mine".into()));
    }

    async fn a_ping_of_the_handlers_own_neither_helps_nor_harms(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        let (ping, _) = next_frame(&time, &mut socket, &mut peer).await;
        assert_eq!(ping, Frame::new(PING, ping.payload.clone()));
        // It is not answered either, and does not start the time again.
        for _ in 0..10 {
            now(socket.send(Message::Ping("mine".into()))).unwrap();
            wait(&time, &mut socket, 1).await;
        }
        time.advance(2 * SECOND).await;
        assert_waits(&mut socket);
        assert_timed_out(&mut socket);
    }

    async fn an_answer_in_pieces_is_measured_and_swallowed_too(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        assert_eq!(socket.round_trip(), None);
        let (ping, _) = next_frame(&time, &mut socket, &mut peer).await;
        time.advance(3 * SECOND).await;
        for byte in Frame::new(PONG, ping.payload).masked() {
            peer.send_bytes(&[byte]).await;
            assert_waits(&mut socket);
        }
        assert_eq!(socket.round_trip(), Some(3 * SECOND));
    }

    async fn halves_tell_the_times_too(rt) {
        let time = Paused::new(&rt);
        let (socket, mut peer) = socket(&time);
        let (sender, mut receiver) = socket.split();
        let ping = loop {
            assert!(receiver.next().now_or_never().is_none());
            if let Some(ping) = peer.frame().now_or_never() {
                break ping.unwrap();
            }
            time.advance(SECOND).await;
        };
        time.advance(2 * SECOND).await;
        answer(&mut peer, ping).await;
        assert!(receiver.next().now_or_never().is_none());
        let round_trip = Some(2 * SECOND);
        assert_eq!((sender.round_trip(), receiver.round_trip()), (round_trip, round_trip));
        let idle = Some(Duration::ZERO);
        assert_eq!((sender.idle_for(), receiver.idle_for()), (idle, idle));
    }

    async fn idle_for_is_the_time_since_bytes_came(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        wait(&time, &mut socket, 8).await;
        let idle = socket.idle_for().unwrap();
        assert!((7 * SECOND..=9 * SECOND).contains(&idle), "{idle:?}");
        peer.send(Frame::text("hello")).await;
        assert_eq!(received(&mut socket), Message::text("hello"));
        assert_eq!(socket.idle_for(), Some(Duration::ZERO));
        wait(&time, &mut socket, 3).await;
        let idle = socket.idle_for().unwrap();
        assert!((2 * SECOND..=4 * SECOND).contains(&idle), "{idle:?}");
        let (unlimited, _) = Role::Server.with_peer(&time.config());
        assert_eq!(unlimited.idle_for(), None);
    }

    async fn next_data_and_closed_ping_as_next_does(rt) {
        let time = Paused::new(&rt);
        for waits_in_closed in [false, true] {
            let (mut socket, mut peer) = socket(&time);
            let mut polls = || {
                if waits_in_closed {
                    assert!(socket.closed().now_or_never().is_none());
                } else {
                    assert!(socket.next_data().now_or_never().is_none());
                }
            };
            for _ in 0..23 {
                polls();
                time.advance(SECOND).await;
            }
            polls();
            let ping = peer.frame().now_or_never().expect("it is pinged").unwrap();
            answer(&mut peer, ping).await;
            for _ in 0..15 {
                polls();
                time.advance(SECOND).await;
            }
            polls();
            assert!(peer.frame().now_or_never().is_none());
        }
    }

    async fn closed_returns_the_error_too(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        drop(next_frame(&time, &mut socket, &mut peer).await);
        let mut seconds = 0;
        let end = loop {
            if let Some(end) = socket.closed().now_or_never() {
                break end;
            }
            time.advance(SECOND).await;
            seconds += 1;
        };
        assert!((11..=13).contains(&seconds), "{seconds}");
        assert!(matches!(end, Err(Error::Timeout(TimeoutPhase::Pong))), "{end:?}");
        assert_eq!(peer.frame().await.unwrap().code(), 1011);
        // It was told.
        assert!(now(socket.next()).is_none());
    }

    async fn a_handler_sleeps_between_ticks_and_is_woken_in_time(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        let handler = time.run(async move {
            let end = socket.next().await;
            (end, socket)
        });
        let ping = async {
            for _ in 0..100 {
                time.advance(SECOND).await;
                if let Some(frame) = peer.frame().now_or_never() {
                    return frame.unwrap();
                }
            }
            panic!("nobody pings");
        };
        let ping = ping.await;
        assert_eq!(ping, Frame::new(PING, ping.payload.clone()));
        time.advance(TIMEOUT + 3 * SECOND).await;
        let (end, _socket) = handler.await.unwrap();
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Pong)))), "{end:?}");
        assert_eq!(peer.frame().await.unwrap().code(), 1011);
    }

    async fn a_peer_that_does_not_answer_the_close_of_a_sender_is_given_up(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        socket.sender().close((4000, "kicked")).unwrap();
        for second in 0..60 {
            match socket.next().now_or_never() {
                None => time.advance(SECOND).await,
                Some(end) => {
                    let is_late = matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Pong))));
                    assert!(is_late && second <= 36, "{end:?} after {second} s");
                    assert_eq!(peer.frame().await.unwrap().code(), 4000);
                    // Nothing follows a Close.
                    drop(socket);
                    peer.finish().await;
                    assert_eq!(peer.frame().await, None);
                    return;
                }
            }
        }
        panic!("it waits for ever");
    }

    async fn what_was_read_but_not_returned_yet_is_judged_first(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        // One read takes thousands of them. The handler needs a second for each.
        peer.send_bytes(&Frame::new(PING, "").masked().repeat(1500)).await;
        let mut pings = 0;
        while pings < 1500 {
            time.advance(SECOND).await;
            match socket.next().now_or_never() {
                None => {}
                Some(Some(Ok(Message::Ping(_)))) => pings += 1,
                Some(other) => panic!("{other:?} after {pings}"),
            }
        }
    }

    async fn a_peer_that_sends_pings_and_reads_nothing_is_given_up(rt) {
        let time = Paused::new(&rt);
        let (near, far) = testing::duplex_with_capacity(1000);
        let config = time.config().set_keepalive(INTERVAL, TIMEOUT);
        let mut socket = Role::Server.socket(far, &config);
        let mut peer = near;
        // Until reading pauses, with bytes that were read.
        let pings = Frame::new(PING, vec![0; 125]).masked().repeat(2000);
        let mut sent = 0;
        let mut seconds = 0;
        let end = loop {
            if let Some(length) = peer.write(&pings[sent..]).now_or_never() {
                sent += length.unwrap();
            }
            match socket.next().now_or_never() {
                Some(Some(Ok(_))) => {}
                Some(end) => break end,
                None => {
                    seconds += 1;
                    assert!(seconds < 500, "it is never given up");
                    time.advance(SECOND).await;
                }
            }
        };
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Pong)))), "{end:?}");
        assert!(sent < pings.len(), "reading has not paused");
    }

    async fn what_the_handler_sends_does_not_keep_a_dead_peer(rt) {
        let time = Paused::new(&rt);
        let (mut socket, _peer) = socket(&time);
        let mut seconds = 0;
        let end = loop {
            // The stream accepts everything. One of them is still to be written in `next`.
            now(socket.send("written".into())).unwrap();
            now(socket.feed("buffered".into())).unwrap();
            if let Some(end) = socket.next().now_or_never() {
                break end;
            }
            seconds += 1;
            assert!(seconds < 100, "it is never given up");
            time.advance(SECOND).await;
        };
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Pong)))), "{end:?}");
        assert!((20..=36).contains(&seconds), "{seconds}");
    }

    async fn a_peer_that_does_not_answer_a_close_is_given_up_too(rt) {
        let time = Paused::new(&rt);
        for uses_sink in [false, true] {
            let (mut socket, mut peer) = socket(&time);
            // Neither waits for the peer's Close.
            if uses_sink {
                now(SinkExt::close(&mut socket)).unwrap();
            } else {
                socket.sender().close(None).unwrap();
            }
            assert_waits(&mut socket);
            let close = now(peer.frame()).unwrap();
            for _ in 0..3 {
                // What it sends is received meanwhile, and is a sign of life.
                wait(&time, &mut socket, 19).await;
                peer.send(Frame::text("still here")).await;
                assert_eq!(received(&mut socket), Message::text("still here"));
            }
            wait(&time, &mut socket, 30).await;
            time.advance(3 * SECOND).await;
            assert_waits(&mut socket);
            assert_timed_out(&mut socket);
            assert!(peer.frame().now_or_never().is_none(), "nothing follows {close:?}");
        }
    }

    async fn a_round_trip_does_not_include_the_handler_s_work(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        for _ in 0..2 {
            let (ping, _) = next_frame(&time, &mut socket, &mut peer).await;
            time.advance(SECOND).await;
            answer(&mut peer, ping).await;
            assert_waits(&mut socket);
            assert_eq!(socket.round_trip(), Some(SECOND));
            // An answer that comes with a message, on which the handler works for long.
            let (ping, _) = next_frame(&time, &mut socket, &mut peer).await;
            let pong = Frame::new(PONG, ping.payload).masked();
            peer.send_bytes(&[pong, Frame::text("work").masked()].concat()).await;
            assert_eq!(received(&mut socket), Message::text("work"));
            time.advance(60 * SECOND).await;
            assert_waits(&mut socket);
            assert_eq!(socket.round_trip(), Some(SECOND), "it is not measured");
        }
    }

    async fn a_suspicion_ends_with_a_sign_of_life(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        for _ in 0..2 {
            let (ping, _) = next_frame(&time, &mut socket, &mut peer).await;
            wait(&time, &mut socket, 10).await;
            time.advance(2 * SECOND).await;
            // One more read, and the answer is there.
            assert_waits(&mut socket);
            answer(&mut peer, ping).await;
            assert_waits(&mut socket);
        }
    }

    async fn the_shortest_round_trip_is_one_too(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time);
        let (ping, _) = next_frame(&time, &mut socket, &mut peer).await;
        answer(&mut peer, ping).await;
        assert_waits(&mut socket);
        assert_eq!(socket.round_trip(), Some(Duration::from_micros(1)));
    }
}
