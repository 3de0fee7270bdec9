//! The section about the hub, besides its ways to broadcast.

use std::fmt::Write;

use super::{decimals, spread};
use crate::churn::{self, TOPICS};
use crate::hop::{self, BURST, BURSTS, LENGTH, P50, P99, RATE};
use crate::options::Options;
use crate::results::Results;
use crate::{Result, redis_server};

/// Writes the section, if it was asked for.
pub fn section(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    let hops: Vec<_> = options.hops().collect();
    if !options.has_churn() && hops.is_empty() {
        return Ok(());
    }
    writeln!(text, "## Hub\n")?;
    writeln!(
        text,
        "What a hub does besides broadcasting. Its broadcasts are among those of the section \
         above.\n"
    )?;
    if options.has_churn() {
        churn_table(text, results)?;
    }
    if !hops.is_empty() {
        hop_table(text, &hops, results)?;
    }
    Ok(())
}

fn churn_table(text: &mut String, results: &Results) -> Result<()> {
    writeln!(text, "### {}\n", churn::NAME)?;
    writeln!(
        text,
        "Sockets in memory join {TOPICS} topics and leave them, in random order. A topic has one \
         member, so a join makes it and a leave ends it. `join` and `leave`: the processor time of \
         each. `held`: the memory of a topic with its subscription, as the allocator counts it. \
         `left`: what is left of it for each topic after the last leave.\n"
    )?;
    writeln!(text, "| figure | |\n| --- | ---: |")?;
    for (figure, unit) in churn::FIGURES {
        let value = results.figure(churn::NAME, figure);
        let value = value.ok_or_else(|| format!("{}: no figure of {figure}", churn::NAME))?;
        let decimals = if unit == "bytes" { 1 } else { 2 };
        writeln!(
            text,
            "| {figure} | {} {unit} |",
            spread(Some(value), decimals)
        )?;
    }
    writeln!(text)?;
    Ok(())
}

fn hop_table(text: &mut String, hubs: &[&'static str], results: &Results) -> Result<()> {
    writeln!(text, "### {}\n", hop::NAME)?;
    writeln!(
        text,
        "Two processes, each with a hub and one socket in memory, and a Redis server, version {}. \
         All may use all cores. Times are from publishing {LENGTH} bytes in one process to \
         receiving them in the other, one message at a time. For the rate, {BURST} messages are \
         published at once, and up to {} are on their way. All messages arrive in order.\n",
        redis_server::version()?,
        BURST * BURSTS
    )?;
    writeln!(text, "| hub | p50, µs | p99, µs | messages/s |")?;
    writeln!(text, "| --- | ---: | ---: | ---: |")?;
    for hub in hubs {
        write!(text, "| {hub} |")?;
        for figure in [P50, P99, RATE] {
            let value = results.figure(figure, hub);
            let value = value.ok_or_else(|| format!("{figure}: no figure of {hub}"))?;
            let decimals = decimals(value.median);
            write!(text, " {} |", spread(Some(value), decimals))?;
        }
        writeln!(text)?;
    }
    writeln!(text)?;
    Ok(())
}
