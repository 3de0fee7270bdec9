//! What an echoed message costs in memory, in counts: they are the same in every run.
//!
//! ```text
//! counts                      allocations of a message, for each kind of load
//! counts LOAD MESSAGES        echoes that many, for a profiler to count instructions
//! ```
//!
//! `benches/counts_check` runs both and holds them against limits.

use std::{
    env,
    future::Future,
    io,
    pin::{Pin, pin},
    process::ExitCode,
    task::{Context, Poll, Waker},
};

use anyws::{DeflateConfig, Message, WebSocket, WebSocketConfig, testing};
use futures::{AsyncRead, AsyncWrite};

/// A client that sends bursts of equal messages.
struct Load {
    name: &'static str,
    /// Messages in a burst.
    depth: usize,
    /// Bytes in a message.
    length: usize,
    is_text: bool,
    /// The two ends have agreed to compress, but no message is: this is what that costs all others.
    has_agreed: bool,
}

const LOADS: [Load; 8] = [
    Load::binary("64B-depth-1", 1, 64),
    Load::binary("64B-depth-16", 16, 64),
    Load::binary("1KiB-depth-16", 16, 1024),
    Load::binary("16KiB-depth-1", 1, 16 * 1024),
    Load {
        is_text: true,
        ..Load::binary("16KiB-text-depth-1", 1, 16 * 1024)
    },
    Load::binary("1MiB-depth-1", 1, 1024 * 1024),
    Load {
        has_agreed: true,
        ..Load::binary("64B-depth-16-agreed", 16, 64)
    },
    Load {
        has_agreed: true,
        ..Load::binary("1KiB-depth-16-agreed", 16, 1024)
    },
];

/// Longer than any message that shall go uncompressed.
const THRESHOLD: usize = 2048;

/// How a client asks for an upgrade, with the offer to compress.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: localhost\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\
    \r\n";

/// Echoes before it is counted: buffers have their size then, and code is loaded.
const WARM_UP: usize = 1024;

/// Echoes that are counted.
const COUNTED: usize = 4096;

impl Load {
    const fn binary(name: &'static str, depth: usize, length: usize) -> Self {
        Self {
            name,
            depth,
            length,
            is_text: false,
            has_agreed: false,
        }
    }

    /// The bytes of a burst, as a client sends them.
    fn burst(&self) -> Vec<u8> {
        const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut frame = vec![if self.is_text { 0x81 } else { 0x82 }];
        match self.length {
            length @ ..126 => frame.push(0x80 | u8::try_from(length).expect("it is small")),
            length @ ..0x1_0000 => {
                frame.push(0xfe);
                frame.extend(u16::try_from(length).expect("it fits").to_be_bytes());
            }
            length => {
                frame.push(0xff);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(KEY);
        let payload = b"message ".iter().cycle().take(self.length);
        frame.extend(
            payload
                .zip(KEY.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        frame.repeat(self.depth)
    }

    /// Starts the echo of `messages`, in whole bursts.
    fn echo(&self, messages: usize) -> impl Future<Output = ()> + use<> {
        let stream = Bursts {
            request: if self.has_agreed { REQUEST } else { &[] },
            burst: self.burst(),
            taken: 0,
            left: messages.div_ceil(self.depth),
        };
        let socket = if self.has_agreed {
            agree(stream)
        } else {
            testing::server(stream, &WebSocketConfig::new()).expect("the settings work")
        };
        echo(socket)
    }
}

/// Does a handshake in which both ends agree to compress.
fn agree(stream: Bursts) -> WebSocket {
    let deflate = DeflateConfig::new().threshold(THRESHOLD);
    let config = WebSocketConfig::new().set_deflate(deflate);
    let mut socket = None;
    run(async { socket = anyws::accept(stream, config).await.ok() });
    let socket = socket.expect("the request is one for an upgrade");
    assert!(socket.is_compressed());
    socket
}

/// The handler of the echo examples.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Text(_) | Message::Binary(_))
            && socket.feed(message).await.is_err()
        {
            break;
        }
    }
}

/// A stream that gives a request, if there is one, then a burst, waits once, gives the next one,
/// and takes all that is written.
struct Bursts {
    request: &'static [u8],
    burst: Vec<u8>,
    taken: usize,
    left: usize,
}

impl AsyncRead for Bursts {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if !self.request.is_empty() {
            let length = self.request.len().min(buf.len());
            let (given, rest) = self.request.split_at(length);
            buf[..length].copy_from_slice(given);
            self.request = rest;
            return Poll::Ready(Ok(length));
        }
        if self.left == 0 {
            return Poll::Ready(Ok(0));
        }
        let rest = &self.burst[self.taken..];
        if rest.is_empty() {
            self.taken = 0;
            self.left -= 1;
            return Poll::Pending;
        }
        let length = rest.len().min(buf.len());
        buf[..length].copy_from_slice(&rest[..length]);
        self.taken += length;
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Bursts {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls a future until it is ready: its stream never waits longer than for the next poll.
fn run(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let cx = &mut Context::from_waker(Waker::noop());
    while future.as_mut().poll(cx).is_pending() {}
}

fn allocations(load: &Load) -> f64 {
    run(load.echo(WARM_UP));
    let (few, many) = (load.echo(COUNTED), load.echo(2 * COUNTED));
    let few = allocation_counter::measure(|| run(few)).count_total;
    let many = allocation_counter::measure(|| run(many)).count_total;
    // What a connection allocates at its end is in both.
    #[expect(clippy::cast_precision_loss, reason = "they are small")]
    let each = (many - few) as f64 / COUNTED as f64;
    each
}

fn main() -> ExitCode {
    // cargo adds an option of its own.
    let arguments: Vec<_> = env::args().skip(1).filter(|it| it != "--bench").collect();
    match &arguments[..] {
        [] => {
            for load in &LOADS {
                println!("{} {:.3}", load.name, allocations(load));
            }
            ExitCode::SUCCESS
        }
        [name, messages] => {
            let load = LOADS.iter().find(|load| load.name == name);
            match load.zip(messages.parse().ok()) {
                Some((load, messages)) => {
                    run(load.echo(messages));
                    ExitCode::SUCCESS
                }
                None => usage(),
            }
        }
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: counts [LOAD MESSAGES]");
    for load in &LOADS {
        eprintln!("  {}", load.name);
    }
    ExitCode::FAILURE
}
