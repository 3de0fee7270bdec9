//! Echo through fastwebsockets, as a server or a client over hyper, as in its README.

use std::sync::Arc;

use anyws_compare::Result;
use anyws_compare::client::{self, Library, Plan};
use anyws_compare::server;
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, OpCode, WebSocket, WebSocketError, handshake};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task;

type Socket = FragmentCollector<TokioIo<Upgraded>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Some(plan) = Plan::read()? else {
        return Ok(server::serve_with_hyper(answer).await?);
    };
    let library = Library {
        connect,
        exchange,
        discard: drop,
    };
    client::run(plan, library).await
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

async fn echo(upgrading: UpgradeFut) -> std::result::Result<(), WebSocketError> {
    let mut socket = prepare(upgrading.await?);
    // There is no way to stage an answer: each is written at once, tuned or not.
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

fn prepare(mut socket: WebSocket<TokioIo<Upgraded>>) -> Socket {
    socket.set_writev(true);
    socket.set_auto_close(true);
    socket.set_auto_pong(true);
    socket.set_max_message_size(server::MAX_MESSAGE);
    FragmentCollector::new(socket)
}

async fn connect(plan: Arc<Plan>) -> Result<Socket> {
    let request = Request::get(plan.uri())
        .header(HOST, plan.address.to_string())
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "upgrade")
        .header(SEC_WEBSOCKET_KEY, handshake::generate_key())
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::<Bytes>::new())?;
    let stream = plan.tokio_stream().await?;
    let (socket, _) = handshake::client(&TokioExecutor::new(), request, stream).await?;
    Ok(prepare(socket))
}

async fn exchange(mut socket: Socket, depth: usize) -> Result<()> {
    let mut frames = Vec::with_capacity(depth);
    loop {
        while frames.len() < depth {
            let frame = socket.read_frame().await?;
            match frame.opcode {
                OpCode::Text | OpCode::Binary => frames.push(frame),
                OpCode::Close => return Err(client::GONE.into()),
                _ => {}
            }
        }
        for frame in frames.drain(..) {
            socket.write_frame(frame).await?;
        }
    }
}
