//! How long a message takes from one hub to a hub of another process, and how many go that way a
//! second: through a Redis server.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cores::Cores;
use crate::process::{self, Ready};
use crate::redis_server::RedisServer;
use crate::ways::{HUB, HUB_ON_SMOL};
use crate::{Result, figures};

/// The name in tables and on the command line.
pub const NAME: &str = "hub-redis";

/// The binary of this package, which cargo puts beside the runner's own.
pub const BINARY: &str = "hub_redis";

/// What is measured: both processes are on the same runtime.
pub const HUBS: [&str; 2] = [HUB, HUB_ON_SMOL];

/// What the second argument of the binary asks for.
pub const ANSWER: &str = "answer";
pub const ASK: &str = "ask";

/// What the process says that answers, once it does.
pub const READY: &str = "ready";

/// Bytes of a message.
pub const LENGTH: usize = 100;
/// Messages of a burst, and how many bursts are on their way at a time.
pub const BURST: usize = 100;
pub const BURSTS: usize = 10;

// Microseconds.
pub const P50: &str = "hub-redis: p50";
pub const P99: &str = "hub-redis: p99";
// Messages a second.
pub const RATE: &str = "hub-redis: messages/s";

/// All figures.
pub const FIGURES: [&str; 3] = [P50, P99, RATE];

/// Measures all figures once, times and rate for as long as `measured` each.
///
/// # Errors
///
/// When Redis or a hub does not start, or a message is missing.
pub fn measure(hub: &str, folder: &Path, measured: Duration) -> Result<Vec<(&'static str, f64)>> {
    let redis = RedisServer::start()?;
    let command = |role| {
        let mut command = Command::new(folder.join(BINARY));
        command.args([hub, role, &redis.url()]);
        command
    };
    let answering = Ready::start(&mut command(ANSWER), Cores::All)?;
    if answering.line() != READY {
        return Err(format!("{BINARY} says: {:?}", answering.line()).into());
    }
    let mut asking = command(ASK);
    asking.arg(measured.as_millis().to_string());
    let output = process::run(&mut asking, Cores::All)?;
    figures::read(&output, &FIGURES)
}
