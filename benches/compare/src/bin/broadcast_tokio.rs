//! anyws on tokio, sending to many in the way that the second argument names.

use std::env;
use std::io;
use std::sync::Arc;

use anyws::io::TokioIo;
use anyws::{DeflateConfig, WebSocketConfig};
use anyws_compare::broadcast;
use anyws_compare::fanout::{self, Channels, Fanout, Loop, OneChannel, Senders, Topic};
use anyws_compare::server;
use anyws_compare::ways::{HUB, HUB_ON_2_THREADS, SENDER};
use tokio::runtime::Builder;

fn main() -> io::Result<()> {
    let way = env::args().nth(2).unwrap_or_default();
    let mut runtime = if way == HUB_ON_2_THREADS {
        // The runner's setting says how many.
        Builder::new_multi_thread()
    } else {
        Builder::new_current_thread()
    };
    runtime.enable_all().build()?.block_on(run(&way))
}

async fn run(way: &str) -> io::Result<()> {
    let plain = WebSocketConfig::new();
    let compressed = plain.clone().set_deflate(DeflateConfig::new());
    match way {
        "loop" => serve(Loop::default(), plain, fanout::filling).await,
        "tokio-broadcast" => serve(OneChannel::default(), plain, fanout::filling).await,
        "mpsc" => serve(Channels::default(), plain, fanout::filling).await,
        SENDER => serve(Senders::default(), plain, fanout::filling).await,
        HUB | HUB_ON_2_THREADS => serve(Topic::default(), plain, fanout::filling).await,
        "compressed" => serve(Senders::default(), compressed, broadcast::json).await,
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
