//! tokio's side of [`Network`].

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use futures_core::future::BoxFuture;
use tokio::{
    net::{TcpStream, lookup_host},
    runtime::Handle,
};

use super::TokioRuntime;
use crate::{
    io::{Io, TokioIo, boxed},
    rt::Network,
};

/// Names are resolved on tokio's threads for blocking calls. On a tokio runtime that was built
/// without `enable_io`, connecting is an error: tokio panics, and the panic hook prints it.
impl Network for TokioRuntime {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let host = host.to_owned();
        let lookup = async move { Ok(lookup_host((&*host, port)).await?.collect()) };
        Box::pin(entered(self.handle.clone(), lookup))
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let connect = async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(boxed(TokioIo::new(stream)))
        };
        Box::pin(entered(self.handle.clone(), connect))
    }
}

/// Polls `future` inside the runtime behind `handle`, from whatever thread polls it.
async fn entered<T>(handle: Handle, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let mut future = pin!(future);
    poll_fn(move |cx| {
        let _context = handle.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| {
            Poll::Ready(Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the tokio runtime cannot connect: build it with `enable_io`",
            )))
        })
    })
    .await
}

pub(in crate::rt) fn current_network() -> Option<Arc<dyn Network>> {
    let runtime = TokioRuntime::current().ok()?;
    Some(Arc::new(runtime))
}
