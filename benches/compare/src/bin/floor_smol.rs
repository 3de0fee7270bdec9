//! The floor on smol: TCP echo without any protocol.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyws_compare::server;
use smol::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use smol::net::TcpStream;

const BUFFER: usize = 64 << 10;

thread_local! {
    // One for all connections: an idle one owns nothing.
    static RECEIVED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

fn main() -> io::Result<()> {
    server::serve_on_smol(|stream| async { drop(echo(stream).await) })
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    while let Some(rest) = poll_fn(|context| poll_echo(&mut stream, context)).await? {
        stream.write_all(&rest).await?;
    }
    Ok(())
}

/// Reads once and writes once; gives what was not written, or `None` at the end.
fn poll_echo(
    stream: &mut TcpStream,
    context: &mut Context<'_>,
) -> Poll<io::Result<Option<Vec<u8>>>> {
    RECEIVED.with_borrow_mut(|buffer| {
        let length = ready!(Pin::new(&mut *stream).poll_read(context, buffer))?;
        let received = &buffer[..length];
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
