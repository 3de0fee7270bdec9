//! Measures what messages take a server that echoes, receives or sends them, and a client that
//! sends them back.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;
use crate::batch::Batch;
use crate::client::EXCHANGE;
use crate::contestants::Contestant;
use crate::listener::Listener;
use crate::load::{Load, Until};
use crate::process::{Process, Server};
use crate::wire::{self, Side};
use crate::workload::{self, Service, Workload};

/// What came out of one run against one server or client.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The process's own processor time for each message or connection, in microseconds.
    pub cost: f64,
    /// Messages or connections a second.
    pub rate: f64,
    /// The part of its core that the process used. The rate says something about it only
    /// where this is near 1.
    pub busy: f64,
}

impl Sample {
    /// # Errors
    ///
    /// When nothing was measured.
    pub fn new(count: u64, processor_time: Duration, elapsed: Duration) -> Result<Self> {
        if count == 0 || processor_time.is_zero() {
            return Err(format!("{count} messages in {processor_time:?} are no figure").into());
        }
        // Exact up to 2^53.
        #[expect(clippy::cast_precision_loss)]
        let count = count as f64;
        Ok(Self {
            cost: processor_time.as_secs_f64() * 1e6 / count,
            rate: count / elapsed.as_secs_f64(),
            busy: processor_time.as_secs_f64() / elapsed.as_secs_f64(),
        })
    }
}

/// How long a run is.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub warm_up: Duration,
    pub measured: Duration,
}

/// Starts the contestant, as a server or as a client, and runs the workload against it once.
///
/// # Errors
///
/// When it does not start or a reply is wrong.
pub fn measure(
    contestant: &Contestant,
    folder: &Path,
    workload: &Workload,
    batches: &[Batch],
    window: Window,
) -> Result<Sample> {
    match workload.side {
        Side::Server => measure_server(contestant, folder, workload, batches, window),
        Side::Client => measure_client(contestant, folder, workload, batches, window),
    }
}

fn measure_server(
    contestant: &Contestant,
    folder: &Path,
    workload: &Workload,
    batches: &[Batch],
    window: Window,
) -> Result<Sample> {
    let server = match workload.service {
        Service::Echo => Server::start(contestant, folder)?,
        Service::Sink | Service::Source => Server::start_for_orders(contestant, folder)?,
    };
    let is_raw = contestant.is_floor();
    let streams: Result<Vec<_>> = (0..workload.connections)
        .map(|_| wire::connect(server.address(), !is_raw))
        .collect();
    let mut load = Load::new(streams?, batches, is_raw)?;
    if let Some(bytes) = workload.write {
        load = load.in_writes_of(bytes);
    }
    run(server.process(), &mut load, workload.duration, window)
}

fn measure_client(
    contestant: &Contestant,
    folder: &Path,
    workload: &Workload,
    batches: &[Batch],
    window: Window,
) -> Result<Sample> {
    let listener = Listener::new()?;
    let depth = workload.depth.to_string();
    let client = Process::start_client(
        contestant,
        folder,
        listener.address()?,
        workload.connections,
        &[EXCHANGE, &depth],
    )?;
    let is_raw = contestant.is_floor();
    let streams: Result<Vec<_>> = (0..workload.connections)
        .map(|_| listener.wait(!is_raw))
        .collect();
    let mut load = if is_raw {
        Load::new(streams?, batches, is_raw)?
    } else {
        Load::of_client(streams?, batches)?
    };
    let sample = run(&client, &mut load, workload.duration, window);
    // Before its connections: it would complain about their end.
    drop(client);
    sample
}

fn run(
    process: &Process,
    load: &mut Load<'_>,
    duration: workload::Duration,
    window: Window,
) -> Result<Sample> {
    let until = match duration {
        workload::Duration::Once => Until::OneBatchEach,
        workload::Duration::Window => {
            load.run(Until::Elapsed(window.warm_up))?;
            Until::Elapsed(window.measured)
        }
    };

    let before = process.processor_time()?;
    let started = Instant::now();
    let messages = load.run(until)?;
    let elapsed = started.elapsed();
    let processor_time = process.processor_time()?.saturating_sub(before);
    Sample::new(messages, processor_time, elapsed)
}
