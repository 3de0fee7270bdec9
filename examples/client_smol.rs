//! A client on smol: sends a message, and prints the answer.
//!
//! `cargo run --example client_smol --features client,rt-smol [URI] [TEXT]`

use std::process::ExitCode;

/// Sends `text` to a server that answers, such as `echo_smol`.
async fn ask(uri: String, text: String) -> anyws::Result<()> {
    let mut socket = anyws::connect(uri).await?;
    socket.send(text.into()).await?;
    match socket.next_data().await {
        Some(answer) => println!("{}", answer?),
        None => println!("the server closes without an answer"),
    }
    socket.close(None).await
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let uri = arguments
        .next()
        .unwrap_or_else(|| "ws://127.0.0.1:9001/".to_owned());
    let text = arguments.next().unwrap_or_else(|| "hello".to_owned());
    match smol::block_on(ask(uri, text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
