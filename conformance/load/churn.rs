//! Clients that follow each other: each opens a socket, exchanges messages of all sizes, and leaves
//! in one of all ways.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyws::BoxError;
use rand::random_range;
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

use super::{
    client::{CLOSE, Client, Frame, REQUEST, push_frame},
    messages::{Burst, PING, PONG},
};

/// The codes of a Close (RFC 6455, section 7.4.1).
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();
const INTERNAL: [u8; 2] = 1011_u16.to_be_bytes();

/// The longest life, pause between bursts, and life without a message. A quiet client lives long
/// enough to be pinged.
const MAX_LIFE: Duration = Duration::from_secs(30);
const MAX_PAUSE: Duration = Duration::from_secs(3);
const MAX_QUIET: Duration = Duration::from_secs(60);

/// The clients start within this time.
const RAMP: Duration = Duration::from_secs(2);
/// After a failure, a client waits before it is followed by another.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What a client waits for takes no longer. The longest is a silent client's end: a ping after 20 s
/// and the Close 20 s later, each up to two ticks of 1 s late, then 10 s for the client's Close.
const LIMIT: Duration = Duration::from_secs(60);

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// With a closing handshake, right behind the last messages.
    Closed,
    Dropped,
    Reset,
    /// The client shuts down its write side without a Close.
    Finished,
    /// In the middle of a frame.
    Torn,
    /// In the middle of the request's head.
    HalfHead,
    /// The server refuses the handshake.
    Refused,
    /// The client answers no ping, and the server gives it up.
    GivenUp,
}

impl End {
    fn random() -> Self {
        match random_range(0..20) {
            0..9 => Self::Closed,
            9..11 => Self::Dropped,
            11..13 => Self::Reset,
            13..15 => Self::Finished,
            15..17 => Self::Torn,
            17 => Self::HalfHead,
            18 => Self::Refused,
            _ => Self::GivenUp,
        }
    }
}

/// What clients have seen.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) ends: BTreeMap<End, u64>,
    /// Messages of the connections that have ended in order.
    pub(crate) sent: u64,
    pub(crate) echoed: u64,
    /// Pings of the server that were answered.
    pub(crate) pings: u64,
    pub(crate) failures: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        self.sent += other.sent;
        self.echoed += other.echoed;
        self.pings += other.pings;
        self.failures.extend(other.failures);
    }
}

/// Lets one client follow the other. The last one leaves once `until` has come.
pub(crate) async fn churn(address: SocketAddr, until: Instant) -> Tally {
    let mut tally = Tally::default();
    sleep(up_to(RAMP)).await;
    while Instant::now() < until {
        let end = End::random();
        let lived = match end {
            End::HalfHead => tear_head(address).await,
            End::Refused => be_refused(address).await,
            _ => live(address, until, end, &mut tally).await,
        };
        match lived {
            Ok(end) => *tally.ends.entry(end).or_default() += 1,
            Err(error) => {
                tally.failures.push(format!("{end:?}: {error}"));
                sleep(AFTER_FAILURE).await;
            }
        }
    }
    tally
}

async fn tear_head(address: SocketAddr) -> Result<End, BoxError> {
    let mut client = within(Client::connect(address)).await?;
    let half = &REQUEST[..random_range(0..REQUEST.len())];
    within(client.write(half.as_bytes())).await?;
    Ok(End::HalfHead)
}

async fn be_refused(address: SocketAddr) -> Result<End, BoxError> {
    let mut client = within(Client::connect(address)).await?;
    let request = REQUEST.replace("Version: 13", "Version: 12");
    within(client.write(request.as_bytes())).await?;
    let answer = within(client.rest()).await?;
    if !answer.starts_with("HTTP/1.1 426 ") {
        return Err(format!("the server answers {answer:?}").into());
    }
    Ok(End::Refused)
}

/// Opens a socket, lives, and ends. Returns the end, which is another one if `until` comes first.
async fn live(
    address: SocketAddr,
    until: Instant,
    end: End,
    tally: &mut Tally,
) -> Result<End, BoxError> {
    let mut talk = Talk {
        client: within(Client::open(address)).await?,
        sent: 0,
        echoed: 0,
        pings: 0,
    };
    if random_range(0..5) == 0 {
        talk.listen(until.min(Instant::now() + up_to(MAX_QUIET)))
            .await?;
    } else {
        let leave = until.min(Instant::now() + up_to(MAX_LIFE));
        while Instant::now() < leave {
            talk.exchange().await?;
            let rest = leave.saturating_duration_since(Instant::now());
            sleep(up_to(MAX_PAUSE).min(rest)).await;
        }
    }
    tally.pings += talk.pings;
    match end {
        End::Closed => {
            talk.close().await?;
            tally.sent += talk.sent;
            tally.echoed += talk.echoed;
        }
        End::Reset => talk.client.stream.set_zero_linger()?,
        End::Finished => {
            talk.client.stream.shutdown().await?;
            within(talk.client.rest()).await?;
        }
        End::Torn => {
            let bytes = Burst::random().bytes;
            let half = &bytes[..random_range(1..bytes.len())];
            within(talk.client.write(half)).await?;
        }
        End::GivenUp => return talk.be_given_up(until).await,
        End::Dropped | End::HalfHead | End::Refused => {}
    }
    Ok(end)
}

/// A client whose socket is open.
struct Talk {
    client: Client,
    sent: u64,
    echoed: u64,
    pings: u64,
}

impl Talk {
    /// Returns the next frame but for pings, which are answered.
    async fn frame(&mut self) -> Result<Frame, BoxError> {
        loop {
            let frame = self.client.frame().await?;
            let frame = frame.ok_or("the server has ended the connection")?;
            if frame.first != PING {
                return Ok(frame);
            }
            let mut pong = Vec::new();
            push_frame(&mut pong, PONG, &frame.payload);
            self.client.write(&pong).await?;
            self.pings += 1;
        }
    }

    /// Answers pings, and sends nothing else.
    async fn listen(&mut self, until: Instant) -> Result<(), BoxError> {
        match timeout(
            until.saturating_duration_since(Instant::now()),
            self.frame(),
        )
        .await
        {
            Ok(frame) => Err(format!("{:#x} comes unasked", frame?.first).into()),
            Err(_) => Ok(()),
        }
    }

    /// Sends some messages and waits for their echoes.
    async fn exchange(&mut self) -> Result<(), BoxError> {
        let mut burst = Burst::random();
        let count = burst.len();
        within(self.client.write(&burst.bytes)).await?;
        self.sent += count;
        within(async {
            while !burst.is_over() {
                burst.check(&self.frame().await?)?;
            }
            Ok(())
        })
        .await?;
        self.echoed += count;
        Ok(())
    }

    /// Sends some messages and a Close right behind them. All of them have to come back before the
    /// server's Close, and after it the end of the stream.
    async fn close(&mut self) -> Result<(), BoxError> {
        let mut burst = Burst::random();
        let count = burst.len();
        push_frame(&mut burst.bytes, CLOSE, &NORMAL);
        within(self.client.write(&burst.bytes)).await?;
        self.sent += count;
        within(async {
            let mut frame = self.frame().await?;
            while frame.first != CLOSE {
                burst.check(&frame)?;
                frame = self.frame().await?;
            }
            self.echoed += count - burst.len();
            if burst.len() > 0 || frame.payload != NORMAL {
                let left = burst.len();
                return Err(format!("{left} are left before Close {:?}", frame.payload).into());
            }
            match self.client.frame().await? {
                None => Ok(()),
                Some(frame) => Err(format!("{:#x} comes after the Close", frame.first).into()),
            }
        })
        .await
    }

    /// Answers no ping until the server gives up. The client drops the connection at `until`.
    async fn be_given_up(mut self, until: Instant) -> Result<End, BoxError> {
        let left = until.saturating_duration_since(Instant::now());
        let given_up = timeout(
            left,
            within(async {
                loop {
                    match self.client.frame().await?.ok_or("there is no Close")? {
                        Frame { first: PING, .. } => {}
                        Frame {
                            first: CLOSE,
                            payload,
                        } if payload.starts_with(&INTERNAL) => break,
                        frame => return Err(format!("{:#x} comes unasked", frame.first).into()),
                    }
                }
                self.client.rest().await
            }),
        );
        match given_up.await {
            Ok(given_up) => given_up.map(|_| End::GivenUp),
            Err(_) => Ok(End::Dropped),
        }
    }
}

/// Waits for no longer than the limit.
async fn within<T>(future: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    let waited = timeout(LIMIT, future).await;
    waited.map_err(|_| "the server does nothing for a minute")?
}

fn up_to(most: Duration) -> Duration {
    most.mul_f64(random_range(0.0..=1.0))
}
