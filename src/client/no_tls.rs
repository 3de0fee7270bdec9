//! Without the feature `tls`: only `ws` URIs.

use crate::{config::ConfigError, error::Result, handshake::client::ServerUri, io::BoxIo};

/// There are no settings.
#[derive(Clone, Default)]
pub(super) struct Tls(());

impl Tls {
    /// Refuses a server that asks for TLS.
    #[expect(clippy::unused_self, reason = "with TLS there are settings")]
    pub(super) fn connector(&self, server: &ServerUri) -> Result<Connector> {
        if server.is_secure {
            return Err(ConfigError::TlsNotCompiled.into());
        }
        Ok(Connector)
    }
}

/// Leaves a connection as it is.
pub(super) struct Connector;

impl Connector {
    #[expect(
        clippy::unused_async,
        reason = "with TLS there is something to wait for"
    )]
    pub(super) async fn secure(&self, stream: BoxIo) -> Result<BoxIo> {
        Ok(stream)
    }
}
