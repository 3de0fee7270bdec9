//! A socket as a stream of messages.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::stream::{FusedStream, Stream};

use super::WebSocket;
use crate::{error::Result, message::Message};

impl Stream for WebSocket {
    type Item = Result<Message>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.connection.poll_next(cx)
    }
}

/// The stream is terminated once it has returned `None`.
impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.connection.is_terminated()
    }
}
