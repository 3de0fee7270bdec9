//! The extractor in Volo-HTTP: in a server, and through its router without one.

use std::{net::SocketAddr, sync::Arc};

use anyws::{
    Runtime,
    testing::{self, Client},
    volo::{Message, Rejection, WebSocket, WebSocketConfig, WebSocketUpgrade},
};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use motore::service::Service;
use support::{
    config, raw, runtimes, tcp,
    upgrades::{self, assert_echoes, close_code, echo},
};
use volo::net::{Address, incoming::DefaultIncoming};
use volo_http::{
    body::{Body, BodyConversion},
    context::ServerContext,
    response::Response,
    server::{
        IntoResponse, Server,
        param::PathParams,
        route::{Router, any, get},
    },
};

/// The handlers of design.md, section 1, as they are printed there.
#[expect(clippy::single_match, reason = "it is a snippet of a larger match")]
mod snippet {
    use anyws::volo::{Message, WebSocket, WebSocketUpgrade};
    use volo_http::{
        response::Response,
        server::route::{Router, get},
    };

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
    let client = SocketAddr::from(([127, 0, 0, 1], 4321));
    let mut cx = ServerContext::new(Address::from(client));
    let Ok(response) = app.call(&mut cx, request.map(|()| Body::empty())).await;
    response
}

async fn text(response: Response) -> String {
    response.into_body().into_string().await.unwrap()
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
            method: Method,
            ws: WebSocketUpgrade,
            PathParams(room): PathParams<String>,
            uri: Uri,
        ) -> impl IntoResponse {
            ws.on_upgrade(async move |mut socket: WebSocket| {
                let text = format!("{method} {uri}: {room}");
                socket.send(text.into()).await.unwrap();
            })
        }
        let app = Router::new().route("/{room}", get(handler));
        let (request, client) = upgrade(&rt);
        let mut client = client.open(&call(&app, request).await).unwrap();
        assert_eq!(
            upgrades::next(&mut client).await,
            Message::text("GET /ws: ws")
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

    async fn a_handler_may_do_without_it(rt) {
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

        // Volo's own `Option` tells no broken handshake from none.
        let (mut request, _client) = upgrade(&rt);
        request.headers_mut().remove("sec-websocket-key");
        assert_eq!(text(call(&app, request).await).await, "a page");
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
        assert_eq!(close_code(&mut client).await, anyws::volo::CloseCode::Error);
    }
}

/// Starts a server of Volo.
fn start(app: Router) -> tcp::TcpServer {
    tcp::on_tokio(async |listener| {
        let server = Server::new(app).run(DefaultIncoming::from(listener));
        server.await.unwrap();
    })
}

fn request() -> raw::Request {
    raw::Request::new().line("GET /ws HTTP/1.1")
}

#[test]
fn the_snippet_of_the_design_serves_over_tcp() {
    support::bounded(|| {
        let server = start(snippet::app());
        for _ in 0..2 {
            server.echoes(&request());
        }
    });
}

#[test]
fn a_handler_runs_on_the_tokio_of_its_server() {
    async fn handler(ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(async |mut socket: WebSocket| {
            let is_tokio = tokio::runtime::Handle::try_current().is_ok();
            socket.send(is_tokio.to_string().into()).await.unwrap();
        })
    }
    support::bounded(|| {
        let server = start(Router::new().route("/ws", get(handler)));
        assert_eq!(server.open(&request()).text(), "true");
    });
}

#[test]
fn a_rejection_goes_over_tcp_and_the_connection_stays_http() {
    support::bounded(|| {
        let server = start(snippet::app());
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

#[test]
fn a_panicking_handler_leaves_the_server_serving() {
    async fn handler(ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(async |mut socket: WebSocket| {
            panic!("a handler, on {:?}", socket.next().await);
        })
    }
    support::bounded(|| {
        let app = snippet::app().route("/panic", get(handler));
        let server = start(app);
        let mut client = server.open(&request().line("GET /panic HTTP/1.1"));
        client.send(&raw::masked(raw::TEXT, b"hello"));
        let (first, payload) = client.frame().unwrap();
        assert_eq!((first, &payload[..2]), (0x88, &1011_u16.to_be_bytes()[..]));
        server.echoes(&request());
    });
}
