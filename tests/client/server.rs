//! A server that a test writes byte by byte.

use std::fmt;

use anyws::{ClientBuilder, Error, Result, UpgradeIo, WebSocket, WebSocketUpgrade, testing};
use futures::{AsyncReadExt, AsyncWriteExt, join};
use http::{HeaderValue, Request, Response};
use testing::Duplex;

/// The server's end of a connection, after it has read the request.
pub(crate) struct Server {
    pub(crate) io: Duplex,
    pub(crate) request: Request<()>,
    /// The bytes of the request.
    pub(crate) head: String,
}

impl Server {
    /// Reads a request, and nothing behind it.
    pub(crate) async fn read(mut io: Duplex) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            io.read_exact(&mut byte).await.unwrap();
            head.extend(byte);
        }
        let mut lines = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut lines);
        assert!(parsed.parse(&head).unwrap().is_complete());
        let mut request = Request::builder()
            .method(parsed.method.unwrap())
            .uri(parsed.path.unwrap());
        for line in parsed.headers {
            request = request.header(line.name, line.value);
        }
        Self {
            io,
            request: request.body(()).unwrap(),
            head: String::from_utf8(head).unwrap(),
        }
    }

    /// Returns the value of a header that has to be there once.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.request.headers().get_all(name).iter();
        let value = lines.next().expect("the header is there").to_str().unwrap();
        assert!(lines.next().is_none(), "{name} is there twice");
        value
    }

    /// Returns a valid answer.
    pub(crate) fn answer(&self) -> Answer {
        Answer {
            line: "HTTP/1.1 101 Switching Protocols".to_owned(),
            lines: Vec::new(),
            behind: Vec::new(),
        }
        .with("Upgrade", &["websocket"])
        .with("Connection", &["Upgrade"])
        .with("Sec-WebSocket-Accept", &[self.accept().to_str().unwrap()])
    }

    /// Returns what a server of this crate answers to the key.
    fn accept(&self) -> HeaderValue {
        let mut request = Request::new(());
        *request.headers_mut() = self.request.headers().clone();
        let nowhere = UpgradeIo::new(async { Err::<Duplex, _>("nowhere".into()) });
        request.extensions_mut().insert(nowhere);
        let ws = WebSocketUpgrade::<String>::from_request(&mut request).unwrap();
        let (response, _upgrading) = ws.accept();
        response.headers()["sec-websocket-accept"].clone()
    }

    pub(crate) async fn send(&mut self, answer: &Answer) {
        self.io.write_all(&answer.bytes()).await.unwrap();
    }
}

/// An answer, which is right unless it is changed.
#[derive(Clone)]
pub(crate) struct Answer {
    line: String,
    lines: Vec<(String, String)>,
    behind: Vec<u8>,
}

impl Answer {
    /// Sets the status line.
    pub(crate) fn line(mut self, line: &str) -> Self {
        line.clone_into(&mut self.line);
        self
    }

    /// Replaces a header by one line for each value. Without values it is removed.
    pub(crate) fn with(mut self, name: &str, values: &[&str]) -> Self {
        self.lines.retain(|(other, _)| other != name);
        let lines = values
            .iter()
            .map(|&value| (name.to_owned(), value.to_owned()));
        self.lines.extend(lines);
        self
    }

    /// Adds bytes behind the head.
    pub(crate) fn then(mut self, bytes: &[u8]) -> Self {
        self.behind.extend_from_slice(bytes);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{self}\r\n").into_bytes();
        bytes.extend_from_slice(&self.behind);
        bytes
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\r\n", self.line)?;
        for (name, value) in &self.lines {
            write!(f, "{name}: {value}\r\n")?;
        }
        Ok(())
    }
}

/// What a client gets.
pub(crate) type Opened = Result<(WebSocket, Response<()>)>;

/// Lets a client do its handshake with a server that answers as `answer` says. Returns what both
/// are left with.
pub(crate) async fn opened(
    client: ClientBuilder,
    answer: impl AsyncFnOnce(&mut Server),
) -> (Opened, Server) {
    let (near, far) = testing::duplex();
    let serve = async {
        let mut server = Server::read(far).await;
        answer(&mut server).await;
        server
    };
    join!(client.connect_over(near), serve)
}

/// Returns the error of a client whose server changes the answer like this.
pub(crate) async fn error(client: ClientBuilder, change: impl FnOnce(Answer) -> Answer) -> Error {
    let (opened, _server) = opened(client, async |server| {
        let answer = change(server.answer());
        server.send(&answer).await;
    })
    .await;
    opened.expect_err("the answer is wrong")
}

/// Demands that a client accepts an answer that was changed like this.
pub(crate) async fn accepted(
    client: ClientBuilder,
    change: impl FnOnce(Answer) -> Answer,
) -> (WebSocket, Server) {
    let (opened, server) = opened(client, async |server| {
        let answer = change(server.answer());
        server.send(&answer).await;
    })
    .await;
    (opened.expect("the answer is right").0, server)
}
