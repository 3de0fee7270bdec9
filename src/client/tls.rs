//! TLS by rustls, over the stream of any runtime.

use std::sync::{Arc, OnceLock};

use futures_rustls::{
    TlsConnector,
    pki_types::ServerName,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::{CryptoProvider, ring},
    },
};

use super::ClientBuilder;
use crate::{
    config::{ConfigError, InvalidUri},
    error::{Error, Result},
    handshake::client::ServerUri,
    io::{BoxIo, boxed},
};

/// A WebSocket starts as HTTP/1.1, so no server may answer in HTTP/2 (RFC 7301).
const ALPN: &[u8] = b"http/1.1";

/// The user's settings for TLS, if there are any.
#[derive(Clone, Default)]
pub(super) struct Tls(Option<Arc<ClientConfig>>);

impl ClientBuilder {
    /// Sets the settings of TLS for `wss`: the certificates that are trusted, a certificate of the
    /// client, or the provider of cryptography.
    ///
    /// Default are the certificate authorities of the crate `webpki-roots`, which are Mozilla's,
    /// TLS 1.2 and 1.3, and the provider that the process has installed, else ring. The
    /// [guide](crate::guide::clients) shows how to trust a private authority, or those of the
    /// operating system.
    ///
    /// The protocol by ALPN is always `http/1.1`, whatever the settings say.
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, mut config: Arc<ClientConfig>) -> Self {
        if config.alpn_protocols != [ALPN] {
            Arc::make_mut(&mut config).alpn_protocols = vec![ALPN.to_vec()];
        }
        self.tls = Tls(Some(config));
        self
    }
}

impl Tls {
    /// Returns what secures the connection to a server.
    pub(super) fn connector(&self, server: &ServerUri) -> Result<Connector> {
        if !server.is_secure {
            return Ok(Connector(None));
        }
        let name = ServerName::try_from(server.host.clone())
            .map_err(|_| ConfigError::Uri(InvalidUri::Host))?;
        let config = match &self.0 {
            Some(config) => Arc::clone(config),
            None => default_config()?,
        };
        Ok(Connector(Some((config.into(), name))))
    }
}

/// Secures the connection to one server, or leaves it as it is.
pub(super) struct Connector(Option<(TlsConnector, ServerName<'static>)>);

impl Connector {
    /// Does the TLS handshake, which checks the certificate and its name, over `stream`.
    pub(super) async fn secure(&self, stream: BoxIo) -> Result<BoxIo> {
        let Some((connector, name)) = &self.0 else {
            return Ok(stream);
        };
        let secured = connector.connect(name.clone(), stream).await;
        Ok(boxed(secured.map_err(Error::Tls)?))
    }
}

/// Returns the default settings. They are made once, so that sessions can be resumed.
fn default_config() -> Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    // Named explicitly: the builder that guesses panics if no provider or two are compiled in.
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(std::io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}
