//! The settings of a client after they were checked, before anything is sent.

use std::{future::Future, sync::Arc};

use http::{
    Response,
    header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL},
};

use super::{ClientBuilder, exchange::exchange, tls::Connector};
use crate::{
    config::{ConfigError, WebSocketConfig},
    connection::Established,
    error::{Error, Result, TimeoutPhase},
    handshake::client::{
        Agreed, ClientHandshake, ServerUri, check_additional, check_protocol, encode,
        offered_protocols, origin,
    },
    io::BoxIo,
    message::Role,
    rt::{Deadline, Runtime, Timeout},
    socket::WebSocket,
    tracker::Permit,
};

/// What a client is going to do.
pub(super) struct Plan {
    pub(super) server: ServerUri,
    connector: Connector,
    request: Vec<u8>,
    handshake: ClientHandshake,
    config: WebSocketConfig,
    runtime: Option<Arc<dyn Runtime>>,
    connect_timeout: Timeout,
    handshake_timeout: Timeout,
    permit: Option<Permit>,
}

impl Plan {
    /// Checks the settings; `config` has those of the builder, too.
    pub(super) fn new(
        builder: ClientBuilder,
        config: WebSocketConfig,
        runtime: Option<Arc<dyn Runtime>>,
    ) -> Result<Self> {
        config.validate()?;
        config.check_timeouts(runtime.as_ref())?;
        builder.connect_timeout.check(runtime.as_ref())?;
        builder.handshake_timeout.check(runtime.as_ref())?;
        let server = ServerUri::parse(&builder.uri).map_err(ConfigError::Uri)?;
        let connector = builder.tls.connector(&server)?;
        let additional = builder.headers?;
        check_additional(&additional)?;
        let handshake = ClientHandshake::new(config.usable_deflate());
        let origin = builder.origin.as_deref().map(origin).transpose()?;
        let protocols = offered_protocols(&config.policy)?;
        let policy = [
            origin.map(|origin| (ORIGIN, origin)),
            protocols.map(|protocols| (SEC_WEBSOCKET_PROTOCOL, protocols)),
        ];
        let headers = handshake.headers().chain(policy.into_iter().flatten());
        Ok(Self {
            request: encode(&server, headers, &additional),
            server,
            connector,
            handshake,
            permit: admit(&config)?,
            config,
            runtime,
            connect_timeout: builder.connect_timeout,
            handshake_timeout: builder.handshake_timeout,
        })
    }

    /// Drives what happens before the handshake, within the connect timeout. Returns the stream,
    /// and the timer for what follows.
    pub(super) async fn bound_connecting(
        &self,
        connecting: impl Future<Output = Result<BoxIo>> + Unpin,
    ) -> Result<(BoxIo, Deadline)> {
        let timeout = self.connect_timeout.duration();
        let mut deadline = Deadline::start(timeout, self.runtime.as_ref());
        let connected = deadline.bound(connecting).await;
        let stream = connected.unwrap_or(Err(Error::Timeout(TimeoutPhase::Connect)))?;
        Ok((stream, deadline))
    }

    /// Does the TLS handshake over `stream` if the URI asks for it.
    pub(super) async fn secure(&self, stream: BoxIo) -> Result<BoxIo> {
        self.connector.secure(stream).await
    }

    /// Does the opening handshake over `stream`, and starts the socket.
    pub(super) async fn open(
        self,
        (mut stream, mut deadline): (BoxIo, Deadline),
    ) -> Result<(WebSocket, Response<()>)> {
        deadline.restart(self.handshake_timeout.duration(), self.runtime.as_ref());
        let answer = exchange(&mut stream, &self.request, &mut deadline).await?;
        let Agreed {
            protocol,
            compression,
        } = self.handshake.check(&answer.message)?;
        check_protocol(&self.config.policy, protocol)?;
        let socket = WebSocket::new(Established {
            label: None,
            io: stream,
            read_ahead: answer.read_ahead,
            role: Role::Client,
            protocol,
            compression,
            config: &self.config,
            runtime: self.runtime,
            permit: self.permit,
        });
        Ok((socket, answer.message))
    }
}

/// Returns the permit of the settings' tracker, if there is one.
fn admit(config: &WebSocketConfig) -> Result<Option<Permit>> {
    let Some(tracker) = &config.tracker else {
        return Ok(None);
    };
    if tracker.needs_request() {
        return Err(ConfigError::TrackerNeedsRequest.into());
    }
    Ok(Some(tracker.permit(None)?))
}
