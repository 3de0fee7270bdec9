//! A Redis server of its own for a measurement.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::cores::Cores;
use crate::process::Process;

const PROGRAM: &str = "redis-server";

/// How long it may take to start.
const STARTING: Duration = Duration::from_secs(10);
/// Time between two looks whether it has.
const SAMPLE: Duration = Duration::from_millis(10);
/// Another program may take a port between its choice and its use.
const ATTEMPTS: usize = 5;

/// The version of the program.
///
/// # Errors
///
/// When it is not installed.
pub fn version() -> Result<String> {
    let output = Command::new(PROGRAM).arg("--version").output();
    let output = output
        .map_err(|error| format!("{PROGRAM}: {error}"))?
        .stdout;
    let output = String::from_utf8(output)?;
    let version = output.split(' ').find_map(|word| word.strip_prefix("v="));
    Ok(version
        .ok_or_else(|| format!("{PROGRAM} says: {output:?}"))?
        .to_owned())
}

/// A server that keeps nothing, and is killed when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    address: SocketAddr,
}

impl RedisServer {
    /// Starts it on a free port of this machine, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn start() -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            let mut command = Command::new(PROGRAM);
            command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--save", "", "--appendonly", "no"])
                .stdout(Stdio::null());
            let server = Self {
                process: Process::start(&mut command, Cores::All)?,
                address: (Ipv4Addr::LOCALHOST, port).into(),
            };
            if let Some(server) = server.wait()? {
                return Ok(server);
            }
        }
        Err(format!("{PROGRAM} does not start: try it by hand").into())
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Waits until it answers; `None` if it has ended instead.
    fn wait(mut self) -> Result<Option<Self>> {
        let limit = Instant::now() + STARTING;
        while Instant::now() < limit {
            if self.answers()? {
                return Ok(Some(self));
            }
            if !self.process.is_running()? {
                return Ok(None);
            }
            thread::sleep(SAMPLE);
        }
        Err(format!("{PROGRAM} does not answer within {STARTING:?}").into())
    }

    /// Tells whether this server answers, and not another one on its port.
    fn answers(&self) -> Result<bool> {
        let mut stream = match TcpStream::connect_timeout(&self.address, STARTING) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(false),
            stream => stream?,
        };
        stream.set_read_timeout(Some(STARTING))?;
        stream.write_all(b"INFO server\r\nQUIT\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let id = format!("process_id:{}", self.process.pid());
        Ok(answer.lines().any(|line| line == id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_its_version() {
        let version = version().unwrap();
        let parts: Vec<u32> = version.split('.').map(|it| it.parse().unwrap()).collect();
        assert!(parts >= vec![6], "{version}");
    }

    #[test]
    fn it_answers_and_ends() {
        let server = RedisServer::start().unwrap();
        let address = server.address;
        assert_eq!(server.url(), format!("redis://{address}"));
        assert!(server.answers().unwrap());
        drop(server);
        assert!(TcpStream::connect(address).is_err());
    }
}
