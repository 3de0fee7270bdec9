//! Echo through yawc, over hyper as in its examples.

use std::convert::Infallible;
use std::io;

use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use futures_util::StreamExt;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use yawc::{Frame, OpCode, Options, UpgradeFut, WebSocket};

// Its README's figures were taken with these.
const TUNED_READ_BUFFER: usize = 128 << 10;
const TUNED_WRITE_BOUNDARY: usize = 64 << 10;

const WORDS: Words<Frame> = Words {
    as_text: |frame| (frame.opcode() == OpCode::Text).then(|| frame.as_str()),
    text: |text| Frame::text(text),
    binary: |bytes| Frame::binary(bytes),
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    server::serve_with_hyper(answer).await
}

fn answer(mut request: Request<Incoming>) -> Response<Empty<Bytes>> {
    let Ok((response, upgrading)) = WebSocket::upgrade_with_options(&mut request, options()) else {
        let mut refusal = Response::new(Empty::new());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return refusal;
    };
    tokio::spawn(echo(upgrading));
    response
}

fn options() -> Options {
    // Its limits are exclusive, and by default 1 MiB; its check of UTF-8 is off by default.
    let options = Options::default()
        .with_limits(server::MAX_MESSAGE + 1, server::MAX_MESSAGE + 1)
        .with_utf8();
    if server::is_tuned() {
        options
            .with_read_buffer_capacity(TUNED_READ_BUFFER)
            .with_backpressure_boundary(TUNED_WRITE_BOUNDARY)
    } else {
        options
    }
}

async fn echo(upgrading: UpgradeFut) {
    let Ok(socket) = upgrading.await else { return };
    // Its stream is of bare frames, and the loops want results.
    let socket = socket.map(Ok::<_, Infallible>);
    if server::is_tuned() {
        if server::takes_orders() {
            orders::obey(socket, &WORDS).await;
        } else {
            server::echo_in_bursts(socket, is_data).await;
        }
    } else {
        server::echo(socket, is_data).await;
    }
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
