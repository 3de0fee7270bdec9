//! Echo through soketto, which compresses whenever the client offers it.

use std::error::Error;
use std::{env, io};

use futures_util::io::{BufReader, BufWriter};
use soketto::connection::Error as Failure;
use soketto::extension::deflate::Deflate;
use soketto::handshake::server::Response;
use soketto::{Data, Mode, handshake};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::TokioAsyncReadCompatExt;

/// The largest message that every server takes.
const MAX_MESSAGE: usize = 64 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args()
        .nth(1)
        .ok_or_else(|| io::Error::other("no address"))?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async {
            // An error ends this connection alone, and the load sees that.
            let _ = echo(stream).await;
        });
    }
}

async fn echo(stream: TcpStream) -> Result<(), Box<dyn Error + Send + Sync>> {
    // The buffers are those of its example.
    let stream = BufWriter::with_capacity(16 << 10, stream.compat());
    let mut server = handshake::Server::new(BufReader::with_capacity(8 << 10, stream));
    server.add_extension(Box::new(Deflate::new(Mode::Server)));
    let key = server.receive_request().await?.key();
    let response = Response::Accept {
        key,
        protocol: None,
    };
    server.send_response(&response).await?;
    let mut builder = server.into_builder();
    builder.set_max_message_size(MAX_MESSAGE);
    builder.set_max_frame_size(MAX_MESSAGE);
    let (mut sender, mut receiver) = builder.finish();

    let mut message = Vec::new();
    loop {
        message.clear();
        match receiver.receive_data(&mut message).await {
            Ok(Data::Text(_)) => sender.send_text(str::from_utf8(&message)?).await?,
            Ok(Data::Binary(_)) => sender.send_binary_mut(&mut message).await?,
            Err(Failure::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        sender.flush().await?;
    }
}
