//! Echo through anyws on smol, with the compression that the command line asks for.

use std::io;

use anyws_compare::server;

fn main() -> io::Result<()> {
    server::serve_on_smol(|stream| async {
        let config = server::config(server::deflate());
        if let Ok(socket) = anyws::accept(stream, config).await {
            server::echo_by_anyws(socket).await;
        }
    })
}
