//! The section about ways to broadcast.

use std::fmt::Write;

use super::{SATURATED, decimals, median, spread};
use crate::Result;
use crate::broadcast::{ALL_READ, Broadcast, SMALL, SOME_SLEEP};
use crate::options::Options;
use crate::results::Results;
use crate::ways::{FLOOR, Way};

/// Writes the section, if it was asked for.
pub fn section(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    let loads: Vec<_> = options.broadcasts().collect();
    let ways: Vec<_> = options.ways().collect();
    if loads.is_empty() || ways.is_empty() {
        return Ok(());
    }
    writeln!(text, "## Broadcast\n")?;
    writeln!(
        text,
        "Ways to send the same binary message to all connections. Messages for a slow reader wait \
         in a queue of 256 at most; it misses others. A server with two threads may use all cores \
         but the load's; if the machine has two cores only, it shares the load's as well.\n"
    )?;
    for Way { name, how, .. } in &ways {
        writeln!(text, "- `{name}`: {how}.")?;
    }
    writeln!(text)?;
    for what in results.skipped() {
        writeln!(text, "**{what}**\n")?;
    }
    let is_selected = |load: &&Broadcast| loads.iter().any(|other| other.name == load.name);
    let small: Vec<_> = SMALL.iter().filter(is_selected).collect();
    if !small.is_empty() {
        writeln!(
            text,
            "100 bytes to so many connections, which all read: µs for each delivery, and against \
             the floor.\n"
        )?;
        table(text, &ways, &small, |way, load| cost(results, way, load))?;
        writeln!(text, "Deliveries a second:\n")?;
        table(text, &ways, &small, |way, load| rate(results, way, load))?;
    }
    if is_selected(&&SOME_SLEEP) {
        sleepers_table(text, &ways, results)?;
    }
    Ok(())
}

/// A row for each way, and a column for each load.
fn table(
    text: &mut String,
    ways: &[&Way],
    loads: &[&Broadcast],
    cell: impl Fn(&Way, &Broadcast) -> Option<String>,
) -> Result<()> {
    write!(text, "| way |")?;
    for load in loads {
        match load.messages {
            1 => write!(text, " {} |", load.readers)?,
            messages => write!(text, " {}, {messages} messages at once |", load.readers)?,
        }
    }
    writeln!(text, "\n| --- |{}", " ---: |".repeat(loads.len()))?;
    for way in ways {
        write!(text, "| {} |", way.name)?;
        for load in loads {
            let cell = cell(way, load).unwrap_or_else(|| "–".to_owned());
            write!(text, " {cell} |")?;
        }
        writeln!(text)?;
    }
    writeln!(text)?;
    Ok(())
}

fn cost(results: &Results, way: &Way, load: &Broadcast) -> Option<String> {
    let cost = results.cost(load.name, way.name)?;
    let cost = spread(Some(cost), decimals(cost.median));
    Some(match results.ratio(load.name, way.name, FLOOR) {
        Some(ratio) => format!("{cost}, {:.2} ×", ratio.median),
        None => cost,
    })
}

/// `None` as well where it is the load's rate and not the server's.
fn rate(results: &Results, way: &Way, load: &Broadcast) -> Option<String> {
    let rate = results.rate(load.name, way.name)?;
    let busy = results.busy(load.name, way.name)?;
    let cores = f64::from(way.threads);
    (busy.median >= SATURATED * cores).then(|| format!("{:.0}", rate.median))
}

/// What those that do not read cost the others, and the server.
fn sleepers_table(text: &mut String, ways: &[&Way], results: &Results) -> Result<()> {
    writeln!(
        text,
        "16 messages of 4 KiB at once to 90 connections that read, alone and with 10 that read \
         nothing: µs for each delivery to the 90, deliveries a second to all of them, which the \
         load bounds as well, the 99th percentile of the milliseconds until one of the 90 has all \
         16, and by how many MiB the server has grown at the end. A way without the second figure \
         waits for those that do not read, and was not run.\n"
    )?;
    writeln!(
        text,
        "| way | µs, alone | µs | deliveries/s, alone | deliveries/s | p99, alone | p99 | ratio \
         of p99 | MiB, alone | MiB |"
    )?;
    writeln!(text, "| --- |{}", " ---: |".repeat(9))?;
    let (alone, together) = (ALL_READ.name, SOME_SLEEP.name);
    for Way { name, .. } in ways {
        let [cost_alone, cost] = [alone, together].map(|load| {
            let cost = results.cost(load, name);
            spread(cost, cost.map_or(0, |cost| decimals(cost.median)))
        });
        let [rate_alone, rate] = [alone, together].map(|load| {
            let rate = results.rate(load, name);
            rate.map_or_else(String::new, |rate| format!("{:.0}", rate.median))
        });
        let [p99_alone, p99] = [alone, together].map(|load| spread(results.p99(load, name), 2));
        let ratio = median(results.p99_ratio(name, together, alone));
        let [grown_alone, grown] = [alone, together].map(|load| median(results.growth(load, name)));
        writeln!(
            text,
            "| {name} | {cost_alone} | {cost} | {rate_alone} | {rate} | {p99_alone} | {p99} | \
             {ratio} | {grown_alone} | {grown} |"
        )?;
    }
    writeln!(text)?;
    Ok(())
}
