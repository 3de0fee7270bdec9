//! The server's process: its start, its memory and its files.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use anyws::BoxError;

/// How long a server may take until it listens.
const STARTING: Duration = Duration::from_secs(10);

/// A running server, which is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    has_panicked: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server on a free loopback port, which it gets as its last argument, and waits until
    /// it prints `listening on URL`.
    pub(crate) fn start(binary: &str, arguments: &[&str]) -> Result<Self, BoxError> {
        let child = Command::new(binary)
            .args(arguments)
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{binary}: {error}"))?;
        // From here on, an error kills the server.
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            has_panicked: Arc::default(),
        };
        let (sender, listening) = mpsc::channel();
        let output = server.child.stdout.take().ok_or("no output")?;
        read_lines(output, move |line| {
            // Only the first line is waited for.
            let _ = sender.send(line);
        });
        let errors = server.child.stderr.take().ok_or("no error output")?;
        let has_panicked = Arc::clone(&server.has_panicked);
        read_lines(errors, move |line| {
            if line.contains("panicked at") {
                has_panicked.store(true, SeqCst);
                eprintln!("{line}");
            }
        });
        let line = listening
            .recv_timeout(STARTING)
            .map_err(|error| format!("{binary} does not listen: {error}"))?;
        let address = line.strip_prefix("listening on ws://");
        server.address = address
            .and_then(|address| address.strip_suffix('/'))
            .ok_or_else(|| format!("{binary} prints: {line}"))?
            .parse()?;
        Ok(server)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the resident memory in KiB, which is the unit of `/proc`.
    pub(crate) fn memory(&self) -> Result<u32, BoxError> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let mut lines = status.lines();
        let memory = lines
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .ok_or("the server has no memory left: it has ended")?;
        Ok(memory.parse()?)
    }

    /// Returns the number of open file descriptors.
    pub(crate) fn files(&self) -> Result<usize, BoxError> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Checks that the server has not ended, and that none of its tasks has panicked.
    pub(crate) fn check_alive(&mut self) -> Result<(), BoxError> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("the server has ended: {status}").into());
        }
        if self.has_panicked.load(SeqCst) {
            return Err("the server has panicked".into());
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails only if the server has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines on a thread, which ends with the server: a full pipe would stop it.
fn read_lines(output: impl Read + Send + 'static, mut take: impl FnMut(String) + Send + 'static) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            take(line);
        }
    });
}
