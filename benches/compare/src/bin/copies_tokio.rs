//! TCP echo on tokio that copies twice: what messages of 1 KiB cost at least where each one has
//! memory of its own and the answers to a burst leave in one write. It knows no frames.

use std::cell::RefCell;
use std::future::poll_fn;
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyws_compare::server;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

const BUFFER: usize = 64 << 10;

/// A message of 1 KiB with the header of its frame.
const MESSAGE: usize = (1 << 10) + 8;

struct Buffers {
    received: Vec<u8>,
    buffered: Vec<u8>,
}

thread_local! {
    // For all connections: an idle one owns nothing.
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        received: vec![0; BUFFER],
        buffered: Vec::new(),
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    server::serve(|stream| async { drop(echo(stream).await) }).await
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
    BUFFERS.with_borrow_mut(|Buffers { received, buffered }| {
        let mut received = ReadBuf::new(received);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut received))?;
        if received.filled().is_empty() {
            return Poll::Ready(Ok(None));
        }
        buffered.clear();
        for message in received.filled().chunks(MESSAGE) {
            // Or the compiler might see that nobody needs it.
            let message = black_box(message.to_vec());
            buffered.extend_from_slice(&message);
        }
        let written = match Pin::new(stream).poll_write(context, buffered) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        Poll::Ready(Ok(Some(buffered[written..].to_vec())))
    })
}
