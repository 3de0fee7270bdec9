//! anyws on tokio, following orders.

use std::io;

use anyws::WebSocketConfig;
use anyws::io::TokioIo;
use anyws_compare::orders;
use anyws_compare::server;
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    server::serve(serve).await
}

async fn serve(stream: TcpStream) {
    let stream = TokioIo::new(stream);
    if let Ok(socket) = anyws::accept(stream, WebSocketConfig::new()).await {
        orders::obey(socket, &orders::TUNGSTENITE).await;
    }
}
