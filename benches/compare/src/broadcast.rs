//! Measures what a server takes to send the same messages to many, of which some do not read.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Instant;

use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::Result;
use crate::batch::Batch;
use crate::contestants::Contestant;
use crate::echo::{Sample, Window};
use crate::load::{Load, Until};
use crate::orders::{FILLING, Order};
use crate::process::Server;
use crate::wire::{self, BINARY, TEXT};

/// The name in tables and on the command line.
pub const NAME: &str = "broadcast-1KiB-to-1000";

/// Connections that read all, and such that read nothing.
const READERS: usize = 900;
const SLEEPERS: usize = 100;

/// Messages that are published at once, and their length.
const MESSAGES: usize = 16;
const LENGTH: usize = 1 << 10;

/// The kernel's buffer of a connection that reads nothing: it is full at once.
const SLEEPERS_BUFFER: usize = 4 << 10;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Has messages published, again and again, as soon as all that read have the ones before. What
/// is counted are the messages that arrive.
///
/// # Errors
///
/// When the server does not start, or a message is wrong or missing.
pub fn measure(contestant: &Contestant, folder: &Path, window: Window) -> Result<Sample> {
    let server = Server::start_for_orders(contestant, folder)?;
    let sleepers: Result<Vec<_>> = (0..SLEEPERS).map(|_| sleeper(server.address())).collect();
    let sleepers = sleepers?;
    let readers: Result<Vec<_>> = (0..READERS).map(|_| join(server.address())).collect();
    let batches = [Batch {
        frames: Vec::new(),
        count: MESSAGES,
        opcode: BINARY,
        messages: vec![vec![FILLING; LENGTH]; MESSAGES],
        pings: Vec::new(),
    }];
    let mut load = Load::new(readers?, &batches, false)?;
    let mut publisher = wire::connect(server.address(), true)?;
    let order = frame(&Order::Publish {
        count: MESSAGES,
        length: LENGTH,
    });
    let mut publish = || {
        publisher.write_all(&order)?;
        load.run(Until::OneBatchEach)
    };

    let warming_up = Instant::now();
    while warming_up.elapsed() < window.warm_up {
        publish()?;
    }
    let before = server.processor_time()?;
    let started = Instant::now();
    let mut arrived = 0;
    while started.elapsed() < window.measured {
        arrived += publish()?;
    }
    let elapsed = started.elapsed();
    let processor_time = server.processor_time()?.saturating_sub(before);
    drop(sleepers);
    Sample::new(arrived, processor_time, elapsed)
}

/// Opens a connection that takes part and will not be read from.
fn sleeper(address: SocketAddr) -> Result<TcpStream> {
    let stream = join(address)?;
    set_socket_recv_buffer_size(&stream, SLEEPERS_BUFFER)?;
    Ok(stream)
}

/// Opens a connection that takes part.
fn join(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = wire::connect(address, true)?;
    stream.write_all(&frame(&Order::Join))?;
    wire::expect(&mut stream, TEXT, Order::Join.to_string().as_bytes())?;
    Ok(stream)
}

fn frame(order: &Order) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::write_frame(&mut frame, true, TEXT, MASK, order.to_string().as_bytes());
    frame
}
