//! What handlers return: the Close of one that fails, and what `on_handler_error` is told.

use std::{
    fmt,
    future::{Future, Ready, pending, ready},
    io,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use anyws::{
    BoxError, CloseCode, CloseFrame, Error, HandlerOutput, Message, ReuniteError, Runtime, Sleep,
    WebSocket, testing,
};
use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::BoxFuture,
};
use support::{
    config, runtimes,
    upgrades::{
        Upgrade, assert_echoes, echo, extract, extract_from, failed, next, raw_upgrade, request_on,
    },
};

/// Why a handler fails.
const REASON: &str = "the database is gone";

/// What a callback is told; it ends with the callback, whether that is called or dropped.
type Errors = mpsc::UnboundedReceiver<BoxError>;

fn watched(ws: Upgrade) -> (Upgrade, Errors) {
    let (sender, errors) = mpsc::unbounded();
    let callback = move |error| sender.unbounded_send(error).expect("the test waits");
    (ws.on_handler_error(callback), errors)
}

/// Demands that a callback is called once, and returns what it is told.
async fn only(mut errors: Errors) -> BoxError {
    let error = errors.next().await.expect("the callback is called");
    let second = errors.next().await;
    assert!(second.is_none(), "it is called again: {second:?}");
    error
}

/// Demands that a callback is dropped without a call.
async fn none(mut errors: Errors) {
    let error = errors.next().await;
    assert!(error.is_none(), "the callback is told {error:?}");
}

/// Demands a Close with a code and no reason, and the end.
async fn assert_closed(code: CloseCode, mut socket: WebSocket) {
    let reason = "".into();
    let close = Message::Close(Some(CloseFrame { code, reason }));
    assert_eq!(next(&mut socket).await, close);
    assert!(socket.next().await.is_none());
}

/// Serves a socket by a handler; returns the client's end, and what the callback is told.
fn serve<H, Fut, E>(rt: &Arc<dyn Runtime>, handler: H) -> (WebSocket, Errors)
where
    H: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError>,
{
    let (ws, client) = extract(rt);
    let (ws, errors) = watched(ws);
    (client.open(&ws.on_upgrade(handler)).unwrap(), errors)
}

/// Demands that a handler fails for `REASON`, and closes with `code`.
async fn assert_fails(code: CloseCode, (socket, errors): (WebSocket, Errors)) {
    assert_closed(code, socket).await;
    assert_eq!(only(errors).await.to_string(), REASON);
}

/// A future that fails, and owns its socket until it is dropped itself.
struct Owner(#[expect(dead_code, reason = "it is owned")] WebSocket);

impl Future for Owner {
    type Output = Result<(), &'static str>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Err(REASON))
    }
}

/// An error whose conversion panics.
struct Explosive;

impl From<Explosive> for BoxError {
    fn from(_: Explosive) -> Self {
        panic!("a conversion")
    }
}

runtimes! {
    async fn an_error_closes_with_1011_and_is_told_once(rt) {
        let at_once = |_socket| async { Err(REASON) };
        assert_fails(CloseCode::Error, serve(&rt, at_once)).await;

        let late = async |mut socket: WebSocket| {
            assert_eq!(next(&mut socket).await, Message::text("hello"));
            Err(REASON)
        };
        let (mut socket, errors) = serve(&rt, late);
        socket.send("hello".into()).await.unwrap();
        assert_fails(CloseCode::Error, (socket, errors)).await;
    }

    async fn what_was_buffered_goes_out_before_the_close(rt) {
        let (mut socket, errors) = serve(&rt, async |mut socket: WebSocket| {
            socket.feed("last words".into()).await?;
            Err::<(), BoxError>(REASON.into())
        });
        assert_eq!(next(&mut socket).await, Message::text("last words"));
        assert_fails(CloseCode::Error, (socket, errors)).await;
    }

    async fn success_closes_with_1000_and_tells_nothing(rt) {
        let (mut socket, errors) = serve(&rt, async |mut socket: WebSocket| {
            let message = next(&mut socket).await;
            socket.send(message).await
        });
        socket.send("hello".into()).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::text("hello"));
        assert_closed(CloseCode::Normal, socket).await;
        none(errors).await;
    }

    async fn without_a_callback_an_error_closes_with_1011_too(rt) {
        let (ws, client) = extract(&rt);
        let response = ws.on_upgrade(async |_socket| Err(REASON));
        assert_closed(CloseCode::Error, client.open(&response).unwrap()).await;
    }

    async fn the_callback_is_called_after_the_close(rt) {
        let (request, far) = raw_upgrade();
        let ws = extract_from(request, &rt);
        let mut client = testing::client(far, &config(&rt)).unwrap();
        let (sender, told) = oneshot::channel();
        let callback = move |_| sender.send(client.next().now_or_never()).expect("the test waits");
        let _answer = ws
            .on_handler_error(callback)
            .on_upgrade(async |_socket| Err(REASON));
        let item = told.await.unwrap();
        assert!(matches!(item, Some(Some(Ok(Message::Close(_))))), "{item:?}");
    }

    async fn the_last_of_two_callbacks_is_the_one(rt) {
        let (ws, client) = extract(&rt);
        let (ws, first) = watched(ws);
        let (ws, last) = watched(ws);
        none(first).await;
        let response = ws.on_upgrade(async |_socket| Err(REASON));
        assert_fails(CloseCode::Error, (client.open(&response).unwrap(), last)).await;
    }

    async fn halves_that_a_failing_handler_drops_close_with_1011(rt) {
        let both = async |socket: WebSocket| {
            let (_sender, _receiver) = socket.split();
            Err(REASON)
        };
        assert_fails(CloseCode::Error, serve(&rt, both)).await;

        let receiver_last = async |socket: WebSocket| {
            let (sender, receiver) = socket.split();
            drop(sender);
            let _receiver = receiver;
            Err(REASON)
        };
        assert_fails(CloseCode::Error, serve(&rt, receiver_last)).await;

        let waiting = async |socket: WebSocket| {
            let (mut sender, mut receiver) = socket.split();
            let message = receiver.next().await.unwrap().unwrap();
            sender.send(message).await.unwrap();
            Err(REASON)
        };
        let (mut socket, errors) = serve(&rt, waiting);
        socket.send("hello".into()).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::text("hello"));
        assert_fails(CloseCode::Error, (socket, errors)).await;
    }

    async fn a_socket_that_outlives_its_handler_closes_by_its_own_end(rt) {
        let runtime = Arc::clone(&rt);
        let (socket, errors) = serve(&rt, async move |socket: WebSocket| {
            runtime.spawn(Box::pin(echo(socket)));
            Err(REASON)
        });
        assert_eq!(only(errors).await.to_string(), REASON);
        assert_echoes(socket).await;
    }

    async fn a_half_that_outlives_its_handler_closes_by_its_own_end(rt) {
        let (go, gone) = oneshot::channel();
        let runtime = Arc::clone(&rt);
        let (mut socket, errors) = serve(&rt, async move |socket: WebSocket| {
            let (mut sender, _receiver) = socket.split();
            runtime.spawn(Box::pin(async move {
                gone.await.unwrap();
                sender.send("still here".into()).await.unwrap();
            }));
            Err(REASON)
        });
        assert_eq!(only(errors).await.to_string(), REASON);
        go.send(()).unwrap();
        assert_eq!(next(&mut socket).await, Message::text("still here"));
        assert_closed(CloseCode::Normal, socket).await;
    }

    async fn a_socket_that_was_closed_before_keeps_its_code(rt) {
        let close = async |mut socket: WebSocket| {
            let frame = CloseFrame { code: CloseCode::Policy, reason: "".into() };
            socket.close(frame).await.unwrap();
            Err(REASON)
        };
        assert_fails(CloseCode::Policy, serve(&rt, close)).await;
    }

    async fn a_socket_that_was_dropped_before_keeps_its_code(rt) {
        let (go, gone) = oneshot::channel();
        let (socket, errors) = serve(&rt, async |socket: WebSocket| {
            drop(socket);
            gone.await.unwrap();
            Err(REASON)
        });
        // It is closed though the handler goes on.
        assert_closed(CloseCode::Normal, socket).await;
        go.send(()).unwrap();
        assert_eq!(only(errors).await.to_string(), REASON);
    }

    async fn sockets_close_with_1011_wherever_a_failing_handler_keeps_them(rt) {
        let in_a_future = |socket| Owner(socket);
        assert_fails(CloseCode::Error, serve(&rt, in_a_future)).await;

        // Dropped before there is a future.
        let outside = |_socket| -> Ready<_> { ready(Err(REASON)) };
        assert_fails(CloseCode::Error, serve(&rt, outside)).await;

        let boxed = |socket| -> BoxFuture<'static, _> { Box::pin(Owner(socket)) };
        assert_fails(CloseCode::Error, serve(&rt, boxed)).await;

        let (socket, errors) = serve(&rt, |socket: WebSocket| async {
            let (sender, _) = socket.split();
            let (_, receiver) = testing::pair().0.split();
            // The error has halves of two sockets.
            sender.reunite(receiver).map(drop)
        });
        let mut errors = errors;
        let error = errors.next().await.expect("the callback is called");
        assert!(error.is::<ReuniteError>(), "{error:?}");
        drop((error, errors));
        // The callback took them with it, and this test has dropped them.
        assert_closed(CloseCode::Normal, socket).await;
    }

    async fn an_error_that_nobody_takes_closes_its_socket_with_1011(rt) {
        let (ws, client) = extract(&rt);
        let response = ws.on_upgrade(|socket: WebSocket| async {
            let (sender, _) = socket.split();
            sender.reunite(testing::pair().0.split().1).map(drop)
        });
        assert_closed(CloseCode::Error, client.open(&response).unwrap()).await;
    }

    async fn handlers_of_subprotocols_fail_in_the_same_way(rt) {
        type Fail = fn(WebSocket) -> BoxFuture<'static, Result<(), Error>>;

        let with_offer = |protocol: &'static str| {
            let (mut request, client) = testing::upgrade("/");
            let offer = protocol.parse().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", offer);
            (extract_from(request, &rt), client.set_config(config(&rt)))
        };
        let (ws, client) = with_offer("chat");
        let (ws, errors) = watched(ws);
        let ws = ws.on_protocol("chat", async |_socket| Err(REASON));
        let socket = client.open(&ws.on_upgrade(echo)).unwrap();
        assert_fails(CloseCode::Error, (socket, errors)).await;

        let (ws, client) = with_offer("b");
        let (ws, errors) = watched(ws);
        let fail: Fail = |_socket| async { Err(Error::Closed) }.boxed();
        let ws = ws.on_protocols([("a", fail), ("b", fail)]);
        let socket = client.open(&ws.on_upgrade(echo)).unwrap();
        assert_closed(CloseCode::Error, socket).await;
        let error = only(errors).await;
        assert!(matches!(error.downcast_ref(), Some(Error::Closed)), "{error:?}");
    }

    async fn a_panic_closes_with_1011_and_is_told_to_nobody(rt) {
        let panics = |_socket| -> Ready<Result<(), Error>> { panic!("before the future") };
        let (socket, errors) = serve(&rt, panics);
        assert_closed(CloseCode::Error, socket).await;
        none(errors).await;

        let (mut socket, errors) = serve(&rt, async |mut socket: WebSocket| {
            let message = socket.next().await;
            assert!(message.is_none(), "on purpose");
            Ok::<_, Error>(())
        });
        socket.send("hello".into()).await.unwrap();
        assert_closed(CloseCode::Error, socket).await;
        none(errors).await;

        let (socket, errors) = serve(&rt, async |_socket| Err(Explosive));
        assert_closed(CloseCode::Error, socket).await;
        none(errors).await;
    }

    async fn a_panic_that_the_handler_catches_closes_with_1011_what_it_drops(rt) {
        let (socket, errors) = serve(&rt, async |socket: WebSocket| {
            let panics = async move {
                let _socket = socket;
                panic!("of a part");
            };
            let caught = AssertUnwindSafe(panics).catch_unwind().await;
            assert!(caught.is_err());
            Ok::<_, Error>(())
        });
        assert_closed(CloseCode::Error, socket).await;
        none(errors).await;
    }

    async fn a_callback_that_panics_harms_nothing(rt) {
        let bystander = {
            let (ws, client) = extract(&rt);
            client.open(&ws.on_upgrade(echo)).unwrap()
        };
        let (ws, client) = extract(&rt);
        let (called, calls) = oneshot::channel();
        let response = ws
            .on_handler_error(move |error: BoxError| {
                called.send(error.to_string()).unwrap();
                panic!("a callback");
            })
            .on_upgrade(async |_socket| Err(REASON));
        assert_closed(CloseCode::Error, client.open(&response).unwrap()).await;
        assert_eq!(calls.await.unwrap(), REASON);
        assert_echoes(bystander).await;
        let (ws, client) = extract(&rt);
        assert_echoes(client.open(&ws.on_upgrade(echo)).unwrap()).await;
    }

    async fn a_failed_upgrade_is_not_told_as_an_error_of_the_handler(rt) {
        let ws = extract_from(request_on(ready(Err(REASON.into()))), &rt);
        let (ws, errors) = watched(ws);
        let (_, error) = failed(ws).await;
        assert!(matches!(error, Error::Upgrade(_)), "{error:?}");
        none(errors).await;
    }

    async fn accept_calls_nothing_back(rt) {
        let (ws, client) = extract(&rt);
        let (ws, errors) = watched(ws);
        let (response, upgrading) = ws.accept();
        let socket = client.open(&response).unwrap();
        drop(upgrading.await.unwrap());
        assert_closed(CloseCode::Normal, socket).await;
        none(errors).await;
    }

    async fn a_handler_inside_the_poll_of_another_closes_by_its_own_end(rt) {
        let inline: Arc<dyn Runtime> = Arc::new(Inline(Arc::clone(&rt)));
        let (request, far) = raw_upgrade();
        let (ws, errors) = watched(extract_from(request, &inline));
        let failing = serve(&rt, async move |socket| {
            drop(socket);
            // It ends inside of this poll.
            let _answer = ws.on_upgrade(async |_socket| Ok::<_, Error>(()));
            none(errors).await;
            Err(REASON)
        });
        assert_fails(CloseCode::Error, failing).await;
        assert_closed(CloseCode::Normal, testing::client(far, &config(&rt)).unwrap()).await;
    }

    async fn a_plain_handler_inside_the_poll_of_another_closes_by_its_own_end(rt) {
        let inline: Arc<dyn Runtime> = Arc::new(Inline(Arc::clone(&rt)));
        let (request, far) = raw_upgrade();
        let ws = extract_from(request, &inline);
        let failing = serve(&rt, async move |_socket| {
            // It ends inside of this poll.
            let _answer = ws.on_upgrade(async |_socket| {});
            Err(REASON)
        });
        assert_fails(CloseCode::Error, failing).await;
        assert_closed(CloseCode::Normal, testing::client(far, &config(&rt)).unwrap()).await;
    }

    async fn every_shape_of_a_handler_is_accepted(rt) {
        async fn plain(mut socket: WebSocket) {
            let _ = socket.next().await;
        }
        async fn fallible(mut socket: WebSocket) -> Result<(), Error> {
            socket.send("hello".into()).await
        }
        async fn generic<T: fmt::Debug + Send>(
            mut socket: WebSocket,
            of: T,
        ) -> Result<(), String> {
            let message = socket.next().await;
            Err(format!("{message:?}, {of:?}"))
        }
        fn opaque(socket: WebSocket) -> impl Future<Output = ()> + Send {
            plain(socket)
        }
        fn boxed(socket: WebSocket) -> BoxFuture<'static, Result<(), BoxError>> {
            Box::pin(async { Ok(fallible(socket).await?) })
        }
        fn passed_on<H, Fut>(ws: Upgrade, handler: H)
        where
            H: FnOnce(WebSocket) -> Fut + Send + 'static,
            Fut: Future<Output: HandlerOutput> + Send + 'static,
        {
            let _ = ws.on_upgrade(handler);
        }
        let upgrade = || extract(&rt).0;

        let _ = upgrade().on_upgrade(plain);
        let _ = upgrade().on_upgrade(fallible);
        let _ = upgrade().on_upgrade(boxed);
        let _ = upgrade().on_upgrade(boxed as fn(WebSocket) -> BoxFuture<'static, _>);
        let _ = upgrade().on_upgrade(opaque);
        passed_on(upgrade(), plain);
        passed_on(upgrade(), fallible);
        let _ = upgrade().on_upgrade(|socket| generic(socket, 1));
        let _ = upgrade().on_upgrade(|_| async {});
        let _ = upgrade().on_upgrade(async |_| {});
        let _ = upgrade().on_upgrade(|mut socket| async move { socket.send("x".into()).await });
        let _ = upgrade().on_upgrade(async |mut socket| {
            socket.send("x".into()).await?;
            Ok::<_, Error>(())
        });
        let _ = upgrade().on_upgrade(async |_| Err(io::Error::other(REASON)));
        let _ = upgrade().on_upgrade(async |_| Err(String::from(REASON)));
        let _ = upgrade().on_upgrade(async |_| -> Result<(), BoxError> {
            Err(io::Error::other(REASON))?
        });
        // The output is `!`: the loop never ends.
        let _ = upgrade().on_upgrade(|mut socket| async move {
            loop {
                let _ = socket.next().await;
                pending::<()>().await;
            }
        });
        let _ = upgrade().on_protocol("a", async |_| loop {
            pending::<()>().await;
        });
        let _ = upgrade().on_protocols([("a", |_| Box::pin(async {}) as BoxFuture<'static, ()>)]);
        let _ = upgrade().on_protocols(vec![("a", plain as fn(_) -> _)]);
    }
}

/// A runtime that polls a task once where it is spawned, and leaves the rest to another one.
#[derive(Debug)]
struct Inline(Arc<dyn Runtime>);

impl Runtime for Inline {
    fn spawn(&self, mut task: BoxFuture<'static, ()>) {
        let mut cx = Context::from_waker(Waker::noop());
        if pin!(&mut task).poll(&mut cx).is_pending() {
            self.0.spawn(task);
        }
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.0.sleep_until(deadline)
    }
}
