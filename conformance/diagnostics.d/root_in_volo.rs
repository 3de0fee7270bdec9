// hint: in Volo `anyws::volo::WebSocketUpgrade`
// hint: the trait `ResponseBody` is not implemented
// fix: use anyws:: => use anyws::volo::

use anyws::{WebSocket, WebSocketUpgrade};
use volo_http::{
    response::Response,
    server::route::{Router, any},
};

async fn handle_socket(mut socket: WebSocket) {
    socket.next().await;
}

async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(handle_socket)
}

pub fn app() -> Router {
    Router::new().route("/ws", any(ws_handler))
}
