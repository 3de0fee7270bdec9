//! Thousands of sockets that come and go, and what they leave behind on the server.
//!
//! `cargo run --example soak --features rt-tokio -- SECONDS SERVER RUNTIME`, where the server is
//! the example `soak_server`.

use std::time::{Duration, Instant};

use anyws::BoxError;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use self::load::{
    churn::{Tally, churn},
    client::Client,
    process::Server,
};

mod load {
    pub(crate) mod churn;
    pub(crate) mod client;
    pub(crate) mod messages;
    pub(crate) mod process;
}

/// How many sockets are open at a time.
const SOCKETS: usize = 2_000;

/// Time between two looks at the server's memory.
const SAMPLE: Duration = Duration::from_secs(1);

/// KiB by which the server's memory may grow in the second half. Each of its two threads may keep
/// blocks, buffers and large buffers of 6.25 MiB in all (SECURITY.md, "Memory"), and does not need
/// all of them in the first half.
const MAX_GROWTH: f64 = 2.0 * 6.25 * 1024.0;

/// How long the server may take until nothing is left: the timeouts of a head, of a Close and of a
/// refused client are 10 s each.
const SETTLING: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

/// How long the clients may take to leave, and the server to settle.
const ENDING: Duration = Duration::from_secs(150);

/// How many failures are printed.
const SHOWN: usize = 10;

/// Asks the server for the number of its tasks. The one that answers is among them.
async fn tasks(server: &Server) -> Result<usize, BoxError> {
    let mut client = Client::connect(server.address()).await?;
    client
        .write(b"GET /tasks HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let answer = timeout(SETTLING, client.rest()).await??;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    Ok(body.parse()?)
}

/// Lets all clients come and go.
async fn load(server: &Server, until: Instant) -> Result<Tally, BoxError> {
    let mut clients = JoinSet::new();
    for _ in 0..SOCKETS {
        clients.spawn(churn(server.address(), until));
    }
    let mut tally = Tally::default();
    while let Some(other) = clients.join_next().await {
        tally.add(other?);
    }
    Ok(tally)
}

/// Returns the server's memory in KiB over the seconds from `from` to `until`.
async fn memory(
    server: &Server,
    from: Instant,
    until: Instant,
) -> Result<Vec<(f64, f64)>, BoxError> {
    sleep(from.saturating_duration_since(Instant::now())).await;
    let mut samples = Vec::new();
    while Instant::now() < until {
        samples.push((from.elapsed().as_secs_f64(), server.memory()?.into()));
        sleep(SAMPLE).await;
    }
    Ok(samples)
}

/// Returns the slope of the line through the samples that has the least squares.
fn slope(samples: &[(f64, f64)]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are some thousands")]
    let count = samples.len() as f64;
    let mean_x = samples.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = samples.iter().map(|(_, y)| y).sum::<f64>() / count;
    let products = samples.iter().map(|(x, y)| (x - mean_x) * (y - mean_y));
    let squares = samples.iter().map(|(x, _)| (x - mean_x).powi(2));
    products.sum::<f64>() / squares.sum::<f64>()
}

/// Waits until the server is as it was before.
async fn settle(server: &Server, files: usize, started_tasks: usize) -> Result<(), BoxError> {
    let started = Instant::now();
    loop {
        let (files_now, tasks_now) = (server.files()?, tasks(server).await?);
        if files_now <= files && tasks_now <= started_tasks {
            println!(
                "{files_now} files and {tasks_now} tasks are left after {:.1} s, as before",
                started.elapsed().as_secs_f64()
            );
            return Ok(());
        }
        if started.elapsed() > SETTLING {
            return Err(format!(
                "{files_now} files and {tasks_now} tasks are left; {files} and {started_tasks} \
                were there before"
            )
            .into());
        }
        sleep(LOOK).await;
    }
}

/// Runs the load and reports everything that is wrong.
async fn check(server: &mut Server, time: Duration) -> Result<(), BoxError> {
    let tasks = tasks(server).await?;
    sleep(LOOK).await;
    let files = server.files()?;
    let half = Instant::now() + time / 2;
    let until = half + time / 2;
    let (tally, samples) = tokio::join!(load(server, until), memory(server, half, until));
    let (tally, samples) = (tally?, samples?);

    println!("ends: {:?}", tally.ends);
    println!(
        "{} messages were sent on connections that were closed, and {} echoed; {} pings came",
        tally.sent, tally.echoed, tally.pings
    );
    let mut errors: Vec<String> = Vec::new();
    if tally.sent != tally.echoed || tally.sent == 0 {
        errors.push("messages are lost".to_owned());
    }
    for failure in tally.failures.iter().take(SHOWN) {
        println!("failure: {failure}");
    }
    if !tally.failures.is_empty() {
        errors.push(format!("{} clients failed", tally.failures.len()));
    }

    let seconds = time.as_secs_f64() / 2.0;
    let slope = slope(&samples);
    let growth = slope * seconds;
    println!(
        "memory: {:.0} KiB at half the time, then {slope:+.2} KiB/s, which is {growth:+.0} KiB in \
        {seconds} s (limit {MAX_GROWTH})",
        samples.first().map_or(0.0, |(_, memory)| *memory),
    );
    // Fewer than two samples have no slope.
    if growth.is_nan() || growth > MAX_GROWTH {
        errors.push("the server's memory grows".to_owned());
    }
    if let Err(error) = settle(server, files, tasks).await {
        errors.push(error.to_string());
    }
    if let Err(error) = server.check_alive() {
        errors.push(error.to_string());
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors.join("; ").into())
    }
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [seconds, binary, runtime] = &arguments[..] else {
        return Err("usage: soak SECONDS SERVER RUNTIME".into());
    };
    let time = Duration::from_secs(seconds.parse()?);
    let mut server = Server::start(binary, &[runtime])?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async { timeout(time + ENDING, check(&mut server, time)).await? })
}
