//! The settings of a client after they were checked, before anything is sent.

use std::{pin::pin, sync::Arc};

use http::{
    Response,
    header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL},
};

use super::{
    ClientBuilder,
    dial::{race, resolve},
    exchange::exchange,
    step::step,
    tls::Connector,
};
use crate::{
    config::{ConfigError, WebSocketConfig},
    connection::Established,
    error::{Result, TimeoutPhase},
    handshake::client::{
        Agreed, ClientHandshake, ServerUri, check_additional, check_protocol, encode,
        offered_protocols, origin,
    },
    io::BoxIo,
    message::Role,
    rt::{Deadline, Network, Runtime, Timeout},
    socket::WebSocket,
    tracker::{Permit, Tracker},
};

/// What a client is going to do.
pub(super) struct Plan {
    server: ServerUri,
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
    ) -> Result<Box<Self>> {
        config.validate()?;
        check_zero("connect_timeout", builder.connect_timeout)?;
        check_zero("handshake_timeout", builder.handshake_timeout)?;
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
        // Boxed, because futures hold it several times over.
        Ok(Box::new(Self {
            request: encode(&server, headers, &additional),
            server,
            connector,
            handshake,
            permit: admit(&config)?,
            config,
            runtime,
            connect_timeout: builder.connect_timeout,
            handshake_timeout: builder.handshake_timeout,
        }))
    }

    /// Connects to the server, and opens a socket.
    pub(super) async fn connect(self: Box<Self>, network: &Arc<dyn Network>) -> Result<Opened> {
        let mut deadline = self.start();
        let resolving = resolve(network, &self.server);
        let addresses = step(TimeoutPhase::Resolve, &mut deadline, pin!(resolving)).await?;
        let racing = race(network, addresses);
        let stream = step(TimeoutPhase::Connect, &mut deadline, pin!(racing)).await?;
        self.open(stream, deadline).await
    }

    /// Opens a socket over a stream that is connected already.
    pub(super) async fn connect_over(self: Box<Self>, stream: BoxIo) -> Result<Opened> {
        let deadline = self.start();
        self.open(stream, deadline).await
    }

    pub(super) fn tracker(&self) -> Option<Tracker> {
        self.config.tracker.clone()
    }

    fn start(&self) -> Deadline {
        Deadline::start(self.connect_timeout.duration(), self.runtime.as_ref())
    }

    /// Does the TLS handshake if the URI asks for it, then the opening handshake.
    async fn open(self: Box<Self>, stream: BoxIo, mut deadline: Deadline) -> Result<Opened> {
        let securing = self.connector.secure(stream);
        let mut stream = step(TimeoutPhase::Tls, &mut deadline, pin!(securing)).await?;
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

/// A socket, and the answer that has opened it.
pub(super) type Opened = (WebSocket, Response<()>);

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

/// Refuses a timeout at which every connection would end.
fn check_zero(setter: &'static str, timeout: Timeout) -> Result<(), ConfigError> {
    if timeout.duration().is_zero() {
        return Err(ConfigError::ZeroTimeout(setter));
    }
    Ok(())
}
