//! Without a runtime: what works all the same, and what says that it needs one.
//!
//! With `rt-smol` there always is one; with `rt-tokio` there is none outside of tokio.

use std::{future::Future, sync::Arc, time::Duration};

use anyws::{
    Error, Message, Runtime, ServerHandshake, WebSocketConfig, rt,
    testing::{self, Client},
};
use futures::{AsyncReadExt, AsyncWriteExt, executor::block_on, future::join};
use http::{Response, StatusCode};
use support::{
    raw::{Request, TEXT, masked, parse_head},
    threads::ThreadRuntime,
    upgrades::{Upgrade, assert_echoes, echo, failed, next},
};

/// Runs a test on the thread of its own that `support::bounded` makes, and on no runtime.
fn on_none<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    support::bounded(|| {
        assert!(rt::detect().is_none());
        block_on(test());
    });
}

fn extract() -> (Upgrade, Client) {
    let (mut request, client) = testing::upgrade("/");
    (Upgrade::from_request(&mut request).unwrap(), client)
}

/// Settings with one timeout each.
fn timeouts() -> [WebSocketConfig; 3] {
    let long = Duration::from_secs(3600);
    [
        WebSocketConfig::new().set_head_timeout(long),
        WebSocketConfig::new().set_upgrade_timeout(long),
        WebSocketConfig::new().set_close_timeout(long),
    ]
}

fn is_no_runtime<T>(result: &anyws::Result<T>) -> bool {
    matches!(result, Err(Error::NoRuntime))
}

#[test]
fn on_upgrade_answers_500_and_calls_back() {
    on_none(|| async {
        let (ws, client) = extract();
        let (response, error) = failed(ws).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(matches!(error, Error::NoRuntime), "{error:?}");
        assert!(client.open(&response).is_err());
    });
}

#[test]
fn on_upgrade_without_a_callback_answers_500_too() {
    on_none(|| async {
        let response = extract().0.on_upgrade(echo);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    });
}

#[test]
fn a_runtime_of_the_users_is_enough() {
    on_none(|| async {
        let rt: Arc<dyn Runtime> = Arc::new(ThreadRuntime);
        let (mut request, client) = testing::upgrade("/");
        request.extensions_mut().insert(rt);
        let ws = Upgrade::from_request(&mut request).unwrap();
        assert_echoes(client.open(&ws.on_upgrade(echo)).unwrap()).await;
    });
}

#[test]
fn accept_needs_none() {
    on_none(|| async {
        let (ws, client) = extract();
        let (response, upgrading) = ws.accept();
        let client = client.open(&response).unwrap();
        let server = async { echo(upgrading.await.unwrap()).await };
        join(server, assert_echoes(client)).await;
    });
}

#[test]
fn accept_on_a_bare_stream_needs_none() {
    on_none(|| async {
        let (near, mut far) = testing::duplex();
        far.write_all(&Request::new().bytes_then("hello"))
            .await
            .unwrap();
        let mut socket = anyws::accept(near, WebSocketConfig::new()).await.unwrap();
        assert!(socket.runtime().is_none());
        assert_eq!(next(&mut socket).await, Message::text("hello"));
        far.write_all(&masked(TEXT, b"more")).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::text("more"));
        socket.send("hello".into()).await.unwrap();
        socket.close(None).await.unwrap();
        drop(socket);
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.unwrap();
        let (head, length) = parse_head(&answer).unwrap();
        assert_eq!(head.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(&answer[length..], b"\x81\x05hello\x88\x00");
    });
}

#[test]
fn a_refusal_on_a_bare_stream_needs_none() {
    on_none(|| async {
        let (near, mut far) = testing::duplex();
        let request = Request::new().with("Sec-WebSocket-Key", &[]);
        far.write_all(&request.bytes()).await.unwrap();
        let accepted = anyws::accept(near, WebSocketConfig::new()).await;
        assert!(matches!(accepted, Err(Error::Rejected(_))), "{accepted:?}");
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.unwrap();
        assert_eq!(
            parse_head(&answer).unwrap().0.status(),
            StatusCode::BAD_REQUEST
        );
    });
}

#[test]
fn a_rejection_on_a_bare_stream_needs_none() {
    on_none(|| async {
        let (near, mut far) = testing::duplex();
        far.write_all(&Request::new().bytes()).await.unwrap();
        let handshake = ServerHandshake::read(near, WebSocketConfig::new())
            .await
            .unwrap();
        let response = Response::builder().status(StatusCode::NOT_FOUND);
        handshake
            .reject(response.body("no such room").unwrap())
            .await
            .unwrap();
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nno such room"), "{answer}");
    });
}

#[test]
fn a_timeout_that_was_set_is_an_error() {
    on_none(|| async {
        for config in timeouts() {
            let (response, upgrading) = extract().0.set_config(config.clone()).accept();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(is_no_runtime(&upgrading.await));
            assert!(is_no_runtime(
                &anyws::accept(testing::duplex().0, config.clone()).await
            ));
            assert!(is_no_runtime(&testing::pair_with(&config)));
        }
    });
}

#[test]
fn close_sends_its_close_and_does_not_wait() {
    on_none(|| async {
        let (mut client, mut server) = testing::pair();
        server.feed("buffered".into()).await.unwrap();
        server.close(None).await.unwrap();
        assert_eq!(next(&mut client).await, Message::text("buffered"));
        assert_eq!(next(&mut client).await, Message::Close(None));
        assert!(client.next().await.is_none());
    });
}

#[test]
fn a_dropped_socket_writes_once_without_waiting() {
    on_none(|| async {
        let (mut client, mut server) = testing::pair();
        server.feed("buffered".into()).await.unwrap();
        drop(server);
        assert_eq!(next(&mut client).await, Message::text("buffered"));
        assert!(matches!(next(&mut client).await, Message::Close(Some(_))));
    });
}
