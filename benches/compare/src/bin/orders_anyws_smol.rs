//! anyws on smol, following orders.

use std::io;

use anyws::WebSocketConfig;
use anyws_compare::orders;
use anyws_compare::server;
use smol::net::TcpStream;

fn main() -> io::Result<()> {
    server::serve_on_smol(serve)
}

async fn serve(stream: TcpStream) {
    if let Ok(socket) = anyws::accept(stream, WebSocketConfig::new()).await {
        orders::obey(socket, &orders::TUNGSTENITE).await;
    }
}
