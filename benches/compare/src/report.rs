//! Writes `RESULTS.md`.

mod clients;
mod compressed;
mod hub;
mod ways;

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use crate::contestants::{CONTESTANTS, Contestant};
use crate::machine::Machine;
use crate::options::Options;
use crate::results::{Results, Spread};
use crate::wire::Side;
use crate::workload::{Group, Service, Workload};
use crate::{Result, broadcast, handshakes, plot, targets};

const FILE: &str = "RESULTS.md";

/// Below this part of its core a server waited for the load, and the rate is the load's.
const SATURATED: f64 = 0.98;

/// What servers are compared with that follow orders: the library that most others stand on.
const COMMON: &str = "tokio-tungstenite tuned";

const RULES: &str = "\
- What counts is the processor time that the server's process takes for each message, kernel
  included. Messages a second are given only where the server used at least 98 % of its core:
  otherwise they are the load's figure and not the server's.
- Server and load have one processor core each. Every server is single-threaded, but for those
  that broadcast on two threads. All are built in one package, with one lock file, the allocator of
  the system, and the release profile with one codegen unit and LTO. `benches/README.md` says what
  it is without.
- The load never sleeps: no server has to wake it, which would cost the more, the slower the
  server is.
- The load is the same for all: raw sockets, frames masked beforehand with random keys. Every
  reply is checked for its headers and lengths, and its bytes in part.
- Every server checks UTF-8 and masks, sets TCP_NODELAY, takes messages of 64 MiB and does not
  compress, but for the section about that. Peers run as their READMEs show them, and *tuned* as
  their authors tune them.
- Every run has a fresh process. Rounds go through the servers forwards and backwards in turn.
  Given are the median of all rounds and, in brackets, the least and the greatest.
- A floor is TCP echo without any protocol. The ratio to the floor on the same runtime is taken
  within each round. Differences below 3 % are ties.
";

/// Writes the report and gives its path.
///
/// # Errors
///
/// When a figure is missing or the file cannot be written.
pub fn write(options: &Options, machine: &Machine, results: &Results) -> Result<PathBuf> {
    let mut text = String::new();
    heading(&mut text, options, machine)?;
    overview(&mut text, options, results)?;
    for workload in options.workloads_of(Side::Server) {
        details(&mut text, options, workload, results)?;
    }
    compressed::section(&mut text, options, results)?;
    broadcast_table(&mut text, options, results)?;
    ways::section(&mut text, options, results)?;
    hub::section(&mut text, options, results)?;
    handshake_table(&mut text, options, results)?;
    memory_table(&mut text, options, results)?;
    clients::section(&mut text, options, results)?;
    target_table(&mut text, results)?;

    fs::create_dir_all(&options.output)?;
    let path = options.output.join(FILE);
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn heading(text: &mut String, options: &Options, machine: &Machine) -> Result<()> {
    writeln!(text, "# Results\n")?;
    writeln!(
        text,
        "Written by `benches/compare/run`; [README.md](README.md) says how.\n"
    )?;
    if !options.is_whole {
        writeln!(text, "**A short or partial run: not for quoting.**\n")?;
    }
    let Machine {
        processor,
        cores,
        memory_gib,
        kernel,
        rustc,
        ..
    } = machine;
    writeln!(text, "- {}, commit {}", machine.date, machine.commit)?;
    writeln!(
        text,
        "- {processor}, {cores} cores, {memory_gib} GiB, Linux {kernel}"
    )?;
    writeln!(text, "- {rustc}")?;
    let libraries: Vec<_> = machine
        .libraries
        .iter()
        .map(|(library, version)| format!("{library} {version}"))
        .collect();
    writeln!(text, "- {}", libraries.join(", "))?;
    let window = options.window;
    writeln!(
        text,
        "- {} rounds, each run {} ms after {} ms of warm-up\n",
        options.rounds,
        window.measured.as_millis(),
        window.warm_up.as_millis()
    )?;
    writeln!(text, "## Rules\n\n{RULES}")?;
    Ok(())
}

/// The ratios of all servers under the core workloads, and the picture of them.
fn overview(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    let core = |workload: &&Workload| workload.group == Group::Core;
    let workloads: Vec<_> = options.workloads().filter(core).collect();
    if workloads.is_empty() {
        return Ok(());
    }
    writeln!(text, "## Cost against the floor\n")?;
    writeln!(text, "![Cost against the floor]({})\n", plot::FILE)?;
    writeln!(
        text,
        "A name is payload, depth (`d`: messages sent at once) and connections (`c`); `once` is \
         one message in four frames.\n"
    )?;
    let names: Vec<_> = workloads.iter().map(|workload| workload.name).collect();
    ratio_table(text, "server", &names, results)
}

/// The ratios to the floor: a row for each contestant, and a column for each load.
fn ratio_table(
    text: &mut String,
    kind: &str,
    loads: &[&'static str],
    results: &Results,
) -> Result<()> {
    writeln!(text, "| {kind} | {} |", loads.join(" | "))?;
    writeln!(text, "| --- |{}", " ---: |".repeat(loads.len()))?;
    for server in CONTESTANTS {
        let ratios: Vec<_> = loads
            .iter()
            .map(|load| results.ratio(load, server.name, server.floor()))
            .collect();
        if ratios.iter().all(Option::is_none) {
            continue;
        }
        write!(text, "| {} |", server_name(server))?;
        for ratio in ratios {
            write!(text, " {} |", median(ratio))?;
        }
        writeln!(text)?;
    }
    writeln!(text)?;
    Ok(())
}

fn details(
    text: &mut String,
    options: &Options,
    workload: &Workload,
    results: &Results,
) -> Result<()> {
    writeln!(text, "## {}\n", workload.name)?;
    let what = match workload.service {
        Service::Echo => "",
        Service::Sink => "Messages that the server receives, 64 at a time.\n\n",
        Service::Source => "Messages that the server sends, 64 at a time.\n\n",
    };
    write!(text, "{what}")?;
    if workload.service != Service::Echo {
        return one_way_table(text, options.contestants(workload), workload.name, results);
    }
    let servers = options.contestants(workload);
    floor_table(text, ("server", "message"), servers, workload.name, results)
}

/// A table with the ratio to the floor. Named are the contestants, and what they are measured by.
fn floor_table(
    text: &mut String,
    (kind, unit): (&str, &str),
    contestants: impl Iterator<Item = &'static Contestant>,
    load: &'static str,
    results: &Results,
) -> Result<()> {
    writeln!(
        text,
        "| {kind} | µs for each {unit} | against the floor | {unit}s/s | core |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: |")?;
    for contestant in contestants {
        let ratio = results.ratio(load, contestant.name, contestant.floor());
        row(text, load, contestant, results, &spread(ratio, 2))?;
    }
    writeln!(text)?;
    Ok(())
}

fn broadcast_table(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    if options.broadcasters().next().is_none() {
        return Ok(());
    }
    let name = broadcast::OF_LIBRARIES.name;
    writeln!(text, "## {name}\n")?;
    writeln!(
        text,
        "16 messages at once to all of 1,000 connections, of which 100 read nothing; what is \
         counted are the messages that arrive at the others.\n"
    )?;
    one_way_table(text, options.broadcasters(), name, results)
}

/// A table without a floor: that knows no orders.
fn one_way_table(
    text: &mut String,
    servers: impl Iterator<Item = &'static Contestant>,
    workload: &'static str,
    results: &Results,
) -> Result<()> {
    writeln!(
        text,
        "| server | µs for each message | against tuned tokio-tungstenite | messages/s | core |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: |")?;
    for server in servers {
        let ratio = results.ratio(workload, server.name, COMMON);
        row(text, workload, server, results, &spread(ratio, 2))?;
    }
    writeln!(text)?;
    Ok(())
}

fn handshake_table(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    if options.handshakers().next().is_none() {
        return Ok(());
    }
    writeln!(text, "## {}\n", handshakes::NAME)?;
    writeln!(
        text,
        "A connection with its handshake, one echo and its closing handshake.\n"
    )?;
    writeln!(
        text,
        "| server | µs for each connection | against the own module | connections/s | core |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: |")?;
    for server in options.handshakers() {
        let pair = handshakes::PAIRS
            .iter()
            .find(|(ours, _)| *ours == server.name);
        let ratio = pair.and_then(|&(ours, peer)| results.ratio(handshakes::NAME, ours, peer));
        row(text, handshakes::NAME, server, results, &spread(ratio, 2))?;
    }
    writeln!(text)?;
    Ok(())
}

fn row(
    text: &mut String,
    workload: &'static str,
    server: &Contestant,
    results: &Results,
    ratio: &str,
) -> Result<()> {
    let missing = || format!("{workload}: no figure of {}", server.name);
    let cost = results.cost(workload, server.name).ok_or_else(missing)?;
    let rate = results.rate(workload, server.name).ok_or_else(missing)?;
    let busy = results.busy(workload, server.name).ok_or_else(missing)?;
    let rate = if busy.median >= SATURATED {
        format!("{:.0}", rate.median)
    } else {
        "–".to_owned()
    };
    writeln!(
        text,
        "| {} | {} | {ratio} | {rate} | {:.0} % |",
        server_name(server),
        spread(Some(cost), decimals(cost.median)),
        busy.median * 100.0
    )?;
    Ok(())
}

fn memory_table(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    if options.idlers().next().is_none() {
        return Ok(());
    }
    writeln!(text, "## Idle memory\n")?;
    writeln!(
        text,
        "Resident memory with {} open connections, in KiB for each: after one message of 64 bytes, \
         and 5 s after each has had one of 1 MiB echoed, 32 of them at a time. A server that has \
         taken 2 GiB is spared the rest of the burst: its figure is that of the connections \
         which took part.\n",
        options.connections
    )?;
    writeln!(
        text,
        "| server | idle | after the burst |\n| --- | ---: | ---: |"
    )?;
    for server in options.idlers() {
        let memory = results.memory(server.name);
        let memory = memory.ok_or_else(|| format!("no memory of {}", server.name))?;
        let after_burst = memory
            .each_after_burst()
            .ok_or_else(|| format!("no memory of {} after the burst", server.name))?;
        let name = server_name(server);
        writeln!(text, "| {name} | {:.2} | {after_burst:.2} |", memory.each())?;
    }
    writeln!(text)?;
    Ok(())
}

fn target_table(text: &mut String, results: &Results) -> Result<()> {
    writeln!(text, "## Targets\n")?;
    writeln!(
        text,
        "What anyws sets out to reach. Peers of a server are those on its runtime or, in a \
         framework, the framework's own module; up to 1.03 × is a tie.\n"
    )?;
    writeln!(
        text,
        "| server | target | at most | measured | |\n| --- | --- | ---: | ---: | --- |"
    )?;
    for target in targets::all(results) {
        let verdict = match target.is_met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "not measured",
        };
        let targets::Target {
            server,
            what,
            bound,
            measured,
            ..
        } = target;
        writeln!(
            text,
            "| {server} | {what} | {bound} | {measured} | {verdict} |"
        )?;
    }
    Ok(())
}

fn server_name(server: &Contestant) -> String {
    if server.is_ours() {
        format!("**{}**", server.name)
    } else {
        server.name.to_owned()
    }
}

fn spread(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(String::new, |Spread { median, min, max }| {
        format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
    })
}

fn median(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| format!("{:.2}", spread.median))
}

/// So that there are three digits that count.
fn decimals(value: f64) -> usize {
    match value {
        ..1.0 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    }
}
