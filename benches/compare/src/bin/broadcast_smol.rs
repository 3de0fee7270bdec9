//! anyws on smol, sending to many in the way that the second argument names.

use std::env;
use std::io;
use std::sync::Arc;

use anyws::WebSocketConfig;
use anyws_compare::fanout::{self, Fanout, Senders, Topic};
use anyws_compare::server;
use anyws_compare::ways::{HUB_ON_SMOL, HUB_ON_SMOL_ON_2_THREADS, SENDER_ON_SMOL};

fn main() -> io::Result<()> {
    match env::args().nth(2).as_deref() {
        Some(SENDER_ON_SMOL) => serve(Senders::default()),
        Some(HUB_ON_SMOL | HUB_ON_SMOL_ON_2_THREADS) => serve(Topic::default()),
        other => Err(io::Error::other(format!("no way to broadcast: {other:?}"))),
    }
}

fn serve(fanout: impl Fanout) -> io::Result<()> {
    let fanout = Arc::new(fanout);
    server::serve_on_smol(|stream| {
        let fanout = Arc::clone(&fanout);
        async move {
            if let Ok(socket) = anyws::accept(stream, WebSocketConfig::new()).await {
                fanout::obey(socket, &*fanout, fanout::filling).await;
            }
        }
    })
}
