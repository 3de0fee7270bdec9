//! Echo through anyws on tokio, with the compression that the command line asks for.

use std::io;

use anyws::io::TokioIo;
use anyws_compare::server;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    server::serve(|stream| async {
        let config = server::config(server::deflate());
        if let Ok(socket) = anyws::accept(TokioIo::new(stream), config).await {
            server::echo_by_anyws(socket).await;
        }
    })
    .await
}
