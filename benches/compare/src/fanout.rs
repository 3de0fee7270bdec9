//! Servers that send the same messages to all connections that have joined, each in its own way.
//!
//! They follow the [orders](crate::orders) to join and to publish. Nothing here names a runtime.

use std::iter;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyws::hub::Hub;
use anyws::{Message, PreparedMessage, QueueConfig, SendHalf, Sender, WebSocket, WhenFull};
use hyper::body::Bytes;
use tokio::select;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc};

use crate::orders::{FILLING, Order, TUNGSTENITE, send_all};

/// Messages that a channel holds for a slow reader before it misses some.
const ROOM: usize = 256;

/// A way to send to many.
pub trait Fanout: Send + Sync + 'static {
    /// Adds a socket to those that messages are sent to, then answers the order, and serves the
    /// socket until it ends.
    fn join(&self, socket: WebSocket) -> impl Future<Output = anyws::Result<()>> + Send;

    /// Sends the same message `count` times to all.
    fn publish(&self, payload: Bytes, count: usize) -> impl Future<Output = ()> + Send;
}

/// Follows orders, until the connection ends or what comes is none. `payload` makes what is
/// published, of the length that it is given.
pub async fn obey(mut socket: WebSocket, fanout: &impl Fanout, payload: fn(usize) -> Vec<u8>) {
    while let Some(Ok(Message::Text(text))) = socket.next_data().await {
        match Order::read(&text) {
            Some(Order::Join) => {
                // An error ends this connection alone, and the load sees that.
                let _ = fanout.join(socket).await;
                return;
            }
            Some(Order::Publish { count, length }) => {
                fanout.publish(payload(length).into(), count).await;
            }
            _ => return,
        }
    }
}

/// Messages that hold nothing.
#[must_use]
pub fn filling(length: usize) -> Vec<u8> {
    vec![FILLING; length]
}

/// The answer to [`Order::Join`].
fn joined() -> Message {
    Message::text(Order::Join.to_string())
}

/// The publisher's task sends to one socket after the other.
#[derive(Debug, Default)]
pub struct Loop {
    members: tokio::sync::Mutex<Vec<SendHalf>>,
}

impl Fanout for Loop {
    async fn join(&self, socket: WebSocket) -> anyws::Result<()> {
        let (mut sender, mut receiver) = socket.split();
        let mut members = self.members.lock().await;
        sender.send(joined()).await?;
        members.push(sender);
        drop(members);
        while receiver.next().await.transpose()?.is_some() {}
        Ok(())
    }

    async fn publish(&self, payload: Bytes, count: usize) {
        let mut members = self.members.lock().await;
        let mut number = 0;
        while let Some(member) = members.get_mut(number) {
            let payloads = iter::repeat_n(payload.clone(), count);
            if send_all(member, &TUNGSTENITE, payloads).await.is_ok() {
                number += 1;
            } else {
                members.swap_remove(number);
            }
        }
    }
}

/// One channel for all; the task of each socket receives from it.
#[derive(Debug)]
pub struct OneChannel {
    published: broadcast::Sender<Bytes>,
}

impl Default for OneChannel {
    fn default() -> Self {
        let published = broadcast::Sender::new(ROOM);
        Self { published }
    }
}

impl Fanout for OneChannel {
    async fn join(&self, socket: WebSocket) -> anyws::Result<()> {
        pass_on(self.published.subscribe(), socket).await
    }

    async fn publish(&self, payload: Bytes, count: usize) {
        for payload in iter::repeat_n(payload, count) {
            // An error means that nobody has joined, which the load would see.
            let _ = self.published.send(payload);
        }
    }
}

/// A channel for each socket, whose task receives from it.
#[derive(Debug, Default)]
pub struct Channels {
    members: Mutex<Vec<mpsc::Sender<Bytes>>>,
}

impl Channels {
    fn members(&self) -> MutexGuard<'_, Vec<mpsc::Sender<Bytes>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fanout for Channels {
    async fn join(&self, socket: WebSocket) -> anyws::Result<()> {
        let (sender, receiver) = mpsc::channel(ROOM);
        self.members().push(sender);
        pass_on(receiver, socket).await
    }

    async fn publish(&self, payload: Bytes, count: usize) {
        self.members().retain(|member| {
            // All for one member at once: its task is woken once. A slow reader misses messages.
            iter::repeat_n(&payload, count)
                .map(|payload| member.try_send(payload.clone()))
                .all(|sent| !matches!(sent, Err(TrySendError::Closed(_))))
        });
    }
}

/// A [`Sender`] for each socket, whose task does nothing but ask for the next message.
#[derive(Debug, Default)]
pub struct Senders {
    members: Mutex<Vec<Sender>>,
}

impl Senders {
    fn members(&self) -> MutexGuard<'_, Vec<Sender>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fanout for Senders {
    async fn join(&self, mut socket: WebSocket) -> anyws::Result<()> {
        let sender = socket.sender();
        self.members().push(sender);
        socket.send(joined()).await?;
        while socket.next().await.transpose()?.is_some() {}
        Ok(())
    }

    async fn publish(&self, payload: Bytes, count: usize) {
        let message = PreparedMessage::from(Message::Binary(payload));
        self.members().retain(|member| {
            // All for one member at once: its task is woken once. A slow reader misses messages.
            iter::repeat_n(&message, count)
                .map(|message| member.try_send(message.clone()))
                .all(|sent| !matches!(sent, Err(anyws::TrySendError::Closed(_))))
        });
    }
}

/// A [`Hub`] with one topic that all sockets join.
#[derive(Debug, Default)]
pub struct Topic {
    hub: Hub,
}

impl Topic {
    const NAME: &str = "all";
}

impl Fanout for Topic {
    async fn join(&self, mut socket: WebSocket) -> anyws::Result<()> {
        // A hub closes a slow reader whose queue has the default policy. Here it misses messages.
        let queue = QueueConfig::default().when_full(WhenFull::DropNewest);
        let sender = socket.sender_with(queue);
        let _subscription = self.hub.join(Self::NAME, &sender);
        socket.send(joined()).await?;
        while socket.next().await.transpose()?.is_some() {}
        Ok(())
    }

    async fn publish(&self, payload: Bytes, count: usize) {
        let message = PreparedMessage::from(Message::Binary(payload));
        if count == 1 {
            self.hub.publish(Self::NAME, message);
        } else {
            let messages = iter::repeat_n(message, count);
            self.hub.publish_all(Self::NAME, messages);
        }
    }
}

/// The end of a channel that a socket's task receives from.
trait Receiver {
    /// The next message; `None` if there will be none.
    async fn next(&mut self) -> Option<Bytes>;

    /// The next message, if it is there.
    fn next_now(&mut self) -> Option<Bytes>;
}

impl Receiver for broadcast::Receiver<Bytes> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.recv().await {
                Ok(payload) => return Some(payload),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn next_now(&mut self) -> Option<Bytes> {
        loop {
            match self.try_recv() {
                Ok(payload) => return Some(payload),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

impl Receiver for mpsc::Receiver<Bytes> {
    async fn next(&mut self) -> Option<Bytes> {
        self.recv().await
    }

    fn next_now(&mut self) -> Option<Bytes> {
        self.try_recv().ok()
    }
}

/// Answers the order to join, then sends what comes from the channel and reads what the peer sends.
async fn pass_on(mut channel: impl Receiver, mut socket: WebSocket) -> anyws::Result<()> {
    socket.send(joined()).await?;
    loop {
        select! {
            first = channel.next() => {
                let Some(first) = first else { return Ok(()) };
                let more = iter::from_fn(|| channel.next_now());
                send_all(&mut socket, &TUNGSTENITE, iter::once(first).chain(more)).await?;
            }
            message = socket.next() => {
                if message.transpose()?.is_none() {
                    return Ok(());
                }
            }
        }
    }
}
