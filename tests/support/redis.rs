//! A Redis server of a test's own, on a free port.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, ErrorKind, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long the server may take to start, and to answer a command.
const LIMIT: Duration = Duration::from_secs(10);

/// How long a server that starts may take to answer, until it is asked again.
const TRY: Duration = Duration::from_millis(200);

/// How long it takes until a server that refuses is asked again.
const PAUSE: Duration = Duration::from_millis(5);

/// How many ports are tried, if others take them meanwhile.
const PORTS: usize = 10;

/// Kills the process that it is given once this one has ended, however it did.
const WATCHDOG: &str = "read _; kill -KILL $0";

/// A `redis-server`, which is killed on drop, and at the end of the process at the latest.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    arguments: Vec<String>,
    directory: Directory,
    running: Option<Running>,
}

impl Redis {
    /// Starts a server that stores nothing.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with further arguments, such as `["--requirepass", "secret"]`.
    pub fn with(arguments: &[&str]) -> Self {
        let mut redis = Self {
            port: 0,
            arguments: arguments.iter().map(|&it| it.to_owned()).collect(),
            directory: Directory::new(),
            running: None,
        };
        for _ in 0..PORTS {
            redis.port = free_port();
            if redis.run() {
                return redis;
            }
        }
        panic!("redis-server has not started:\n{}", redis.log());
    }

    /// Returns the URL of the server, without a password.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Kills the server. Its connections are reset or end, and new ones are refused.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Starts the server again, on the same port. All that it knew is lost.
    pub fn restart(&mut self) {
        self.stop();
        let end = Instant::now() + LIMIT;
        while !self.run() {
            assert!(Instant::now() < end, "no restart:\n{}", self.log());
            thread::sleep(PAUSE);
        }
    }

    /// Stops the server without a word: connections stay, and the kernel accepts new ones, but
    /// nobody answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends a command on a connection of its own, and returns the reply: a list as lines, and what
    /// is missing as an empty text. An error panics.
    pub fn command<T: AsRef<[u8]>>(&self, words: &[T]) -> String {
        match self.try_command(words, LIMIT) {
            Ok(reply) => reply,
            Err(error) => panic!("redis-server: {error}\n{}", self.log()),
        }
    }

    fn try_command<T: AsRef<[u8]>>(&self, words: &[T], limit: Duration) -> io::Result<String> {
        let stream = TcpStream::connect_timeout(&self.address(), limit)?;
        stream.set_read_timeout(Some(limit))?;
        let mut stream = BufReader::new(stream);
        let mut arguments = self.arguments.iter();
        if arguments.any(|it| it == "--requirepass") {
            let password = arguments.next().expect("a password follows");
            exchange(&mut stream, &["AUTH", password])?;
        }
        exchange(&mut stream, words)
    }

    /// Starts the server, and waits until it answers. Returns `false` if it has ended: its port is
    /// somebody else's.
    fn run(&mut self) -> bool {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--logfile", "redis.log"])
            .args(&self.arguments)
            .current_dir(&self.directory.0)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("redis-server: {error}; `conformance/debian redis-server` installs it")
            });
        let running = self.running.insert(Running::new(child));
        let pid = format!("process_id:{}\r\n", running.server.id());
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            // Another server may have the port, and answers then.
            let info = self.try_command(&["INFO", "server"], TRY);
            if info.is_ok_and(|info| info.contains(&pid)) {
                return true;
            }
            let running = self.running.as_mut().expect("it was started above");
            if running.server.try_wait().unwrap().is_some() {
                return false;
            }
            thread::sleep(PAUSE);
        }
        panic!("redis-server does not answer:\n{}", self.log());
    }

    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("the server is stopped");
        kill_process(Pid::from_child(&running.server), signal).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.0.join("redis.log")).unwrap_or_default()
    }
}

/// Sends a command, and reads its reply.
fn exchange<T: AsRef<[u8]>>(stream: &mut BufReader<TcpStream>, words: &[T]) -> io::Result<String> {
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        write!(command, "${}\r\n", word.len())?;
        command.extend(word);
        command.extend(b"\r\n");
    }
    stream.get_mut().write_all(&command)?;
    reply(stream)
}

/// Reads a reply of version 2 of the protocol.
fn reply(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    let (kind, text) = line.split_at_checked(1).ok_or(ErrorKind::UnexpectedEof)?;
    let length = || text.parse::<isize>().map_err(io::Error::other);
    match kind {
        "+" | ":" => Ok(text.to_owned()),
        "*" => {
            let replies = (0..length()?).map(|_| reply(stream));
            Ok(replies.collect::<io::Result<Vec<_>>>()?.join("\n"))
        }
        "$" => {
            let Ok(length) = usize::try_from(length()?) else {
                return Ok(String::new());
            };
            // A line break follows.
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => Err(io::Error::other(line)),
    }
}

/// Returns a port that nobody has at this moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A server, and what ends it if the test cannot.
#[derive(Debug)]
struct Running {
    server: Child,
    watchdog: Child,
}

impl Running {
    fn new(server: Child) -> Self {
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, &server.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Self { server, watchdog }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The watchdog first: the server's number may soon be another's.
        for child in [&mut self.watchdog, &mut self.server] {
            // A process that has ended cannot be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A folder of its own, which is removed on drop.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "anyws-redis-{}-{}",
            process::id(),
            COUNT.fetch_add(1, Relaxed)
        );
        let path = env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left in a temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
