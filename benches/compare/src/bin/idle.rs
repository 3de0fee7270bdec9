//! Measures what an idle WebSocket connection costs a server in resident memory.
//!
//! ```text
//! idle ADDRESS --pid PID [--connections N] [--compressed]
//! ```

use std::env;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyws_compare::Result;
use anyws_compare::idle::{self, Plan};

fn main() -> ExitCode {
    match Arguments::parse(env::args().skip(1)).and_then(|arguments| measure(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    address: SocketAddr,
    pid: u32,
    connections: u32,
    is_compressed: bool,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut address = None;
        let mut pid = None;
        let mut connections = 8_000;
        let mut is_compressed = false;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--pid" => pid = Some(value()?.parse()?),
                "--connections" => connections = value()?.parse()?,
                "--compressed" => is_compressed = true,
                other => address = Some(other.parse()?),
            }
        }
        let usage = "usage: idle ADDRESS --pid PID [--connections N] [--compressed]";
        let (address, pid) = address.zip(pid).ok_or(usage)?;
        if connections == 0 {
            return Err("--connections must be at least 1".into());
        }
        Ok(Self {
            address,
            pid,
            connections,
            is_compressed,
        })
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let plan = Plan {
        connections: arguments.connections,
        is_raw: false,
        with_burst: false,
        is_compressed: arguments.is_compressed,
    };
    let memory = idle::measure(arguments.address, arguments.pid, plan)?;
    println!(
        "{} connections: {} KiB before, {} KiB after, {:.2} KiB each",
        memory.connections,
        memory.before,
        memory.idle,
        memory.each()
    );
    Ok(())
}
