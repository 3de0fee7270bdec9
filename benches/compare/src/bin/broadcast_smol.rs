//! anyws on smol, sending to many through its own `Sender`.

use std::io;
use std::sync::Arc;

use anyws::WebSocketConfig;
use anyws_compare::fanout::{self, Senders};
use anyws_compare::server;

fn main() -> io::Result<()> {
    let fanout = Arc::new(Senders::default());
    server::serve_on_smol(|stream| {
        let fanout = Arc::clone(&fanout);
        async move {
            if let Ok(socket) = anyws::accept(stream, WebSocketConfig::new()).await {
                fanout::obey(socket, &*fanout, fanout::filling).await;
            }
        }
    })
}
