//! A client that trusts an authority of your own, and no other. It talks to `echo_tls`.
//!
//! `cargo run --example client_private_ca --features tls,rt-smol [URI] [AUTHORITY]`
//!
//! The authority is a certificate in PEM; the default is `cert.pem`. A certificate that has signed
//! itself, as the one in `echo_tls.rs`, is its own authority.

use std::{process::ExitCode, sync::Arc};

use anyws::{
    BoxError, ClientBuilder,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, pem::PemObject},
    },
};

/// Trusts the certificates of a file.
fn trust(path: &str) -> Result<Arc<ClientConfig>, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Sends a message, and prints the answer.
async fn ask(uri: String, authority: &str) -> Result<(), BoxError> {
    let client = ClientBuilder::new(uri).tls(trust(authority)?);
    let (mut socket, _) = client.connect().await?;
    socket.send("hello".into()).await?;
    match socket.next_data().await {
        Some(answer) => println!("{}", answer?),
        None => println!("the server closes without an answer"),
    }
    Ok(socket.close(None).await?)
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let uri = arguments
        .next()
        .unwrap_or_else(|| "wss://localhost:9001/".to_owned());
    let authority = arguments.next().unwrap_or_else(|| "cert.pem".to_owned());
    match smol::block_on(ask(uri, &authority)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
