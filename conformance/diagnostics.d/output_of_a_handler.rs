// hint: a handler returns `()` or `Result<(), E>`, and not `Option<()>`
// fix: Option<()> { => anyws::Result<()> {

use anyws::{WebSocket, WebSocketUpgrade, http::Response};

async fn handle_socket(mut socket: WebSocket) -> Option<()> {
    let message = socket.next().await;
    todo!("{message:?}")
}

pub fn answer(ws: WebSocketUpgrade<String>) -> Response<String> {
    ws.on_upgrade(handle_socket)
}
