//! anyws on tokio, sending to many in the way that the second argument names.

use std::env;
use std::io;
use std::sync::Arc;

use anyws::WebSocketConfig;
use anyws::io::TokioIo;
use anyws_compare::fanout::{self, Channels, Fanout, Loop, OneChannel, Senders};
use anyws_compare::server;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    match env::args().nth(2).as_deref() {
        Some("loop") => serve(Loop::default()).await,
        Some("tokio-broadcast") => serve(OneChannel::default()).await,
        Some("mpsc") => serve(Channels::default()).await,
        Some("sender") => serve(Senders::default()).await,
        other => Err(io::Error::other(format!("no way to broadcast: {other:?}"))),
    }
}

async fn serve(fanout: impl Fanout) -> io::Result<()> {
    let fanout = Arc::new(fanout);
    server::serve(|stream| {
        let fanout = Arc::clone(&fanout);
        async move {
            let stream = TokioIo::new(stream);
            if let Ok(socket) = anyws::accept(stream, WebSocketConfig::new()).await {
                fanout::obey(socket, &*fanout).await;
            }
        }
    })
    .await
}
