//! One of two processes whose hubs are connected by Redis.
//!
//! ```text
//! hub_redis HUB answer URL
//! hub_redis HUB ask URL MILLISECONDS
//! ```
//!
//! HUB is one of the ways to broadcast. The process that asks publishes an order on one topic, and
//! the other one publishes messages on another topic then. The time of a message is from publishing
//! it there to receiving it here, by a clock that all processes share.

use std::env;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyws::hub::{Event, Events, Hub, RedisBackplane};
use anyws::{Message, QueueConfig, WebSocket, rt, testing};
use anyws_compare::Result;
use anyws_compare::figures::{line, percentile};
use anyws_compare::hop::{ANSWER, ASK, BURST, BURSTS, LENGTH, P50, P99, RATE, READY};
use anyws_compare::orders::FILLING;
use anyws_compare::ways::{HUB, HUB_ON_SMOL};
use hyper::body::Bytes;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;
use tokio::select;

/// What is published by each of the two.
const ORDERS: &str = "orders";
const MESSAGES: &str = "messages";

/// Messages before those whose times count.
const WARM_UP: usize = 100;

/// How much longer than asked for the process may take that asks.
const GRACE: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (hub, url, role) = match arguments[..] {
        [hub, ANSWER, url] => (hub, url, Role::Answer),
        [hub, ASK, url, measured] => {
            let measured = Duration::from_millis(measured.parse()?);
            (hub, url, Role::Ask(measured))
        }
        _ => return Err("usage: hub_redis HUB answer|ask URL [MILLISECONDS]".into()),
    };
    let task = run(url.to_owned(), role);
    match hub {
        HUB => Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(task),
        HUB_ON_SMOL => smol::block_on(smol::spawn(task)),
        other => Err(format!("no such hub: {other}").into()),
    }
}

#[derive(Clone, Copy)]
enum Role {
    Answer,
    /// Measures each figure for so long.
    Ask(Duration),
}

async fn run(url: String, role: Role) -> Result<()> {
    let runtime = rt::detect().ok_or("no runtime")?;
    let backplane = RedisBackplane::new(&url)?;
    let (hub, events) = Hub::with_backplane(backplane, Arc::clone(&runtime));
    let topic = match role {
        Role::Answer => ORDERS,
        Role::Ask(_) => MESSAGES,
    };
    let (member, mut socket) = testing::pair();
    let queue = QueueConfig::default().messages(2 * BURSTS * BURST);
    let mut subscription = hub.join(topic, &socket.sender_with(queue));
    // As on a server: each socket has a task of its own.
    runtime.spawn(Box::pin(
        async move { while socket.next().await.is_some() {} },
    ));
    subscription.ready().await;
    let talk = async {
        match role {
            Role::Answer => answer(&hub, member).await,
            Role::Ask(measured) => ask(&hub, member, measured).await,
        }
    };
    select! {
        done = talk => done,
        failed = fail(events) => failed,
    }
}

/// Waits for an event that no measurement should see.
async fn fail(mut events: Events) -> Result<()> {
    loop {
        match events.next().await {
            Some(Event::Up) => {}
            other => return Err(format!("an event: {other:?}").into()),
        }
    }
}

/// Publishes as many messages as each order says.
async fn answer(hub: &Hub, mut member: WebSocket) -> Result<()> {
    println!("{READY}");
    let mut number = 0;
    loop {
        let order = member.next().await.ok_or("the orders have ended")??;
        let count = order.to_text()?.parse()?;
        let mut message = || {
            number += 1;
            write(number)
        };
        if count == 1 {
            hub.publish(MESSAGES, message()?);
        } else {
            let messages = (0..count).map(|_| message()).collect::<Result<Vec<_>>>()?;
            hub.publish_all(MESSAGES, messages);
        }
    }
}

/// Asks for messages, and prints what they take.
async fn ask(hub: &Hub, member: WebSocket, measured: Duration) -> Result<()> {
    let limit = 2 * measured + GRACE;
    thread::spawn(move || {
        thread::sleep(limit);
        eprintln!("hub_redis: no end within {limit:?}");
        process::exit(1);
    });
    let mut messages = Messages { member, last: 0 };

    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < measured || times.len() < 2 * WARM_UP {
        hub.publish(ORDERS, "1");
        times.push(messages.next().await?);
    }
    let times = &mut times[WARM_UP..];
    for (figure, percent) in [(P50, 50), (P99, 99)] {
        let time = percentile(times, percent);
        println!("{}", line(figure, time.as_secs_f64() * 1e6));
    }

    let burst = BURST.to_string();
    for _ in 0..BURSTS {
        hub.publish(ORDERS, burst.as_str());
    }
    let started = Instant::now();
    let mut received = 0_u32;
    while started.elapsed() < measured {
        for _ in 0..BURST {
            messages.next().await?;
            received += 1;
        }
        hub.publish(ORDERS, burst.as_str());
    }
    let rate = f64::from(received) / started.elapsed().as_secs_f64();
    println!("{}", line(RATE, rate));
    Ok(())
}

/// What comes from the other process.
struct Messages {
    member: WebSocket,
    last: u64,
}

impl Messages {
    /// Receives the next message and returns how long that has taken.
    async fn next(&mut self) -> Result<Duration> {
        let message = self
            .member
            .next()
            .await
            .ok_or("the messages have ended")??;
        let received = now()?;
        let (number, published) = read(&message).ok_or("not a message of the other process")?;
        if number != self.last + 1 {
            return Err(format!("message {number} after {}", self.last).into());
        }
        self.last = number;
        Ok(Duration::from_nanos(received.saturating_sub(published)))
    }
}

/// Makes a message: its number, when it was made, and something to fill it up.
fn write(number: u64) -> Result<Bytes> {
    let mut message = Vec::with_capacity(LENGTH);
    message.extend(number.to_le_bytes());
    message.extend(now()?.to_le_bytes());
    message.resize(LENGTH, FILLING);
    Ok(message.into())
}

/// The number of a message, and when it was made.
fn read(message: &Message) -> Option<(u64, u64)> {
    let Message::Binary(bytes) = message else {
        return None;
    };
    let (number, rest) = bytes.split_first_chunk()?;
    let (made, filling) = rest.split_first_chunk()?;
    let is_whole = bytes.len() == LENGTH && filling.iter().all(|&byte| byte == FILLING);
    is_whole.then(|| (u64::from_le_bytes(*number), u64::from_le_bytes(*made)))
}

/// Nanoseconds since a moment that is the same for all processes.
fn now() -> Result<u64> {
    let now = Duration::try_from(clock_gettime(ClockId::Monotonic))?;
    Ok(u64::try_from(now.as_nanos())?)
}
