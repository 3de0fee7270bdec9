//! Futures that are dropped at random: nothing that was accepted is lost, doubled or torn.

use std::{env, pin::pin, task::Poll};

use anyws::{Message, QueueConfig, Sender, TransportConfig, WebSocket, testing};
use futures::{FutureExt, poll};
use support::{frames::Role, still::Still};

/// How many futures are dropped; `ANYWS_CANCELLATIONS` sets more.
const CANCELLATIONS: usize = 10_000;

/// A step may need so many polls of both ends; more would be a livelock.
const MAX_STEPS: usize = 100_000;

/// A small generator: a seed repeats a run.
struct Random(u64);

impl Random {
    /// Returns a number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// One end of a connection.
struct End {
    socket: WebSocket,
    sender: Sender,
    /// The number of the next message.
    next: u32,
    /// Those that were accepted for certain.
    accepted: Vec<u32>,
    received: Vec<u32>,
    has_ended: bool,
}

impl End {
    fn new(mut socket: WebSocket, random: &mut Random) -> Self {
        let messages = usize::try_from(random.below(4)).unwrap() + 1;
        let sender = socket.sender_with(QueueConfig::default().messages(messages));
        Self {
            socket,
            sender,
            next: 0,
            accepted: Vec::new(),
            received: Vec::new(),
            has_ended: false,
        }
    }

    /// Receives what has arrived. Returns whether something had.
    fn receive(&mut self) -> bool {
        match self.socket.next().now_or_never() {
            None => return false,
            Some(None) => self.has_ended = true,
            Some(Some(message)) => {
                if let Message::Text(text) = message.unwrap() {
                    let (number, rest) = text.split_once(' ').unwrap();
                    assert!(rest.bytes().all(|it| it == b'x'), "a torn message");
                    self.received.push(number.parse().unwrap());
                }
            }
        }
        true
    }

    /// Starts an operation, polls it at most `polls` times, and drops it. Returns whether it was
    /// cancelled.
    async fn act(&mut self, other: &mut Self, random: &mut Random) -> bool {
        let length = usize::try_from(random.below(300)).unwrap();
        let text = format!("{} {}", self.next, "x".repeat(length));
        let kind = random.below(5);
        let mut polls = random.below(3) + 1;
        let is_message = matches!(kind, 0..=2);
        let end = {
            let (socket, sender) = (&mut self.socket, &self.sender);
            let mut operation = pin!(async move {
                match kind {
                    0 => socket.send(text.into()).await,
                    1 => socket.feed(text.into()).await,
                    2 => sender.send(text).await,
                    3 => socket.flush().await,
                    _ => socket.send_prepared(&Message::Pong("".into()).into()).await,
                }
            });
            loop {
                if let Poll::Ready(end) = poll!(operation.as_mut()) {
                    break Some(end);
                }
                polls -= 1;
                if polls == 0 {
                    break None;
                }
                other.receive();
            }
        };
        if is_message {
            if let Some(end) = &end {
                end.as_ref().unwrap();
                self.accepted.push(self.next);
            }
            self.next += 1;
        }
        end.is_none()
    }
}

/// Demands that `received` has what was accepted, in order, and perhaps what was cancelled late.
fn assert_whole(accepted: &[u32], received: &[u32]) {
    assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
    let lost: Vec<_> = accepted
        .iter()
        .filter(|it| !received.contains(it))
        .collect();
    assert!(
        lost.is_empty(),
        "{lost:?} of {accepted:?} are not in {received:?}"
    );
}

/// Runs one connection. Returns how many futures were dropped.
async fn run(seed: u64) -> usize {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let capacity = usize::try_from(random.below(200)).unwrap() + 1;
    let (near, far) = testing::duplex_with_capacity(capacity);
    let watermark = usize::try_from(random.below(500)).unwrap() + 2;
    let transport = TransportConfig::default()
        .write_buffer_size(watermark / 2)
        .max_write_buffer_size(watermark);
    let config = Still::keeping().config().set_transport(transport);
    let server = End::new(Role::Server.socket(far, &config), &mut random);
    let client = End::new(Role::Client.socket(near, &config), &mut random);
    let mut ends = [server, client];
    let mut cancelled = 0;
    for _ in 0..100 {
        let [one, other] = &mut ends;
        cancelled += usize::from(one.act(other, &mut random).await);
        if random.below(2) == 0 {
            one.receive();
        }
        ends.reverse();
    }
    let [mut one, mut other] = ends;
    // `close` is dropped after each poll, too.
    let mut steps = 0;
    while !(one.has_ended && other.has_ended) {
        steps += 1;
        assert!(steps < MAX_STEPS, "it goes on and on");
        if random.below(3) == 0 && other.sender.buffered().messages == 0 {
            // What the peer has accepted is received before the Close: it has flushed first.
            if other.socket.flush().now_or_never().is_some() && !one.receive() {
                cancelled += usize::from(one.socket.close(None).now_or_never().is_none());
                one.has_ended = true;
            }
        }
        other.receive();
        one.receive();
    }
    assert_whole(&one.accepted, &other.received);
    assert_whole(&other.accepted, &one.received);
    cancelled
}

#[test]
fn futures_dropped_at_random_lose_nothing() {
    let wanted = env::var("ANYWS_CANCELLATIONS").map_or(CANCELLATIONS, |it| it.parse().unwrap());
    let mut cancelled = 0;
    for seed in 0.. {
        if cancelled >= wanted {
            break;
        }
        let dropped = std::panic::catch_unwind(|| futures::executor::block_on(run(seed)));
        cancelled += dropped.unwrap_or_else(|_| panic!("seed {seed} fails"));
        assert!(seed < u64::MAX && cancelled > 0);
    }
}
