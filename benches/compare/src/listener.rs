//! The place where clients connect to.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::Result;
use crate::wire;

/// How long a client may take for a connection with its handshake.
const STARTING: Duration = Duration::from_secs(10);

/// A port of its own for each run: connections that have ended keep those of a run before.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// # Errors
    ///
    /// When the system has no port left.
    pub fn new() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// # Errors
    ///
    /// When the system does not tell.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }

    /// The next connection, which does not block; `None` if there is none yet.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn accept(&self) -> Result<Option<TcpStream>> {
        match self.0.accept() {
            Ok((stream, _)) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(Some(stream))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the next connection; with `handshake`, for that of a WebSocket.
    ///
    /// # Errors
    ///
    /// When none comes in time, or something else.
    pub fn wait(&self, handshake: bool) -> Result<TcpStream> {
        let limit = Instant::now() + STARTING;
        let mut stream = until(limit, || self.accept())?;
        if handshake {
            let mut head = Vec::new();
            let response = until(limit, || read_request(&mut stream, &mut head))?;
            stream.write_all(response.as_bytes())?;
        }
        Ok(stream)
    }
}

fn until<T>(limit: Instant, mut attempt: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    while Instant::now() < limit {
        if let Some(value) = attempt()? {
            return Ok(value);
        }
    }
    Err(format!("the client has not connected within {STARTING:?}").into())
}

/// Reads once from a stream that does not block, and gives the answer to the request once that is
/// whole.
///
/// # Errors
///
/// When the connection ends, or something else comes.
pub fn read_request(stream: &mut impl Read, head: &mut Vec<u8>) -> Result<Option<String>> {
    let mut chunk = [0; 1024];
    match stream.read(&mut chunk) {
        Ok(0) => Err("the client has ended a connection before its request".into()),
        Ok(length) => {
            head.extend_from_slice(&chunk[..length]);
            wire::respond(head)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_client_of_the_load_connects_to_it() {
        let listener = Listener::new().unwrap();
        let address = listener.address().unwrap();
        let client = thread::spawn(move || wire::connect(address, true));
        listener.wait(true).unwrap();
        // It checks the answer.
        client.join().unwrap().unwrap();
    }

    #[test]
    fn another_request_is_refused() {
        let listener = Listener::new().unwrap();
        let mut client = TcpStream::connect(listener.address().unwrap()).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert!(listener.wait(true).is_err());
    }
}
