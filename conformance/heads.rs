//! Thousands of clients that never finish the head of their request, and a fair client among them.
//!
//! `cargo run --example heads --features rt-tokio -- COUNT ROUNDS SERVER`, where the server is
//! an echo server on a bare stream, with the default timeouts.
//!
//! A round measures the fair client on the quiet server, lets the others connect, measures again
//! while they dribble, and waits until each has been answered 408.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use anyws::BoxError;
use tokio::{
    net::TcpSocket,
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::{sleep, timeout},
};

use self::load::{
    client::{CLOSE, Client, TEXT, push_frame},
    process::Server,
};

mod load {
    pub(crate) mod client;
    pub(crate) mod process;
}

/// Each second gives a 99th percentile, with the others or without, and the medians of all rounds
/// count. Work elsewhere on the machine spoils some of them.
const SLICE: Duration = Duration::from_secs(1);
/// How long the fair client is measured on the quiet server: as long as with the others.
const QUIET: Duration = Duration::from_secs(5);
/// The fair client's pause: it asks for some hundred connections a second.
const PAUSE: Duration = Duration::from_millis(4);
/// The most that the fair client's 99th percentile may grow by.
const MAX_RATIO: f64 = 2.0;

/// The others connect within this time, which is also the time between two bytes of each: it is
/// short enough for them to look alive, and 15,000 send no more than 3,000 bytes a second, each in
/// a packet of its own. More would measure what it costs to send them. The third byte of each comes
/// just when the head timeout passes.
const DRIBBLE: Duration = Duration::from_secs(5);
/// How many of them have the same address. Linux looks for a free port one by one, which takes
/// milliseconds once half of an address's ports are used up.
const CLIENTS_PER_ADDRESS: u32 = 1_000;
/// A head without an end. No client gets through it.
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: very slow\r\n";
/// The default of `WebSocketConfig::set_head_timeout`.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after it the answer may come, counted from the client's connect. Where the server's
/// queue of new connections is full, the kernel hands one over when it is repeated: after up to 6 s
/// within the ramp.
const LATE: Duration = Duration::from_secs(10);

/// KiB of the server's memory for each of them. The task with its handshake, its timer and what the
/// runtime registers take 5.8 KiB; a buffer of a page for each would be too much.
const MAX_MEMORY: f64 = 8.0;

/// The longest time that one exchange of the fair client takes, or the end of the server's files.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest time that a round takes: the others connect, are answered, and some are late.
const ROUND: Duration = Duration::from_secs(60);

fn runtime() -> Result<Runtime, BoxError> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Opens a socket, and waits for the echo of one message. Returns the time of both.
async fn exchange(address: SocketAddr) -> Result<Duration, BoxError> {
    let started = Instant::now();
    let mut client = Client::open(address).await?;
    let mut message = Vec::new();
    push_frame(&mut message, TEXT, b"hello");
    client.write(&message).await?;
    let echo = client.frame().await?.ok_or("no echo")?;
    let took = started.elapsed();
    if (echo.first, &echo.payload[..]) != (TEXT, b"hello") {
        return Err(format!("the echo is {:?}", echo.payload).into());
    }
    let mut close = Vec::new();
    push_frame(&mut close, CLOSE, &1000_u16.to_be_bytes());
    client.write(&close).await?;
    client.rest().await?;
    Ok(took)
}

/// Repeats exchanges until it is told to end. Returns the 99th percentile of each second's times.
async fn measure(
    address: SocketAddr,
    goes_on: impl Fn() -> bool,
) -> Result<Vec<Duration>, BoxError> {
    let mut percentiles = Vec::new();
    while goes_on() {
        let started = Instant::now();
        let mut times = Vec::new();
        while times.is_empty() || started.elapsed() < SLICE {
            let exchanged = timeout(LIMIT, exchange(address)).await;
            times.push(exchanged.map_err(|_| "the fair client gets no echo")??);
            sleep(PAUSE).await;
        }
        times.sort_unstable();
        percentiles.push(times[times.len() * 99 / 100]);
    }
    Ok(percentiles)
}

/// Dribbles a head until the server answers. Returns the time until the connection has ended.
async fn dribble(
    address: SocketAddr,
    index: u32,
    count: u32,
    connected: &AtomicUsize,
) -> Result<Duration, BoxError> {
    sleep(DRIBBLE * index / count).await;
    let socket = TcpSocket::new_v4()?;
    // The fair client is alone at 127.0.0.1.
    let from = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1 + index / CLIENTS_PER_ADDRESS);
    socket.bind(SocketAddr::from((from, 0)))?;
    // The server starts its clock after this.
    let started = Instant::now();
    let mut client = Client::new(socket.connect(address).await?)?;
    connected.fetch_add(1, SeqCst);
    let mut bytes = HEAD.chunks(1).cycle();
    let answer = loop {
        // A byte may cross the answer: then the answer is still there to be read.
        let _ = client.write(bytes.next().ok_or("the head is empty")?).await;
        match timeout(DRIBBLE, client.rest()).await {
            Ok(answer) => break answer?,
            Err(_) if started.elapsed() > HEAD_TIMEOUT + LATE => {
                return Err(format!("not answered within {:?}", started.elapsed()).into());
            }
            Err(_) => {}
        }
    };
    let took = started.elapsed();
    if !answer.starts_with("HTTP/1.1 408 ") {
        return Err(format!("answered {answer:?}").into());
    }
    if took < HEAD_TIMEOUT || took > HEAD_TIMEOUT + LATE {
        return Err(format!("answered 408 after {took:?}").into());
    }
    Ok(took)
}

/// Lets all of them dribble. Returns the time until the last one was answered.
fn dribble_all(
    address: SocketAddr,
    count: u32,
    connected: &Arc<AtomicUsize>,
) -> Result<Duration, BoxError> {
    runtime()?.block_on(async {
        let mut all = JoinSet::new();
        for index in 0..count {
            let connected = Arc::clone(connected);
            all.spawn(async move { dribble(address, index, count, &connected).await });
        }
        let mut longest = Duration::ZERO;
        let mut errors = Vec::new();
        while let Some(ended) = all.join_next().await {
            match ended? {
                Ok(took) => longest = longest.max(took),
                Err(error) => errors.push(error),
            }
        }
        match errors.first() {
            None => Ok(longest),
            Some(first) => Err(format!("{} of {count}: {first}", errors.len()).into()),
        }
    })
}

/// What one round has measured.
struct Round {
    /// The fair client's 99th percentiles, second by second: alone, among those that dribble, and
    /// while they are answered.
    quiet: Vec<Duration>,
    loaded: Vec<Duration>,
    answering: Vec<Duration>,
    /// The time until the last of the others was answered.
    longest: Duration,
    /// KiB of the server's memory for each of the others.
    memory: f64,
}

async fn round(server: &Server, count: u32) -> Result<Round, BoxError> {
    let address = server.address();
    let started = Instant::now();
    let quiet = measure(address, || started.elapsed() < QUIET).await?;

    let before = server.memory()?;
    let connected = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let others = thread::spawn({
        let connected = Arc::clone(&connected);
        move || dribble_all(address, count, &connected)
    });
    while connected.load(SeqCst) < count as usize && !others.is_finished() {
        sleep(PAUSE).await;
    }
    // The first of them may be answered from now on.
    let end = HEAD_TIMEOUT.saturating_sub(started.elapsed());
    if end < HEAD_TIMEOUT / 4 && !others.is_finished() {
        return Err(format!("{count} connect too slowly: {:?}", started.elapsed()).into());
    }
    let loaded = measure(address, || started.elapsed() < HEAD_TIMEOUT).await;
    let memory = f64::from(server.memory()?) - f64::from(before);
    let answering = measure(address, || !others.is_finished()).await;
    // Their error says more than the fair client's.
    let longest = others.join().map_err(|_| "the others panicked")??;
    Ok(Round {
        quiet,
        loaded: loaded?,
        answering: answering?,
        longest,
        memory: memory / f64::from(count),
    })
}

/// Runs all rounds and checks the results.
async fn check(server: &mut Server, count: u32, rounds: u32) -> Result<(), BoxError> {
    let address = server.address();
    let files = server.files()?;
    println!("round  quiet p99  loaded p99  p99 while answered  last answer  KiB each");
    let mut results = Vec::new();
    for number in 1..=rounds {
        let round = round(server, count).await?;
        println!(
            "{number:5}  {:6.0} us  {:7.0} us  {:15.0} us  {:9.1} s  {:8.2}",
            median(&round.quiet)? * 1e6,
            median(&round.loaded)? * 1e6,
            median(&round.answering)? * 1e6,
            round.longest.as_secs_f64(),
            round.memory,
        );
        results.push(round);
    }
    let all = |of: fn(&Round) -> &[Duration]| results.iter().map(of).collect::<Vec<_>>().concat();
    let quiet = median(&all(|round| &round.quiet))?;
    let loaded = median(&all(|round| &round.loaded))?;
    let ratio = loaded / quiet;
    // Later rounds use the memory that the first one has left.
    let memory = results[0].memory;
    println!(
        "the fair client's p99 is {:.0} us, then {:.0} us: {ratio:.2} times (limit {MAX_RATIO})",
        quiet * 1e6,
        loaded * 1e6,
    );
    println!("each of {count} clients costs {memory:.2} KiB (limit {MAX_MEMORY})");

    let started = Instant::now();
    while server.files()? > files {
        if started.elapsed() > LIMIT {
            let left = server.files()?;
            return Err(format!("{left} files are open, and {files} were before").into());
        }
        sleep(PAUSE).await;
    }
    timeout(LIMIT, exchange(address)).await??;
    server.check_alive()?;
    if ratio > MAX_RATIO {
        return Err("the fair client has to wait for too long".into());
    }
    if memory > MAX_MEMORY {
        return Err("the server takes too much memory".into());
    }
    Ok(())
}

/// Returns the median in seconds.
fn median(values: &[Duration]) -> Result<f64, BoxError> {
    let mut values = values.to_vec();
    values.sort_unstable();
    let median = values.get(values.len() / 2).ok_or("nothing was measured")?;
    Ok(median.as_secs_f64())
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [count, rounds, binary] = &arguments[..] else {
        return Err("usage: heads COUNT ROUNDS SERVER".into());
    };
    let (count, rounds) = (count.parse()?, rounds.parse()?);
    let mut server = Server::start(binary, &[])?;
    let limit = LIMIT + ROUND * rounds;
    runtime()?.block_on(async { timeout(limit, check(&mut server, count, rounds)).await? })
}
