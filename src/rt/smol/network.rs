//! smol's side of [`Network`].

use std::{io, net::SocketAddr, sync::Arc};

use futures_core::future::BoxFuture;
use smol::net::{TcpStream, resolve};

use super::SmolRuntime;
use crate::{
    io::{Io, boxed},
    rt::Network,
};

/// Names are resolved on smol's threads for blocking calls.
impl Network for SmolRuntime {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { resolve((&*host, port)).await })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(boxed(stream))
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "other runtimes may be absent")]
pub(in crate::rt) fn current_network() -> Option<Arc<dyn Network>> {
    Some(Arc::new(SmolRuntime::new()))
}
