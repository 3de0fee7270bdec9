//! Several processes that share their rooms through Redis.
//!
//! No store knows who is where. So a name is unique only within its process, and each process lists
//! its people for all. A room of thousands should have a store: the guide `machines` describes one.
//!
//! With `--redis`, members get more lines than `main.rs` names:
//!
//! - `here` and a line for each name: they are in the room. Each process sends its list every five
//!   seconds, to all. The page removes a name that was in no list for three times as long, so lost
//!   lines make its list wrong only for a while.
//! - `down`: this process does not reach the others. A list of its own people follows.
//! - `up`: it reaches them again.
//! - `missed` and a number: so many lines from another process were lost. Without a number, nobody
//!   knows how many.
//! - `unsent` and a number: so many lines from this process may not have reached the others.

use std::{sync::Arc, time::Duration};

use anyws::{
    BoxError,
    hub::{Event, Events, Hub},
};
#[cfg(feature = "redis")]
use anyws::{TokioRuntime, hub::RedisBackplane};
use tokio::{select, task::JoinHandle, time::interval};

use crate::rooms::{EVERYBODY, Rooms};

/// How often each process lists its people. The page knows this time.
const LISTS: Duration = Duration::from_secs(5);

/// Creates rooms that this process shares with all others on the same Redis. The task ends once the
/// hub is disconnected and all lines are published.
pub(crate) fn share_rooms(url: &str) -> Result<(Arc<Rooms>, JoinHandle<()>), BoxError> {
    let (hub, events) = connect(url)?;
    let rooms = Arc::new(Rooms::new(hub));
    // Members who join get it until the hub is connected.
    rooms.notices().publish_latest(EVERYBODY, "down");
    let told = tokio::spawn(tell(Arc::clone(&rooms), events));
    Ok((rooms, told))
}

#[cfg(feature = "redis")]
fn connect(url: &str) -> Result<(Hub, Events), BoxError> {
    let runtime = Arc::new(TokioRuntime::current()?);
    Ok(Hub::with_backplane(RedisBackplane::new(url)?, runtime))
}

#[cfg(not(feature = "redis"))]
fn connect(_: &str) -> Result<(Hub, Events), BoxError> {
    Err("--redis needs the feature `redis`: --features axum,rt-tokio,redis".into())
}

/// Sends notices of what happens to the hub, and the lists of people.
async fn tell(rooms: Arc<Rooms>, mut events: Events) {
    let mut lists = interval(LISTS);
    loop {
        select! {
            event = events.next() => match event {
                Some(event) => notify(&rooms, event),
                None => return,
            },
            _ = lists.tick() => rooms.list_people(),
        }
    }
}

/// Sends a notice of what has happened.
fn notify(rooms: &Rooms, event: Event) {
    let notices = rooms.notices();
    match event {
        Event::Up => {
            notices.clear_latest(EVERYBODY);
            notices.publish(EVERYBODY, "up");
            rooms.list_people();
        }
        Event::Down(error) => {
            eprintln!("no connection to the other processes: {error:#}");
            notices.publish_latest(EVERYBODY, "down");
            rooms.list_people();
        }
        Event::Gap { topic, lost, .. } => {
            let number = lost.map(|lost| format!("\n{lost}")).unwrap_or_default();
            notices.publish(&topic, format!("missed{number}"));
        }
        Event::PublishFailed { topic, lost, .. } => {
            notices.publish(&topic, format!("unsent\n{lost}"));
        }
        Event::SubscribeFailed { topic, error, .. } => {
            eprintln!("no lines from the other processes: {error:#}");
            notices.publish(&topic, "missed");
        }
        other => {
            eprintln!("{other:?}");
            notices.publish(EVERYBODY, "missed");
        }
    }
}
