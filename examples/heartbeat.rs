//! A server on smol that pings silent clients, drops dead ones, and sends the time to all of them.
//!
//! `cargo run --example heartbeat --features rt-smol [ADDRESS]`

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyws::{PreparedMessage, Sender, TrySendError, WebSocketConfig};
use smol::net::{TcpListener, TcpStream};

/// Common values: proxies close connections that are silent for longer, and a client that has gone
/// without a word is noticed within 40 seconds.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// The clients that have connected, until they are found to have gone.
type Clients = Arc<Mutex<Vec<Sender>>>;

/// Receives until the client leaves. While it waits, the socket also pings, and sends the time.
async fn serve(stream: TcpStream, clients: Clients) -> anyws::Result<()> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::new().set_keepalive(HEARTBEAT, HEARTBEAT);
    let mut socket = anyws::accept(stream, config).await?;
    lock(&clients).push(socket.sender());
    while let Some(message) = socket.next_data().await {
        println!("a client says: {}", message?);
    }
    Ok(())
}

/// Sends the seconds since the server was started to all clients, every second.
async fn tell_the_time(clients: Clients) {
    let started = Instant::now();
    loop {
        smol::Timer::after(Duration::from_secs(1)).await;
        let seconds = started.elapsed().as_secs();
        // All clients share this message.
        let message = PreparedMessage::from(seconds.to_string());
        // A client that reads too slowly misses this one; a client that has gone needs no other.
        lock(&clients)
            .retain(|client| !matches!(client.try_send(&message), Err(TrySendError::Closed(_))));
    }
}

fn lock(clients: &Clients) -> MutexGuard<'_, Vec<Sender>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let clients = Clients::default();
    smol::spawn(tell_the_time(Arc::clone(&clients))).detach();
    smol::block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on ws://{}/", listener.local_addr()?);
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                // For example too many open files: do not stop, and do not spin.
                Err(error) => {
                    eprintln!("no connection: {error}");
                    smol::Timer::after(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let clients = Arc::clone(&clients);
            smol::spawn(async {
                match serve(stream, clients).await {
                    // Clients leave all the time, with and without a Close.
                    Err(error) if !error.is_disconnect() => eprintln!("{error:#}"),
                    _ => {}
                }
            })
            .detach();
        }
    })
}
