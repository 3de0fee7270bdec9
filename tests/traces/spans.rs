//! The span in which a handler runs.

use std::sync::Arc;

use anyws::{Error, Message, Runtime, WebSocket};
use support::{
    runtimes,
    tasks::yield_to_tasks,
    traces::Log,
    upgrades::{Upgrade, extract, next},
};
use tracing::{Span, debug_span, info_span};

/// Answers each message with the name of the current span.
async fn tell(mut socket: WebSocket) {
    while let Some(Ok(_)) = socket.next_data().await {
        let name = Span::current().metadata().map_or("", |it| it.name());
        if socket.send(name.into()).await.is_err() {
            break;
        }
    }
}

/// The same, as a handler that may fail.
async fn try_tell(socket: WebSocket) -> Result<(), Error> {
    tell(socket).await;
    Ok(())
}

fn open(rt: &Arc<dyn Runtime>, set: impl FnOnce(Upgrade) -> Upgrade) -> WebSocket {
    let (ws, client) = extract(rt);
    client.open(&set(ws).on_upgrade(tell)).unwrap()
}

/// Demands that the handler is in a span, in several of its polls.
async fn assert_is_in(socket: &mut WebSocket, name: &str) {
    for _ in 0..3 {
        socket.send("which".into()).await.unwrap();
        assert_eq!(next(socket).await, Message::text(name));
    }
}

runtimes! {
    async fn a_handler_runs_in_a_span_that_follows_from_the_request(rt) {
        let (rt, log) = Log::start(&rt);
        let mut socket = info_span!("request").in_scope(|| open(&rt, |ws| ws));
        assert_is_in(&mut socket, "websocket").await;
        let [span] = &log.spans_named("websocket")[..] else { panic!("not one span") };
        assert_eq!((&*span.text, span.target), ("DEBUG websocket", "anyws"));
        assert!(span.is_root && !span.is_closed);
        assert_eq!(span.follows, ["request"]);
        let [request] = &log.spans_named("request")[..] else { panic!("not one span") };
        assert!(request.is_closed, "the request is over");
    }

    async fn without_a_span_of_the_request_it_follows_from_none(rt) {
        let (rt, log) = Log::start(&rt);
        let mut socket = open(&rt, |ws| ws);
        assert_is_in(&mut socket, "websocket").await;
        assert!(log.spans_named("websocket")[0].follows.is_empty());
    }

    async fn the_span_ends_with_its_handler(rt) {
        let (rt, mut log) = Log::start(&rt);
        let mut socket = open(&rt, |ws| ws);
        socket.close(None).await.unwrap();
        for _ in 0..2 {
            log.next("closed").await;
        }
        // The task has ended, and is dropped once it does not run any more.
        for _ in 0..1000 {
            if log.spans_named("websocket")[0].is_closed {
                return;
            }
            yield_to_tasks(&rt).await;
        }
        panic!("the span is open");
    }

    async fn a_span_of_the_user_replaces_it(rt) {
        let (rt, log) = Log::start(&rt);
        let mut chat = open(&rt, |ws| ws.span(info_span!("chat", user = 7)));
        assert_is_in(&mut chat, "chat").await;
        assert_eq!(log.spans_named("chat")[0].text, "INFO chat user=7");
        assert!(log.spans_named("websocket").is_empty());
    }

    async fn the_last_span_counts(rt) {
        let (rt, _log) = Log::start(&rt);
        let set = |ws: Upgrade| ws.span(debug_span!("first")).span(debug_span!("second"));
        assert_is_in(&mut open(&rt, set), "second").await;
    }

    async fn a_handler_may_run_in_no_span(rt) {
        let (rt, log) = Log::start(&rt);
        let mut socket = open(&rt, |ws| ws.span(Span::none()));
        assert_is_in(&mut socket, "").await;
        assert!(log.spans().is_empty());
    }

    async fn handlers_that_may_fail_and_handlers_of_subprotocols_run_in_it_too(rt) {
        let (rt, _log) = Log::start(&rt);
        let (ws, client) = extract(&rt);
        let mut socket = client.open(&ws.on_upgrade(try_tell)).unwrap();
        assert_is_in(&mut socket, "websocket").await;

        let (mut request, client) = anyws::testing::upgrade("/");
        let protocol = http::HeaderValue::from_static("chat");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let ws = support::upgrades::extract_from(request, &rt)
            .span(info_span!("chat"))
            .on_protocol("chat", tell)
            .on_upgrade(async |_socket| unreachable!());
        assert_is_in(&mut client.open(&ws).unwrap(), "chat").await;
    }

    async fn another_socket_of_the_thread_is_not_in_it(rt) {
        let (rt, _log) = Log::start(&rt);
        let mut sockets: Vec<_> = ["a", "b", ""]
            .map(|name| {
                let span = match name {
                    "a" => info_span!("a"),
                    "b" => info_span!("b"),
                    _ => Span::none(),
                };
                (open(&rt, |ws| ws.span(span)), name)
            })
            .into();
        for _ in 0..3 {
            for (socket, _) in &mut sockets {
                socket.send("which".into()).await.unwrap();
            }
            for (socket, name) in &mut sockets {
                assert_eq!(next(socket).await, Message::text(*name));
            }
        }
        assert!(Span::current().is_none(), "nor is the thread itself");
    }

    async fn a_socket_that_a_handler_opens_has_a_span_of_its_own(rt) {
        let (rt, log) = Log::start(&rt);
        let inner = Arc::clone(&rt);
        let (ws, client) = extract(&rt);
        let response = ws.span(info_span!("outer")).on_upgrade(async move |socket| {
            let mut socket: WebSocket = socket;
            let mut other = open(&inner, |ws| ws);
            assert_is_in(&mut other, "websocket").await;
            socket.send("done".into()).await.unwrap();
        });
        let mut client = client.open(&response).unwrap();
        assert_eq!(next(&mut client).await, Message::text("done"));
        let [span] = &log.spans_named("websocket")[..] else { panic!("not one span") };
        assert!(span.is_root);
        assert_eq!(span.follows, ["outer"]);
    }
}
