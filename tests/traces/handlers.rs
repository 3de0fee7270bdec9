//! Handlers that fail, panic, or do not end.

use std::{
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use anyws::{BoxError, Drain, Error, HandlerOutput, Message, Runtime, Tracker, WebSocket, testing};
use futures::{channel::oneshot, future::BoxFuture};
use support::{
    runtimes,
    tasks::yield_to_tasks,
    time::Paused,
    traces::{Entry, Log},
    upgrades::{Upgrade, extract, next},
};

const LIFETIME: Duration = Duration::from_secs(100);

/// Serves a socket by a handler, and returns the client's end once the handler has closed it.
async fn served<Fut>(
    rt: &Arc<dyn Runtime>,
    set: impl FnOnce(Upgrade) -> Upgrade,
    handler: impl FnOnce(WebSocket) -> Fut + Send + 'static,
) where
    Fut: Future<Output: HandlerOutput> + Send + 'static,
{
    let (ws, client) = extract(rt);
    let mut client = client.open(&set(ws).on_upgrade(handler)).unwrap();
    assert!(matches!(next(&mut client).await, Message::Close(_)));
}

#[track_caller]
fn assert_in_span(entry: &Entry, text: &str) {
    assert_eq!(entry.text, text);
    assert_eq!(entry.spans, ["websocket"]);
    assert!(!entry.is_root);
}

/// A handler that never ends. Tells when it has started.
fn stuck() -> (
    impl FnOnce(WebSocket) -> BoxFuture<'static, ()> + Send + 'static,
    oneshot::Receiver<()>,
) {
    let (start, has_started) = oneshot::channel();
    let handler = |socket: WebSocket| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let _kept = socket;
            start.send(()).unwrap();
            pending::<()>().await;
        })
    };
    (handler, has_started)
}

async fn panic(_socket: WebSocket) {
    panic!("s3cret");
}

async fn try_panic(_socket: WebSocket) -> Result<(), Error> {
    panic!("s3cret");
}

runtimes! {
    async fn an_error_is_seen_at_warn(rt) {
        let (rt, mut log) = Log::start(&rt);
        served(&rt, |ws| ws, async |_socket| Err::<(), _>("no database")).await;
        let entry = log.next("handler failed").await;
        assert_in_span(&entry, "WARN handler failed error=no database");
    }

    async fn an_error_shows_its_causes(rt) {
        let (rt, mut log) = Log::start(&rt);
        let failed = || Error::Io(std::io::Error::other("the disk is full"));
        served(&rt, |ws| ws, async move |_socket| Err::<(), _>(failed())).await;
        let text = "WARN handler failed error=the connection failed: the disk is full";
        assert_eq!(log.next("handler failed").await.text, text);
    }

    async fn a_peer_that_is_gone_is_seen_at_debug(rt) {
        let (rt, mut log) = Log::start(&rt);
        served(&rt, |ws| ws, async |_socket| Err::<(), _>(Error::Closed)).await;
        let entry = log.next("handler failed").await;
        assert_in_span(&entry, "DEBUG handler failed error=the WebSocket is closed");
    }

    async fn an_error_that_somebody_listens_for_is_no_event(rt) {
        let (rt, mut log) = Log::start(&rt);
        let (sender, told) = oneshot::channel();
        let set = |ws: Upgrade| ws.on_handler_error(|error: BoxError| sender.send(error).unwrap());
        served(&rt, set, async |_socket| Err::<(), _>("no database")).await;
        told.await.unwrap();
        yield_to_tasks(&rt).await;
        assert!(log.rest().is_empty());
    }

    async fn a_panic_is_seen_at_warn(rt) {
        let (rt, mut log) = Log::start(&rt);
        served(&rt, |ws| ws, panic).await;
        assert_in_span(&log.next("handler panicked").await, "WARN handler panicked");

        served(&rt, |ws| ws, try_panic).await;
        assert_in_span(&log.next("handler panicked").await, "WARN handler panicked");
    }

    async fn success_is_no_event(rt) {
        let (rt, mut log) = Log::start(&rt);
        served(&rt, |ws| ws, async |_socket| ()).await;
        served(&rt, |ws| ws, async |_socket| Ok::<_, Error>(())).await;
        yield_to_tasks(&rt).await;
        assert!(log.rest().is_empty());
    }

    async fn a_handler_that_outlives_its_socket_is_dropped_with_an_event(rt) {
        let (rt, mut log) = Log::start(&rt);
        let time = Paused::new(&rt);
        let (ws, _client) = extract(&rt);
        let (handler, has_started) = stuck();
        let config = time.config().set_max_lifetime(LIFETIME);
        let _ = ws.set_config(config).runtime(time.clone()).on_upgrade(handler);
        has_started.await.unwrap();
        time.advance(LIFETIME).await;
        assert!(log.rest().is_empty());
        // Twice the close timeout, a tenth of the lifetime, and the ticks of the clock.
        time.advance(Duration::from_secs(40)).await;
        let text = "WARN task dropped reason=its socket has reached its maximum lifetime";
        assert_in_span(&log.next("task dropped").await, text);
        assert!(log.rest().is_empty());
    }

    async fn a_handler_that_outlives_a_drain_is_dropped_with_an_event(rt) {
        let (rt, mut log) = Log::start(&rt);
        let time = Paused::new(&rt);
        let tracker = Tracker::new().runtime(time.clone());
        let (mut request, _client) = testing::upgrade("/");
        request.extensions_mut().insert(tracker.clone());
        let ws = Upgrade::from_request(&mut request).unwrap();
        let (handler, has_started) = stuck();
        let _ = ws.set_config(time.config()).on_upgrade(handler);
        has_started.await.unwrap();
        let drained = time.run(async move { tracker.drain(Drain::new()).await });
        time.settle().await;
        assert!(log.rest().is_empty());
        time.advance(Duration::from_secs(60)).await;
        drained.await.unwrap();
        let text = "WARN task dropped reason=the deadline of a drain has passed";
        assert_in_span(&log.next("task dropped").await, text);
        assert!(log.rest().is_empty());
    }
}
