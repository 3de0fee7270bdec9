//! A server whose requests carry a tracker, under a time that the test moves.

use std::{future::Future, sync::Arc, time::Duration};

use anyws::{
    Drain, Drained, HandlerOutput, Message, Rejection, Runtime, Tracker, WebSocket,
    WebSocketConfig, testing,
};
use futures::channel::oneshot::{self, Receiver};
use http::Request;
use support::{time::Paused, upgrades::Upgrade};

pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// A moment before it.
pub(crate) const ALMOST: Duration = Duration::from_millis(9_999);
/// What a drain waits for what it has aborted.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

pub(crate) struct Server {
    pub(crate) time: Arc<Paused>,
    pub(crate) tracker: Tracker,
}

impl Server {
    pub(crate) fn new(rt: &Arc<dyn Runtime>) -> Self {
        Self::with(rt, |tracker| tracker)
    }

    pub(crate) fn with(rt: &Arc<dyn Runtime>, set: impl FnOnce(Tracker) -> Tracker) -> Self {
        let time = Paused::new(rt);
        let tracker = set(Tracker::new().runtime(time.clone()));
        Self { time, tracker }
    }

    /// Settings whose own timeouts are no part of the tests.
    pub(crate) fn config(&self) -> WebSocketConfig {
        let never = Duration::from_secs(3600);
        self.time.config().set_close_timeout(never)
    }

    /// Puts the tracker into a request, and extracts it.
    pub(crate) fn extract(&self, mut request: Request<()>) -> Result<Upgrade, Rejection> {
        request.extensions_mut().insert(self.tracker.clone());
        Ok(Upgrade::from_request(&mut request)?.set_config(self.config()))
    }

    /// Upgrades to a socket that runs `handler`. Returns the client once the handler has started.
    pub(crate) async fn open<Fut>(
        &self,
        handler: impl FnOnce(WebSocket) -> Fut + Send + 'static,
    ) -> WebSocket
    where
        Fut: Future<Output: HandlerOutput> + Send + 'static,
    {
        let (request, client) = testing::upgrade("/");
        let (start, has_started) = oneshot::channel();
        let response = self.extract(request).unwrap().on_upgrade(|socket| {
            let _ = start.send(());
            handler(socket)
        });
        let client = client.set_config(self.config()).open(&response).unwrap();
        has_started.await.unwrap();
        client
    }

    /// Begins a drain in a task.
    pub(crate) async fn drain(&self, drain: Drain) -> Receiver<Drained> {
        // Handlers wait for what they will wait for.
        self.time.settle().await;
        let tracker = self.tracker.clone();
        let drained = self.time.run(async move { tracker.drain(drain).await });
        self.time.settle().await;
        drained
    }

    /// Lets the deadline pass.
    pub(crate) async fn pass_deadline(&self) {
        self.time.advance(DEADLINE).await;
    }
}

/// Demands the Close of a drain.
pub(crate) async fn assert_is_closed(client: &mut WebSocket, code: u16) {
    match client.next().await {
        Some(Ok(Message::Close(Some(frame)))) => {
            assert_eq!(u16::from(frame.code), code);
            assert_eq!(frame.reason, "shutting down");
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn assert_drained(drained: &Drained, closed: usize, aborted: usize) {
    assert_eq!((drained.closed, drained.aborted), (closed, aborted));
}

/// Tells when it is dropped.
pub(crate) struct Dropped(Option<oneshot::Sender<()>>);

impl Dropped {
    pub(crate) fn new() -> (Self, Receiver<()>) {
        let (dropped, is_dropped) = oneshot::channel();
        (Self(Some(dropped)), is_dropped)
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        // A test that has failed waits no more.
        let _ = self.0.take().unwrap().send(());
    }
}
