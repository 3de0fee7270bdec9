//! Measures compression without a network: the codec, sockets of anyws over streams in memory, and
//! what they ask of the allocator.
//!
//! ```text
//! in_memory [MILLISECONDS]
//! ```
//!
//! Each of the times is measured for so long.

use std::env;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use allocation_counter::{measure, opt_out};
use anyws_compare::Result;
use anyws_compare::courses::Courses;
use anyws_compare::deflate::{Deflate, Packer, Takeover, Unpacker};
use anyws_compare::figures::line;
use anyws_compare::in_memory::{
    BURST_DEDICATED, BURST_WINDOW, CODEC_MEDIUM, CODEC_SMALL, ECHO_MEDIUM, ECHO_SMALL, IDLE_NONE,
    IDLE_PLAIN, IDLE_WINDOW,
};
use anyws_compare::reply::Reply;
use anyws_compare::server;
use anyws_compare::stopwatch::Stopwatch;
use anyws_compare::wire;
use futures_util::io::{AsyncRead, AsyncWrite};

/// Messages between two looks at the clock.
const SLICE: usize = 256;

/// Messages of a burst.
const BURST: usize = 16;

/// Idle sockets, and messages of 4 KiB that each has echoed before: both windows are full then.
const IDLE: usize = 64;
const USES: usize = 4;

fn main() -> Result<()> {
    let milliseconds = env::args()
        .nth(1)
        .map_or(Ok(450), |argument| argument.parse())?;
    let measured = Duration::from_millis(milliseconds);
    for (payload, level, codec, echo) in [
        (300, 1, CODEC_SMALL, ECHO_SMALL),
        (4 << 10, 3, CODEC_MEDIUM, ECHO_MEDIUM),
    ] {
        let takeover = Takeover::None;
        let (floor, ours) = codec_and_echo(payload, Deflate { takeover, level }, measured)?;
        println!("{}", line(codec, floor));
        println!("{}", line(echo, ours));
    }
    let [window, dedicated] = bursts(measured)?;
    println!("{}", line(BURST_WINDOW, window));
    println!("{}", line(BURST_DEDICATED, dedicated));
    for (takeover, figure) in [
        (None, IDLE_PLAIN),
        (Some(Takeover::None), IDLE_NONE),
        (Some(Takeover::Window), IDLE_WINDOW),
    ] {
        let deflate = takeover.map(|takeover| Deflate { takeover, level: 3 });
        println!("{}", line(figure, idle(deflate)?));
    }
    Ok(())
}

/// Microseconds for each message: by the codec alone, and echoed by a socket.
fn codec_and_echo(payload: usize, deflate: Deflate, measured: Duration) -> Result<(f64, f64)> {
    let courses = Arc::new(Courses::new(payload, 1, Some(deflate))?);
    let mut codec = Codec::new(&courses, deflate)?;
    let mut echo = Echo::new(&courses, Some(deflate), 0)?;
    let mut times = [Stopwatch::default(), Stopwatch::default()];
    let started = Instant::now();
    while started.elapsed() < 2 * measured {
        times[0].take(SLICE, || codec.run(SLICE))?;
        times[1].take(SLICE, || (0..SLICE).try_for_each(|_| echo.run()))?;
    }
    Ok((times[0].each(), times[1].each()))
}

/// Microseconds for each message of a burst, with a window and with codecs of its own.
///
/// There are two sockets, so that no codec of the thread goes on with the connection that it was
/// used for before.
fn bursts(measured: Duration) -> Result<[f64; 2]> {
    let mut sockets = Vec::new();
    for takeover in [Takeover::Window, Takeover::Dedicated] {
        let deflate = Deflate { takeover, level: 1 };
        let courses = Arc::new(Courses::new(300, BURST, Some(deflate))?);
        let echo = |number| Echo::new(&courses, Some(deflate), number);
        sockets.push([echo(0)?, echo(1)?]);
    }
    let mut times = [Stopwatch::default(), Stopwatch::default()];
    let started = Instant::now();
    while started.elapsed() < 2 * measured {
        for (pair, time) in sockets.iter_mut().zip(&mut times) {
            time.take(SLICE, || {
                for number in 0..SLICE / BURST {
                    pair[number % 2].run()?;
                }
                Ok(())
            })?;
        }
    }
    Ok([times[0].each(), times[1].each()])
}

/// Bytes that an idle socket has asked of the allocator, with the task that it lives in.
fn idle(deflate: Option<Deflate>) -> Result<f64> {
    let courses = Arc::new(Courses::new(4 << 10, 1, deflate)?);
    let open = |number| {
        let mut echo = Echo::new(&courses, deflate, number)?;
        (0..USES).try_for_each(|_| echo.run())?;
        Result::Ok(echo)
    };
    // What the thread keeps for all sockets is there from now on.
    let _first = open(0)?;
    let mut sockets = Vec::with_capacity(IDLE);
    let mut opened = Result::Ok(());
    let allocated = measure(|| {
        opened = (0..IDLE).try_for_each(|number| {
            sockets.push(open(number)?);
            Ok(())
        });
    });
    opened?;
    // Small numbers.
    #[expect(clippy::cast_precision_loss)]
    let each = allocated.bytes_current as f64 / IDLE as f64;
    Ok(each)
}

/// The codec, as it is called for a message that is received and sent.
struct Codec {
    messages: Vec<(Vec<u8>, Vec<u8>)>,
    next: usize,
    packer: Packer,
    unpacker: Unpacker,
    plain: Vec<u8>,
    packed: Vec<u8>,
}

impl Codec {
    fn new(courses: &Courses, deflate: Deflate) -> Result<Self> {
        let mut packer = Packer::new(deflate);
        let mut messages = Vec::new();
        for message in courses.batches().iter().flat_map(|batch| &batch.messages) {
            let mut payload = Vec::new();
            packer.pack(message, &mut payload)?;
            messages.push((message.clone(), payload));
        }
        Ok(Self {
            messages,
            next: 0,
            packer,
            unpacker: Unpacker::new(deflate),
            plain: Vec::new(),
            packed: Vec::new(),
        })
    }

    fn run(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let (message, payload) = &self.messages[self.next];
            self.next = (self.next + 1) % self.messages.len();
            self.plain.clear();
            self.plain.reserve(message.len() + 1);
            self.unpacker.unpack(payload, &mut self.plain)?;
            self.packed.clear();
            self.packer.pack(&self.plain, &mut self.packed)?;
            if self.packed.len() != payload.len() {
                return Err("the codec made something else of the same message".into());
            }
        }
        Ok(())
    }
}

/// A socket whose messages are echoed, and its task.
struct Echo {
    task: Pin<Box<dyn Future<Output = ()>>>,
    counts: Arc<Counts>,
}

/// Batches that were asked for and that came back.
#[derive(Default)]
struct Counts {
    asked: AtomicUsize,
    answered: AtomicUsize,
}

impl Echo {
    fn new(courses: &Arc<Courses>, deflate: Option<Deflate>, number: usize) -> Result<Self> {
        let mut client = None;
        opt_out(|| client = Some(Client::new(courses, deflate, number)));
        let client = client.ok_or("no client")?;
        let counts = Arc::clone(&client.counts);
        let mut task = Box::pin(async move {
            let config = server::config(deflate);
            let socket = anyws::accept(client, config).await;
            server::echo_by_anyws(socket.expect("it is a handshake")).await;
        });
        if poll(task.as_mut()).is_ready() {
            return Err("the socket ended at its start".into());
        }
        Ok(Self { task, counts })
    }

    /// Has the next batch echoed.
    fn run(&mut self) -> Result<()> {
        let asked = self.counts.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let ended = poll(self.task.as_mut()).is_ready();
        if ended || self.counts.answered.load(Ordering::Relaxed) != asked {
            return Err("a message did not come back at once".into());
        }
        Ok(())
    }
}

fn poll<F: Future + ?Sized>(task: Pin<&mut F>) -> Poll<F::Output> {
    pin!(task).poll(&mut Context::from_waker(Waker::noop()))
}

/// A client that sends a batch when it is asked to, and checks what comes back.
struct Client {
    courses: Arc<Courses>,
    counts: Arc<Counts>,
    deflate: Option<Deflate>,
    /// What is not read yet of the request for an upgrade.
    request: Vec<u8>,
    /// What came of the response.
    response: Option<Vec<u8>>,
    /// Batches that were begun; which one is read, and how much of it was.
    begun: usize,
    batch: usize,
    read: usize,
    reply: Reply,
}

impl Client {
    fn new(courses: &Arc<Courses>, deflate: Option<Deflate>, number: usize) -> Self {
        Self {
            courses: Arc::clone(courses),
            counts: Arc::default(),
            deflate,
            request: wire::request("localhost", deflate).into_bytes(),
            response: Some(Vec::new()),
            begun: 0,
            batch: courses.first(number),
            read: 0,
            reply: courses.reply(),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> Poll<usize> {
        if !self.request.is_empty() {
            let length = self.request.len().min(buf.len());
            buf[..length].copy_from_slice(&self.request[..length]);
            self.request.drain(..length);
            return Poll::Ready(length);
        }
        if self.begun == self.counts.answered.load(Ordering::Relaxed) {
            if self.begun == self.counts.asked.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            self.begun += 1;
        }
        let rest = &self.courses.batches()[self.batch].frames[self.read..];
        if rest.is_empty() {
            return Poll::Pending;
        }
        let length = rest.len().min(buf.len());
        buf[..length].copy_from_slice(&rest[..length]);
        self.read += length;
        Poll::Ready(length)
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(response) = &mut self.response {
            response.extend_from_slice(bytes);
            if response.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8_lossy(response).into_owned();
                let checked = self
                    .deflate
                    .map_or(Ok(()), |deflate| deflate.check_answer(&head));
                checked.expect("the handshake is right");
                self.response = None;
            }
            return;
        }
        if self.begun == self.counts.answered.load(Ordering::Relaxed) {
            // The Close of a socket that is dropped.
            return;
        }
        let courses = &self.courses;
        let batch = &courses.batches()[self.batch];
        if self.reply.take(batch, bytes).expect("the answer is right") {
            self.batch = batch.next;
            self.read = 0;
            self.reply.reset();
            let answered = self.counts.answered.fetch_add(1, Ordering::Relaxed) + 1;
            if answered == courses.batches().len() {
                // Every message was checked twice. From now on the time counts.
                self.reply.stop_unpacking();
            }
        }
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut read = Poll::Pending;
        opt_out(|| read = self.read(buf));
        read.map(Ok)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        opt_out(|| self.write(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
