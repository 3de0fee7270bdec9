//! Runs everything, in an order that is fair.
//!
//! Each round runs every workload, and every server or client within it once, with a fresh
//! process. Every other round goes through them backwards, so that a machine that grows slower
//! with time does not favour those that are named first.

use std::path::Path;

use crate::Result;
use crate::batch::Batch;
use crate::bomb::{self, Bomb};
use crate::broadcast::{self, Broadcast, COMPRESSED, UNCOMPRESSED};
use crate::churn;
use crate::client_handshakes;
use crate::compressed;
use crate::contestants::Contestant;
use crate::cores::pin_to_load_core;
use crate::echo::{self, Sample, Window};
use crate::handshakes;
use crate::hop;
use crate::idle::{self, Plan};
use crate::in_memory;
use crate::options::Options;
use crate::process::{Server, allow_open_files};
use crate::redis_server;
use crate::results::Results;
use crate::ways::{SENDER, WAYS};

/// More than any workload and the runner itself need.
const OPEN_FILES: u64 = 2048;

/// Runs what was asked for, with the servers whose binaries are in `folder`.
///
/// # Errors
///
/// When a server does not start, a reply is wrong or a figure is missing.
pub fn run(options: &Options, folder: &Path) -> Result<Results> {
    pin_to_load_core()?;
    allow_open_files(OPEN_FILES)?;
    if options.hops().next().is_some() {
        // Or its absence would be known only after all other loads of the first round.
        redis_server::version()?;
    }
    let mut results = Results::default();
    let broadcasts = possible(options, &mut results);
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        run_round(options, folder, round, &mut results)?;
        for load in &broadcasts {
            run_broadcast(options, folder, round, load, &mut results)?;
        }
        run_hub(options, folder, round, &mut results)?;
    }
    for contestant in options.idlers() {
        let memory = measure_memory(options, folder, contestant);
        let memory = memory.map_err(|error| format!("idle, {}: {error}", contestant.name))?;
        results.add_memory(contestant.name, memory);
    }
    for server in options.idle_compressors() {
        let memory = compressed::measure_memory(server, folder, options.compressed);
        let memory =
            memory.map_err(|error| format!("{}, {}: {error}", compressed::MEMORY, server.name))?;
        eprintln!(
            "  {:36} {:24} {memory:10.2} KiB",
            compressed::MEMORY,
            server.name
        );
        results.add_figure(compressed::MEMORY, server.name, memory);
    }
    check(options, &results)?;
    for load in broadcasts {
        for way in options.ways().filter(|way| load.suits(way)) {
            results.require(load.name, way.name, options.rounds)?;
        }
    }
    Ok(results)
}

/// The broadcasts that were selected and for which enough files may be open. It is said aloud and
/// in the report if that are not all.
fn possible(options: &Options, results: &mut Results) -> Vec<&'static Broadcast> {
    let is_possible = |load: &&Broadcast| {
        let allowed = allow_open_files(load.open_files());
        if let Err(error) = &allowed {
            let what = format!("{} was not run: {error}", load.name);
            eprintln!("{what}");
            results.skip(what);
        }
        allowed.is_ok()
    };
    options.broadcasts().filter(is_possible).collect()
}

fn run_round(options: &Options, folder: &Path, round: usize, results: &mut Results) -> Result<()> {
    for workload in options.workloads() {
        let batches = Batch::all(workload);
        for contestant in in_order(round, options.contestants(workload)) {
            let sample = echo::measure(contestant, folder, workload, &batches, options.window);
            add(results, workload.name, contestant, sample)?;
        }
    }
    run_compressed(options, folder, round, results)?;
    for contestant in in_order(round, options.broadcasters()) {
        let load = broadcast::OF_LIBRARIES;
        let sample = Server::start_for_orders(contestant, folder)
            .and_then(|server| load.measure(&server, false, options.window));
        let sample = sample.map(|(sample, _)| sample);
        add(results, load.name, contestant, sample)?;
    }
    for contestant in in_order(round, options.handshakers()) {
        let sample = handshakes::measure(contestant, folder, options.window);
        add(results, handshakes::NAME, contestant, sample)?;
    }
    for name in options.client_handshakes() {
        for contestant in in_order(round, options.clients()) {
            let sample = client_handshakes::measure(name, contestant, folder, options.window);
            add(results, name, contestant, sample)?;
        }
    }
    Ok(())
}

fn add(
    results: &mut Results,
    workload: &'static str,
    contestant: &Contestant,
    sample: Result<Sample>,
) -> Result<()> {
    let name = contestant.name;
    let sample = sample.map_err(|error| format!("{workload}, {name}: {error}"))?;
    print(workload, name, sample);
    results.add(workload, name, sample);
    Ok(())
}

/// Runs the loads of compressed messages against each server that compresses.
fn run_compressed(
    options: &Options,
    folder: &Path,
    round: usize,
    results: &mut Results,
) -> Result<()> {
    for load in options.compressed() {
        for server in in_order(round, options.compressors()) {
            let measured = load.measure(server, folder, options.window);
            let (sample, bytes) =
                measured.map_err(|error| format!("{}, {}: {error}", load.name, server.name))?;
            print(load.name, server.name, sample);
            results.add(load.name, server.name, sample);
            results.add_figure(load.name, server.name, bytes);
        }
    }
    for server in options.bombed() {
        let bomb = bomb::measure(server, folder);
        let Bomb { memory, late } =
            bomb.map_err(|error| format!("{}, {}: {error}", bomb::NAME, server.name))?;
        let name = server.name;
        eprintln!(
            "  {:36} {name:24} {memory:10.0} KiB, {late:.1} ms",
            bomb::NAME
        );
        results.add_figure(bomb::MEMORY, name, memory);
        results.add_figure(bomb::LATE, name, late);
    }
    if let Some(load) = options.json_broadcast() {
        let (compressed, uncompressed) = json_broadcast(load, folder, options.window)
            .map_err(|error| format!("{}: {error}", load.name))?;
        for (name, sample) in [(COMPRESSED.name, compressed), (UNCOMPRESSED, uncompressed)] {
            print(load.name, name, sample);
            results.add(load.name, name, sample);
        }
    }
    if options.has_in_memory() {
        for (figure, value) in in_memory::measure(folder, options.window.measured)? {
            eprintln!("  {:36} {figure:24} {value:10.3}", in_memory::NAME);
            results.add_figure(in_memory::NAME, figure, value);
        }
    }
    Ok(())
}

/// Runs one load against each way to broadcast.
fn run_broadcast(
    options: &Options,
    folder: &Path,
    round: usize,
    load: &Broadcast,
    results: &mut Results,
) -> Result<()> {
    for way in in_order(round, options.ways().filter(|way| load.suits(way))) {
        let measured = Server::start_way(way, folder)
            .and_then(|server| load.measure(&server, way.is_raw, options.window));
        let (sample, deliveries) =
            measured.map_err(|error| format!("{}, {}: {error}", load.name, way.name))?;
        print(load.name, way.name, sample);
        results.add(load.name, way.name, sample);
        results.add_deliveries(load.name, way.name, deliveries);
    }
    Ok(())
}

/// Measures what else than broadcasting a hub does.
fn run_hub(options: &Options, folder: &Path, round: usize, results: &mut Results) -> Result<()> {
    if options.has_churn() {
        for (figure, value) in churn::measure(folder, options.window.measured)? {
            eprintln!("  {:36} {figure:24} {value:10.3}", churn::NAME);
            results.add_figure(churn::NAME, figure, value);
        }
    }
    for hub in in_order(round, options.hops()) {
        let figures = hop::measure(hub, folder, options.window.measured);
        let figures = figures.map_err(|error| format!("{}, {hub}: {error}", hop::NAME))?;
        for (figure, value) in figures {
            eprintln!("  {figure:36} {hub:24} {value:10.1}");
            results.add_figure(figure, hub, value);
        }
    }
    Ok(())
}

/// Broadcasts JSON that is compressed, and as many bytes that are not.
fn json_broadcast(load: Broadcast, folder: &Path, window: Window) -> Result<(Sample, Sample)> {
    let server = Server::start_way(&COMPRESSED, folder)?;
    let compressed = load.measure_json(&server, window)?;
    drop(server);
    let sender = WAYS.iter().find(|way| way.name == SENDER);
    let server = Server::start_way(sender.ok_or("no such way")?, folder)?;
    let (uncompressed, _) = load.as_compressed()?.measure(&server, false, window)?;
    Ok((compressed, uncompressed))
}

fn print(workload: &str, server: &str, sample: Sample) {
    let Sample { cost, rate, busy } = sample;
    eprintln!(
        "  {workload:36} {server:24} {cost:10.3} us {rate:9.0}/s  {:3.0} % busy",
        busy * 100.0
    );
}

fn in_order<T>(round: usize, contestants: impl DoubleEndedIterator<Item = T>) -> Vec<T> {
    if round.is_multiple_of(2) {
        contestants.collect()
    } else {
        contestants.rev().collect()
    }
}

fn measure_memory(
    options: &Options,
    folder: &Path,
    contestant: &Contestant,
) -> Result<idle::Memory> {
    let server = Server::start(contestant, folder)?;
    let plan = Plan {
        connections: options.connections,
        is_raw: contestant.is_floor(),
        with_burst: true,
        is_compressed: false,
    };
    let memory = idle::measure(server.address(), server.process().pid(), plan)?;
    let after_burst = memory
        .each_after_burst()
        .ok_or("no figure after the burst")?;
    eprintln!(
        "  {:36} {:24} {:10.2} KiB, {after_burst:.2} KiB after the burst",
        idle::NAME,
        contestant.name,
        memory.each(),
    );
    Ok(memory)
}

/// Looks for figures that are missing, whatever the reason.
fn check(options: &Options, results: &Results) -> Result<()> {
    for workload in options.workloads() {
        for contestant in options.contestants(workload) {
            results.require(workload.name, contestant.name, options.rounds)?;
        }
    }
    for load in options.compressed() {
        for server in options.compressors() {
            results.require(load.name, server.name, options.rounds)?;
        }
    }
    for contestant in options.broadcasters() {
        results.require(
            broadcast::OF_LIBRARIES.name,
            contestant.name,
            options.rounds,
        )?;
    }
    for contestant in options.handshakers() {
        results.require(handshakes::NAME, contestant.name, options.rounds)?;
    }
    for name in options.client_handshakes() {
        for contestant in options.clients() {
            results.require(name, contestant.name, options.rounds)?;
        }
    }
    for contestant in options.idlers() {
        let memory = results.memory(contestant.name);
        memory.ok_or_else(|| format!("no memory of {}", contestant.name))?;
    }
    Ok(())
}
