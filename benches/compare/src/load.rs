//! Many connections on one thread, with as little work as possible for each message.

use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::Result;
use crate::batch::Batch;
use crate::courses::Courses;
use crate::reply::Reply;
use crate::wire::Side;

/// How long no connection may make progress.
const SILENCE: Duration = Duration::from_secs(10);
/// The load asks again at once and never sleeps: a server would have to wake it, the quicker the
/// load is and the slower the server, and the time that this takes is not the server's work. The
/// same holds for a client.
const NO_WAIT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};
/// How much longer than asked for a run may take, until the last reply is there.
const GRACE: Duration = Duration::from_secs(60);
const EVENTS: usize = 256;
const READ_BUFFER: usize = 256 << 10;

/// When no more is sent.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Each connection has sent one batch.
    OneBatchEach,
    /// So much time has passed.
    Elapsed(Duration),
}

/// The connections to one server, or from one client.
#[derive(Debug)]
pub struct Load<'a> {
    epoll: OwnedFd,
    batches: &'a [Batch],
    /// How many bytes a write takes at most.
    write: usize,
    /// Connections that wait for their turn to write on.
    waiting: Vec<usize>,
    connections: Vec<Connection>,
    /// Bytes that have come back.
    received: u64,
    /// One for all connections, since all of it is checked before the next read.
    read_buffer: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// Which batch is on its way.
    batch: usize,
    written: usize,
    reply: Reply,
    waits_to_write: bool,
}

impl<'a> Load<'a> {
    /// Takes connections that are open and that nothing is on its way on.
    ///
    /// `is_raw` is for a server that knows no frames and sends back what it gets.
    ///
    /// # Errors
    ///
    /// When the system has no room for them.
    pub fn new(streams: Vec<TcpStream>, batches: &'a [Batch], is_raw: bool) -> Result<Self> {
        // Neighbours send different bytes.
        let first = |number| number % batches.len();
        Self::start(streams, batches, first, || Reply::new(is_raw))
    }

    /// The same for compressed messages: those of a course for each connection.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_courses(streams: Vec<TcpStream>, courses: &'a Courses) -> Result<Self> {
        let first = |number| courses.first(number);
        Self::start(streams, courses.batches(), first, || courses.reply())
    }

    /// The same for the connections of a client, which sends back what it gets.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_client(streams: Vec<TcpStream>, batches: &'a [Batch]) -> Result<Self> {
        let first = |number| number % batches.len();
        Self::start(streams, batches, first, || Reply::of(Side::Client))
    }

    fn start(
        streams: Vec<TcpStream>,
        batches: &'a [Batch],
        first: impl Fn(usize) -> usize,
        reply: impl Fn() -> Reply,
    ) -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut connections = Vec::new();
        for (number, stream) in streams.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            let data = EventData::new_u64(number as u64);
            epoll::add(&epoll, &stream, data, EventFlags::IN)?;
            connections.push(Connection {
                stream,
                batch: first(number),
                written: 0,
                reply: reply(),
                waits_to_write: false,
            });
        }
        Ok(Self {
            epoll,
            batches,
            write: usize::MAX,
            waiting: Vec::new(),
            connections,
            received: 0,
            read_buffer: vec![0; READ_BUFFER],
        })
    }

    /// Writes so many bytes at most, and lets others write before the next ones.
    #[must_use]
    pub fn in_writes_of(mut self, bytes: usize) -> Self {
        self.write = bytes;
        self
    }

    /// From now on decompresses what comes on the first connection alone.
    pub fn unpack_few(&mut self) {
        for connection in self.connections.iter_mut().skip(1) {
            connection.reply.stop_unpacking();
        }
    }

    /// How many bytes have come back so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Sends until it is time to stop and receives all replies; gives the number of messages
    /// that were echoed. At the end nothing is on its way.
    ///
    /// # Errors
    ///
    /// When a reply is wrong or missing, or a connection ends.
    pub fn run(&mut self, until: Until) -> Result<u64> {
        self.run_and_note(until, || {})
    }

    /// Like [`run`](Self::run), and calls `note` at the end of each reply.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_and_note(&mut self, until: Until, mut note: impl FnMut()) -> Result<u64> {
        let started = Instant::now();
        let (limit, mut is_stopping) = match until {
            Until::OneBatchEach => (Duration::ZERO, true),
            Until::Elapsed(limit) => (limit, false),
        };
        let mut answered = 0;
        let mut busy = self.connections.len();
        for number in 0..self.connections.len() {
            self.send(number)?;
        }

        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut heard = started.elapsed();
        while busy > 0 {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&NO_WAIT)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let elapsed = started.elapsed();
            if !events.is_empty() {
                heard = elapsed;
            } else if elapsed > heard + SILENCE {
                return Err(format!("no reply within {SILENCE:?}").into());
            }
            if elapsed > limit + GRACE {
                return Err(format!("no end after {elapsed:?}").into());
            }
            is_stopping |= elapsed >= limit;

            for number in mem::take(&mut self.waiting) {
                self.send(number)?;
            }
            for event in &events {
                let number = usize::try_from(event.data.u64())?;
                let flags = event.flags;
                if flags.contains(EventFlags::OUT) {
                    self.send(number)?;
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR)
                    && self.receive(number)?
                {
                    note();
                    answered += self.finish_batch(number);
                    if is_stopping {
                        busy -= 1;
                    } else {
                        self.send(number)?;
                    }
                }
            }
        }
        Ok(answered)
    }

    /// Gives the connections back, as they were taken.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn into_streams(self) -> Result<Vec<TcpStream>> {
        let streams = self.connections.into_iter().map(|connection| {
            epoll::delete(&self.epoll, &connection.stream)?;
            connection.stream.set_nonblocking(false)?;
            Ok(connection.stream)
        });
        streams.collect()
    }

    /// Writes what is left of the batch, as far as the system takes it and others need not wait.
    fn send(&mut self, number: usize) -> Result<()> {
        let connection = &mut self.connections[number];
        let frames = &self.batches[connection.batch].frames;
        while connection.written < frames.len() {
            let rest = &frames[connection.written..];
            match connection.stream.write(&rest[..rest.len().min(self.write)]) {
                Ok(length) if length < rest.len() && length == self.write => {
                    connection.written += length;
                    self.waiting.push(number);
                    return Ok(());
                }
                Ok(length) => connection.written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let waits_to_write = connection.written < frames.len();
        if waits_to_write != connection.waits_to_write {
            connection.waits_to_write = waits_to_write;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, waits_to_write);
            let data = EventData::new_u64(number as u64);
            epoll::modify(&self.epoll, &connection.stream, data, flags)?;
        }
        Ok(())
    }

    /// Reads once, and tells whether the reply is complete.
    fn receive(&mut self, number: usize) -> Result<bool> {
        let connection = &mut self.connections[number];
        let length = match connection.stream.read(&mut self.read_buffer) {
            Ok(0) => return Err("the other side ended a connection".into()),
            Ok(length) => length,
            Err(error) if is_transient(&error) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.received += length as u64;
        let batch = &self.batches[connection.batch];
        connection.reply.take(batch, &self.read_buffer[..length])
    }

    /// Turns to the next batch; gives the number of messages in the one that is done.
    fn finish_batch(&mut self, number: usize) -> u64 {
        let connection = &mut self.connections[number];
        let Batch { count, next, .. } = self.batches[connection.batch];
        connection.batch = next;
        connection.written = 0;
        connection.reply.reset();
        count as u64
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
