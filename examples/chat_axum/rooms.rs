//! The rooms, and who is in them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyws::{
    Sender,
    hub::{Hub, Subscription},
};

/// The topic of notices for everybody in this process. No room has an empty name.
pub(crate) const EVERYBODY: &str = "";

pub(crate) struct Rooms {
    /// Carries the lines of each room, whose name is the topic, to its members in all processes.
    lines: Hub,
    /// Carries notices to members in this process.
    notices: Hub,
    /// The names of those in this process, by room.
    people: Mutex<HashMap<String, BTreeSet<String>>>,
}

impl Rooms {
    pub(crate) fn new(lines: Hub) -> Self {
        Self {
            lines,
            notices: Hub::new(),
            people: Mutex::default(),
        }
    }

    pub(crate) fn notices(&self) -> &Hub {
        &self.notices
    }

    /// Tells the members of each room, in all processes, who of this process is in it.
    pub(crate) fn list_people(&self) {
        for (room, people) in &*self.people() {
            self.lines.publish(&lists_of(room), list("here", people));
        }
    }

    /// Leaves the other processes once all lines are published.
    pub(crate) fn disconnect(&self) {
        self.lines.disconnect();
    }

    fn people(&self) -> MutexGuard<'_, HashMap<String, BTreeSet<String>>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the topic for the lists of a room. A list that is lost does not count as a lost line.
fn lists_of(room: &str) -> String {
    format!("{room}\nhere")
}

fn list(kind: &str, people: &BTreeSet<String>) -> String {
    people
        .iter()
        .fold(kind.to_owned(), |list, name| list + "\n" + name)
}

/// A member's seat in a room. Dropping it leaves the room.
pub(crate) struct Seat {
    rooms: Arc<Rooms>,
    room: String,
    name: String,
    sender: Sender,
    _subscriptions: [Subscription; 4],
}

impl Seat {
    /// Lets a member in, and sends them the list of people.
    pub(crate) fn take(
        rooms: &Arc<Rooms>,
        introduction: &str,
        sender: Sender,
    ) -> Result<Self, &'static str> {
        let is_name = |text: &str| {
            (1..=32).contains(&text.chars().count()) && !text.contains(char::is_control)
        };
        let (room, name) = introduction
            .split_once('\n')
            .map(|(room, name)| (room.trim(), name.trim()))
            .filter(|(room, name)| is_name(room) && is_name(name))
            .ok_or("A room and a name have 1 to 32 characters each.")?;

        // Hold the lock to the end, so that the list and the lines after it are consistent.
        let mut all = rooms.people();
        let people = all.entry(room.to_owned()).or_default();
        if !people.insert(name.to_owned()) {
            return Err("Somebody in this room has that name already.");
        }
        // A new queue is empty, and a socket that has closed meanwhile needs no list.
        let _ = sender.try_send(list("people", people));
        let subscriptions = [
            rooms.lines.join(room, &sender),
            rooms.lines.join(&lists_of(room), &sender),
            rooms.notices.join(EVERYBODY, &sender),
            rooms.notices.join(room, &sender),
        ];
        rooms.lines.publish(room, format!("joined\n{name}"));
        Ok(Self {
            rooms: Arc::clone(rooms),
            room: room.to_owned(),
            name: name.to_owned(),
            sender,
            _subscriptions: subscriptions,
        })
    }

    /// Sends a line to everybody in the room. All of them share its memory, and nobody waits: a
    /// member who is closing or too slow misses it.
    pub(crate) fn say(&self, text: &str) {
        let line = format!("said\n{}\n{text}", self.name);
        self.rooms.lines.publish(&self.room, line);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.rooms.people();
        if let Some(people) = all.get_mut(&self.room) {
            people.remove(&self.name);
            if people.is_empty() {
                all.remove(&self.room);
            }
        }
        let line = format!("left\n{}", self.name);
        let lines = &self.rooms.lines;
        lines.publish_from(&self.sender, &self.room, line);
    }
}
