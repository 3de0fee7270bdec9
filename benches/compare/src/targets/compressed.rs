//! The targets of compression.

use super::{TIE, Target};
use crate::bomb;
use crate::broadcast::{COMPRESSED, JSON, UNCOMPRESSED};
use crate::compressed::{COMPRESSORS, Compressor, MEDIUM, SMALL, SMOL, TOKIO};
use crate::deflate::Takeover;
use crate::in_memory::{
    self, BURST_DEDICATED, BURST_WINDOW, CODEC_MEDIUM, CODEC_SMALL, ECHO_MEDIUM, ECHO_SMALL,
    IDLE_NONE, IDLE_PLAIN, IDLE_WINDOW,
};
use crate::results::Results;

/// What is measured in memory is on no runtime.
const IN_MEMORY: &str = "anyws in memory";

/// At most so many microseconds above the codec alone.
const ABOVE_CODEC: [(&str, &str, f64); 2] = [
    (ECHO_SMALL, CODEC_SMALL, 1.5),
    (ECHO_MEDIUM, CODEC_MEDIUM, 3.0),
];

/// At most so many bytes above an idle socket that has not agreed.
const ABOVE_PLAIN: [(&str, f64); 2] = [(IDLE_NONE, 64.0), (IDLE_WINDOW, 9.0 * 1024.0)];

/// A message of a burst takes at most so many microseconds, or so many times what it takes with
/// codecs of its own.
const BURST: f64 = 3.0;
const BURST_AGAINST_DEDICATED: f64 = 1.3;

/// Bytes on the wire count as the same up to here.
const SAME_BYTES: f64 = 1.01;

/// At most so many times an uncompressed broadcast of the same bytes.
const BROADCAST: f64 = 1.5;

/// What a message may take that is too big: the limit and 256 KiB; and for how long others wait.
const BOMB_MEMORY: f64 = (64 * 1024 + 256) as f64;
const BOMB_LATE: f64 = 50.0;

/// Holds them against the results.
pub fn all(results: &Results) -> Vec<Target> {
    let figure = |figure| {
        let spread = results.figure(in_memory::NAME, figure)?;
        Some(spread.median)
    };
    let difference = |one, other| Some(figure(one)? - figure(other)?);
    let mut targets = Vec::new();
    for (echo, codec, limit) in ABOVE_CODEC {
        let what = format!("{echo}: above the codec alone");
        let measured = difference(echo, codec);
        targets.push(Target::with_unit(
            IN_MEMORY,
            what,
            (limit, "µs"),
            measured,
            2,
        ));
    }
    for load in [SMALL, MEDIUM] {
        targets.push(ahead(results, load, TOKIO));
    }
    targets.push(burst(figure(BURST_WINDOW), figure(BURST_DEDICATED)));
    for (idle, limit) in ABOVE_PLAIN {
        let what = format!("{idle}: above one that has not agreed");
        let measured = difference(idle, IDLE_PLAIN);
        targets.push(Target::with_unit(
            IN_MEMORY,
            what,
            (limit, "bytes"),
            measured,
            0,
        ));
    }
    let ratio = results.ratio(JSON.name, COMPRESSED.name, UNCOMPRESSED);
    targets.push(Target::times(
        COMPRESSED.name,
        format!("{}: cost against as many bytes uncompressed", JSON.name),
        BROADCAST,
        ratio.map(|ratio| ratio.median),
    ));
    for server in [TOKIO, SMOL] {
        for (what, limit) in [
            (bomb::MEMORY, (BOMB_MEMORY, "KiB")),
            (bomb::LATE, (BOMB_LATE, "ms")),
        ] {
            let measured = results.figure(what, server).map(|figure| figure.median);
            let what = format!("{}: {what}", bomb::NAME);
            targets.push(Target::with_unit(server, what, limit, measured, 0));
        }
    }
    targets
}

/// Compares with the best of the peers that compress without takeover and send no more bytes.
fn ahead(results: &Results, load: &'static str, server: &'static str) -> Target {
    let bytes = |server| Some(results.figure(load, server)?.median);
    let sends_no_more = |peer: &&Compressor| {
        let ours = bytes(server).map(|bytes| bytes * SAME_BYTES);
        bytes(peer.name) <= ours
    };
    let worst = COMPRESSORS
        .iter()
        .filter(|peer| !peer.is_ours && peer.takeover == Some(Takeover::None))
        .filter(sends_no_more)
        .filter_map(|peer| Some((peer, results.ratio(load, server, peer.name)?.median)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other));
    let what = match worst {
        Some((peer, _)) => format!(
            "{load}: cost against the best of as few bytes, {}",
            peer.name
        ),
        None => format!("{load}: cost against the best of as few bytes"),
    };
    Target::times(server, what, TIE, worst.map(|(_, ratio)| ratio))
}

fn burst(window: Option<f64>, dedicated: Option<f64>) -> Target {
    let measured = window.zip(dedicated);
    Target {
        server: IN_MEMORY,
        what: "a message of a burst with a window, or against dedicated codecs".to_owned(),
        bound: format!("{BURST:.2} µs or {BURST_AGAINST_DEDICATED:.2} ×"),
        measured: measured.map_or_else(String::new, |(window, dedicated)| {
            format!("{window:.2} µs, {:.2} ×", window / dedicated)
        }),
        is_met: measured.map(|(window, dedicated)| {
            window < BURST || window / dedicated <= BURST_AGAINST_DEDICATED
        }),
    }
}
