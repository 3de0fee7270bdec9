//! Handlers of `on_upgrade` whose sockets may live only so long.

use std::{
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};

use anyws::{
    CloseCode, Error, HandlerOutput, Message, TimeoutPhase, WebSocket, WebSocketUpgrade, testing,
};
use futures::channel::oneshot;
use support::{runtimes, sockets::close, time::Paused};

const LIFETIME: Duration = Duration::from_secs(100);
/// Twice the close timeout.
const GRACE: Duration = Duration::from_secs(20);
/// What the random tenth and the ticks add.
const LATE: Duration = Duration::from_secs(14);

/// Upgrades to a socket that runs `handler`. Returns the client once the handler has started.
async fn upgraded<Fut>(
    time: &Arc<Paused>,
    handler: impl FnOnce(WebSocket) -> Fut + Send + 'static,
) -> WebSocket
where
    Fut: Future<Output: HandlerOutput> + Send + 'static,
{
    let (mut request, client) = testing::upgrade("/");
    let (start, has_started) = oneshot::channel();
    let config = time.config().set_max_lifetime(LIFETIME);
    let response = WebSocketUpgrade::<String>::from_request(&mut request)
        .unwrap()
        .set_config(config)
        .on_upgrade(|socket| {
            let _ = start.send(());
            handler(socket)
        });
    // The client has no timeouts of its own.
    let client = client.set_config(time.config()).open(&response).unwrap();
    has_started.await.unwrap();
    client
}

/// Tells when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

async fn assert_is_told_1001(client: &mut WebSocket) {
    match client.next().await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(frame.code, CloseCode::Away),
        other => panic!("{other:?}"),
    }
}

runtimes! {
    async fn a_handler_that_never_polls_its_socket_is_dropped(rt) {
        let time = Paused::new(&rt);
        for may_fail in [false, true] {
            let (dropped, mut is_dropped) = oneshot::channel();
            let dropped = Dropped(Some(dropped));
            let mut client = if may_fail {
                upgraded(&time, async |socket: WebSocket| {
                    let _kept = (socket, dropped);
                    pending::<Result<(), Error>>().await
                })
                .await
            } else {
                upgraded(&time, async |socket: WebSocket| {
                    let _kept = (socket, dropped);
                    pending::<()>().await;
                })
                .await
            };
            time.advance(LIFETIME + GRACE).await;
            assert_eq!(is_dropped.try_recv(), Ok(None), "it is dropped too early");
            time.advance(LATE).await;
            is_dropped.await.unwrap();
            assert_is_told_1001(&mut client).await;
        }
    }

    async fn a_handler_that_polls_is_told_and_ends_by_itself(rt) {
        let time = Paused::new(&rt);
        let (told, is_told) = oneshot::channel();
        let mut client = upgraded(&time, async |mut socket: WebSocket| {
            let end = socket.next().await;
            drop(told.send((end, socket)));
        })
        .await;
        time.advance(LIFETIME + LATE).await;
        let (end, socket) = is_told.await.unwrap();
        assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Lifetime)))), "{end:?}");
        assert_is_told_1001(&mut client).await;
        drop(socket);
    }

    async fn a_handler_that_has_dropped_its_socket_goes_on(rt) {
        let time = Paused::new(&rt);
        let (go_on, may_go_on) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let mut client = upgraded(&time, async |socket: WebSocket| {
            drop(socket);
            may_go_on.await.unwrap();
            let _ = done.send("done");
        })
        .await;
        assert_eq!(client.next().await.unwrap().unwrap(), close(1000, ""));
        time.advance(2 * LIFETIME).await;
        go_on.send(()).unwrap();
        assert_eq!(is_done.await, Ok("done"));
    }

    async fn without_a_lifetime_a_handler_may_wait_for_ever(rt) {
        let time = Paused::new(&rt);
        let (mut request, client) = testing::upgrade("/");
        let (dropped, mut is_dropped) = oneshot::channel();
        let dropped = Dropped(Some(dropped));
        let config = time.config().set_idle_timeout(LIFETIME);
        let response = WebSocketUpgrade::<String>::from_request(&mut request)
            .unwrap()
            .set_config(config)
            .on_upgrade(async |socket: WebSocket| {
                let _kept = (socket, dropped);
                pending::<()>().await;
            });
        let _client = client.open(&response).unwrap();
        time.advance(2 * LIFETIME).await;
        assert_eq!(is_dropped.try_recv(), Ok(None));
    }

    async fn the_extractor_sets_keepalive_too(rt) {
        let time = Paused::new(&rt);
        let (mut request, client) = testing::upgrade("/");
        let (told, mut is_told) = oneshot::channel();
        let response = WebSocketUpgrade::<String>::from_request(&mut request)
            .unwrap()
            .keepalive(Duration::from_secs(20), Duration::from_secs(10))
            .set_config(time.config())
            .on_upgrade(async move |mut socket: WebSocket| {
                let _ = told.send(socket.next().await);
            });
        // It answers nothing, because nobody polls it.
        let _client = client.open(&response).unwrap();
        for _ in 0..200 {
            time.advance(Duration::from_secs(1)).await;
            if let Some(end) = is_told.try_recv().unwrap() {
                assert!(matches!(end, Some(Err(Error::Timeout(TimeoutPhase::Pong)))), "{end:?}");
                return;
            }
        }
        panic!("the peer is not given up");
    }

    async fn very_long_times_neither_fail_nor_drop_a_handler(rt) {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let time = Paused::new(&rt);
        for (lifetime, close_timeout) in [
            (LIFETIME, Duration::MAX),
            (Duration::MAX, Duration::MAX),
            // The longest that the clock can count.
            (99 * DAY, 99 * DAY / 2),
            // Longer ones never pass.
            (124 * DAY, 62 * DAY),
        ] {
            let (mut request, client) = testing::upgrade("/");
            let config = time.config()
                .set_max_lifetime(lifetime)
                .set_close_timeout(close_timeout);
            let (done, is_done) = oneshot::channel();
            let response = WebSocketUpgrade::<String>::from_request(&mut request)
                .unwrap()
                .set_config(config)
                .on_upgrade(async |_socket: WebSocket| assert_eq!(done.send("done"), Ok(())));
            let _client = client.open(&response).unwrap();
            assert_eq!(is_done.await, Ok("done"), "{lifetime:?} {close_timeout:?}");
        }
    }

    async fn a_handler_may_tidy_up_after_the_end_of_its_socket(rt) {
        let time = Paused::new(&rt);
        let (go_on, may_go_on) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let client = upgraded(&time, async |mut socket: WebSocket| {
            while socket.next().await.is_some() {}
            may_go_on.await.unwrap();
            // The socket lives until here.
            drop(socket);
            let _ = done.send("done");
        })
        .await;
        drop(client);
        time.advance(2 * LIFETIME).await;
        go_on.send(()).unwrap();
        assert_eq!(is_done.await, Ok("done"));
    }

    async fn a_handler_that_ignores_the_end_of_its_life_is_dropped(rt) {
        let time = Paused::new(&rt);
        let (dropped, mut is_dropped) = oneshot::channel();
        let dropped = Dropped(Some(dropped));
        let _client = upgraded(&time, async |mut socket: WebSocket| {
            let _dropped = dropped;
            while socket.next().await.is_some() {}
            pending::<()>().await;
        })
        .await;
        time.advance(LIFETIME + GRACE).await;
        assert_eq!(is_dropped.try_recv(), Ok(None), "it is dropped too early");
        time.advance(LATE).await;
        is_dropped.await.unwrap();
    }
}
