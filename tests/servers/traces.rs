//! Upgrades that fail under hyper: what `tracing` is told, and whose fault that is.

use std::{convert::Infallible, future::pending, sync::Arc};

use anyws::{
    Runtime,
    testing::{self, Duplex},
};
use futures::{AsyncWriteExt, StreamExt, channel::mpsc};
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use smol_hyper::rt::FuturesIo;
use support::{
    raw, runtimes,
    traces::Log,
    upgrades::{Upgrade, echo, read_head},
};

fn answer(rt: &Arc<dyn Runtime>, mut request: Request<Incoming>) -> Response<String> {
    let ws = Upgrade::from_request(&mut request).expect("hyper has an upgrade");
    ws.runtime(Arc::clone(rt)).on_upgrade(echo)
}

/// Sends a request for a WebSocket.
async fn ask(far: &mut Duplex) {
    let request = raw::Request::new().bytes();
    far.write_all(&request).await.unwrap();
}

runtimes! {
    async fn a_server_without_upgrades_is_seen_at_warn_with_what_to_call(rt) {
        let (rt, mut log) = Log::start(&rt);
        let (near, mut far) = testing::duplex();
        let runtime = Arc::clone(&rt);
        let service = service_fn(move |request| {
            let response = answer(&runtime, request);
            async { Ok::<_, Infallible>(response) }
        });
        rt.spawn(Box::pin(async {
            let builder = http1::Builder::new();
            let _ = builder.serve_connection(FuturesIo::new(near), service).await;
        }));
        ask(&mut far).await;
        assert_eq!(read_head(&mut far).await.status(), StatusCode::SWITCHING_PROTOCOLS);
        let text = log.next("upgrade failed").await.text;
        assert!(text.starts_with("WARN upgrade failed error="), "{text}");
        assert!(text.contains("call `.with_upgrades()`"), "{text}");
    }

    async fn a_client_that_leaves_before_the_answer_is_seen_at_debug(rt) {
        let (rt, mut log) = Log::start(&rt);
        let (near, mut far) = testing::duplex();
        let (asked, mut is_asked) = mpsc::unbounded();
        let runtime = Arc::clone(&rt);
        let service = service_fn(move |request| {
            asked.unbounded_send(answer(&runtime, request)).unwrap();
            pending::<Result<Response<String>, Infallible>>()
        });
        rt.spawn(Box::pin(async {
            let connection = http1::Builder::new().serve_connection(FuturesIo::new(near), service);
            let _ = connection.with_upgrades().await;
        }));
        ask(&mut far).await;
        assert!(is_asked.next().await.is_some());
        drop(far);
        let text = log.next("upgrade failed").await.text;
        assert!(text.starts_with("DEBUG upgrade failed error="), "{text}");
    }
}
