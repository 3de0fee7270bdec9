// hint: `tokio::net::TcpStream` is not a byte stream for a WebSocket
// hint: `anyws::io::TokioIo::new(stream)`
// hint: the trait `anyws::Io` is not implemented
// fix: accept(stream, => accept(anyws::io::TokioIo::new(stream),

pub async fn serve(stream: tokio::net::TcpStream) -> anyws::Result<()> {
    let config = anyws::WebSocketConfig::new();
    let mut socket = anyws::accept(stream, config).await?;
    while let Some(message) = socket.next().await {
        socket.send(message?).await?;
    }
    Ok(())
}
