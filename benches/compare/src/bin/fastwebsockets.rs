//! Echo through fastwebsockets, over hyper as in its README.

use std::io;

use anyws_compare::server;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use tokio::task;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    server::serve_with_hyper(answer).await
}

fn answer(mut request: Request<Incoming>) -> Response<Empty<Bytes>> {
    let Ok((response, upgrading)) = upgrade(&mut request) else {
        let mut refusal = Response::new(Empty::new());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return refusal;
    };
    if server::is_tuned() {
        // As in the library's own benchmark server.
        task::spawn(task::unconstrained(async { drop(echo(upgrading).await) }));
    } else {
        task::spawn(async { drop(echo(upgrading).await) });
    }
    response
}

async fn echo(upgrading: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = upgrading.await?;
    socket.set_writev(true);
    socket.set_auto_close(true);
    socket.set_auto_pong(true);
    socket.set_max_message_size(server::MAX_MESSAGE);

    // There is no way to stage an answer: each is written at once, tuned or not.
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}
