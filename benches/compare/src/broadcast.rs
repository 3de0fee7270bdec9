//! Measures what a server takes to send the same messages to many, and some of them may not read.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::Result;
use crate::batch::Batch;
use crate::courses::Courses;
use crate::deflate::{Deflate, Packer, Takeover};
use crate::echo::{Sample, Window};
use crate::figures::percentile;
use crate::json;
use crate::load::{Load, Until};
use crate::orders::{FILLING, Order};
use crate::process::{Server, resident_memory};
use crate::random::Random;
use crate::ways::Way;
use crate::wire::{self, BINARY, TEXT};

/// A load of messages to many connections.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast {
    /// The name in tables and on the command line; names are stable.
    pub name: &'static str,
    /// Connections that read all, and such that read nothing.
    pub readers: usize,
    pub sleepers: usize,
    /// Messages that are published at once, and their length.
    pub messages: usize,
    pub length: usize,
}

/// Against servers of all libraries.
pub const OF_LIBRARIES: Broadcast = Broadcast {
    name: "broadcast-1KiB-to-1000",
    readers: 900,
    sleepers: 100,
    messages: 16,
    length: 1 << 10,
};

/// Against all [ways](crate::ways) to broadcast: what a delivery costs.
pub const SMALL: [Broadcast; 4] = [
    small("broadcast-100B-d1-c100", 100, 1),
    small("broadcast-100B-d1-c1000", 1_000, 1),
    small("broadcast-100B-d1-c10000", 10_000, 1),
    small("broadcast-100B-d16-c1000", 1_000, 16),
];

/// The same connections without and with others that do not read.
pub const ALL_READ: Broadcast = Broadcast {
    name: "broadcast-4KiB-d16-c90",
    readers: 90,
    sleepers: 0,
    messages: 16,
    length: 4 << 10,
};
pub const SOME_SLEEP: Broadcast = Broadcast {
    name: "broadcast-4KiB-d16-c90-and-10-asleep",
    sleepers: 10,
    ..ALL_READ
};

/// Of JSON that is compressed, and of other messages that are as long as that is then. How many
/// read is an [option](crate::options).
pub const JSON: Broadcast = Broadcast {
    name: "json-broadcast",
    readers: 0,
    sleepers: 0,
    messages: 1,
    length: 4 << 10,
};
/// The way whose members agree to compress, and what the other one is called beside it.
pub const COMPRESSED: Way = Way {
    name: "compressed",
    binary: "broadcast_tokio",
    how: "the same as `sender`, of JSON, to members that have agreed to compress it",
    is_raw: false,
    waits: false,
    threads: 1,
};
pub const UNCOMPRESSED: &str = "uncompressed";

/// How the members of [`COMPRESSED`] compress: as the default is.
const DEFLATE: Deflate = Deflate {
    takeover: Takeover::None,
    level: 3,
};

/// The messages of JSON that [`COMPRESSED`] sends.
#[must_use]
pub fn json(length: usize) -> Vec<u8> {
    json::message(length, &mut Random::new(4))
}

/// All loads against the ways to broadcast.
pub fn of_ways() -> impl Iterator<Item = &'static Broadcast> {
    SMALL.iter().chain([&ALL_READ, &SOME_SLEEP])
}

/// The kernel's buffer of a connection that reads nothing: it is full at once.
const SLEEPERS_BUFFER: usize = 4 << 10;

/// Connections that are opened at the same time: fewer than wait for a listener by default.
const OPENED_AT_ONCE: usize = 100;

/// Open files beside the connections: standard streams, the publisher, `/proc`.
const SPARE_FILES: u64 = 32;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What else came out of one run against one server.
#[derive(Clone, Copy, Debug)]
pub struct Deliveries {
    /// Milliseconds from publishing until the last message has arrived at a connection: 99 % of
    /// the times were at most that.
    pub p99: f64,
    /// By how much the server's resident memory has grown since all had joined, in MiB.
    pub memory: f64,
}

const fn small(name: &'static str, readers: usize, messages: usize) -> Broadcast {
    Broadcast {
        name,
        readers,
        sleepers: 0,
        messages,
        length: 100,
    }
}

impl Broadcast {
    /// Tells whether the way can carry this load.
    #[must_use]
    pub fn suits(&self, way: &Way) -> bool {
        self.sleepers == 0 || !way.waits
    }

    #[must_use]
    pub fn connections(&self) -> usize {
        self.readers + self.sleepers
    }

    /// How many files server and load each have open.
    #[must_use]
    pub fn open_files(&self) -> u64 {
        self.connections() as u64 + SPARE_FILES
    }

    /// Has messages published, again and again, as soon as all that read have the ones before.
    /// What is counted are the messages that arrive.
    ///
    /// `is_raw` is for a server that takes no handshake, and an order as a line.
    ///
    /// # Errors
    ///
    /// When a message is wrong or missing.
    pub fn measure(
        &self,
        server: &Server,
        is_raw: bool,
        window: Window,
    ) -> Result<(Sample, Deliveries)> {
        let mut sleepers = join(server.address(), is_raw, None, self.connections())?;
        let readers = sleepers.split_off(self.sleepers);
        for sleeper in &sleepers {
            set_socket_recv_buffer_size(sleeper, SLEEPERS_BUFFER)?;
        }
        let batches = [self.batch(vec![FILLING; self.length])];
        let load = Load::new(readers, &batches, false)?;
        let measured = self.publish(server, is_raw, load, window);
        drop(sleepers);
        measured
    }

    /// Does so with JSON, and the members decompress it.
    ///
    /// # Errors
    ///
    /// When a message is wrong or missing.
    pub fn measure_json(&self, server: &Server, window: Window) -> Result<Sample> {
        let readers = join(server.address(), false, Some(DEFLATE), self.readers)?;
        let courses = Courses::of_one(self.batch(json(self.length)), DEFLATE);
        let load = Load::of_courses(readers, &courses)?;
        Ok(self.publish(server, false, load, window)?.0)
    }

    /// The load whose messages are as long as compressed JSON.
    ///
    /// # Errors
    ///
    /// When it cannot be compressed.
    pub fn as_compressed(self) -> Result<Self> {
        let mut payload = Vec::new();
        Packer::new(DEFLATE).pack(&json(self.length), &mut payload)?;
        Ok(Self {
            length: payload.len(),
            ..self
        })
    }

    /// What each connection receives.
    fn batch(&self, message: Vec<u8>) -> Batch {
        Batch {
            frames: Vec::new(),
            count: self.messages,
            opcode: BINARY,
            messages: vec![message; self.messages],
            pings: Vec::new(),
            next: 0,
        }
    }

    fn publish(
        &self,
        server: &Server,
        is_raw: bool,
        mut load: Load<'_>,
        window: Window,
    ) -> Result<(Sample, Deliveries)> {
        let mut publisher = wire::connect(server.address(), !is_raw)?;
        let order = Order::Publish {
            count: self.messages,
            length: self.length,
        };
        let order = encode(&order, is_raw);
        let mut times = Vec::new();
        let mut publish = |load: &mut Load<'_>, times: &mut Vec<Duration>| {
            let since = Instant::now();
            publisher.write_all(&order)?;
            load.run_and_note(Until::OneBatchEach, || times.push(since.elapsed()))
        };
        let memory = resident_memory(server.process().pid())?;

        let warming_up = Instant::now();
        while warming_up.elapsed() < window.warm_up {
            publish(&mut load, &mut times)?;
        }
        load.unpack_few();
        times.clear();
        let before = server.process().processor_time()?;
        let started = Instant::now();
        let mut arrived = 0;
        while started.elapsed() < window.measured {
            arrived += publish(&mut load, &mut times)?;
        }
        let elapsed = started.elapsed();
        let processor_time = server.process().processor_time()?.saturating_sub(before);
        let deliveries = Deliveries {
            p99: percentile(&mut times, 99).as_secs_f64() * 1e3,
            memory: (f64::from(resident_memory(server.process().pid())?) - f64::from(memory))
                / 1024.0,
        };
        Ok((Sample::new(arrived, processor_time, elapsed)?, deliveries))
    }
}

/// Opens connections that take part.
fn join(
    address: SocketAddr,
    is_raw: bool,
    deflate: Option<Deflate>,
    count: usize,
) -> Result<Vec<TcpStream>> {
    let order = encode(&Order::Join, is_raw);
    let answer = Order::Join.to_string();
    let mut joined = Vec::with_capacity(count);
    while joined.len() < count {
        // What all of a group wait for costs one change between load and server, not one each.
        let group = OPENED_AT_ONCE.min(count - joined.len());
        let group = (0..group).map(|_| wire::connect(address, false));
        let mut group = group.collect::<Result<Vec<_>>>()?;
        if !is_raw {
            for stream in &mut group {
                wire::send_request(stream, address, deflate)?;
            }
            for stream in &mut group {
                let head = wire::read_response(stream)?;
                deflate.map_or(Ok(()), |deflate| deflate.check_answer(&head))?;
            }
        }
        for stream in &mut group {
            stream.write_all(&order)?;
        }
        for stream in &mut group {
            wire::expect(stream, TEXT, answer.as_bytes())?;
        }
        joined.append(&mut group);
    }
    Ok(joined)
}

fn encode(order: &Order, is_raw: bool) -> Vec<u8> {
    let text = order.to_string();
    if is_raw {
        return (text + "\n").into_bytes();
    }
    let mut frame = Vec::new();
    wire::write_frame(&mut frame, true, TEXT, MASK, text.as_bytes());
    frame
}
