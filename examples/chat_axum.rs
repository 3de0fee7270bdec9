//! A chat on axum, with its page: many sockets that share a room, and each sends to all others.
//! Ctrl-C closes all of them in order, and `/metrics` tells Prometheus about them.
//!
//! `cargo run --example chat_axum --features axum,rt-tokio [ADDRESS [ORIGIN...]]`
//!
//! Every message is a text of several lines, and the first line is its type; names therefore cannot
//! contain line breaks. A page first sends `ROOM` and `NAME`; everything after that is what the
//! person says. The server answers with `people` and a line for each name. After that it sends
//! `joined` and a name, `left` and a name, or `said` with a name and the text.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyws::{
    DeflateConfig, Drain, PreparedMessage, QueueConfig, Sender, Tracker, WhenFull,
    axum::{CloseCode, Message, TransportConfig, WebSocket, WebSocketConfig, WebSocketUpgrade},
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

/// How many lines wait for a member who reads slowly. After that, the member is closed with 1013.
const BACKLOG: usize = 128;
/// How long a member may take to introduce themselves.
const PATIENCE: Duration = Duration::from_secs(10);
/// A member who is silent for as long is pinged, and has gone if nothing comes for as long again.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How many people there may be, and how many sockets a server of this size can bear.
const MAX_SOCKETS: usize = 10_000;
/// The bounds of the histograms, in seconds.
const SECONDS: [f64; 8] = [0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0];
/// The pause after each line of a member: nobody can flood a room.
const PAUSE: Duration = Duration::from_millis(50);

struct Chat {
    config: WebSocketConfig,
    /// The members of each room.
    rooms: Mutex<HashMap<String, BTreeMap<String, Sender>>>,
}

/// A member's seat in a room. Dropping it leaves the room.
struct Seat {
    chat: Arc<Chat>,
    room: String,
    name: String,
}

impl Chat {
    fn rooms(&self) -> MutexGuard<'_, HashMap<String, BTreeMap<String, Sender>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Lets a member in, and sends them the list of people.
    fn take(chat: &Arc<Chat>, introduction: &str, sender: &Sender) -> Result<Self, &'static str> {
        let is_name = |text: &str| {
            (1..=32).contains(&text.chars().count()) && !text.contains(char::is_control)
        };
        let (room, name) = introduction
            .split_once('\n')
            .map(|(room, name)| (room.trim(), name.trim()))
            .filter(|(room, name)| is_name(room) && is_name(name))
            .ok_or("A room and a name have 1 to 32 characters each.")?;

        // Hold the lock to the end, so that the list and the lines after it are consistent.
        let mut rooms = chat.rooms();
        let people = rooms.entry(room.to_owned()).or_default();
        if people.contains_key(name) {
            return Err("Somebody in this room has that name already.");
        }
        people.insert(name.to_owned(), sender.clone());
        let list = people
            .keys()
            .fold("people".to_owned(), |list, name| list + "\n" + name);
        // A new queue is empty, and a socket that has closed meanwhile needs no list.
        let _ = sender.try_send(list);
        announce(people, format!("joined\n{name}"));
        Ok(Self {
            chat: Arc::clone(chat),
            room: room.to_owned(),
            name: name.to_owned(),
        })
    }

    fn say(&self, text: &str) {
        if let Some(people) = self.chat.rooms().get(&self.room) {
            announce(people, format!("said\n{}\n{text}", self.name));
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rooms = self.chat.rooms();
        if let Some(people) = rooms.get_mut(&self.room) {
            people.remove(&self.name);
            announce(people, format!("left\n{}", self.name));
            if people.is_empty() {
                rooms.remove(&self.room);
            }
        }
    }
}

/// Sends a line to everybody in a room. All of them share its memory, and nobody waits.
fn announce(people: &BTreeMap<String, Sender>, line: String) {
    let line = PreparedMessage::from(line);
    for member in people.values() {
        // A member who is closing or too slow misses it.
        let _ = member.try_send(&line);
    }
}

async fn handle_socket(mut socket: WebSocket, chat: Arc<Chat>) {
    let introduction = timeout(PATIENCE, socket.next_data()).await;
    let Ok(Some(Ok(Message::Text(introduction)))) = introduction else {
        return;
    };
    let seat = match Seat::take(&chat, &introduction, &socket.sender()) {
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
        .on_upgrade(|socket| handle_socket(socket, chat))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
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
        rooms: Mutex::default(),
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
    Ok(())
}
