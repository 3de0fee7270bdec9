//! The process of a server or a client: its start and end, the processor time and the memory that
//! it takes.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Result;
use crate::client::CLIENT;
use crate::compressed::Compressor;
use crate::contestants::Contestant;
use crate::cores::Cores;
use crate::server::{DEFLATE, ORDERS, TUNED};
use crate::ways::Way;

/// How long a process may take until it says that it is ready.
const STARTING: Duration = Duration::from_secs(10);
/// Where a server listens: on a port that the system chooses.
const ANY_PORT: &str = "127.0.0.1:0";

/// How the runtimes are told on how many threads to run tasks.
const THREADS: [&str; 2] = ["SMOL_THREADS", "TOKIO_WORKER_THREADS"];

/// Time for a process to go to sleep after its last reply.
const FALLING_ASLEEP: Duration = Duration::from_millis(2);

/// How long a server's memory may take to settle.
const SETTLING: Duration = Duration::from_secs(20);
/// Time between two looks at the server's memory, and how many in a row must agree.
const SAMPLE: Duration = Duration::from_millis(100);
const SAMPLES: u32 = 10;

/// A process that runs on cores of its own, and is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(command: &mut Command, cores: Cores) -> Result<Self> {
        let child = cores.start(|| command.spawn())?;
        let name = command.get_program().to_string_lossy();
        let child = child.map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { child })
    }

    /// Starts the client of a contestant, which connects to `address` so many times.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start_client(
        contestant: &Contestant,
        folder: &Path,
        address: SocketAddr,
        connections: usize,
        options: &[&str],
    ) -> Result<Self> {
        let binary = contestant.client.ok_or("this contestant has no client")?;
        let mut command = Command::new(folder.join(binary));
        command
            .arg(address.to_string())
            .args([CLIENT, &connections.to_string()])
            .args(options);
        if contestant.is_tuned() {
            command.arg(TUNED);
        }
        Self::start(&mut command, Cores::One)
    }

    /// Tells whether it has not ended yet.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processor time that all threads of the process have taken so far. To be asked when
    /// nothing is on its way: the kernel brings the figure up to date when a thread sleeps.
    ///
    /// # Errors
    ///
    /// When the process is gone or the kernel does not tell.
    pub fn processor_time(&self) -> Result<Duration> {
        thread::sleep(FALLING_ASLEEP);
        let folder = format!("/proc/{}/task", self.pid());
        let mut nanoseconds = 0;
        for task in fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))? {
            let path = task?.path().join("schedstat");
            match fs::read_to_string(&path) {
                Ok(text) => nanoseconds += running_time(&text)?,
                // A thread that helped to start and has just ended.
                Err(error) if error.kind() == ErrorKind::NotFound && nanoseconds > 0 => {}
                Err(error) => return Err(format!("{}: {error}", path.display()).into()),
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Process {
    /// Not in order: that may take its time, and nothing here needs it.
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that has said that it is ready, and is killed when this is dropped.
#[derive(Debug)]
pub struct Ready {
    process: Process,
    /// How it has said so: its first line.
    line: String,
    /// Kept open, so that the process may go on to print.
    _output: BufReader<ChildStdout>,
}

impl Ready {
    /// Starts a program and waits for its first line.
    ///
    /// # Errors
    ///
    /// When it does not start, or prints nothing in time.
    pub fn start(command: &mut Command, cores: Cores) -> Result<Self> {
        let mut process = Process::start(command.stdout(Stdio::piped()), cores)?;
        let output = process.child.stdout.take();
        let (line, output) = first_line(output.ok_or("no output of the process")?)?;
        Ok(Self {
            process,
            line,
            _output: output,
        })
    }

    /// The first line, without its end.
    #[must_use]
    pub fn line(&self) -> &str {
        self.line.trim_end()
    }
}

/// A server that listens, and is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    ready: Ready,
    address: SocketAddr,
}

impl Server {
    /// Starts a server on its own core and waits until it listens.
    ///
    /// # Errors
    ///
    /// When it does not start, or does not say where it listens.
    pub fn start(contestant: &Contestant, folder: &Path) -> Result<Self> {
        let path = folder.join(contestant.binary);
        let options: &[_] = if contestant.is_tuned() { &[TUNED] } else { &[] };
        Self::start_command(&path, options)
    }

    /// Starts the server that follows [orders](crate::orders), with the same library.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_for_orders(contestant: &Contestant, folder: &Path) -> Result<Self> {
        let binary = contestant.orders.ok_or("this server takes no orders")?;
        Self::start_command(&folder.join(binary), &[TUNED, ORDERS])
    }

    /// Starts the server that broadcasts in this way.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_way(way: &Way, folder: &Path) -> Result<Self> {
        let mut command = Command::new(folder.join(way.binary));
        command.args([ANY_PORT, way.name]);
        if way.threads == 1 {
            return Self::start_on(&mut command, Cores::One);
        }
        command.envs(THREADS.map(|runtime| (runtime, way.threads.to_string())));
        Self::start_on(&mut command, Cores::Several)
    }

    /// Starts a server that compresses, if it can; tuned or not.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_compressor(
        compressor: &Compressor,
        level: u8,
        is_tuned: bool,
        folder: &Path,
    ) -> Result<Self> {
        let deflate = compressor.deflate(level).map(|deflate| deflate.to_string());
        let mut options = Vec::new();
        if is_tuned {
            options.push(TUNED);
        }
        if let Some(deflate) = &deflate {
            options.extend([DEFLATE, deflate]);
        }
        Self::start_command(&folder.join(compressor.binary), &options)
    }

    fn start_command(path: &Path, options: &[&str]) -> Result<Self> {
        let mut command = Command::new(path);
        command.arg(ANY_PORT).args(options);
        Self::start_on(&mut command, Cores::One)
    }

    fn start_on(command: &mut Command, cores: Cores) -> Result<Self> {
        let ready = Ready::start(command, cores)?;
        let address = listening_address(ready.line())?;
        Ok(Self { ready, address })
    }

    #[must_use]
    pub fn process(&self) -> &Process {
        &self.ready.process
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Runs a program to its end and gives what it printed.
///
/// # Errors
///
/// When it fails.
pub fn run(command: &mut Command, cores: Cores) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = cores.start(|| command.stdout(Stdio::piped()).spawn())?;
    let output = child
        .and_then(Child::wait_with_output)
        .map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Raises the limit of open files as far as it goes, for this process and the servers.
///
/// # Errors
///
/// When it stays below `needed`.
pub fn allow_open_files(needed: u64) -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit)?;
    match maximum {
        Some(maximum) if maximum < needed => {
            Err(format!("{needed} open files are needed, and {maximum} allowed").into())
        }
        _ => Ok(()),
    }
}

/// The resident memory of a process in KiB, once it no longer changes.
///
/// # Errors
///
/// When it goes on to change, or the process is gone.
pub fn settled_memory(pid: u32) -> Result<u32> {
    let started = Instant::now();
    let mut last = resident_memory(pid)?;
    let mut agreeing = 1;
    while agreeing < SAMPLES {
        if started.elapsed() > SETTLING {
            return Err(format!("the server's memory still changes after {SETTLING:?}").into());
        }
        thread::sleep(SAMPLE);
        let now = resident_memory(pid)?;
        agreeing = if now == last { agreeing + 1 } else { 1 };
        last = now;
    }
    Ok(last)
}

/// The resident memory of a process in KiB, which is the unit of `/proc`.
///
/// # Errors
///
/// When the process is gone.
pub fn resident_memory(pid: u32) -> Result<u32> {
    status(pid, "VmRSS:")
}

/// The most that the resident memory of a process has been so far, in KiB.
///
/// # Errors
///
/// When the process is gone.
pub fn peak_memory(pid: u32) -> Result<u32> {
    status(pid, "VmHWM:")
}

/// A value of the process's status, in KiB.
fn status(pid: u32, name: &str) -> Result<u32> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"))
        .ok_or_else(|| format!("{path} has no {name}"))?;
    Ok(value.parse()?)
}

/// The first figure of `schedstat`: nanoseconds on a processor.
fn running_time(schedstat: &str) -> Result<u64> {
    let first = schedstat.split_whitespace().next();
    let time = first.and_then(|time| time.parse().ok());
    Ok(time.ok_or_else(|| format!("not a schedstat: {schedstat:?}"))?)
}

fn first_line(output: ChildStdout) -> Result<(String, BufReader<ChildStdout>)> {
    // Reading a pipe knows no timeout, so a thread does it. It ends with the process.
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = String::new();
        let read = output.read_line(&mut line);
        // Nobody listens any more when it took too long.
        let _ = sender.send(read.map(|_| (line, output)));
    });
    let read = receiver.recv_timeout(STARTING);
    Ok(read.map_err(|_| "the process does not say that it is ready")??)
}

fn listening_address(line: &str) -> Result<SocketAddr> {
    let address = line
        .strip_prefix("listening on ws://")
        .and_then(|rest| rest.strip_suffix('/'))
        .and_then(|address| address.parse().ok());
    Ok(address.ok_or_else(|| format!("the server says: {line:?}"))?)
}
