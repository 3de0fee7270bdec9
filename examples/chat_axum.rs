//! A chat on axum, with its page: the two halves of a socket, and many sockets that share a room.
//!
//! `cargo run --example chat_axum --features axum,rt-tokio [ADDRESS [ORIGIN...]]`
//!
//! Every message is a text of several lines, and the first line is its type; names therefore cannot
//! contain line breaks. A page first sends `ROOM` and `NAME`; everything after that is what the
//! person says. The server answers with `people` and a line for each name. After that it sends
//! `joined` and a name, `left` and a name, or `said` with a name and the text.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyws::{
    ReceiveHalf, SendHalf,
    axum::{
        Bytes, CloseCode, Message, TransportConfig, Utf8Bytes, WebSocket, WebSocketConfig,
        WebSocketUpgrade,
    },
};
use axum::{
    Router,
    extract::State,
    response::{Html, Response},
    routing::{any, get},
    serve::ListenerExt,
};
use tokio::{
    net::TcpListener,
    select,
    sync::broadcast,
    time::{interval, sleep, timeout},
};

/// How many lines a room keeps for a member who reads slowly.
const BACKLOG: usize = 128;
/// How long a member may take to introduce themselves, or to read one line.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a member is pinged. A member who is silent for three times as long has gone.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// The pause after each line of a member: nobody can flood a room.
const PAUSE: Duration = Duration::from_millis(50);

/// Why the server closes a connection.
type End = (CloseCode, &'static str);

struct Chat {
    config: WebSocketConfig,
    rooms: Mutex<HashMap<String, Room>>,
}

struct Room {
    people: BTreeSet<String>,
    /// Bounded, and shared by the members: a member who falls behind loses lines, and nobody waits.
    lines: broadcast::Sender<Utf8Bytes>,
}

/// A member's seat in a room. Dropping it leaves the room.
struct Seat {
    chat: Arc<Chat>,
    room: String,
    name: String,
    lines: broadcast::Sender<Utf8Bytes>,
}

impl Chat {
    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Lets a member in. Returns the seat, the first line for the member, and the lines that
    /// follow.
    fn take(
        chat: &Arc<Chat>,
        introduction: &str,
    ) -> Result<(Self, Utf8Bytes, broadcast::Receiver<Utf8Bytes>), &'static str> {
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
        let Room { people, lines } = rooms.entry(room.to_owned()).or_insert_with(|| Room {
            people: BTreeSet::new(),
            lines: broadcast::Sender::new(BACKLOG),
        });
        if !people.insert(name.to_owned()) {
            return Err("Somebody in this room has that name already.");
        }
        let list = people
            .iter()
            .fold("people".to_owned(), |list, name| list + "\n" + name);
        let seat = Self {
            chat: Arc::clone(chat),
            room: room.to_owned(),
            name: name.to_owned(),
            lines: lines.clone(),
        };
        seat.announce(format!("joined\n{name}"));
        Ok((seat, list.into(), lines.subscribe()))
    }

    /// Sends a line to everybody in the room. The copies of a line share one buffer.
    fn announce(&self, line: String) {
        // It fails if nobody is in the room.
        let _ = self.lines.send(line.into());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rooms = self.chat.rooms();
        if let Some(room) = rooms.get_mut(&self.room) {
            room.people.remove(&self.name);
            if room.people.is_empty() {
                rooms.remove(&self.room);
            }
        }
        self.announce(format!("left\n{}", self.name));
    }
}

async fn handle_socket(mut socket: WebSocket, chat: Arc<Chat>) {
    let introduction = timeout(PATIENCE, socket.next_data()).await;
    let Ok(Some(Ok(Message::Text(introduction)))) = introduction else {
        return;
    };
    let (mut sender, receiver) = socket.split();
    let end = match Seat::take(&chat, &introduction) {
        Err(reason) => Some((CloseCode::Policy, reason)),
        Ok((seat, list, lines)) => select! {
            end = hear(receiver, &seat) => end,
            end = tell(&mut sender, list, lines) => Some(end),
        },
    };
    // The seat is free by now. A peer that has gone does not answer, and nobody needs the error.
    let _ = match end {
        Some(end) => sender.close(end).await,
        None => sender.close(None).await,
    };
}

/// Sends what a member says to the room, until the connection ends.
async fn hear(mut receiver: ReceiveHalf, seat: &Seat) -> Option<End> {
    loop {
        match timeout(3 * HEARTBEAT, receiver.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                seat.announce(format!("said\n{}\n{text}", seat.name));
                // Nothing is read meanwhile, so TCP slows down a member who writes faster.
                sleep(PAUSE).await;
            }
            // The pong of a heartbeat, for example.
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) => return None,
            Err(_) => return Some((CloseCode::Away, "You do not answer.")),
        }
    }
}

/// Sends a member what is said in the room, as long as the member keeps up.
async fn tell(
    sender: &mut SendHalf,
    list: Utf8Bytes,
    mut lines: broadcast::Receiver<Utf8Bytes>,
) -> End {
    let mut heartbeat = interval(HEARTBEAT);
    let mut message = Message::Text(list);
    while let Ok(Ok(())) = timeout(PATIENCE, sender.send(message)).await {
        message = select! {
            line = lines.recv() => match line {
                Ok(line) => Message::Text(line),
                Err(_) => break,
            },
            _ = heartbeat.tick() => Message::Ping(Bytes::new()),
        };
    }
    (CloseCode::Again, "You have fallen behind.")
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
        .set_allowed_origins([own, local].into_iter().chain(arguments));
    config.validate()?;
    let chat = Arc::new(Chat {
        config,
        rooms: Mutex::default(),
    });

    let page = Html(include_str!("chat.html"));
    let app = Router::new()
        .route("/", get(page))
        .route("/chat", any(ws_handler))
        .with_state(chat);
    println!("listening on http://{address}/");
    // If `set_nodelay` fails, the socket is about to fail anyway.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, app).await?;
    Ok(())
}
