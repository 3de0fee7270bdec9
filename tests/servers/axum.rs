//! The extractor in axum: in a server, and through its router without one.

use std::sync::Arc;

use anyws::{
    Runtime,
    axum::{Message, Rejection, WebSocket, WebSocketConfig, WebSocketUpgrade},
    testing::{self, Client},
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use support::{
    config, raw, runtimes, tcp,
    upgrades::{self, assert_echoes, close_code, echo},
};
use tower::ServiceExt;

/// The handlers of design.md, section 1, in which only the router has changed.
#[expect(clippy::single_match, reason = "it is a snippet of a larger match")]
mod snippet {
    use anyws::axum::{Message, WebSocket, WebSocketUpgrade};
    use axum::{Router, response::Response, routing::get};

    async fn handle_socket(mut socket: WebSocket) {
        while let Some(Ok(msg)) = socket.next().await {
            match msg {
                Message::Text(_) => socket.send(msg).await.unwrap(),
                _ => {}
            }
        }
    }

    async fn ws_handler(ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(handle_socket)
    }

    pub(crate) fn app() -> Router {
        Router::new().route("/ws", get(ws_handler))
    }
}

async fn serve_echo(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

/// Makes a request, served on `rt` because its extensions say so.
fn upgrade(rt: &Arc<dyn Runtime>) -> (Request<()>, Client) {
    let (mut request, client) = testing::upgrade("/ws");
    request.extensions_mut().insert(Arc::clone(rt));
    (request, client.set_config(config(rt)))
}

/// Asks an app as its server would.
async fn call(app: &Router, request: Request<()>) -> Response {
    let request = request.map(|()| Body::empty());
    let Ok(response) = app.clone().oneshot(request).await;
    response
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), 1024).await.unwrap();
    String::from_utf8(bytes.into()).unwrap()
}

runtimes! {
    async fn the_snippet_of_the_design_serves_without_a_port(rt) {
        let (request, client) = upgrade(&rt);
        let response = call(&snippet::app(), request).await;
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_echoes(client.open(&response).unwrap()).await;
    }

    async fn a_route_of_any_method_serves_too(rt) {
        let app = Router::new().route("/ws", any(serve_echo));
        let (request, client) = upgrade(&rt);
        let response = call(&app, request).await;
        assert_echoes(client.open(&response).unwrap()).await;
    }

    async fn other_extractors_stand_beside_it(rt) {
        async fn handler(
            State(greeting): State<&'static str>,
            Path(room): Path<String>,
            method: Method,
            ws: WebSocketUpgrade,
            uri: Uri,
        ) -> impl IntoResponse {
            ws.on_upgrade(async move |mut socket: WebSocket| {
                let text = format!("{greeting} {method} {uri}: {room}");
                socket.send(text.into()).await.unwrap();
            })
        }
        let app = Router::new()
            .route("/{room}", get(handler))
            .with_state("hello");
        let (request, client) = upgrade(&rt);
        let mut client = client.open(&call(&app, request).await).unwrap();
        assert_eq!(
            upgrades::next(&mut client).await,
            Message::text("hello GET /ws: ws")
        );
    }

    async fn a_rejection_is_a_response_that_names_the_header(rt) {
        let app = Router::new().route("/ws", any(serve_echo));
        for name in [
            "Upgrade",
            "Connection",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Version",
        ] {
            let (mut request, _client) = upgrade(&rt);
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static("wrong"));
            let response = call(&app, request).await;
            assert!(response.status().is_client_error(), "{name}");
            assert_eq!(
                response.headers()["content-type"],
                "text/plain; charset=utf-8"
            );
            let text = text(response).await;
            assert!(text.contains(name), "{name}: {text}");
        }
        let (mut request, _client) = upgrade(&rt);
        *request.method_mut() = Method::POST;
        let response = call(&app, request).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()["allow"], "GET");
    }

    async fn a_refusal_of_the_settings_names_the_header(rt) {
        async fn handler(ws: WebSocketUpgrade) -> Response {
            let config = WebSocketConfig::new().set_allowed_origins(["https://app.example"]);
            ws.set_config(config).on_upgrade(echo)
        }
        let app = Router::new().route("/ws", get(handler));
        let response = call(&app, upgrade(&rt).0).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(text(response).await, Rejection::Origin.to_string());
    }

    async fn an_optional_one_serves_a_page_or_a_socket_and_rejects_what_is_broken(rt) {
        async fn handler(ws: Option<WebSocketUpgrade>) -> Response {
            match ws {
                Some(ws) => ws.on_upgrade(echo),
                None => "a page".into_response(),
            }
        }
        let app = Router::new().route("/ws", get(handler));
        let (request, client) = upgrade(&rt);
        assert_echoes(client.open(&call(&app, request).await).unwrap()).await;

        let plain = Request::builder().uri("/ws").body(()).unwrap();
        let response = call(&app, plain).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await, "a page");

        // An offer of another protocol asks for no WebSocket.
        let mut h2c = Request::builder().uri("/ws").body(()).unwrap();
        h2c.headers_mut()
            .insert("upgrade", HeaderValue::from_static("h2c"));
        assert_eq!(text(call(&app, h2c).await).await, "a page");

        // HTTP/1.0 knows no upgrade (RFC 9110, section 7.8).
        let (mut old, _client) = upgrade(&rt);
        *old.version_mut() = http::Version::HTTP_10;
        assert_eq!(text(call(&app, old).await).await, "a page");

        for (name, rejection) in [
            ("upgrade", Rejection::UpgradeHeader),
            ("connection", Rejection::ConnectionHeader),
            ("sec-websocket-key", Rejection::KeyHeader),
            ("sec-websocket-version", Rejection::VersionHeader),
        ] {
            let (mut request, _client) = upgrade(&rt);
            request.headers_mut().remove(name);
            let response = call(&app, request).await;
            assert_eq!(response.status(), rejection.status());
            assert_eq!(text(response).await, rejection.to_string());
        }
    }

    async fn a_handler_may_see_the_rejection(rt) {
        async fn handler(ws: Result<WebSocketUpgrade, Rejection>) -> Response {
            match ws {
                Ok(ws) => ws.on_upgrade(echo),
                Err(rejection) => format!("because {rejection}").into_response(),
            }
        }
        let app = Router::new().route("/ws", get(handler));
        let (request, client) = upgrade(&rt);
        assert_echoes(client.open(&call(&app, request).await).unwrap()).await;

        let plain = Request::builder()
            .uri("/ws")
            .header("host", "a")
            .body(())
            .unwrap();
        let because = format!("because {}", Rejection::UpgradeHeader);
        assert_eq!(text(call(&app, plain).await).await, because);
    }

    async fn a_second_extractor_is_a_rejection(rt) {
        async fn handler(_first: WebSocketUpgrade, second: WebSocketUpgrade) -> Response {
            second.on_upgrade(echo)
        }
        let app = Router::new().route("/ws", get(handler));
        let response = call(&app, upgrade(&rt).0).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(text(response).await, Rejection::NotUpgradable.to_string());
    }

    async fn a_server_that_hands_over_nothing_is_a_rejection(rt) {
        let app = Router::new().route("/ws", get(serve_echo));
        let (mut request, _client) = upgrade(&rt);
        request.extensions_mut().clear();
        let response = call(&app, request).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(text(response).await, Rejection::NotUpgradable.to_string());
    }

    async fn a_panicking_handler_closes_with_1011(rt) {
        async fn panic(_: WebSocket) {
            panic!("a handler");
        }
        async fn handler(ws: WebSocketUpgrade) -> Response {
            ws.on_upgrade(panic)
        }
        let app = Router::new().route("/ws", get(handler));
        let (request, client) = upgrade(&rt);
        let mut client = client.open(&call(&app, request).await).unwrap();
        assert_eq!(close_code(&mut client).await, anyws::axum::CloseCode::Error);
    }
}

fn request() -> raw::Request {
    raw::Request::new().line("GET /ws HTTP/1.1")
}

/// Tells the client whether the handler runs on tokio.
async fn tell(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(async |mut socket: WebSocket| {
        let is_tokio = tokio::runtime::Handle::try_current().is_ok();
        socket.send(is_tokio.to_string().into()).await.unwrap();
    })
}

fn app() -> Router {
    snippet::app().route("/tell", get(tell))
}

/// Starts axum's own server.
fn start() -> tcp::TcpServer {
    tcp::on_tokio(async |listener| axum::serve(listener, app()).await.unwrap())
}

#[test]
fn the_snippet_of_the_design_serves_over_tcp() {
    support::bounded(|| {
        let server = start();
        for _ in 0..2 {
            server.echoes(&request());
        }
        let mut client = server.open(&request().line("GET /tell HTTP/1.1"));
        assert_eq!(client.text(), "true");
    });
}

#[test]
fn a_rejection_goes_over_tcp_and_the_connection_stays_http() {
    support::bounded(|| {
        let server = start();
        let mut client = server.connect();
        let wrong = request().with("Sec-WebSocket-Key", &["short"]);
        client.send(&wrong.bytes());
        let answer = client.answer(&wrong).unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert_eq!(answer.body(), Rejection::KeyHeader.to_string().as_bytes());
        client.send(&request().bytes_then("hello"));
        let answer = client.answer(&request()).unwrap();
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(client.text(), "hello");
    });
}

/// axum's router needs no tokio: here it is the service of hyper on smol.
#[cfg(feature = "rt-smol")]
#[test]
fn the_snippet_of_the_design_serves_on_smol_over_tcp() {
    use hyper::{server::conn::http1, service::service_fn};
    use smol_hyper::rt::FuturesIo;

    support::bounded(|| {
        let server = tcp::on_smol(async |listener| {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(|request| app().oneshot(request));
                let connection = http1::Builder::new()
                    .serve_connection(FuturesIo::new(stream), service)
                    .with_upgrades();
                smol::spawn(connection).detach();
            }
        });
        server.echoes(&request());
        let mut client = server.open(&request().line("GET /tell HTTP/1.1"));
        assert_eq!(client.text(), "false");
    });
}
