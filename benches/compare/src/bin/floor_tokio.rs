//! The floor on tokio: TCP echo without any protocol, as a server or a client.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anyws_compare::client::{self, Library, Plan, TokioStream};
use anyws_compare::{Result, server, wire};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

const BUFFER: usize = 64 << 10;

thread_local! {
    // One for all connections: an idle one owns nothing.
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Some(plan) = Plan::read()? else {
        return Ok(server::serve(|stream| async { drop(echo(stream).await) }).await?);
    };
    let library = Library {
        connect,
        exchange,
        discard: drop,
    };
    client::run(plan, library).await
}

/// Connects; if handshakes are all that is asked for, with ready-made bytes for one.
async fn connect(plan: Arc<Plan>) -> Result<TokioStream> {
    let mut stream = plan.tokio_stream().await?;
    if plan.is_of_handshakes() {
        let request = wire::request(&plan.address.to_string(), None);
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(wire::END_OF_HEAD) {
            let mut chunk = [0; 512];
            match stream.read(&mut chunk).await? {
                0 => return Err(client::GONE.into()),
                length => head.extend_from_slice(&chunk[..length]),
            }
        }
    }
    Ok(stream)
}

async fn exchange(stream: TokioStream, _depth: usize) -> Result<()> {
    Ok(echo(stream).await?)
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(rest) = poll_fn(|context| poll_echo(&mut stream, context)).await? {
        stream.write_all(&rest).await?;
    }
    Ok(())
}

/// Reads once and writes once; gives what was not written, or `None` at the end.
fn poll_echo(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    context: &mut Context<'_>,
) -> Poll<io::Result<Option<Vec<u8>>>> {
    RECEIVED.with_borrow_mut(|buffer| {
        let mut received = ReadBuf::new(buffer);
        // Not `try_read`: only this spares the second read after one that was short.
        ready!(Pin::new(&mut *stream).poll_read(context, &mut received))?;
        let received = received.filled();
        if received.is_empty() {
            return Poll::Ready(Ok(None));
        }
        let written = match Pin::new(stream).poll_write(context, received) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        Poll::Ready(Ok(Some(received[written..].to_vec())))
    })
}
