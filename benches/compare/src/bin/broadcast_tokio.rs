//! anyws on tokio, sending to many in the way that the second argument names.

use std::env;
use std::io;
use std::sync::Arc;

use anyws::io::TokioIo;
use anyws::{DeflateConfig, WebSocketConfig};
use anyws_compare::broadcast;
use anyws_compare::fanout::{self, Channels, Fanout, Loop, OneChannel, Senders};
use anyws_compare::server;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let plain = WebSocketConfig::new();
    let compressed = plain.clone().set_deflate(DeflateConfig::new());
    match env::args().nth(2).as_deref() {
        Some("loop") => serve(Loop::default(), plain, fanout::filling).await,
        Some("tokio-broadcast") => serve(OneChannel::default(), plain, fanout::filling).await,
        Some("mpsc") => serve(Channels::default(), plain, fanout::filling).await,
        Some("sender") => serve(Senders::default(), plain, fanout::filling).await,
        Some("compressed") => serve(Senders::default(), compressed, broadcast::json).await,
        other => Err(io::Error::other(format!("no way to broadcast: {other:?}"))),
    }
}

async fn serve(
    fanout: impl Fanout,
    config: WebSocketConfig,
    payload: fn(usize) -> Vec<u8>,
) -> io::Result<()> {
    let fanout = Arc::new(fanout);
    server::serve(|stream| {
        let fanout = Arc::clone(&fanout);
        let config = config.clone();
        async move {
            let stream = TokioIo::new(stream);
            if let Ok(socket) = anyws::accept(stream, config).await {
                fanout::obey(socket, &*fanout, payload).await;
            }
        }
    })
    .await
}
