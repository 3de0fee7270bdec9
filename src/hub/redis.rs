//! Redis as a backplane: publish and subscribe, on one connection.

use std::{
    any::Any,
    convert::Infallible,
    fmt,
    future::{Future, pending},
    panic::AssertUnwindSafe,
    str,
    sync::{Arc, OnceLock, PoisonError},
    task::Poll,
    time::Duration,
};

use futures_core::future::BoxFuture;
use futures_util::future::{Either, FutureExt, select};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, Value, aio::MultiplexedConnection, io::tcp::TcpSettings,
};

use super::{Backplane, Event, Inbox, Publication};
use crate::{
    error::BoxError,
    future::PollFn,
    rt::{self, NoTimers, Runtime},
    sync::{AtomicWaker, Mutex, MutexGuard},
};

/// How long Redis may take to accept a connection, and to answer a command. It answers within a
/// millisecond unless something is wrong.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may be silent before it is tested with a PING.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// The first pause before another attempt to connect. It doubles up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause before another attempt: what is published meanwhile is lost.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Redis, or Valkey, as the [`Backplane`] of a [`Hub`](super::Hub).
///
/// It needs Redis 6 or later, or any server with publish and subscribe over RESP3. Each topic is a
/// channel, and a message is one PUBLISH; up to 256 of them share a round trip. Each hub has one
/// connection. If it is lost, the backplane connects again, at first after 50 ms, at last every
/// second. A clone has the same settings, and a connection of its own.
///
/// ```no_run
/// use anyws::{
///     Error, rt,
///     hub::{Hub, RedisBackplane},
/// };
///
/// # fn main() -> Result<(), anyws::BoxError> {
/// let backplane = RedisBackplane::new("redis://127.0.0.1:6379")?;
/// let runtime = rt::detect().ok_or(Error::NoRuntime)?;
/// let (hub, mut events) = Hub::with_backplane(backplane, runtime);
/// # async {
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # };
/// # Ok(())
/// # }
/// ```
///
/// The connection runs on tokio if the hub's task does (feature `rt-tokio`), else on smol's global
/// executor (feature `rt-smol`). Without either, and without timers, the hub is down.
pub struct RedisBackplane {
    client: Client,
    prefix: Arc<str>,
    connection: Mutex<Option<Connection>>,
}

/// A connection, and whether it is lost.
#[derive(Clone)]
struct Connection {
    redis: MultiplexedConnection,
    lost: Arc<Lost>,
}

impl RedisBackplane {
    /// Creates a backplane for the server at `url`, without connecting.
    ///
    /// The URL is `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or
    /// `redis+unix:///PATH[?db=DATABASE&user=USER&pass=PASSWORD]`. Channels are not part of a
    /// database: all databases of a server share them. For `rediss://`, which is TLS, add the crate
    /// `redis` of the same version to your dependencies, with its feature `tokio-rustls-comp` or
    /// `smol-rustls-comp`, and a provider of cryptography for rustls: the guide on
    /// [more than one machine](crate::guide::machines#safety) shows how.
    ///
    /// # Errors
    ///
    /// If the URL is not one of these, or if it is `rediss://` and the crate `redis` was built
    /// without TLS.
    pub fn new(url: impl AsRef<str>) -> Result<Self, BoxError> {
        let info = url.as_ref().into_connection_info()?;
        // Messages and answers share the connection, which RESP2 does not allow.
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        Ok(Self {
            client: Client::open(info)?,
            prefix: "anyws:".into(),
            connection: Mutex::default(),
        })
    }

    /// Sets what the names of channels begin with, before the topic; default `anyws:`.
    ///
    /// Hubs with different prefixes do not hear each other: use one for each application that
    /// shares the server. Rules of Redis' access control need it, too.
    #[must_use]
    pub fn prefix(mut self, prefix: impl AsRef<str>) -> Self {
        self.prefix = prefix.as_ref().into();
        self
    }

    fn channel(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    fn connection(&self) -> Result<Connection, BoxError> {
        let connection = self.lock().clone();
        connection.ok_or_else(|| "the connection to Redis is lost".into())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backplane for RedisBackplane {
    fn publish<'a>(&'a self, batch: &'a [Publication]) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let mut connection = self.connection()?.redis;
            let mut pipeline = redis::pipe();
            for publication in batch {
                let command = pipeline.cmd("PUBLISH").ignore();
                command.arg(self.channel(publication.topic()));
                command.arg(&publication.envelope()[..]);
            }
            Ok(pipeline.exec_async(&mut connection).await?)
        })
    }

    fn subscribe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let channel = self.channel(topic);
            let mut connection = self.connection()?;
            let subscribed = connection.redis.subscribe(channel).await;
            if subscribed.as_ref().is_err_and(RedisError::is_timeout) {
                // Redis may still subscribe, or not. On the next connection it is certain.
                connection.lost.set("Redis did not answer in time");
            }
            Ok(subscribed?)
        })
    }

    fn unsubscribe<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let channel = self.channel(topic);
            Ok(self.connection()?.redis.unsubscribe(channel).await?)
        })
    }

    fn run(&self, inbox: Inbox) -> BoxFuture<'_, ()> {
        Box::pin(self.stay_connected(inbox))
    }
}

impl RedisBackplane {
    /// Connects, and connects again whenever the connection is lost.
    async fn stay_connected(&self, inbox: Inbox) {
        // The crate `redis` chooses between tokio and smol in the same way, but panics.
        let Some(runtime) = rt::detect().filter(|runtime| runtime.has_timers()) else {
            inbox.event(Event::Down(NoTimers.into()));
            return pending().await;
        };
        let mut pause = MIN_PAUSE;
        let mut told = String::new();
        loop {
            let start = runtime.now();
            let error = match self.connect(&inbox).await {
                Ok(connection) => {
                    told.clear();
                    inbox.event(Event::Up);
                    connection.watch(&runtime).await
                }
                Err(error) => error,
            };
            *self.lock() = None;
            // A server that accepts connections and ends them is not asked more often.
            if runtime.now() - start > MAX_PAUSE {
                pause = MIN_PAUSE;
            }
            let reason = error.to_string();
            if reason != told {
                told = reason;
                inbox.event(Event::Down(error));
            }
            // Not all processes at the same moment.
            let jittered = pause.mul_f32(0.5 + rand::random::<f32>() / 2.0);
            if rt::sleep(&runtime, jittered).await.is_err() {
                return pending().await;
            }
            pause = (2 * pause).min(MAX_PAUSE);
        }
    }

    async fn connect(&self, inbox: &Inbox) -> Result<Connection, BoxError> {
        let lost = Arc::new(Lost::default());
        let receive = receive(Arc::clone(&self.prefix), inbox.clone(), Arc::clone(&lost));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_push_sender(receive);
        let client = &self.client;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        // tokio panics if it was built without IO, and rustls if it cannot choose a provider.
        let connected = AssertUnwindSafe(connection).catch_unwind().await;
        let redis = connected.map_err(|panic| Panicked::new(&*panic))??;
        let connection = Connection { redis, lost };
        *self.lock() = Some(connection.clone());
        Ok(connection)
    }
}

impl Connection {
    /// Waits until the connection is lost, and returns why.
    async fn watch(mut self, runtime: &Arc<dyn Runtime>) -> BoxError {
        loop {
            let silence = rt::sleep(runtime, PING_INTERVAL);
            if let Either::Left((reason, _)) = select(self.lost.wait(), silence).await {
                return reason.into();
            }
            // A server that has stalled, or a network that lost the connection, says nothing. An
            // error is an answer, too: a server that loads its data publishes meanwhile.
            if let Err(error) = redis::cmd("PING").exec_async(&mut self.redis).await
                && error.code().is_none()
            {
                return error.into();
            }
        }
    }
}

/// Connecting has panicked.
#[derive(Debug, thiserror::Error)]
#[error("connecting to Redis panicked: {0}")]
struct Panicked(String);

impl Panicked {
    fn new(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "the panic hook has the text".to_owned()))
    }
}

/// Returns what receives the pushes of a connection: messages, and its end.
fn receive(
    prefix: Arc<str>,
    inbox: Inbox,
    lost: Arc<Lost>,
) -> impl Fn(PushInfo) -> Result<(), Infallible> + Send + Sync {
    move |push| {
        match push.kind {
            PushKind::Disconnection => lost.set("Redis has ended the connection"),
            PushKind::Message => {
                let data = <[Value; 2]>::try_from(push.data);
                if let Ok([Value::BulkString(channel), Value::BulkString(envelope)]) = data
                    && let Ok(channel) = str::from_utf8(&channel)
                    && let Some(topic) = channel.strip_prefix(&*prefix)
                {
                    inbox.deliver(topic, envelope.into());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a connection is lost, and why.
#[derive(Default)]
struct Lost {
    reason: OnceLock<&'static str>,
    waker: AtomicWaker,
}

impl Lost {
    /// The first reason counts.
    fn set(&self, reason: &'static str) {
        self.reason.get_or_init(|| reason);
        self.waker.wake();
    }

    fn wait(&self) -> impl Future<Output = &'static str> + Unpin {
        PollFn::new(|cx| {
            self.waker.register(cx.waker());
            match self.reason.get() {
                Some(reason) => Poll::Ready(*reason),
                None => Poll::Pending,
            }
        })
    }
}

/// Leaves the connection to the original: its messages go to one hub.
impl Clone for RedisBackplane {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            prefix: Arc::clone(&self.prefix),
            connection: Mutex::default(),
        }
    }
}

/// Shows neither user nor password.
impl fmt::Debug for RedisBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane")
            .field(
                "server",
                &self.client.get_connection_info().addr().to_string(),
            )
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
