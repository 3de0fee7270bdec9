//! What anyws sets out to reach, held against what was measured.

mod compressed;
mod hub;

use crate::broadcast::{ALL_READ, SOME_SLEEP};
use crate::client_handshakes;
use crate::contestants::{CONTESTANTS, Contestant, Runtime};
use crate::handshakes;
use crate::results::Results;
use crate::ways::{FLOOR, HUB, HUB_ON_SMOL, SENDER, SENDER_ON_SMOL};
use crate::wire::Side;
use crate::workload::WORKLOADS;

/// A difference below this is none.
const TIE: f64 = 1.03;

/// At most so many times the floor, under a load.
const FLOORS: [(&str, f64); 3] = [
    ("64B-d1-c50", 1.05),
    ("64B-d16-c50", 1.3),
    ("1KiB-d16-c16", 1.3),
];

/// No peer takes less, under these loads.
const AHEAD: [&str; 4] = ["64B-d1-c50", "16KiB-d1-c16", "1MiB-d1-c4", "64MiB-once"];

/// At most so many times what binary messages of the same size take.
const TEXT: [(&str, f64); 2] = [("ascii-16KiB-d1-c16", 1.1), ("cjk-16KiB-d1-c16", 1.2)];
const BINARY_OF_THAT_SIZE: &str = "16KiB-d1-c16";

/// At most so many KiB for each idle connection, and how many times that after a burst.
const MEMORY: [(&str, f64); 4] = [
    ("anyws_tokio", 1.3),
    ("anyws_smol", 1.3),
    ("anyws_volo", 1.7),
    ("anyws_axum", 1.7),
];
const AFTER_BURST: f64 = 2.0;

/// Our server whose handshakes may not take more than those of its framework's own module.
const HANDSHAKES_OF: &str = "anyws_volo";

/// At most so many times the floor of a broadcast.
const BROADCASTS: [(&str, f64); 4] = [
    ("broadcast-100B-d1-c100", 1.45),
    ("broadcast-100B-d1-c1000", 1.45),
    ("broadcast-100B-d1-c10000", 1.45),
    ("broadcast-100B-d16-c1000", 1.8),
];
/// The ways to broadcast that these are for.
const WAYS: [&str; 4] = [SENDER, SENDER_ON_SMOL, HUB, HUB_ON_SMOL];

/// At most so many times the latency that there is without connections that do not read: none is
/// meant, and the rest is for what else the machine does.
const BESIDE_SLEEPERS: f64 = 1.1;

/// A bound and what was measured.
#[derive(Debug)]
pub struct Target {
    pub server: &'static str,
    pub what: String,
    pub bound: String,
    pub measured: String,
    /// `None` if it was not measured.
    pub is_met: Option<bool>,
}

/// Holds all targets against the results.
#[must_use]
pub fn all(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    for (workload, limit) in FLOORS {
        for server in ours() {
            let ratio = results.ratio(workload, server.name, server.floor());
            let what = format!("{workload}: cost against the floor");
            let measured = ratio.map(|ratio| ratio.median);
            targets.push(Target::times(server.name, what, limit, measured));
        }
    }
    for workload in AHEAD {
        for server in ours() {
            targets.push(ahead(results, workload, server));
        }
    }
    for (workload, limit) in TEXT {
        for server in ours() {
            let ratio = results.ratio_of_workloads(server.name, workload, BINARY_OF_THAT_SIZE);
            let what = format!("{workload}: cost against binary");
            let measured = ratio.map(|ratio| ratio.median);
            targets.push(Target::times(server.name, what, limit, measured));
        }
    }
    for (server, limit) in MEMORY {
        let memory = results.memory(server);
        let idle = memory.map(|memory| memory.each());
        let after_burst = memory.and_then(|memory| memory.each_after_burst());
        targets.push(Target::kib(server, "idle connection", limit, idle));
        let limit = limit * AFTER_BURST;
        targets.push(Target::kib(
            server,
            "the same after a burst",
            limit,
            after_burst,
        ));
    }
    for (load, limit) in BROADCASTS {
        for way in WAYS {
            let ratio = results.ratio(load, way, FLOOR);
            let what = format!("{load}: cost against the floor");
            let measured = ratio.map(|ratio| ratio.median);
            targets.push(Target::times(way, what, limit, measured));
        }
    }
    for way in WAYS {
        let ratio = results.p99_ratio(way, SOME_SLEEP.name, ALL_READ.name);
        let what = format!("{}: p99 against none asleep", SOME_SLEEP.name);
        let measured = ratio.map(|ratio| ratio.median);
        targets.push(Target::times(way, what, BESIDE_SLEEPERS, measured));
    }
    targets.extend(hub::all(results));
    for (server, peer) in handshakes::PAIRS {
        if server == HANDSHAKES_OF {
            let ratio = results.ratio(handshakes::NAME, server, peer);
            let what = format!("handshakes: cost against {peer}");
            let measured = ratio.map(|ratio| ratio.median);
            targets.push(Target::times(server, what, TIE, measured));
        }
    }
    let of_clients = WORKLOADS.iter().filter(|load| load.side == Side::Client);
    let of_clients = of_clients.map(|load| load.name);
    for load in of_clients.chain(client_handshakes::NAMES) {
        for client in ours().filter(|server| server.client.is_some()) {
            targets.push(ahead(results, load, client));
        }
    }
    targets.extend(compressed::all(results));
    targets
}

/// Compares with the best of the peers, whichever that is.
fn ahead(results: &Results, workload: &'static str, server: &'static Contestant) -> Target {
    let worst = peers_of(server)
        .filter_map(|peer| {
            Some((
                peer,
                results.ratio(workload, server.name, peer.name)?.median,
            ))
        })
        .max_by(|(_, one), (_, other)| one.total_cmp(other));
    let what = match worst {
        Some((peer, _)) => format!("{workload}: cost against the best peer, {}", peer.name),
        None => format!("{workload}: cost against the best peer"),
    };
    Target::times(server.name, what, TIE, worst.map(|(_, ratio)| ratio))
}

/// The peers in the same place: the module of the same framework, or else all on the runtime.
fn peers_of(server: &Contestant) -> impl Iterator<Item = &'static Contestant> {
    let framework = handshakes::PAIRS
        .iter()
        .find(|(ours, _)| *ours == server.name)
        .map(|(_, peer)| *peer);
    let runtime: Runtime = server.runtime;
    CONTESTANTS.iter().filter(move |peer| {
        peer.is_peer()
            && match framework {
                Some(own_module) => peer.name.starts_with(own_module),
                None => peer.runtime == runtime,
            }
    })
}

fn ours() -> impl Iterator<Item = &'static Contestant> {
    CONTESTANTS.iter().filter(|server| server.is_ours())
}

impl Target {
    fn times(server: &'static str, what: String, limit: f64, measured: Option<f64>) -> Self {
        Self {
            server,
            what,
            bound: format!("{limit:.2} ×"),
            measured: measured.map_or_else(String::new, |measured| format!("{measured:.2} ×")),
            is_met: measured.map(|measured| measured <= limit),
        }
    }

    /// A bound in any unit.
    fn with_unit(
        server: &'static str,
        what: String,
        (limit, unit): (f64, &str),
        measured: Option<f64>,
        decimals: usize,
    ) -> Self {
        Self {
            server,
            what,
            bound: format!("{limit:.decimals$} {unit}"),
            measured: measured.map_or_else(String::new, |it| format!("{it:.decimals$} {unit}")),
            is_met: measured.map(|measured| measured <= limit),
        }
    }

    fn kib(server: &'static str, what: &str, limit: f64, measured: Option<f64>) -> Self {
        Self {
            server,
            what: what.to_owned(),
            bound: format!("{limit:.1} KiB"),
            measured: measured.map_or_else(String::new, |measured| format!("{measured:.2} KiB")),
            is_met: measured.map(|measured| measured <= limit),
        }
    }
}
