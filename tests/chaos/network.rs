//! TCP streams of the runtimes.

use std::net::TcpStream;

#[cfg(feature = "rt-tokio")]
pub(crate) fn tokio(stream: TcpStream) -> anyws::io::TokioIo<tokio::net::TcpStream> {
    anyws::io::TokioIo::new(tokio::net::TcpStream::from_std(stream).unwrap())
}

#[cfg(feature = "rt-smol")]
pub(crate) fn smol(stream: TcpStream) -> smol::net::TcpStream {
    smol::Async::new(stream).unwrap().into()
}
