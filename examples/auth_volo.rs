//! A route on Volo-HTTP for clients that have a token.
//!
//! `cargo run --example auth_volo --features volo [ADDRESS]`
//!
//! The header is `Authorization: Bearer s3cr3t`; without it the answer is 401.

use anyws::volo::{CloseCode, Message, WebSocket, WebSocketUpgrade};
use tokio::net::TcpListener;
use volo::net::incoming::DefaultIncoming;
use volo_http::{
    context::ServerContext,
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
    response::Response,
    server::{
        Server,
        extract::FromContext,
        route::{Router, any},
    },
};

/// A user with a token.
struct User(String);

/// Extractors run in the order of the handler's parameters: this one refuses the request before the
/// WebSocket is checked.
impl FromContext for User {
    type Rejection = StatusCode;

    async fn from_context(_: &mut ServerContext, parts: &mut Parts) -> Result<Self, StatusCode> {
        let header = parts.headers.get(AUTHORIZATION);
        header
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .and_then(user_of_token)
            .ok_or(StatusCode::UNAUTHORIZED)
    }
}

/// Check your own tokens here.
fn user_of_token(token: &str) -> Option<User> {
    (token == "s3cr3t").then(|| User("Ada".to_owned()))
}

/// Greets the user and answers in capitals. An error closes the socket with 1011.
async fn handle_socket(mut socket: WebSocket, User(name): User) -> anyws::Result<()> {
    socket.send(format!("hello {name}").into()).await?;
    while let Some(message) = socket.next_data().await {
        match message? {
            Message::Text(text) => socket.send(text.to_uppercase().into()).await?,
            _ => return socket.close((CloseCode::Unsupported, "text only")).await,
        }
    }
    Ok(())
}

async fn ws_handler(user: User, ws: WebSocketUpgrade) -> Response {
    ws.on_failed_upgrade(|error| eprintln!("no upgrade: {error:#}"))
        .on_handler_error(|error| match error.downcast_ref::<anyws::Error>() {
            // Clients leave all the time, with and without a Close.
            Some(error) if error.is_disconnect() => {}
            _ => eprintln!("a handler has failed: {error}"),
        })
        .on_upgrade(|socket| handle_socket(socket, user))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let app: Router = Router::new().route("/", any(ws_handler));
    Server::new(app).run(DefaultIncoming::from(listener)).await
}
