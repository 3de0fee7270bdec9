//! The section about compressed messages.

use std::fmt::Write;

use super::{SATURATED, decimals, spread};
use crate::broadcast::{COMPRESSED, UNCOMPRESSED};
use crate::compressed::{Compressor, Json, MEMORY};
use crate::options::Options;
use crate::results::Results;
use crate::{Result, bomb, in_memory};

/// Writes the section, if it was asked for.
pub fn section(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    let servers: Vec<_> = options.compressors().collect();
    let loads: Vec<_> = options.compressed().collect();
    let has_memory = options.idle_compressors().next().is_some();
    if !servers.is_empty() && (has_memory || !loads.is_empty()) {
        introduction(text, &servers)?;
        for load in loads {
            table(text, &servers, load, results)?;
        }
    }
    if has_memory {
        memory_table(text, &servers, options, results)?;
    }
    in_memory_table(text, results)?;
    broadcast_table(text, options, results)?;
    bomb_table(text, options, results)
}

fn introduction(text: &mut String, servers: &[&Compressor]) -> Result<()> {
    writeln!(text, "## Compressed messages\n")?;
    writeln!(
        text,
        "Echo of JSON that is compressed both ways. No window ever holds a message twice. Without \
         takeover, windows have 15 bits; with it, 12 in both directions. All servers use the level \
         in the name of the load, except where the list says otherwise. The load decompresses and \
         compares every reply before it measures, and on one connection until the end. Peers are \
         tuned as above, except in the table of memory.\n"
    )?;
    for Compressor { name, how, .. } in servers {
        writeln!(text, "- {name}: {how}.")?;
    }
    writeln!(text)?;
    Ok(())
}

fn table(text: &mut String, servers: &[&Compressor], load: &Json, results: &Results) -> Result<()> {
    writeln!(text, "### {}\n", load.name)?;
    writeln!(
        text,
        "| server | µs for each message | bytes sent for each | part of the message | messages/s \
         | core |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
    for server in servers {
        let missing = || format!("{}: no figure of {}", load.name, server.name);
        let cost = results.cost(load.name, server.name).ok_or_else(missing)?;
        let rate = results.rate(load.name, server.name).ok_or_else(missing)?;
        let busy = results.busy(load.name, server.name).ok_or_else(missing)?;
        let bytes = results.figure(load.name, server.name).ok_or_else(missing)?;
        let rate = if busy.median >= SATURATED {
            format!("{:.0}", rate.median)
        } else {
            "–".to_owned()
        };
        // A few KiB.
        #[expect(clippy::cast_precision_loss)]
        let part = bytes.median / load.payload as f64;
        writeln!(
            text,
            "| {} | {} | {:.0} | {part:.3} | {rate} | {:.0} % |",
            name(server),
            spread(Some(cost), decimals(cost.median)),
            bytes.median,
            busy.median * 100.0
        )?;
    }
    writeln!(text)?;
    Ok(())
}

fn memory_table(
    text: &mut String,
    servers: &[&Compressor],
    options: &Options,
    results: &Results,
) -> Result<()> {
    writeln!(text, "### {MEMORY}\n")?;
    writeln!(
        text,
        "Resident memory with {} idle connections, in KiB for each, after four messages of 4 KiB \
         at level 3.\n",
        options.compressed
    )?;
    writeln!(text, "| server | KiB |\n| --- | ---: |")?;
    for server in servers {
        let memory = results.figure(MEMORY, server.name);
        let memory = memory.ok_or_else(|| format!("{MEMORY}: no figure of {}", server.name))?;
        writeln!(text, "| {} | {:.2} |", name(server), memory.median)?;
    }
    writeln!(text)?;
    Ok(())
}

fn in_memory_table(text: &mut String, results: &Results) -> Result<()> {
    let figures = in_memory::FIGURES.map(|(figure, unit)| {
        let value = results.figure(in_memory::NAME, figure)?;
        Some((figure, unit, value))
    });
    if figures.iter().all(Option::is_none) {
        return Ok(());
    }
    writeln!(text, "### {}\n", in_memory::NAME)?;
    writeln!(
        text,
        "Without a network. `codec`: `flate2`, called directly, decompresses and compresses a \
         message. `echo`: a socket receives the message and sends it back. `burst`: two sockets \
         take turns and each echoes 16 messages of 300 bytes at level 1. `idle`: the bytes that a \
         socket and its task hold, as the allocator counts them, after four messages of 4 KiB.\n"
    )?;
    writeln!(text, "| figure | |\n| --- | ---: |")?;
    for (figure, unit, value) in figures.into_iter().flatten() {
        let decimals = if unit == "bytes" { 0 } else { 2 };
        writeln!(
            text,
            "| {figure} | {} {unit} |",
            spread(Some(value), decimals)
        )?;
    }
    writeln!(text)?;
    Ok(())
}

fn broadcast_table(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    let Some(load) = options.json_broadcast() else {
        return Ok(());
    };
    writeln!(text, "### {}\n", load.name)?;
    writeln!(
        text,
        "A `PreparedMessage` of 4 KiB of JSON to {} connections that have agreed to compress, sent \
         in the way `sender`. For comparison, an uncompressed message as long on the wire.\n",
        load.readers
    )?;
    writeln!(
        text,
        "| messages | µs for each delivery | against uncompressed | core |"
    )?;
    writeln!(text, "| --- | ---: | ---: | ---: |")?;
    for name in [COMPRESSED.name, UNCOMPRESSED] {
        let missing = || format!("{}: no figure of {name}", load.name);
        let cost = results.cost(load.name, name).ok_or_else(missing)?;
        let busy = results.busy(load.name, name).ok_or_else(missing)?;
        let ratio = results.ratio(load.name, name, UNCOMPRESSED);
        writeln!(
            text,
            "| {name} | {} | {} | {:.0} % |",
            spread(Some(cost), decimals(cost.median)),
            spread(ratio, 2),
            busy.median * 100.0
        )?;
    }
    writeln!(text)?;
    Ok(())
}

fn bomb_table(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    let servers: Vec<_> = options.bombed().collect();
    if servers.is_empty() {
        return Ok(());
    }
    writeln!(text, "### {}\n", bomb::NAME)?;
    writeln!(
        text,
        "A message of 97 KB that inflates to 100 MB, where 64 MiB are allowed. The server answers \
         with a Close of code 1009. KiB: the largest growth of its resident memory. ms: the \
         longest that another socket of the same thread waited for the echo of 64 bytes.\n"
    )?;
    writeln!(text, "| server | KiB | ms |\n| --- | ---: | ---: |")?;
    for server in servers {
        let figure = |figure| results.figure(figure, server.name);
        let memory = spread(figure(bomb::MEMORY), 0);
        let late = spread(figure(bomb::LATE), 1);
        writeln!(text, "| {} | {memory} | {late} |", name(server))?;
    }
    writeln!(text)?;
    Ok(())
}

fn name(server: &Compressor) -> String {
    if server.is_ours {
        format!("**{}**", server.name)
    } else {
        server.name.to_owned()
    }
}
