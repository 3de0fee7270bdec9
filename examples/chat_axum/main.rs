//! A chat on axum, with its page: many sockets that share a room, and each sends to all others.
//! Ctrl-C closes all of them in order, and `/metrics` tells Prometheus about them.
//!
//! `cargo run --example chat_axum --features axum,rt-tokio [ADDRESS [ORIGIN...]]`
//!
//! As many processes as you like share their rooms through Redis 6 or later. Debian's package is
//! `redis-server`. Start it, and then each process with an address of its own, and
//! `redis://127.0.0.1:6379` as the URL:
//!
//! `redis-server --save "" --bind 127.0.0.1`
//! `cargo run --example chat_axum --features axum,rt-tokio,redis -- ADDRESS --redis URL`
//!
//! The WebSocket is at `/chat`, for clients whose `Origin` is that of the page. Every message is a
//! text of several lines, and the first line is its type; names therefore cannot contain line
//! breaks. A page first sends `ROOM` and `NAME`; everything after that is what the person says. The
//! server answers with `people` and a line for each name. After that it sends `joined` and a name,
//! `left` and a name, or `said` with a name and the text. What else it sends if there are several
//! processes is in `processes.rs`.

mod processes;
mod rooms;

use std::{sync::Arc, time::Duration};

use anyws::{
    BoxError, DeflateConfig, Drain, QueueConfig, Tracker, WhenFull,
    axum::{CloseCode, Message, TransportConfig, WebSocket, WebSocketConfig, WebSocketUpgrade},
    hub::Hub,
    metrics::Facade,
};
use axum::{
    Extension, Router,
    extract::State,
    response::{Html, Response},
    routing::{any, get},
    serve::ListenerExt,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::{
    net::TcpListener,
    signal,
    time::{sleep, timeout},
};

use crate::rooms::{Rooms, Seat};

/// How many lines wait for a member who reads slowly. After that, the member is closed with 1013.
/// If a process ends, all of its people leave at once, and those who read fast enough must stay.
const BACKLOG: usize = 1024;
/// How long a member may take to introduce themselves.
const PATIENCE: Duration = Duration::from_secs(10);
/// A member who is silent for as long is pinged, and has gone if nothing comes for as long again.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How many people there may be, and how many sockets a server of this size can bear.
const MAX_SOCKETS: usize = 10_000;
/// The bounds of the histograms, in seconds.
const SECONDS: [f64; 8] = [0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0];
/// How long the last lines may take to the other processes.
const FAREWELL: Duration = Duration::from_secs(1);
/// The pause after each line of a member: nobody can flood a room.
const PAUSE: Duration = Duration::from_millis(50);

struct Chat {
    config: WebSocketConfig,
    rooms: Arc<Rooms>,
}

async fn handle_socket(mut socket: WebSocket, rooms: Arc<Rooms>) {
    let introduction = timeout(PATIENCE, socket.next_data()).await;
    let Ok(Some(Ok(Message::Text(introduction)))) = introduction else {
        return;
    };
    let seat = match Seat::take(&rooms, &introduction, socket.sender()) {
        Ok(seat) => seat,
        Err(reason) => {
            // Nobody needs the error of a client that does not answer.
            let _ = socket.close((CloseCode::Policy, reason)).await;
            return;
        }
    };
    // While it waits here, the socket sends what others say, and pings.
    while let Some(Ok(Message::Text(text))) = socket.next_data().await {
        seat.say(&text);
        // Nothing is read meanwhile, so TCP slows down a member who writes faster.
        sleep(PAUSE).await;
    }
}

async fn ws_handler(ws: WebSocketUpgrade, State(chat): State<Arc<Chat>>) -> Response {
    ws.set_config(chat.config.clone())
        .on_failed_upgrade(|error| eprintln!("no upgrade: {error:#}"))
        .on_upgrade(move |socket| handle_socket(socket, chat.rooms.clone()))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    let redis = arguments.iter().position(|it| it == "--redis");
    let redis = redis.map(|at| arguments.split_off(at));
    let mut arguments = arguments.into_iter();
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let (rooms, published) = match redis.as_deref() {
        None => (Arc::new(Rooms::new(Hub::new())), tokio::spawn(async {})),
        Some([_, url]) => processes::share_rooms(url)?,
        Some(_) => return Err("a URL follows --redis, and nothing else".into()),
    };
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;

    // Other sites' pages must not chat in a visitor's name. On a public server, use its name as the
    // origin: https://chat.example.
    let own = format!("http://{address}");
    let local = format!("http://localhost:{}", address.port());
    let transport = TransportConfig::default()
        .max_message_size(4 * 1024)
        .max_frame_size(4 * 1024);
    let config = WebSocketConfig::new()
        .set_transport(transport)
        .set_allowed_origins([own, local].into_iter().chain(arguments))
        .set_deflate(cfg!(feature = "deflate").then(DeflateConfig::new))
        .set_keepalive(HEARTBEAT, HEARTBEAT)
        .set_write_timeout(HEARTBEAT)
        .set_queue(
            QueueConfig::default()
                .messages(BACKLOG)
                .when_full(WhenFull::Close),
        );
    config.validate()?;
    let chat = Arc::new(Chat {
        config,
        rooms: Arc::clone(&rooms),
    });

    let prometheus = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .install_recorder()?;
    let tracker = Tracker::new()
        .max_sockets(MAX_SOCKETS)
        .metrics(Facade::new());

    let page = Html(include_str!("chat.html"));
    let app = Router::new()
        .route("/", get(page))
        .route("/chat", any(ws_handler))
        .route("/metrics", get(async move || prometheus.render()))
        .layer(Extension(tracker.clone()))
        .with_state(chat);
    println!("listening on http://{address}/");
    // If `set_nodelay` fails, the socket is about to fail anyway.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            if signal::ctrl_c().await.is_ok() {
                let drained = tracker.drain(Drain::new()).await;
                println!("{} closed, {} aborted", drained.closed, drained.aborted);
            }
        })
        .await?;
    // The other processes still have to be told who has just left; if that takes too long, their
    // pages notice it by the next list.
    rooms.disconnect();
    let _ = timeout(FAREWELL, published).await;
    Ok(())
}
