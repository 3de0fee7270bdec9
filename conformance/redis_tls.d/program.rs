//! Two hubs that meet on a Redis server with TLS. Prints what a member of the one gets from the
//! other, or why there is no connection. The script `redis_tls` builds and runs it.

use std::{env, pin::pin};

use anyws::{
    BoxError, Error,
    hub::{Event, Events, Hub, RedisBackplane},
    rt, testing,
};
use futures::future::{Either, select};

fn main() -> Result<(), BoxError> {
    EXECUTOR(async {
        let url = env::args().nth(1).ok_or("usage: redis_tls URL")?;
        let backplane = RedisBackplane::new(url)?;
        let runtime = rt::detect().ok_or(Error::NoRuntime)?;
        let (here, mut events_here) = Hub::with_backplane(backplane.clone(), runtime.clone());
        let (there, mut events_there) = Hub::with_backplane(backplane, runtime);
        connect(&mut events_here).await?;
        connect(&mut events_there).await?;

        let (mut client, mut server) = testing::pair();
        let mut subscription = here.join("room", &server.sender());
        subscription.ready().await;
        there.publish("room", "hello");
        // The server's socket sends what the hub has queued, while it waits.
        match select(pin!(client.next()), pin!(server.next())).await {
            Either::Left((Some(message), _)) => println!("received {}", message?),
            _ => return Err("a socket has ended".into()),
        }
        Ok(())
    })
}

async fn connect(events: &mut Events) -> Result<(), BoxError> {
    match events.next().await {
        Some(Event::Up) => Ok(()),
        Some(Event::Down(reason)) => Err(reason),
        event => Err(format!("{event:?} came first").into()),
    }
}
