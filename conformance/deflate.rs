//! An end of a compressed connection, for peers of other languages.
//!
//! `cargo run --example deflate --features rt-tokio,rt-smol,client,deflate -- ROLE RUNTIME ADDRESS
//! SEND BITS RECEIVE BITS LEVEL THRESHOLD`
//!
//! The role `serve` echoes messages, connection after connection, and `connect` sends messages and
//! compares what comes back. The program ends at the first fault. The runtime is `tokio` or `smol`.
//! SEND is the takeover of what is sent, `none`, `window` or `dedicated`, and RECEIVE whether the
//! peer may take over, `true` or `false`. BITS are the windows of the two directions.

use std::io;

use anyws::{
    BoxError, ClientBuilder, DeflateConfig, Io, Message, PreparedMessage, Takeover, WebSocket,
    WebSocketConfig, io::TokioIo,
};
use rand::{fill, random_range};

type Result<T> = std::result::Result<T, BoxError>;

/// The first messages are short JSON, so that the peer can compare what they take on the wire. The
/// others are of all kinds. They are sent ten at a time.
const JSON: u32 = 60;
const ALL: u32 = 240;
const BURST: usize = 10;

/// Up to this length, each message is sent as it is.
const SHORT: usize = 512;

fn settings(arguments: &[String]) -> Result<WebSocketConfig> {
    let [send, send_bits, receive, receive_bits, level, threshold] = arguments else {
        return Err("wrong number of settings".into());
    };
    let takeover = match &send[..] {
        "none" => Takeover::None,
        "window" => Takeover::Window,
        "dedicated" => Takeover::Dedicated,
        other => return Err(format!("{other} is no takeover").into()),
    };
    let deflate = DeflateConfig::new()
        .send_takeover(takeover)
        .send_window_bits(send_bits.parse()?)
        .receive_takeover(receive.parse()?)
        .receive_window_bits(receive_bits.parse()?)
        .level(level.parse()?)
        .threshold(threshold.parse()?);
    Ok(WebSocketConfig::new().set_deflate(deflate))
}

/// Sends messages back, one connection after the other.
async fn serve<T: Io + 'static>(
    config: &WebSocketConfig,
    accept: impl AsyncFn() -> io::Result<T>,
) -> Result<()> {
    loop {
        let mut socket = anyws::accept(accept().await?, config.clone()).await?;
        if !socket.is_compressed() {
            return Err("the client has not agreed to compression".into());
        }
        let mut echoed = 0;
        while let Some(message) = socket.next_data().await {
            feed(&mut socket, message?, echoed).await?;
            echoed += 1;
        }
    }
}

/// Buffers a message. Longer ones go in turn as they are, prepared, and uncompressed: the peer must
/// not notice.
async fn feed(socket: &mut WebSocket, message: Message, index: u32) -> anyws::Result<()> {
    match index % 3 {
        1 if message.len() > SHORT => socket.send_prepared(&message.into()).await,
        2 if message.len() > SHORT => {
            let message = PreparedMessage::from(message).uncompressed();
            socket.send_prepared(&message).await
        }
        _ => socket.feed(message).await,
    }
}

/// Sends messages and compares what comes back.
async fn connect(config: &WebSocketConfig, address: &str) -> Result<()> {
    let (mut socket, _) = ClientBuilder::new(format!("ws://{address}/"))
        .config(config.clone())
        .connect()
        .await?;
    if !socket.is_compressed() {
        return Err("the server has not agreed to compression".into());
    }
    let messages: Vec<_> = (0..ALL).map(|index| (index, message(index))).collect();
    for burst in messages.chunks(BURST) {
        for (index, message) in burst {
            feed(&mut socket, message.clone(), *index).await?;
        }
        socket.flush().await?;
        for (_, message) in burst {
            let echo = socket.next_data().await.ok_or("the end comes early")??;
            if echo != *message {
                let (is, was) = (echo.len(), message.len());
                return Err(format!("{is} bytes come back for other {was}").into());
            }
        }
    }
    socket.close(None).await?;
    Ok(())
}

fn message(index: u32) -> Message {
    match index % 10 {
        _ if index < JSON => Message::text(json()),
        0..4 => Message::text(json()),
        4 => Message::binary(noise(random_range(0..1000))),
        5 => Message::text(format!("no {index}")),
        6 => Message::text(""),
        7 => Message::binary(Vec::new()),
        8 => Message::text("Grüße über 30 Flüsse und Bäche, ähnlich wie Öl. ".repeat(30)),
        _ if index % 20 == 9 => Message::text((0..200).map(|_| json()).collect::<String>()),
        _ => Message::binary(noise(70_000)),
    }
}

/// Returns some 350 bytes that resemble each other.
fn json() -> String {
    let offer = || {
        let [id, price, stock] = [9_999_999, 99_999, 999].map(|most| random_range(0..most));
        format!(
            r#"{{"id":{id},"title":"Schöner Stuhl Nr. {stock}","price":{price},"currency":"EUR","#,
        ) + &format!(r#""stock":{stock},"tags":["Möbel","Holz"],"sold":false}}"#)
    };
    let [best, other, third] = [(); 3].map(|()| offer());
    format!(r#"{{"best":{best},"others":[{other},{third}]}}"#)
}

/// Returns bytes that cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fill(&mut bytes[..]);
    bytes
}

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [role, runtime, address, settings @ ..] = &arguments[..] else {
        return Err("usage: deflate ROLE RUNTIME ADDRESS SETTINGS".into());
    };
    let config = &self::settings(settings)?;
    let on_tokio = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    };
    match (&role[..], &runtime[..]) {
        ("serve", "tokio") => on_tokio()?.block_on(async {
            let listener = tokio::net::TcpListener::bind(address).await?;
            println!("listening on ws://{}/", listener.local_addr()?);
            let accept = async || {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(TokioIo::new(stream))
            };
            serve(config, accept).await
        }),
        ("serve", "smol") => smol::block_on(async {
            let listener = smol::net::TcpListener::bind(address).await?;
            println!("listening on ws://{}/", listener.local_addr()?);
            let accept = async || {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            };
            serve(config, accept).await
        }),
        ("connect", "tokio") => on_tokio()?.block_on(connect(config, address)),
        ("connect", "smol") => smol::block_on(connect(config, address)),
        _ => Err(format!("there is no {role} on {runtime}").into()),
    }
}
