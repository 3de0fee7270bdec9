//! What is to be run: the command line of the runner.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;
use crate::broadcast::{self, Broadcast};
use crate::compressed::{self, COMPRESSORS, Compressor, Json};
use crate::contestants::{CONTESTANTS, Contestant};
use crate::echo::Window;
use crate::ways::{HUB, WAYS, Way};
use crate::wire::Side;
use crate::workload::{Group, Service, WORKLOADS, Workload};
use crate::{bomb, churn, client_handshakes, handshakes, hop, idle, in_memory};

/// The text that `--help` prints.
pub const USAGE: &str = "\
usage: benches/compare/run [--quick] [--only NAMES] [--servers NAMES] [--output FOLDER]

  --quick           short and few runs, to try it out; no way to broadcast to more than 100
  --only NAMES      workloads whose names contain one of these, separated by commas
  --servers NAMES   servers, and clients, whose names contain one of these
  --output FOLDER   where RESULTS.md and results.svg go
  --list            only prints the names

The loads hub-churn and hub-redis measure the hub by itself; hub-redis starts a redis-server. What
a hub takes to broadcast is among the ways to do so: --only broadcast --servers floor,hub

Without options it takes 45 to 55 minutes and writes to benches/. With any of the first three
it writes to benches/compare/target/, so that a partial result does not replace a whole one.";

/// What is to be run, and where the results go.
#[derive(Debug)]
pub struct Options {
    pub rounds: usize,
    pub window: Window,
    /// Idle connections.
    pub connections: u32,
    /// Idle connections that compress, and connections that JSON is broadcast to.
    pub compressed: usize,
    /// To how many connections the ways to broadcast send at most.
    broadcast_to: usize,
    pub output: PathBuf,
    /// Everything is run, as long as it should be.
    pub is_whole: bool,
    workloads: Names,
    servers: Names,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    Run(Box<Options>),
    List,
    Help,
}

impl Options {
    /// # Errors
    ///
    /// When it is not understood, or nothing is selected.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command> {
        let mut is_quick = false;
        let mut workloads = Names::All;
        let mut servers = Names::All;
        let mut output = None;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => is_quick = true,
                "--only" => workloads = Names::parse(&value()?),
                "--servers" => servers = Names::parse(&value()?),
                "--output" => output = Some(PathBuf::from(value()?)),
                "--list" => return Ok(Command::List),
                "--help" | "-h" => return Ok(Command::Help),
                other => return Err(format!("no such option: {other}\n\n{USAGE}").into()),
            }
        }
        let is_whole = !is_quick && workloads == Names::All && servers == Names::All;
        let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let usual = if is_whole { ".." } else { "target" };
        let options = Self {
            rounds: if is_quick { 3 } else { 7 },
            window: if is_quick {
                Window {
                    warm_up: Duration::from_millis(30),
                    measured: Duration::from_millis(100),
                }
            } else {
                Window {
                    warm_up: Duration::from_millis(150),
                    measured: Duration::from_millis(450),
                }
            },
            connections: if is_quick { 1_000 } else { 8_000 },
            compressed: if is_quick { 100 } else { 1_000 },
            broadcast_to: if is_quick { 100 } else { usize::MAX },
            output: output.unwrap_or_else(|| package.join(usual)),
            is_whole,
            workloads,
            servers,
        };
        options.check()?;
        Ok(Command::Run(Box::new(options)))
    }

    fn check(&self) -> Result<()> {
        let servers: Vec<_> = server_names().collect();
        if let Some(name) = self.servers.unknown(&servers) {
            return Err(format!("no server's name contains {name:?}; see --list").into());
        }
        let workloads: Vec<_> = workload_names().collect();
        if let Some(name) = self.workloads.unknown(&workloads) {
            return Err(format!("no workload's name contains {name:?}; see --list").into());
        }
        let large = broadcast::of_ways().filter(|load| !self.is_small(load));
        let large: Vec<_> = large.map(|load| load.name).collect();
        let runs = |name: &&str| !large.contains(name);
        let workloads: Vec<_> = workload_names().filter(runs).collect();
        if let Some(name) = self.workloads.unknown(&workloads) {
            return Err(format!("--quick leaves out {name:?}").into());
        }
        Ok(())
    }

    /// The workloads that were selected.
    pub fn workloads(&self) -> impl Iterator<Item = &'static Workload> {
        WORKLOADS
            .iter()
            .filter(|workload| self.workloads.contain(workload.name))
    }

    /// Those of them that measure one side.
    pub fn workloads_of(&self, side: Side) -> impl Iterator<Item = &'static Workload> {
        self.workloads().filter(move |load| load.side == side)
    }

    /// The contestants that were selected and take part in the workload.
    #[must_use]
    pub fn contestants(
        &self,
        workload: &Workload,
    ) -> impl DoubleEndedIterator<Item = &'static Contestant> {
        let Workload {
            side,
            service,
            group,
            ..
        } = *workload;
        self.selected().filter(move |server| match (side, service) {
            (Side::Client, _) => server.client.is_some(),
            (Side::Server, Service::Echo) => group == Group::Core || server.in_tail,
            (Side::Server, _) => server.orders.is_some(),
        })
    }

    /// The servers whose handshakes are measured.
    #[must_use]
    pub fn handshakers(&self) -> impl DoubleEndedIterator<Item = &'static Contestant> {
        let runs = self.workloads.contain(handshakes::NAME);
        self.selected().filter(move |server| {
            let is_named = |&(ours, peer)| [ours, peer].contains(&server.name);
            runs && handshakes::PAIRS.iter().any(is_named)
        })
    }

    /// The loads of handshakes of clients that were selected.
    pub fn client_handshakes(&self) -> impl Iterator<Item = &'static str> {
        let is_selected = |name: &&str| self.workloads.contain(name);
        client_handshakes::NAMES.into_iter().filter(is_selected)
    }

    /// The clients that were selected.
    #[must_use]
    pub fn clients(&self) -> impl DoubleEndedIterator<Item = &'static Contestant> {
        self.selected().filter(|server| server.client.is_some())
    }

    /// The servers that send to many.
    #[must_use]
    pub fn broadcasters(&self) -> impl DoubleEndedIterator<Item = &'static Contestant> {
        let runs = self.workloads.contain(broadcast::OF_LIBRARIES.name);
        self.selected()
            .filter(move |server| runs && server.orders.is_some())
    }

    /// The loads of the ways to broadcast that were selected.
    pub fn broadcasts(&self) -> impl Iterator<Item = &'static Broadcast> {
        broadcast::of_ways().filter(|load| self.is_small(load) && self.workloads.contain(load.name))
    }

    /// The ways to broadcast that were selected.
    #[must_use]
    pub fn ways(&self) -> impl DoubleEndedIterator<Item = &'static Way> {
        WAYS.iter().filter(|way| self.servers.contain(way.name))
    }

    fn is_small(&self, load: &Broadcast) -> bool {
        load.connections() <= self.broadcast_to
    }

    /// The servers whose memory is measured; a tuned one holds what its buffers are set to.
    pub fn idlers(&self) -> impl Iterator<Item = &'static Contestant> {
        let runs = self.workloads.contain(idle::NAME);
        self.selected()
            .filter(move |server| runs && !server.is_tuned())
    }

    /// The loads of compressed messages that were selected.
    pub fn compressed(&self) -> impl Iterator<Item = &'static Json> {
        compressed::LOADS
            .iter()
            .filter(|load| self.workloads.contain(load.name))
    }

    /// The servers that compress and were selected.
    #[must_use]
    pub fn compressors(&self) -> impl DoubleEndedIterator<Item = &'static Compressor> {
        COMPRESSORS
            .iter()
            .filter(|server| self.servers.contain(server.name))
    }

    /// Those of them whose memory is measured.
    pub fn idle_compressors(&self) -> impl Iterator<Item = &'static Compressor> {
        let runs = self.workloads.contain(compressed::MEMORY);
        self.compressors().filter(move |_| runs)
    }

    /// The servers that are sent a message which is too big once it is decompressed: ours.
    pub fn bombed(&self) -> impl Iterator<Item = &'static Compressor> {
        let runs = self.workloads.contain(bomb::NAME);
        self.compressors()
            .filter(move |server| runs && server.is_default())
    }

    /// The broadcast of JSON, if it was selected.
    #[must_use]
    pub fn json_broadcast(&self) -> Option<Broadcast> {
        let load = Broadcast {
            readers: self.compressed,
            ..broadcast::JSON
        };
        let runs =
            self.workloads.contain(load.name) && self.servers.contain(broadcast::COMPRESSED.name);
        runs.then_some(load)
    }

    /// Whether compression is measured in memory.
    #[must_use]
    pub fn has_in_memory(&self) -> bool {
        self.workloads.contain(in_memory::NAME) && self.servers.contain(in_memory::SERVER)
    }

    /// Whether joins and leaves of a hub are measured.
    #[must_use]
    pub fn has_churn(&self) -> bool {
        self.workloads.contain(churn::NAME) && self.servers.contain(HUB)
    }

    /// The hubs that send through Redis.
    #[must_use]
    pub fn hops(&self) -> impl DoubleEndedIterator<Item = &'static str> {
        let runs = self.workloads.contain(hop::NAME);
        hop::HUBS
            .into_iter()
            .filter(move |hub| runs && self.servers.contain(hub))
    }

    fn selected(&self) -> impl DoubleEndedIterator<Item = &'static Contestant> {
        CONTESTANTS
            .iter()
            .filter(|server| self.servers.contain(server.name))
    }
}

/// The names of all workloads, those of a kind of their own in the end.
pub fn workload_names() -> impl Iterator<Item = &'static str> {
    let echoing = WORKLOADS.iter().map(|workload| workload.name);
    let ways = broadcast::of_ways().map(|load| load.name);
    let compressed = compressed::LOADS.iter().map(|load| load.name);
    echoing
        .chain(compressed)
        .chain([compressed::MEMORY, in_memory::NAME, bomb::NAME])
        .chain([broadcast::JSON.name])
        .chain([broadcast::OF_LIBRARIES.name])
        .chain(ways)
        .chain([churn::NAME, hop::NAME])
        .chain([handshakes::NAME, idle::NAME])
        .chain(client_handshakes::NAMES)
}

/// The names of all servers, those that compress and those that are ways to broadcast in the end.
pub fn server_names() -> impl Iterator<Item = &'static str> {
    let contestants = CONTESTANTS.iter().map(|server| server.name);
    let compressors = COMPRESSORS.iter().map(|server| server.name);
    contestants
        .chain(compressors)
        .chain([in_memory::SERVER, broadcast::COMPRESSED.name])
        .chain(WAYS.iter().map(|way| way.name))
}

#[derive(Debug, PartialEq)]
enum Names {
    All,
    Containing(Vec<String>),
}

impl Names {
    fn parse(list: &str) -> Self {
        Self::Containing(list.split(',').map(str::to_owned).collect())
    }

    fn contain(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Containing(parts) => parts.iter().any(|part| name.contains(part.as_str())),
        }
    }

    /// A part that no name contains.
    fn unknown(&self, names: &[&str]) -> Option<&str> {
        let Self::Containing(parts) = self else {
            return None;
        };
        let is_known = |part: &&String| names.iter().any(|name| name.contains(part.as_str()));
        parts
            .iter()
            .find(|part| !is_known(part))
            .map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Options> {
        match Options::parse(arguments.split(' ').map(str::to_owned))? {
            Command::Run(options) => Ok(*options),
            other => Err(format!("{other:?}").into()),
        }
    }

    #[test]
    fn a_quick_run_broadcasts_to_few() {
        let names = |arguments| -> Vec<_> {
            let options = parse(arguments).unwrap();
            options.broadcasts().map(|load| load.name).collect()
        };
        assert_eq!(names("--quick --only 100B"), ["broadcast-100B-d1-c100"]);
        assert_eq!(names("--only 100B").len(), broadcast::SMALL.len());
        assert!(parse("--only c1000").is_ok());
        let error = parse("--quick --only c1000").unwrap_err().to_string();
        assert_eq!(error, "--quick leaves out \"c1000\"");
    }

    #[test]
    fn a_hub_is_selected_by_its_loads_and_by_its_runtime() {
        let options = parse("--only hub-").unwrap();
        assert!(options.has_churn());
        assert_eq!(options.hops().collect::<Vec<_>>(), hop::HUBS);
        assert_eq!(options.broadcasts().count(), 0);
        let options = parse("--only hub-redis,100B --servers floor,smol").unwrap();
        assert!(!options.has_churn());
        assert_eq!(options.hops().collect::<Vec<_>>(), ["hub on smol"]);
        let ways: Vec<_> = options.ways().map(|way| way.name).collect();
        let on_smol = [
            "floor",
            "sender on smol",
            "hub on smol",
            "hub on smol on 2 threads",
        ];
        assert_eq!(ways, on_smol);
    }

    #[test]
    fn clients_take_part_in_the_loads_of_clients() {
        let options = parse("--only client-64B-d1- --servers anyws,yawc").unwrap();
        let loads: Vec<_> = options.workloads_of(Side::Client).collect();
        let [load] = loads[..] else {
            panic!("{loads:?}");
        };
        let names: Vec<_> = options.contestants(load).map(|it| it.name).collect();
        assert_eq!(names, ["anyws_tokio", "anyws_smol", "yawc", "yawc tuned"]);
        assert_eq!(options.workloads_of(Side::Server).count(), 0);
        assert_eq!(options.client_handshakes().count(), 0);
    }

    #[test]
    fn servers_and_ways_are_selected_by_name() {
        let options = parse("--servers floor_tokio,mpsc").unwrap();
        let servers: Vec<_> = options.selected().map(|server| server.name).collect();
        let ways: Vec<_> = options.ways().map(|way| way.name).collect();
        assert_eq!((servers, ways), (vec!["floor_tokio"], vec!["mpsc"]));
        assert!(parse("--servers nobody").is_err());
    }
}
