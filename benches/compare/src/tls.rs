//! The settings of TLS, the same for all: TLS 1.3 by rustls with ring, and no session is resumed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::Result;

const FILE: &str = "certificate.der";

/// What a WebSocket is asked for by (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// Where the load listens, and whom the certificate is for.
const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The name that clients expect.
#[must_use]
pub fn server_name() -> ServerName<'static> {
    ServerName::from(IpAddr::from(ADDRESS))
}

/// Makes a certificate (ECDSA on P-256), and writes it into a file of `folder` for the clients.
///
/// # Errors
///
/// When the file cannot be written.
pub fn server(folder: &Path) -> Result<(Arc<ServerConfig>, PathBuf)> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([ADDRESS.to_string()])?;
    let path = folder.join(FILE);
    fs::write(&path, cert.der()).map_err(|error| format!("{}: {error}", path.display()))?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())?;
    config.alpn_protocols = vec![HTTP.to_vec()];
    // A client would read them or not, as it happens, and use none.
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), path))
}

/// The settings of a client that trusts the certificate in this file.
///
/// # Errors
///
/// When the file does not hold one.
pub fn client(certificate: &str) -> Result<Arc<ClientConfig>> {
    let der = fs::read(certificate).map_err(|error| format!("{certificate}: {error}"))?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(der))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
