//! Upgrades in memory, and what comes of them.

use std::{future::Future, sync::Arc};

use anyws::{
    CloseCode, Error, Message, Runtime, UpgradeIo, WebSocket, WebSocketUpgrade,
    testing::{self, Client, Duplex},
};
use futures::{AsyncRead, AsyncReadExt, FutureExt, channel::oneshot, future::BoxFuture};
use http::{Request, Response};

use crate::{config, raw::parse_head};

/// The extractor of a server whose bodies are strings.
pub type Upgrade = WebSocketUpgrade<String>;

/// Sends each text back as it was.
pub async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Demands that the other end echoes, and closes.
pub async fn assert_echoes(mut socket: WebSocket) {
    socket.send("hello".into()).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("hello"));
    socket.close(None).await.unwrap();
}

/// Receives a message that has to come.
pub async fn next(socket: &mut WebSocket) -> Message {
    let message = socket.next().await.expect("a message comes");
    message.expect("the connection is sound")
}

/// Receives the code of a Close that has to come.
pub async fn close_code(socket: &mut WebSocket) -> CloseCode {
    match next(socket).await {
        Message::Close(Some(frame)) => frame.code,
        other => panic!("not a Close with a code: {other:?}"),
    }
}

/// Makes a valid request and extracts it, on `rt` alone.
pub fn extract(rt: &Arc<dyn Runtime>) -> (Upgrade, Client) {
    let (request, client) = testing::upgrade("/");
    (extract_from(request, rt), client.set_config(config(rt)))
}

/// Extracts a valid request, on `rt` alone.
pub fn extract_from(mut request: Request<()>, rt: &Arc<dyn Runtime>) -> Upgrade {
    let ws = Upgrade::from_request(&mut request).expect("the request is valid");
    ws.runtime(Arc::clone(rt))
}

/// Makes a valid request on a connection whose client is the test itself, byte for byte.
pub fn raw_upgrade() -> (Request<()>, Duplex) {
    let (near, far) = testing::duplex();
    (request_on(async { Ok(near) }), far)
}

/// Makes a valid request whose server hands over what `upgrade` comes to.
pub fn request_on(
    upgrade: impl Future<Output = Result<Duplex, anyws::BoxError>> + Send + 'static,
) -> Request<()> {
    let (mut request, _) = testing::upgrade("/");
    request.extensions_mut().insert(UpgradeIo::new(upgrade));
    request
}

/// Makes a callback for a failure; the receiver ends without one if the callback is never called.
pub fn failure() -> (
    impl FnOnce(Error) + Send + 'static,
    oneshot::Receiver<Error>,
) {
    let (sender, failed) = oneshot::channel();
    let callback = move |error| sender.send(error).expect("the test waits for it");
    (callback, failed)
}

/// Makes a handler; the receiver ends with an error if it never runs.
pub fn witness() -> (
    impl FnOnce(WebSocket) -> BoxFuture<'static, ()> + Send + 'static,
    oneshot::Receiver<WebSocket>,
) {
    let (sender, ran) = oneshot::channel();
    let handler = |socket| async { sender.send(socket).expect("the test waits for it") }.boxed();
    (handler, ran)
}

/// Demands that an upgrade fails: returns the answer, and the error that its callback was given.
pub async fn failed(ws: Upgrade) -> (Response<String>, Error) {
    let (on_failed_upgrade, failed) = failure();
    let (handler, ran) = witness();
    let response = ws.on_failed_upgrade(on_failed_upgrade).on_upgrade(handler);
    let error = failed.await.expect("the callback is called");
    assert!(
        ran.await.is_err(),
        "a handler runs though the upgrade failed"
    );
    (response, error)
}

/// Reads the head of an answer, and nothing behind it.
pub async fn read_head(far: &mut (impl AsyncRead + Unpin)) -> Response<()> {
    let mut bytes = Vec::new();
    loop {
        let mut byte = [0];
        far.read_exact(&mut byte).await.unwrap();
        bytes.extend(byte);
        if let Some((head, _)) = parse_head(&bytes) {
            return head;
        }
    }
}
