//! Compression between a client and a server of this crate.

use anyws::{ClientBuilder, DeflateConfig, Message, testing};
use futures::join;
use support::{config, runtimes};

runtimes! {
    async fn compression_is_agreed(rt) {
        let settings = config(&rt).set_deflate(DeflateConfig::new());
        let (near, far) = testing::duplex();
        let client = ClientBuilder::new("ws://a").config(settings.clone());
        let (client, server) = join!(client.connect_over(near), anyws::accept(far, settings));
        let ((mut client, response), mut server) = (client.unwrap(), server.unwrap());
        assert!(client.is_compressed() && server.is_compressed());
        assert!(response.headers().contains_key("sec-websocket-extensions"));
        let text = "compress me ".repeat(100);
        let (sent, received) = join!(client.send(text.as_str().into()), server.next());
        sent.unwrap();
        assert_eq!(received.unwrap().unwrap(), Message::text(text));
        let (closed, _) = join!(client.close(None), server.next());
        closed.unwrap();
    }
}
