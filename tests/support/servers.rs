//! The echo servers of `examples/`, each as a process of its own.

use std::{
    env::{consts::EXE_SUFFIX, current_exe},
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use http::{Response, StatusCode};

use super::raw::{Raw, Request, TEXT, masked};

/// A server that takes longer to start does not.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Makes tests of a function that takes a `&Server`: one for each of the servers, so that a failure
/// names both.
#[macro_export]
macro_rules! against {
    ($test:ident: $($server:ident),+ $(,)?) => {
        mod $test {
            $(#[test]
            fn $server() {
                super::$test(&$crate::servers::Server::start(stringify!($server)));
            })+
        }
    };
}

/// A running echo server, stopped on drop.
pub struct Server {
    name: String,
    process: Child,
    address: SocketAddr,
    errors: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts an example on a free port.
    pub fn start(name: &str) -> Self {
        let path = current_exe().unwrap();
        // The tests are in `deps`, the examples beside it.
        let path = path.parent().and_then(|deps| deps.parent()).unwrap();
        let path = path.join("examples").join(format!("{name}{EXE_SUFFIX}"));
        let mut process = Command::new(&path)
            .arg("127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                let path = path.display();
                panic!("{path}: {error}; run `cargo build --examples --all-features` first")
            });
        let mut stderr = process.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error counts.
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let stdout = process.stdout.take().unwrap();
        let mut server = Self {
            name: name.to_owned(),
            process,
            // Replaced below: from here on a panic stops the process.
            address: ([127, 0, 0, 1], 0).into(),
            errors: Some(errors),
        };
        server.address = listening(stdout);
        server
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn connect(&self) -> Raw {
        Raw::connect(self.address)
    }

    /// Demands that a request is answered 101 and that the socket echoes.
    pub fn accepts(&self, request: &Request) -> Response<Vec<u8>> {
        let mut client = self.connect();
        client.send(&request.bytes());
        let answer = client
            .answer(request)
            .unwrap_or_else(|| panic!("the server closes on\n{request}"));
        assert_eq!(
            answer.status(),
            StatusCode::SWITCHING_PROTOCOLS,
            "{request}"
        );
        client.send(&masked(TEXT, b"hello"));
        assert_eq!(client.text(), "hello");
        answer
    }

    /// Demands that a request is answered by `status`, and that nothing behind it is a frame.
    pub fn refuses(&self, request: &Request, status: u16) -> Response<Vec<u8>> {
        let answer = self
            .never_accepts(request)
            .unwrap_or_else(|| panic!("the server closes on\n{request}"));
        assert_eq!(answer.status(), status, "{request}");
        answer
    }

    /// Demands an error or the end of the connection, and that nothing behind it is a frame.
    pub fn never_accepts(&self, request: &Request) -> Option<Response<Vec<u8>>> {
        let mut client = self.connect();
        client.send(&request.bytes());
        let answer = client.answer(request);
        if let Some(answer) = &answer {
            let status = answer.status();
            let is_error = status.is_client_error() || status.is_server_error();
            assert!(is_error, "{status} for\n{request}");
        }
        // Row 15: no status makes a tunnel but 101.
        let _ = client.try_send(&masked(TEXT, b"hello"));
        client.finish();
        let rest = client.rest();
        let is_http = rest.is_empty() || rest.starts_with(b"HTTP/1.");
        assert!(is_http, "{rest:?} behind the answer to\n{request}");
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have died of itself, and what it said tells why.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let errors = self.errors.take().and_then(|errors| errors.join().ok());
        let errors = errors.unwrap_or_default();
        if thread::panicking() {
            eprint!("{errors}");
        } else {
            assert!(!errors.contains("panicked at"), "{errors}");
        }
    }
}

/// Reads the address from the line that a server prints when it is ready.
fn listening(stdout: impl Read + Send + 'static) -> SocketAddr {
    let (sender, line) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        if BufReader::new(stdout).read_line(&mut line).is_ok() {
            // Nobody waits any more if it took too long.
            let _ = sender.send(line);
        }
    });
    let line = line.recv_timeout(START_LIMIT).expect("the server starts");
    line.trim_end()
        .strip_prefix("listening on ws://")
        .and_then(|line| line.strip_suffix('/'))
        .and_then(|address| address.parse().ok())
        .unwrap_or_else(|| panic!("not the line of a server: {line:?}"))
}
