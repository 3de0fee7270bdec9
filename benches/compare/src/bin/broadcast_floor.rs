//! The floor of a broadcast: ready-made frames, and one `send` of them for each connection.
//!
//! There is no runtime, no handshake, and an order is a line. Connections are served one after
//! the other, which is enough if all join before one publishes.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};

use anyws_compare::orders::{FILLING, Order};
use anyws_compare::server;
use anyws_compare::wire::{BINARY, TEXT, write_message};

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(server::address())?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let mut members = Vec::new();
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        obey(stream, &mut members)?;
    }
}

/// Follows orders, until the connection has joined or ends.
fn obey(mut stream: TcpStream, members: &mut Vec<TcpStream>) -> io::Result<()> {
    let mut orders = BufReader::new(stream.try_clone()?).lines();
    while let Some(order) = orders.next().transpose()? {
        match Order::read(&order) {
            Some(Order::Join) => {
                let mut answer = Vec::new();
                write_message(&mut answer, TEXT, order.as_bytes());
                stream.write_all(&answer)?;
                stream.set_nonblocking(true)?;
                members.push(stream);
                return Ok(());
            }
            Some(Order::Publish { count, length }) => publish(members, count, length)?,
            _ => return Err(io::Error::other(format!("no order: {order:?}"))),
        }
    }
    Ok(())
}

/// What a connection does not take at once is lost: it is that of one that reads nothing.
fn publish(members: &[TcpStream], count: usize, length: usize) -> io::Result<()> {
    let mut frames = Vec::new();
    for _ in 0..count {
        write_message(&mut frames, BINARY, &vec![FILLING; length]);
    }
    for mut member in members {
        match member.write(&frames) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
