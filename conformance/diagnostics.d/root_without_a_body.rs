// hint: elsewhere name the body of your server
// fix: ws: WebSocketUpgrade => ws: WebSocketUpgrade<String>

use anyws::{WebSocket, WebSocketUpgrade, http::Response};

async fn handle_socket(mut socket: WebSocket) {
    socket.next().await;
}

pub fn answer(ws: WebSocketUpgrade) -> Response<String> {
    ws.on_upgrade(handle_socket)
}
