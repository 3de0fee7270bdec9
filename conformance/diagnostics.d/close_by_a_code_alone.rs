// hint: `anyws::CloseCode` is not a Close frame
// hint: pass `None`, `(CloseCode::Away, "reason")`
// hint: the trait `IntoCloseFrame` is not implemented
// fix: CloseCode::Away) => (CloseCode::Away, "restart"))

use anyws::{CloseCode, WebSocket};

pub async fn restart(mut socket: WebSocket) -> anyws::Result<()> {
    socket.close(CloseCode::Away).await
}
