//! Echo through yawc, as a server over hyper as in its examples, or as a client.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use anyws_compare::Result;
use anyws_compare::client::{self, Library, Plan, TokioStream};
use anyws_compare::deflate::Deflate;
use anyws_compare::orders::{self, Words};
use anyws_compare::server;
use futures_util::StreamExt;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use yawc::{CompressionLevel, DeflatePool, Frame, OpCode, Options, UpgradeFut, WebSocket};

// Its README's figures were taken with these.
const TUNED_READ_BUFFER: usize = 128 << 10;
const TUNED_WRITE_BOUNDARY: usize = 64 << 10;

// One pool for the whole server, of more than one thread ever needs.
static POOL: LazyLock<DeflatePool> = LazyLock::new(|| DeflatePool::new(64));

const WORDS: Words<Frame> = Words {
    as_text: |frame| (frame.opcode() == OpCode::Text).then(|| frame.as_str()),
    text: |text| Frame::text(text),
    binary: |bytes| Frame::binary(bytes),
};

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
    let options = match server::deflate() {
        Some(deflate) => compress(options, deflate),
        None => options,
    };
    if server::is_tuned() {
        options
            .with_read_buffer_capacity(TUNED_READ_BUFFER)
            .with_backpressure_boundary(TUNED_WRITE_BOUNDARY)
    } else {
        options
    }
}

fn compress(options: Options, deflate: Deflate) -> Options {
    let options = options.with_compression_level(CompressionLevel::new(deflate.level.into()));
    if deflate.takes_over() {
        options
            .with_server_max_window_bits(deflate.window_bits())
            .with_client_max_window_bits(deflate.window_bits())
    } else {
        options
            .server_no_context_takeover()
            .client_no_context_takeover()
            .with_deflate_pool(POOL.clone())
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

async fn connect(plan: Arc<Plan>) -> Result<WebSocket<TokioStream>> {
    let stream = plan.tokio_stream().await?;
    Ok(WebSocket::handshake(plan.uri().parse()?, stream, options()).await?)
}

async fn exchange(socket: WebSocket<TokioStream>, depth: usize) -> Result<()> {
    client::exchange(socket.map(Ok::<_, Infallible>), depth, is_data).await
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
