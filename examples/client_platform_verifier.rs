//! A client that trusts what the operating system trusts: also the authorities that an
//! administrator has added.
//!
//! `cargo run --example client_platform_verifier --features tls,rt-tokio [URI]`

use std::{process::ExitCode, sync::Arc};

use anyws::{
    BoxError, ClientBuilder,
    rustls::{ClientConfig, crypto::ring},
};
use rustls_platform_verifier::BuilderVerifierExt;

/// Lets the operating system verify certificates.
fn platform() -> Result<Arc<ClientConfig>, BoxError> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Sends a message, and prints the answer.
async fn ask(uri: String) -> Result<(), BoxError> {
    let client = ClientBuilder::new(uri).tls(platform()?);
    let (mut socket, _) = client.connect().await?;
    socket.send("hello".into()).await?;
    match socket.next_data().await {
        Some(answer) => println!("{}", answer?),
        None => println!("the server closes without an answer"),
    }
    Ok(socket.close(None).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let uri = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "wss://localhost:9001/".to_owned());
    match ask(uri).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
