//! Measures what an opening handshake takes a client, in plain and over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::client::CERTIFICATE;
use crate::contestants::Contestant;
use crate::echo::{Sample, Window};
use crate::listener::{Listener, read_request};
use crate::process::Process;
use crate::{Result, tls};

/// The names in tables and on the command line.
pub const PLAIN: &str = "client-handshakes-plain";
pub const OVER_TLS: &str = "client-handshakes-tls";
pub const NAMES: [&str; 2] = [PLAIN, OVER_TLS];

/// So many connections at a time: enough that the client always has something to do.
const CONNECTIONS: usize = 32;
/// How long no connection may make progress.
const SILENCE: Duration = Duration::from_secs(10);

/// Lets a client open connections, and drop each after its opening handshake.
///
/// # Errors
///
/// When the client does not start or does something else.
pub fn measure(
    name: &str,
    contestant: &Contestant,
    folder: &Path,
    window: Window,
) -> Result<Sample> {
    let listener = Listener::new()?;
    let (tls, certificate) = if name == OVER_TLS {
        let (config, file) = tls::server(folder)?;
        (Some(config), file.to_string_lossy().into_owned())
    } else {
        (None, String::new())
    };
    let options: &[_] = if tls.is_some() {
        &[CERTIFICATE, &certificate]
    } else {
        &[]
    };
    let address = listener.address()?;
    let load = Load { listener, tls };
    let client = Process::start_client(contestant, folder, address, CONNECTIONS, options)?;
    load.run(window.warm_up)?;

    // Both figures are taken while the client waits for the same: as many answers.
    let before = client.processor_time()?;
    let started = Instant::now();
    let handshakes = load.run(window.measured)?;
    let elapsed = started.elapsed();
    let processor_time = client.processor_time()?.saturating_sub(before);
    Sample::new(handshakes, processor_time, elapsed)
}

/// Where the client connects to.
struct Load {
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
}

/// A connection that does not block, with or without TLS.
trait Duplex: Read + Write {}

impl<T: Read + Write> Duplex for T {}

struct Opening {
    stream: Box<dyn Duplex>,
    head: Vec<u8>,
    is_answered: bool,
}

impl Load {
    /// Accepts connections until it is time to stop, and gives the number of those answered. At the
    /// end the client waits on connections that nobody has accepted.
    fn run(&self, limit: Duration) -> Result<u64> {
        let started = Instant::now();
        let mut heard = started;
        let mut answered = 0;
        let mut openings: Vec<Opening> = Vec::new();
        loop {
            let now = Instant::now();
            if now - heard > SILENCE {
                return Err(format!("no connection goes on within {SILENCE:?}").into());
            }
            let is_stopping = now - started >= limit;
            if is_stopping && openings.is_empty() {
                return Ok(answered);
            }
            while !is_stopping && let Some(stream) = self.listener.accept()? {
                openings.push(self.open(stream)?);
                heard = now;
            }
            // All are asked in turn, and nothing ever sleeps: see `load`.
            let mut number = 0;
            while number < openings.len() {
                let opening = &mut openings[number];
                let was_answered = opening.is_answered;
                if opening.go_on()? {
                    openings.swap_remove(number);
                    heard = now;
                } else {
                    answered += u64::from(opening.is_answered && !was_answered);
                    number += 1;
                }
            }
        }
    }

    fn open(&self, stream: TcpStream) -> Result<Opening> {
        // The client closes first. A reset ends its wait for late segments (TIME-WAIT), or tens of
        // thousands of such ends make each connection slower than those before.
        set_socket_linger(&stream, Some(Duration::ZERO))?;
        let stream: Box<dyn Duplex> = match &self.tls {
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config))?;
                Box::new(StreamOwned::new(connection, stream))
            }
            None => Box::new(stream),
        };
        Ok(Opening {
            stream,
            head: Vec::new(),
            is_answered: false,
        })
    }
}

impl Opening {
    /// Answers the request if it has come, and tells whether the client has gone after that.
    fn go_on(&mut self) -> Result<bool> {
        if self.is_answered {
            return Ok(match self.stream.read(&mut [0]) {
                Ok(0) => true,
                Ok(_) => return Err("a client that drops its connection has sent more".into()),
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            });
        }
        if let Some(response) = read_request(&mut self.stream, &mut self.head)? {
            self.stream.write_all(response.as_bytes())?;
            self.is_answered = true;
        }
        Ok(false)
    }
}
