//! A TCP proxy that disturbs a connection: by one fault, from one stage of the connection on.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::sockopt,
};

use crate::{
    random::Random,
    raw::Raw,
    stages::{Progress, Stage, Way},
};

/// A proxy that runs for longer was forgotten: it ends by itself.
const LIFETIME: Duration = Duration::from_secs(30);

/// How long the proxy sleeps at most before it looks whether it has to stop.
const TICK: Duration = Duration::from_millis(2);

/// How many bytes the proxy holds in each direction at most. Beyond that it reads no more.
const MOST_HELD: usize = 64 * 1024;

/// How many bytes one read takes at most.
const READ_SIZE: usize = 16 * 1024;

/// The size of the kernel's buffer on each side of a connection that nobody reads, and how much a
/// slow reader takes at once.
pub const SMALL_BUFFER: usize = 16 * 1024;

/// What goes wrong. Each fault lasts from its stage on to the end of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every byte is late by this much.
    Latency(Duration),
    /// What is read at once is late by a random time of up to this much; the order stays.
    Jitter(Duration),
    /// Every byte is written on its own.
    SingleBytes,
    /// Bytes are held back for this long, and then written together.
    Coalescing(Duration),
    /// Nothing moves for this long, or until [`Proxy::end_stall`]; then everything goes on.
    Stall(Duration),
    /// The direction ends; the other one goes on.
    HalfClose(Way),
    /// Both ends are reset.
    Reset,
    /// Of what the server sends, 16 KiB at most are read in each such time.
    ReadsSlowly(Duration),
    /// Nothing that the server sends is read any more; the other direction goes on.
    NeverReads,
}

impl Fault {
    /// Returns whether all that is sent arrives in the end.
    pub fn is_benign(self) -> bool {
        !matches!(
            self,
            Self::Stall(_) | Self::HalfClose(_) | Self::Reset | Self::NeverReads
        )
    }

    /// Returns whether the kernel has to hold little of what the client does not read.
    pub fn needs_small_buffers(self) -> bool {
        matches!(self, Self::ReadsSlowly(_) | Self::NeverReads)
    }
}

/// A fault, and where it begins.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub fault: Fault,
    pub stage: Stage,
    /// The direction of the message or the Close, if the stage is within one.
    pub way: Way,
    /// What jitter is drawn from.
    pub seed: u64,
}

/// A running proxy for one connection. It ends with the connection, and on drop at the latest.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    has_to_stop: AtomicBool,
    has_begun: AtomicBool,
    /// A stall is over before its time.
    is_lifted: AtomicBool,
    writes: AtomicUsize,
}

impl Proxy {
    /// Connects a client to a server, with the proxy between them.
    pub fn connect(server: SocketAddr, plan: Plan) -> (Self, Raw) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let raw = Raw::connect(listener.local_addr().unwrap());
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(server).unwrap();
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
        }
        if plan.fault.needs_small_buffers() {
            sockopt::set_socket_recv_buffer_size(&server, SMALL_BUFFER).unwrap();
        }
        let shared = Arc::new(Shared::default());
        let relay = Relay {
            ends: [server, client],
            lanes: Default::default(),
            progress: Progress::default(),
            plan,
            began: None,
            read_at: Instant::now(),
            random: Random::new(plan.seed),
            shared: Arc::clone(&shared),
        };
        let thread = Some(thread::spawn(|| relay.run()));
        (Self { shared, thread }, raw)
    }

    /// Returns whether the connection has come to the stage where the fault begins.
    pub fn has_begun(&self) -> bool {
        self.shared.has_begun.load(SeqCst)
    }

    /// Ends a stall.
    pub fn end_stall(&self) {
        self.shared.is_lifted.store(true, SeqCst);
    }

    /// Returns how many times the proxy has written to either end.
    pub fn writes(&self) -> usize {
        self.shared.writes.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.has_to_stop.store(true, SeqCst);
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(ended.is_some_and(|it| it.is_ok()), "the proxy panicked");
        }
    }
}

/// Both directions of a connection, on the proxy's thread.
struct Relay {
    /// By [`Way`]: where a direction goes to.
    ends: [TcpStream; 2],
    lanes: [Lane; 2],
    progress: Progress,
    plan: Plan,
    /// When the fault began.
    began: Option<Instant>,
    /// When the server's bytes were read for the last time.
    read_at: Instant,
    random: Random,
    shared: Arc<Shared>,
}

/// One direction.
#[derive(Default)]
struct Lane {
    /// What was read, and from when on it may be written. An empty piece is the end.
    held: VecDeque<(Instant, Vec<u8>)>,
    /// What is being written.
    ready: Vec<u8>,
    /// The sender has ended the direction.
    is_read: bool,
    /// The end was passed on: what comes later is dropped.
    is_over: bool,
}

impl Lane {
    fn held_len(&self) -> usize {
        let held: usize = self.held.iter().map(|(_, piece)| piece.len()).sum();
        held + self.ready.len()
    }
}

impl Relay {
    fn run(mut self) {
        let end = Instant::now() + LIFETIME;
        while !self.shared.has_to_stop.load(SeqCst) && Instant::now() < end {
            match self.turn() {
                Ok(true) => self.wait(),
                Ok(false) => return,
                Err(_) => return self.reset(),
            }
        }
    }

    /// Moves what can be moved. Returns `false` once nothing more will come. An error is that of
    /// an end which is gone, or the planned one.
    fn turn(&mut self) -> io::Result<bool> {
        for way in Way::BOTH {
            if self.may_read(way) {
                self.read(way)?;
            }
            self.write(way)?;
        }
        if self.has_to_reset() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(self.lanes.iter().any(|lane| !lane.is_over))
    }

    fn has_to_reset(&self) -> bool {
        self.began.is_some() && self.plan.fault == Fault::Reset
    }

    /// Returns whether what was read in this direction should not have been.
    fn has_to_drop(&self, way: Way) -> bool {
        self.has_to_reset() || self.is_unread(way)
    }

    /// Returns whether the receiver has stopped to read.
    fn is_unread(&self, way: Way) -> bool {
        let is_deaf = self.began.is_some() && self.plan.fault == Fault::NeverReads;
        is_deaf && way == Way::ToClient
    }

    /// Returns how long the receiver pauses between two reads.
    fn pause(&self, way: Way) -> Option<Duration> {
        match self.plan.fault {
            Fault::ReadsSlowly(time) if way == Way::ToClient => self.began.map(|_| time),
            _ => None,
        }
    }

    fn may_read(&self, way: Way) -> bool {
        let lane = &self.lanes[way as usize];
        let is_held_up = self.is_stalled() || self.is_unread(way);
        let pauses = (self.pause(way)).is_some_and(|time| self.read_at.elapsed() < time);
        !lane.is_read && !is_held_up && !pauses && lane.held_len() < MOST_HELD
    }

    fn is_stalled(&self) -> bool {
        match (self.plan.fault, self.began) {
            (Fault::Stall(time), Some(began)) => {
                began.elapsed() < time && !self.shared.is_lifted.load(SeqCst)
            }
            _ => false,
        }
    }

    fn read(&mut self, way: Way) -> io::Result<()> {
        let mut bytes = vec![0; READ_SIZE];
        if self.pause(way).is_some() {
            self.read_at = Instant::now();
            bytes.truncate(SMALL_BUFFER);
        }
        let from = &mut self.ends[1 - way as usize];
        match from.read(&mut bytes) {
            Ok(0) => {
                self.lanes[way as usize].is_read = true;
                self.hold(way, Vec::new());
            }
            Ok(length) => {
                bytes.truncate(length);
                self.take(way, bytes)?;
            }
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Holds what was read. If the fault begins within it, what comes first is not disturbed.
    fn take(&mut self, way: Way, mut bytes: Vec<u8>) -> io::Result<()> {
        let Plan { stage, way: of, .. } = self.plan;
        let mut begins = None;
        for (index, &byte) in bytes.iter().enumerate() {
            self.progress.push(way, byte);
            if self.began.is_none() && begins.is_none() && self.progress.is_at(stage, of) {
                begins = Some(index + 1);
            }
        }
        if let Some(at) = begins {
            let disturbed = bytes.split_off(at);
            self.hold(way, bytes);
            self.write(way)?;
            self.begin();
            bytes = disturbed;
        }
        if !bytes.is_empty() && !self.has_to_drop(way) {
            self.hold(way, bytes);
        }
        Ok(())
    }

    fn begin(&mut self) {
        self.began = Some(Instant::now());
        self.shared.has_begun.store(true, SeqCst);
        if let Fault::HalfClose(way) = self.plan.fault {
            self.hold(way, Vec::new());
        }
    }

    /// Keeps a piece until its time has come.
    fn hold(&mut self, way: Way, piece: Vec<u8>) {
        let now = Instant::now();
        let lane = &mut self.lanes[way as usize];
        let last = lane.held.back().map(|&(due, _)| due);
        let due = match (self.plan.fault, self.began) {
            (Fault::Latency(time), Some(_)) => now + time,
            (Fault::Jitter(time), Some(_)) => now + self.random.duration(time),
            (Fault::Coalescing(time), Some(_)) => {
                let is_open = last.filter(|&due| due > now);
                is_open.unwrap_or(now + time)
            }
            _ => now,
        };
        let due = last.map_or(due, |last| last.max(due));
        lane.held.push_back((due, piece));
    }

    /// Writes what is due and what the receiver takes.
    fn write(&mut self, way: Way) -> io::Result<()> {
        if self.is_stalled() {
            return Ok(());
        }
        let lane = &mut self.lanes[way as usize];
        let to = &mut self.ends[way as usize];
        let now = Instant::now();
        let mut has_ended = false;
        while !has_ended && lane.held.front().is_some_and(|&(due, _)| due <= now) {
            let (_, piece) = lane.held.pop_front().expect("there is one");
            has_ended = piece.is_empty();
            lane.ready.extend(piece);
        }
        let is_single = self.began.is_some() && self.plan.fault == Fault::SingleBytes;
        let mut written = 0;
        while !lane.is_over && written < lane.ready.len() {
            let most = if is_single { 1 } else { lane.ready.len() };
            let end = lane.ready.len().min(written + most);
            match to.write(&lane.ready[written..end]) {
                Ok(length) => {
                    written += length;
                    self.shared.writes.fetch_add(1, SeqCst);
                }
                Err(error) if is_for_later(&error) => break,
                Err(error) => return Err(error),
            }
        }
        lane.ready.drain(..written);
        if lane.is_over {
            lane.ready.clear();
        } else if has_ended && lane.ready.is_empty() {
            lane.is_over = true;
            to.shutdown(Shutdown::Write)?;
        } else if has_ended {
            lane.held.push_front((now, Vec::new()));
        }
        Ok(())
    }

    /// Waits until something can be moved, or for a tick.
    fn wait(&self) {
        if self.is_stalled() {
            thread::sleep(TICK);
            return;
        }
        let now = Instant::now();
        let mut time = TICK;
        let mut interest = [PollFlags::empty(); 2];
        for way in Way::BOTH {
            let lane = &self.lanes[way as usize];
            if self.may_read(way) {
                interest[1 - way as usize] |= PollFlags::IN;
            }
            if !lane.ready.is_empty() {
                interest[way as usize] |= PollFlags::OUT;
            } else if let Some(&(due, _)) = lane.held.front() {
                time = time.min(due.saturating_duration_since(now));
            }
        }
        // An end that has hung up would be reported even if nothing was asked of it.
        let mut ends: Vec<PollFd<'_>> = (self.ends.iter().zip(interest))
            .filter(|(_, flags)| !flags.is_empty())
            .map(|(end, flags)| PollFd::new(end, flags))
            .collect();
        let time = Timespec::try_from(time).expect("a tick is short");
        // A signal only makes the wait shorter.
        let _ = poll(&mut ends, Some(&time));
    }

    /// Ends both connections by a reset.
    fn reset(&self) {
        for end in &self.ends {
            sockopt::set_socket_linger(end, Some(Duration::ZERO)).unwrap();
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
