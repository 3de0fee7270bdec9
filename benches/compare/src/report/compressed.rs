//! The section about compressed messages.

use std::fmt::Write;

use super::{SATURATED, decimals, spread};
use crate::Result;
use crate::compressed::{Compressor, Json, MEMORY};
use crate::options::Options;
use crate::results::Results;

/// Writes the section, if it was asked for.
pub fn section(text: &mut String, options: &Options, results: &Results) -> Result<()> {
    let servers: Vec<_> = options.compressors().collect();
    let has_loads = options.compressed().next().is_some();
    let has_memory = options.idle_compressors().next().is_some();
    if servers.is_empty() || !(has_loads || has_memory) {
        return Ok(());
    }
    writeln!(text, "## Compressed messages\n")?;
    writeln!(
        text,
        "Echo of JSON that is compressed both ways; no two messages of a window are the same. \
         Without takeover windows have 15 bits, with it 12, both ways and in all servers. The \
         load decompresses and compares all that comes before it measures, and what comes on one \
         connection to the end. Peers are tuned as above, but for the table of memory.\n"
    )?;
    for Compressor { name, how, .. } in &servers {
        writeln!(text, "- {name}: {how}.")?;
    }
    writeln!(text)?;
    for load in options.compressed() {
        table(text, &servers, load, results)?;
    }
    if has_memory {
        memory_table(text, &servers, options, results)?;
    }
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

fn name(server: &Compressor) -> String {
    if server.is_ours {
        format!("**{}**", server.name)
    } else {
        server.name.to_owned()
    }
}
