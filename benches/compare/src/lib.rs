//! What the servers compared here have in common: the command line of anyws' own examples.

use std::env;
use std::io;

use tokio::net::TcpListener;

/// Listens on the address given as first argument and says where.
///
/// # Errors
///
/// When the address cannot be listened on.
pub async fn listen() -> io::Result<TcpListener> {
    let address = env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001")).await?;
    // The port is the real one, also when port 0 was asked for. From here on the kernel
    // queues connections, so the server may be called ready.
    println!("listening on ws://{}/", listener.local_addr()?);
    Ok(listener)
}
