//! How fast a peer may send, and what passes in which time, whoever receives it.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use anyws::{
    ConfigError, Error, Message, OverRate, Rate, WebSocket, WebSocketConfig,
    testing::{self, Duplex},
};
use futures::{AsyncWriteExt, FutureExt};
use support::{
    frames::{Frame, PING, PONG, Peer, Role},
    runtimes,
    sockets::{assert_waits, now, received},
    still::Still,
    tasks::{poll_with, waker},
    time::Paused,
};

/// The clock of a socket with rates ticks that often.
pub(crate) const TICK: Duration = Duration::from_millis(100);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A message each tick, and five at once.
pub(crate) const MESSAGES: Rate = Rate::new(10, 5);
/// What passes at once: the burst, and what is allowed in a tick.
pub(crate) const AT_ONCE: usize = 6;

/// A hundred bytes each tick, and 500 at once.
pub(crate) const BYTES: Rate = Rate::new(1000, 500);
pub(crate) const BYTES_AT_ONCE: usize = 600;

pub(crate) fn socket(time: &Arc<Paused>, over: OverRate) -> (WebSocket, Peer) {
    Role::Server.with_peer(&time.config().set_message_rate(MESSAGES, over))
}

/// Sends numbered messages, at once.
pub(crate) async fn send(peer: &mut Peer, numbers: impl Iterator<Item = usize>) {
    let frames = numbers.map(|number| Frame::text(&number.to_string()).masked());
    peer.send_bytes(&frames.collect::<Vec<_>>().concat()).await;
}

/// Receives numbered messages, until the socket waits. Returns the number of the next one.
pub(crate) fn receive(socket: &mut WebSocket, mut number: usize) -> usize {
    while let Some(message) = socket.next().now_or_never() {
        let message = message.expect("no end").expect("no error");
        assert_eq!(message, Message::text(number.to_string()));
        number += 1;
    }
    number
}

/// Returns what a future comes to that waits for its next turn at most.
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let polls = (0..9).find_map(|_| future.as_mut().now_or_never());
    polls.expect("there is nothing to wait for")
}

/// A peer that always has more to send than the stream holds.
struct Flood {
    io: Duplex,
    data: Vec<u8>,
    sent: usize,
}

impl Flood {
    const CAPACITY: usize = 50;

    /// Returns a socket and its peer, which sends `frame` again and again.
    fn new(config: &WebSocketConfig, frame: &Frame) -> (WebSocket, Self) {
        let (near, far) = testing::duplex_with_capacity(Self::CAPACITY);
        let data = frame.masked();
        let socket = Role::Server.socket(far, config);
        (
            socket,
            Self {
                io: near,
                data,
                sent: 0,
            },
        )
    }

    /// Sends what the stream takes. Returns how many bytes were read from it since the beginning.
    fn read(&mut self) -> usize {
        loop {
            let rest = &self.data[self.sent % self.data.len()..];
            match self.io.write(rest).now_or_never() {
                Some(length) => self.sent += length.unwrap(),
                None => return self.sent - Self::CAPACITY,
            }
        }
    }
}

runtimes! {
    async fn messages_pass_at_the_rate_to_a_tick(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time, OverRate::Pause);
        send(&mut peer, 0..1500).await;
        let mut passed = receive(&mut socket, 0);
        assert_eq!(passed, AT_ONCE);
        for tick in 1..1000 {
            time.advance(TICK).await;
            passed = receive(&mut socket, passed);
            assert_eq!(passed, AT_ONCE + tick);
        }
        // Nothing is saved beyond a burst, however long nobody sends.
        for _ in 0..100 {
            time.advance(SECOND).await;
            passed = receive(&mut socket, passed);
        }
        assert_eq!(passed, 1500);
        send(&mut peer, 1500..1600).await;
        assert_eq!(receive(&mut socket, passed), passed + AT_ONCE);
    }

    async fn bytes_pass_at_the_rate_to_a_tick(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_byte_rate(BYTES, OverRate::default());
        // Frames that fit well, and one that takes long.
        for length in [0, 3, 60, 10_000] {
            let (mut socket, mut flood) = Flood::new(&config, &Frame::new(2, vec![7; length]));
            let mut bytes = 0;
            for tick in 0..500 {
                // The stream holds little, so the socket waits for it again and again.
                loop {
                    flood.read();
                    while let Some(message) = socket.next().now_or_never() {
                        assert_eq!(message.unwrap().unwrap().into_data(), vec![7; length]);
                    }
                    let read = flood.read();
                    if read == bytes {
                        break;
                    }
                    bytes = read;
                }
                assert_eq!(bytes, BYTES_AT_ONCE + 100 * tick, "{length} after {tick}");
                time.advance(TICK).await;
            }
        }
    }

    async fn a_message_larger_than_the_burst_takes_its_time(rt) {
        let time = Paused::new(&rt);
        let rate = Rate::new(100_000, 1000);
        let config = time.config().set_byte_rate(rate, OverRate::Pause);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        // The second one is read into a buffer that is there.
        for _ in 0..2 {
            let large = vec![5; 500_000];
            let frame = Frame::new(2, large.clone()).masked();
            let mut sending = pin!(peer.send_bytes(&frame).fuse());
            let mut ticks = 0;
            let message = loop {
                let _ = (&mut sending).now_or_never();
                if let Some(message) = socket.next().now_or_never() {
                    break message.unwrap().unwrap();
                }
                time.advance(TICK).await;
                ticks += 1;
            };
            assert_eq!(message.into_data(), large);
            assert!((49..=51).contains(&ticks), "{ticks}");
        }
    }

    async fn what_has_arrived_whole_is_not_held_up_by_bytes(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_byte_rate(BYTES, OverRate::Pause);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        send(&mut peer, 0..100).await;
        // Seven bytes each for the first ten, then eight.
        assert_eq!(receive(&mut socket, 0), 10 + (BYTES_AT_ONCE - 70) / 8);
    }

    async fn both_rates_hold(rt) {
        let time = Paused::new(&rt);
        // Eight messages at once, of which the bytes suffice for six.
        let config = time
            .config()
            .set_message_rate(Rate::new(1, 8), OverRate::Pause)
            .set_byte_rate(Rate::new(10, 41), OverRate::Pause);
        let (mut socket, mut peer) = Role::Server.with_peer(&config);
        send(&mut peer, (0..9).chain(0..1)).await;
        let mut passed = receive(&mut socket, 0);
        assert_eq!(passed, 6);
        let mut tenths = 0;
        while passed < 9 {
            time.advance(TICK).await;
            passed = receive(&mut socket, passed);
            tenths += 1;
            let by_bytes = (42 + tenths) / 7;
            let by_messages = (81 + tenths) / 10;
            assert_eq!(passed, by_bytes.min(by_messages), "after {tenths}");
        }
    }

    async fn control_frames_count(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time, OverRate::Pause);
        peer.send_bytes(&Frame::new(PING, "").masked().repeat(100)).await;
        peer.send_bytes(&Frame::new(PONG, "").masked().repeat(100)).await;
        for _ in 0..AT_ONCE {
            assert_eq!(received(&mut socket), Message::Ping("".into()));
        }
        assert_waits(&mut socket);
        for _ in 0..AT_ONCE {
            assert_eq!(now(peer.frame()), Some(Frame::new(PONG, "")));
        }
        assert!(peer.frame().now_or_never().is_none(), "the others are not answered yet");
        // `next_data` skips them, and they count.
        assert!(socket.next_data().now_or_never().is_none());
        for _ in AT_ONCE..150 {
            time.advance(TICK).await;
            assert!(socket.next_data().now_or_never().is_none());
        }
        let mut pongs = 0;
        while peer.frame().now_or_never().is_some() {
            pongs += 1;
        }
        assert_eq!(pongs, 100 - AT_ONCE);
        for _ in 0..50 {
            time.advance(TICK).await;
            assert_eq!(received(&mut socket), Message::Pong("".into()));
        }
        assert_waits(&mut socket);
    }

    async fn a_message_in_fragments_counts_once(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time, OverRate::Close);
        for _ in 0..AT_ONCE {
            peer.send(Frame::text("a").unfinished()).await;
            let part = Frame::new(0, "b").unfinished().masked();
            peer.send_bytes(&part.repeat(100)).await;
            peer.send(Frame::new(0, "c")).await;
        }
        for _ in 0..AT_ONCE {
            assert_eq!(soon(socket.next()).unwrap().unwrap().len(), 102);
        }
        assert_waits(&mut socket);
    }

    async fn a_handler_that_never_waits_is_limited_too(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_message_rate(MESSAGES, OverRate::Pause);
        let (mut socket, mut flood) = Flood::new(&config, &Frame::new(PING, ""));
        let mut passed = 0;
        for tick in 0..20 {
            while let Some(message) = {
                // There is always something to read.
                flood.read();
                socket.next().now_or_never()
            } {
                message.unwrap().unwrap();
                passed += 1;
            }
            assert_eq!(passed, AT_ONCE + tick);
            time.advance(TICK).await;
        }
    }

    async fn time_away_from_the_socket_counts(rt) {
        let time = Paused::new(&rt);
        let (mut socket, mut peer) = socket(&time, OverRate::Pause);
        send(&mut peer, 0..100).await;
        // A handler that works for a tick on each message, and never waits.
        for number in 0..50 {
            assert_eq!(received(&mut socket), Message::text(number.to_string()));
            time.advance(TICK).await;
        }
        // After a long time away, a burst passes, and no more.
        time.advance(100 * SECOND).await;
        assert_eq!(receive(&mut socket, 50), 50 + AT_ONCE);
    }

    async fn closed_discards_at_the_rate(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_message_rate(MESSAGES, OverRate::Pause);
        let (mut socket, mut flood) = Flood::new(&config, &Frame::new(2, vec![0; 44]));
        let (waker, woken) = waker();
        let mut closed = pin!(socket.closed());
        let mut read = 0;
        for tick in 0..30 {
            loop {
                flood.read();
                assert!(poll_with(&waker, closed.as_mut()).is_pending());
                let now = flood.read();
                if now == read {
                    break;
                }
                read = now;
            }
            // One read brings part of the next one.
            let messages = AT_ONCE + tick;
            assert!((50 * messages..50 * (messages + 1)).contains(&read), "{read} after {tick}");
            woken.take();
            time.advance(TICK).await;
            assert!(woken.take(), "it is held up for ever");
        }
    }

    async fn a_half_that_only_sends_discards_at_the_rate(rt) {
        let time = Paused::new(&rt);
        let config = time.config().set_message_rate(MESSAGES, OverRate::Pause);
        let (socket, mut peer) = Role::Server.with_peer(&config);
        let (mut sender, receiver) = socket.split();
        drop(receiver);
        // Pings, because one sees what becomes of them.
        peer.send_bytes(&Frame::new(PING, "").masked().repeat(100)).await;
        let mut pongs = 0;
        for tick in 0..50 {
            for _ in 0..3 {
                soon(sender.send("text".into())).unwrap();
            }
            let mut texts = 0;
            while let Some(frame) = peer.frame().now_or_never() {
                let is_pong = frame == Some(Frame::new(PONG, ""));
                pongs += usize::from(is_pong);
                texts += usize::from(!is_pong);
            }
            assert_eq!((pongs, texts), (AT_ONCE + tick, 3));
            time.advance(TICK).await;
        }
    }

    async fn rates_need_timers(rt) {
        drop(rt);
        let set: [fn(WebSocketConfig) -> WebSocketConfig; 2] = [
            |config| config.set_message_rate(MESSAGES, OverRate::Pause),
            |config| config.set_byte_rate(BYTES, OverRate::Close),
        ];
        for set in set {
            let config = set(Still::without_timers().config());
            config.validate().unwrap();
            let (_, io) = testing::duplex();
            let socket = testing::server(io, &config);
            assert!(matches!(socket, Err(Error::NoRuntime)), "{socket:?}");
        }
    }
}

#[test]
fn rates_of_0_are_refused() {
    for rate in [Rate::new(0, 1), Rate::new(1, 0), Rate::new(0, 0)] {
        for over in [OverRate::Pause, OverRate::Close] {
            let config = WebSocketConfig::new;
            for (name, config) in [
                ("set_message_rate", config().set_message_rate(rate, over)),
                ("set_byte_rate", config().set_byte_rate(rate, over)),
            ] {
                let error = config.validate();
                let is_zero = matches!(
                    &error,
                    Err(Error::Config(ConfigError::ZeroRate(setter))) if *setter == name
                );
                assert!(is_zero, "{error:?}");
            }
        }
    }
    let smallest = Rate::new(1, 1);
    let largest = Rate::new(u32::MAX, u32::MAX);
    let config = WebSocketConfig::new()
        .set_message_rate(smallest, OverRate::default())
        .set_byte_rate(largest, OverRate::default());
    config.validate().unwrap();
}
