//! The extractor under hyper, on every runtime.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use anyws::{
    Error, Io, Rejection, Runtime, TimeoutPhase, WebSocket,
    testing::{self, Duplex},
};
use futures::{
    AsyncReadExt, AsyncWriteExt, StreamExt,
    channel::mpsc::{self, UnboundedReceiver},
    future::{Ready, pending, ready},
};
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use smol_hyper::rt::FuturesIo;
#[cfg(any(feature = "rt-smol", feature = "rt-tokio"))]
use support::tcp;
use support::{
    config,
    raw::{self, TEXT, masked},
    runtimes,
    upgrades::{Upgrade, echo, read_head},
};

/// Serves one connection, of whatever runtime.
async fn serve<F>(io: impl Io + 'static, service: impl Fn(Request<Incoming>) -> F)
where
    F: Future<Output = Response<String>>,
{
    let service = service_fn(|request| {
        let response = service(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new().serve_connection(FuturesIo::new(io), service);
    // A connection that fails is seen by its client.
    let _ = connection.with_upgrades().await;
}

/// Answers by `upgrade`, or by the rejection.
fn answer(
    mut request: Request<Incoming>,
    upgrade: impl FnOnce(Upgrade) -> Response<String>,
) -> Response<String> {
    match Upgrade::from_request(&mut request) {
        Ok(ws) => upgrade(ws.refusal_body(|reason| reason)),
        Err(rejection) => rejection.into_response(),
    }
}

/// Makes a connection, served on `rt`; returns the client's end.
fn connect<F>(
    rt: &Arc<dyn Runtime>,
    service: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
) -> Duplex
where
    F: Future<Output = Response<String>> + Send + 'static,
{
    let (near, far) = testing::duplex();
    let runtime = Arc::clone(rt);
    rt.spawn(Box::pin(serve(near, move |mut request| {
        request.extensions_mut().insert(Arc::clone(&runtime));
        service(request)
    })));
    far
}

async fn assert_echoes(far: &mut Duplex) {
    far.write_all(&masked(TEXT, b"hello")).await.unwrap();
    let mut frame = [0; 7];
    far.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x81\x05hello");
}

/// Sends a request for a WebSocket.
async fn ask(far: &mut Duplex) {
    let request = raw::Request::new().bytes();
    far.write_all(&request).await.unwrap();
}

/// Demands that a failure is hyper's own.
async fn assert_fails_by_hyper(mut failed: UnboundedReceiver<Error>) {
    match failed.next().await {
        Some(Error::Upgrade(error)) => {
            assert!(error.is::<hyper::Error>(), "{error:?}");
            // The server upgrades, so nothing is to be changed about it.
            assert!(!format!("{error:?} {error}").contains("with_upgrades"));
        }
        other => panic!("not an error of hyper: {other:?}"),
    }
}

/// Upgrades, and answers otherwise: what a middleware may do, or a handler that changes its mind.
fn replaced(
    request: Request<Incoming>,
    set: impl FnOnce(Upgrade) -> Upgrade,
) -> Ready<Response<String>> {
    let answer = answer(request, |ws| set(ws).on_upgrade(echo));
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    ready(Response::default())
}

/// Conformance row 15.
#[test]
#[ignore = "hyper 1.12 hands over a connection that it closes, whatever the answer was"]
fn a_replaced_answer_makes_no_tunnel_of_a_connection_that_closes() {
    support::on_threads(|rt| async move {
        let mut far = connect(&rt, |request| replaced(request, |ws| ws));
        let request = raw::Request::new().with("Connection", &["Upgrade, close"]);
        far.write_all(&request.bytes_then("hello")).await.unwrap();
        assert_eq!(read_head(&mut far).await.status(), StatusCode::OK);
        let length = far.read(&mut [0; 1]).await.unwrap();
        assert_eq!(length, 0, "the handler answers behind the refusal");
    });
}

runtimes! {
    async fn a_service_upgrades_and_the_handler_serves(rt) {
        let mut far = connect(&rt, async |request| {
            answer(request, |ws| ws.on_upgrade(echo))
        });
        ask(&mut far).await;
        let response = read_head(&mut far).await;
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["sec-websocket-accept"], raw::ACCEPT);
        assert_echoes(&mut far).await;
    }

    async fn frames_right_behind_the_request_are_kept(rt) {
        let mut far = connect(&rt, async |request| {
            answer(request, |ws| ws.on_upgrade(echo))
        });
        let request = raw::Request::new().bytes_then("early");
        far.write_all(&request).await.unwrap();
        assert_eq!(
            read_head(&mut far).await.status(),
            StatusCode::SWITCHING_PROTOCOLS
        );
        let mut frame = [0; 7];
        far.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame, b"\x81\x05early");
        assert_echoes(&mut far).await;
    }

    async fn a_service_accepts_and_drives_the_socket_itself(rt) {
        let runtime = Arc::clone(&rt);
        let mut far = connect(&rt, move |request| {
            let response = answer(request, |ws| {
                let (response, upgrading) = ws.accept();
                runtime.spawn(Box::pin(async { echo(upgrading.await.unwrap()).await }));
                response
            });
            async { response }
        });
        ask(&mut far).await;
        assert_eq!(
            read_head(&mut far).await.status(),
            StatusCode::SWITCHING_PROTOCOLS
        );
        assert_echoes(&mut far).await;
    }

    async fn after_a_refusal_the_connection_stays_http(rt) {
        let mut far = connect(&rt, async |request| {
            answer(request, |ws| {
                ws.protocols(["chat"]).require_protocol(true)
                    .protocols(["chat"])
                    .on_upgrade(echo)
            })
        });
        ask(&mut far).await;
        let response = read_head(&mut far).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let length = response.headers()["content-length"].to_str().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        far.read_exact(&mut body).await.unwrap();
        assert_eq!(body, Rejection::NoProtocol.to_string().as_bytes());

        let request = raw::Request::new().with("Sec-WebSocket-Protocol", &["chat"]);
        far.write_all(&request.bytes()).await.unwrap();
        assert_eq!(
            read_head(&mut far).await.status(),
            StatusCode::SWITCHING_PROTOCOLS
        );
        assert_echoes(&mut far).await;
    }

    async fn a_server_that_serves_without_upgrades_is_told_what_to_call(rt) {
        let (errors, mut failed) = mpsc::unbounded();
        let (near, mut far) = testing::duplex();
        let runtime = Arc::clone(&rt);
        let service = service_fn(move |request| {
            let errors = errors.clone();
            let response = answer(request, |ws| {
                ws.runtime(Arc::clone(&runtime))
                    .on_failed_upgrade(move |error| errors.unbounded_send(error).unwrap())
                    .on_upgrade(echo)
            });
            async { Ok::<_, Infallible>(response) }
        });
        rt.spawn(Box::pin(async {
            let builder = http1::Builder::new();
            let _ = builder
                .serve_connection(FuturesIo::new(near), service)
                .await;
        }));
        ask(&mut far).await;
        let error = failed.next().await.unwrap();
        let text = format!("{error:#}");
        assert!(text.contains("call `.with_upgrades()`"), "{text}");
        let Error::Upgrade(error) = error else {
            panic!("not an error of the server: {error:?}");
        };
        let source = error.source().expect("the cause");
        assert!(source.is::<hyper::Error>());
        // Once only.
        assert!(failed.next().await.is_none());
    }

    async fn a_replaced_answer_is_told_of_when_the_next_request_comes(rt) {
        let (errors, failed) = mpsc::unbounded();
        let mut far = connect(&rt, move |request| {
            let errors = errors.clone();
            replaced(request, |ws| {
                ws.on_failed_upgrade(move |error| errors.unbounded_send(error).unwrap())
            })
        });
        for _ in 0..2 {
            ask(&mut far).await;
            assert_eq!(read_head(&mut far).await.status(), StatusCode::OK);
        }
        assert_fails_by_hyper(failed).await;
    }

    async fn a_replaced_answer_is_told_of_by_the_upgrade_timeout_at_the_latest(rt) {
        let (errors, mut failed) = mpsc::unbounded();
        let config = config(&rt).set_upgrade_timeout(Duration::from_millis(20));
        let mut far = connect(&rt, move |request| {
            let (errors, config) = (errors.clone(), config.clone());
            replaced(request, |ws| {
                ws.set_config(config)
                    .on_failed_upgrade(move |error| errors.unbounded_send(error).unwrap())
            })
        });
        ask(&mut far).await;
        assert_eq!(read_head(&mut far).await.status(), StatusCode::OK);
        let error = failed.next().await.unwrap();
        assert!(matches!(error, Error::Timeout(TimeoutPhase::Upgrade)), "{error:?}");
    }

    async fn a_client_that_leaves_before_the_answer_is_told_of(rt) {
        let (errors, failed) = mpsc::unbounded();
        let (asked, mut is_asked) = mpsc::unbounded();
        let mut far = connect(&rt, move |request| {
            let (errors, asked) = (errors.clone(), asked.clone());
            let response = answer(request, |ws| {
                ws.on_failed_upgrade(move |error| errors.unbounded_send(error).unwrap())
                    .on_upgrade(echo)
            });
            async move {
                asked.unbounded_send(response).unwrap();
                // What would be sent is of no interest to anyone any more.
                pending().await
            }
        });
        ask(&mut far).await;
        assert!(is_asked.next().await.is_some());
        drop(far);
        assert_fails_by_hyper(failed).await;
    }

    async fn an_upgrade_that_the_server_took_itself_is_a_rejection(rt) {
        let mut far = connect(&rt, async |mut request| {
            let _taken = hyper::upgrade::on(&mut request);
            answer(request, |ws| ws.on_upgrade(echo))
        });
        ask(&mut far).await;
        let response = read_head(&mut far).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    async fn a_second_extractor_is_a_rejection(rt) {
        let mut far = connect(&rt, async |mut request| {
            let _first = Upgrade::from_request(&mut request).unwrap();
            answer(request, |ws| ws.on_upgrade(echo))
        });
        ask(&mut far).await;
        let response = read_head(&mut far).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    async fn a_request_without_an_upgrade_is_a_rejection(rt) {
        let mut far = connect(&rt, async |request| {
            answer(request, |ws| ws.on_upgrade(echo))
        });
        far.write_all(&raw::Request::plain().bytes()).await.unwrap();
        assert_eq!(
            read_head(&mut far).await.status(),
            StatusCode::UPGRADE_REQUIRED
        );
    }

    async fn a_panicking_handler_leaves_the_server_serving(rt) {
        async fn panic(mut socket: WebSocket) {
            panic!("a handler, on {:?}", socket.next().await);
        }
        let mut far = connect(&rt, async |request| {
            answer(request, |ws| ws.on_upgrade(panic))
        });
        ask(&mut far).await;
        assert_eq!(
            read_head(&mut far).await.status(),
            StatusCode::SWITCHING_PROTOCOLS
        );
        far.write_all(&masked(TEXT, b"hello")).await.unwrap();
        let mut close = [0; 4];
        far.read_exact(&mut close).await.unwrap();
        assert_eq!((close[0], &close[2..]), (0x88, &1011_u16.to_be_bytes()[..]));

        let mut far = connect(&rt, async |request| {
            answer(request, |ws| ws.on_upgrade(echo))
        });
        ask(&mut far).await;
        assert_eq!(
            read_head(&mut far).await.status(),
            StatusCode::SWITCHING_PROTOCOLS
        );
        assert_echoes(&mut far).await;
    }
}

/// Tells the client which runtime it is served on, then echoes.
#[cfg(any(feature = "rt-smol", feature = "rt-tokio"))]
async fn tell(mut socket: WebSocket) {
    let name = match tokio::runtime::Handle::try_current() {
        Ok(_) => "tokio",
        Err(_) => "another",
    };
    socket.send(name.into()).await.unwrap();
    echo(socket).await;
}

/// A server of hyper that names no runtime: neither for the handlers nor for the rest.
#[cfg(feature = "rt-tokio")]
fn tokio_server() -> tcp::TcpServer {
    tcp::on_tokio(async |listener| {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = anyws::io::TokioIo::new(stream);
            let service = async |request| answer(request, |ws| ws.on_upgrade(tell));
            tokio::spawn(serve(stream, service));
        }
    })
}

/// The same on smol.
#[cfg(feature = "rt-smol")]
fn smol_server() -> tcp::TcpServer {
    tcp::on_smol(async |listener| {
        while let Ok((stream, _)) = listener.accept().await {
            let service = async |request| answer(request, |ws| ws.on_upgrade(tell));
            smol::spawn(serve(stream, service)).detach();
        }
    })
}

#[cfg(feature = "rt-tokio")]
#[test]
fn a_server_on_tokio_serves_over_tcp() {
    support::bounded(|| {
        let server = tokio_server();
        for _ in 0..2 {
            assert_eq!(server.open(&raw::Request::new()).text(), "tokio");
        }
    });
}

#[cfg(feature = "rt-smol")]
#[test]
fn a_server_on_smol_serves_over_tcp() {
    support::bounded(|| {
        let server = smol_server();
        for _ in 0..2 {
            assert_eq!(server.open(&raw::Request::new()).text(), "another");
        }
    });
}

#[cfg(all(feature = "rt-smol", feature = "rt-tokio"))]
#[test]
fn two_servers_in_one_process_each_run_their_handlers_on_their_own_runtime() {
    support::bounded(|| {
        let (on_tokio, on_smol) = (tokio_server(), smol_server());
        let request = raw::Request::new();
        for _ in 0..5 {
            let mut clients = [on_tokio.open(&request), on_smol.open(&request)];
            let names = clients.each_mut().map(raw::Raw::text);
            assert_eq!(names, ["tokio", "another"]);
            // All of them are served at once.
            for client in &mut clients {
                client.send(&masked(TEXT, b"hello"));
            }
            assert_eq!(clients.each_mut().map(raw::Raw::text), ["hello"; 2]);
        }
    });
}
