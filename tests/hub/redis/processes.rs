//! Two processes on different runtimes, with many sockets each.
//!
//! The test starts its own program twice, for the ignored tests below: they are the processes.

use std::{
    collections::BTreeMap,
    env,
    io::{self, BufRead, BufReader, Lines, Write},
    mem,
    ops::Range,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use anyws::{
    Message, PreparedMessage, QueueConfig, Runtime, WebSocket, WebSocketConfig,
    hub::{Event, Events, Hub, RedisBackplane},
    testing,
};
use futures::{
    StreamExt,
    channel::{mpsc, oneshot::Receiver},
    future::join_all,
};
use rustix::process::{Pid, Signal, kill_process};
use support::{
    LIMIT_VARIABLE, bounded, bounded_by,
    redis::Redis,
    tasks::{spawn, yield_to_tasks},
};

/// The address of the server, for the processes.
const URL: &str = "ANYWS_HUB_URL";

const SOCKETS: usize = 2000;
const TOPICS: usize = 20;
const MEMBERS: usize = SOCKETS / TOPICS;

/// How many messages the clients of this process have received.
static RECEIVED: AtomicUsize = AtomicUsize::new(0);

/// How many messages a client has received of each publisher.
type Heard = BTreeMap<String, usize>;

/// One of the processes, as the test sees it.
struct Process {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// What its hub has told: the sum of the gaps of each topic, and of what was not published.
    gaps: BTreeMap<usize, usize>,
    unknown: usize,
    failed: usize,
}

impl Process {
    /// Starts the ignored test of that name.
    fn start(name: &str, redis: &Redis) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture", "--quiet"])
            .env(URL, redis.url())
            // It ends with its input, so with this process.
            .env(LIMIT_VARIABLE, "3600")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self {
            child,
            input,
            output,
            gaps: BTreeMap::new(),
            unknown: 0,
            failed: 0,
        };
        process.expect("ready");
        process
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Says a line, and waits for the answer.
    fn ask(&mut self, line: &str, answer: &str) {
        self.say(line);
        self.expect(answer);
    }

    /// Reads up to a line that begins so, and returns the rest of it.
    fn expect(&mut self, start: &str) -> String {
        loop {
            let line = self.output.next().expect("the process has ended").unwrap();
            self.count(&line);
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Counts what is lost.
    fn count(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["gap", _, "unknown"] => self.unknown += 1,
            ["gap", topic, lost] => {
                let sum = self.gaps.entry(topic.parse().unwrap()).or_default();
                *sum += lost.parse::<usize>().unwrap();
            }
            ["failed", _, lost] => self.failed += lost.parse::<usize>().unwrap(),
            _ => {}
        }
    }

    /// Returns what the members of each topic have heard, once both have said `finish`.
    fn report(&mut self) -> Vec<String> {
        self.say("report");
        (0..TOPICS).map(|_| self.expect("heard")).collect()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends the process, once its hub has told everything.
    fn end(&mut self) {
        self.ask("end", "over");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads until both processes have said `end`, and checks the order of each publisher.
async fn listen(mut client: WebSocket) -> Heard {
    let (mut heard, mut last) = (Heard::new(), BTreeMap::new());
    let mut ends = 0;
    while ends < 2 {
        let Some(Ok(Message::Text(text))) = client.next_data().await else {
            panic!("the socket was harmed");
        };
        let mut words = text.split(' ');
        let (publisher, number) = (words.next().unwrap(), words.next());
        let Some(number) = number else {
            ends += 1;
            continue;
        };
        let number: usize = number.parse().unwrap();
        let before = last
            .insert(publisher.to_owned(), number)
            .unwrap_or_default();
        assert!(number > before, "{publisher} {number} after {before}");
        *heard.entry(publisher.to_owned()).or_default() += 1;
        RECEIVED.fetch_add(1, SeqCst);
    }
    heard
}

/// Connects the sockets: each topic has as many members.
async fn connect(rt: &Arc<dyn Runtime>, hub: &Hub) -> Vec<Receiver<Heard>> {
    let queue = QueueConfig::default()
        .messages(usize::MAX)
        .bytes(usize::MAX);
    let config = WebSocketConfig::new()
        .set_runtime(Arc::clone(rt))
        .set_queue(queue);
    let mut clients = Vec::new();
    for at in 0..SOCKETS {
        let (client, mut socket) = testing::pair_with(&config).unwrap();
        let topic = (at % TOPICS).to_string();
        let mut membership = hub.join(&topic, &socket.sender());
        membership.ready().await;
        drop(spawn(rt, async move {
            let _membership = membership;
            while let Some(Ok(_)) = socket.next().await {}
        }));
        clients.push(spawn(rt, listen(client)));
    }
    clients
}

/// Tells what happens, a line for each event.
async fn tell(mut events: Events) {
    while let Some(event) = events.next().await {
        match event {
            Event::Up => println!("up"),
            Event::Down(error) => println!("down {error}"),
            Event::Gap {
                topic,
                lost: Some(lost),
                ..
            } => println!("gap {topic} {lost}"),
            Event::Gap { topic, .. } => println!("gap {topic} unknown"),
            Event::PublishFailed { topic, lost, .. } => println!("failed {topic} {lost}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Publishes messages on all topics.
fn publish(hub: &Hub, name: &str, numbers: Range<usize>, padding: usize) {
    for number in numbers {
        let text = format!("{name} {number} {}", "x".repeat(padding));
        let message = PreparedMessage::from(text);
        for topic in 0..TOPICS {
            let delivered = hub.publish(&topic.to_string(), &message);
            assert_eq!((delivered.queued, delivered.total()), (MEMBERS, MEMBERS));
        }
    }
    println!("published");
}

/// Tells what the members of each topic have heard: all of them the same.
async fn report(clients: Vec<Receiver<Heard>>) {
    let heard: Vec<_> = join_all(clients)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    for (at, one) in heard.iter().enumerate() {
        assert_eq!(
            one,
            &heard[at % TOPICS],
            "members have heard different things"
        );
    }
    for heard in &heard[..TOPICS] {
        let heard = heard.iter().map(|(name, count)| format!("{name}={count}"));
        println!("heard {}", heard.collect::<Vec<_>>().join(" "));
    }
}

/// Reads commands, one a line.
fn commands() -> mpsc::UnboundedReceiver<String> {
    let (lines, commands) = mpsc::unbounded();
    thread::spawn(move || {
        for line in io::stdin().lines() {
            if lines.unbounded_send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    commands
}

/// What a process does.
async fn process(rt: Arc<dyn Runtime>) {
    let url = env::var(URL).expect("the test below starts this one");
    let backplane = RedisBackplane::new(url).unwrap();
    let (hub, events) = Hub::with_backplane(backplane, Arc::clone(&rt));
    let told = spawn(&rt, tell(events));
    let mut clients = connect(&rt, &hub).await;
    println!("ready");
    let mut commands = commands();
    while let Some(line) = commands.next().await {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["publish", name, from, to, padding] => {
                let numbers = from.parse().unwrap()..to.parse().unwrap();
                publish(&hub, name, numbers, padding.parse().unwrap());
            }
            ["wait", count] => {
                let count = count.parse().unwrap();
                while RECEIVED.load(SeqCst) < count {
                    yield_to_tasks(&rt).await;
                }
                println!("received");
            }
            ["finish"] => {
                for topic in 0..TOPICS {
                    hub.publish(&topic.to_string(), "end");
                }
            }
            ["report"] => report(mem::take(&mut clients)).await,
            ["sync"] => println!("synced"),
            _ => break,
        }
    }
    drop(hub);
    told.await.unwrap();
    println!("over");
}

#[test]
#[ignore = "it is a process that the test of two processes starts"]
fn process_on_tokio() {
    support::on_tokio(process);
}

#[test]
#[ignore = "it is a process that the test of two processes starts"]
fn process_on_smol() {
    support::on_smol(process);
}

/// Starts a process on each runtime.
fn start(redis: &Redis) -> (Process, Process) {
    (
        Process::start("redis::processes::process_on_tokio", redis),
        Process::start("redis::processes::process_on_smol", redis),
    )
}

/// Checks that what was heard of the other process, and what was told to be missing, is all.
fn assert_adds_up(process: &Process, heard: &[String], other: &str, published: usize) {
    for (topic, heard) in heard.iter().enumerate() {
        let mut counts = heard.split(' ').filter_map(|it| it.split_once('='));
        let heard =
            counts.find_map(|(name, count)| (name == other).then(|| count.parse::<usize>()));
        let heard = heard.map_or(0, Result::unwrap);
        let lost = process.gaps.get(&topic).copied().unwrap_or_default();
        assert_eq!(heard + lost, published, "of topic {topic}");
    }
}

#[test]
fn two_processes_with_two_thousand_sockets_each_hear_all() {
    bounded(|| {
        let redis = Redis::start();
        let (mut tokio, mut smol) = start(&redis);
        tokio.say("publish tokio 1 51 100");
        smol.say("publish smol 1 51 100");
        for process in [&mut tokio, &mut smol] {
            process.expect("published");
            process.say("finish");
        }
        for process in [&mut tokio, &mut smol] {
            assert_eq!(process.report(), ["smol=50 tokio=50"; TOPICS]);
            process.end();
            assert!(process.gaps.is_empty() && process.failed == 0);
        }
    });
}

#[test]
fn a_restart_in_the_middle_loses_what_is_told() {
    bounded(|| {
        let mut redis = Redis::start();
        let (mut tokio, mut smol) = start(&redis);
        tokio.ask("publish tokio 1 11 0", "published");
        smol.ask("publish smol 1 11 0", "published");
        let all = 2 * 10 * SOCKETS;
        for process in [&mut tokio, &mut smol] {
            process.ask(&format!("wait {all}"), "received");
        }
        redis.stop();
        tokio.expect("down");
        smol.expect("down");
        tokio.ask("publish tokio 11 16 0", "published");
        redis.restart();
        tokio.expect("up");
        smol.expect("up");
        tokio.ask("publish tokio 16 21 0", "published");
        tokio.say("finish");
        smol.say("finish");
        assert_eq!(tokio.report(), ["smol=10 tokio=20"; TOPICS]);
        assert_eq!(smol.report(), ["smol=10 tokio=15"; TOPICS]);
        tokio.end();
        smol.end();
        assert_eq!((tokio.failed, smol.failed), (5 * TOPICS, 0));
        assert_eq!((tokio.unknown, smol.unknown), (TOPICS, TOPICS));
        assert_eq!((tokio.gaps.len(), smol.gaps.len()), (0, TOPICS));
        assert!(smol.gaps.values().all(|&lost| lost == 5), "{:?}", smol.gaps);
    });
}

#[test]
fn a_process_that_stalls_is_cut_off_and_told_what_it_missed() {
    bounded(|| {
        let redis = Redis::start();
        redis.command(&[
            "CONFIG",
            "SET",
            "client-output-buffer-limit",
            "pubsub 1mb 1mb 60",
        ]);
        let (mut tokio, mut smol) = start(&redis);
        smol.signal(Signal::STOP);
        // 20 MB in pieces: more than the limit and what the kernel holds.
        for step in 0..10 {
            let (from, to) = (10 * step + 1, 10 * step + 11);
            tokio.ask(&format!("publish tokio {from} {to} 10000"), "published");
            tokio.ask(&format!("wait {}", (to - 1) * SOCKETS), "received");
        }
        // The other process, and this command.
        while redis.command(&["CLIENT", "LIST"]).lines().count() > 2 {
            thread::yield_now();
        }
        smol.signal(Signal::CONT);
        smol.expect("down");
        smol.expect("up");
        tokio.say("finish");
        smol.say("finish");
        assert_eq!(tokio.report(), ["tokio=100"; TOPICS]);
        let heard = smol.report();
        assert_eq!(smol.unknown, TOPICS);
        for (topic, heard) in heard.iter().enumerate() {
            let count = heard
                .strip_prefix("tokio=")
                .map_or(0, |it| it.parse().unwrap());
            let lost = smol.gaps.get(&topic).copied().unwrap_or_default();
            assert_eq!(count + lost, 100, "{topic}");
        }
        assert!(smol.gaps.values().sum::<usize>() > 0);
        tokio.end();
        smol.end();
    });
}

#[test]
fn restarts_at_any_moment_lose_nothing_that_is_not_told() {
    let restarts = env::var("ANYWS_HUB_RESTARTS").map_or(3, |it| it.parse().unwrap());
    bounded_by(Duration::from_secs(60 + 2 * restarts as u64), move || {
        let mut redis = Redis::start();
        let (mut tokio, mut smol) = start(&redis);
        // Only a hub that was heard before is missed.
        tokio.say("publish tokio 1 2 0");
        smol.say("publish smol 1 2 0");
        for process in [&mut tokio, &mut smol] {
            process.ask(&format!("wait {}", 2 * SOCKETS), "received");
        }
        for restart in 0..restarts {
            let (from, to) = (20 * restart + 2, 20 * restart + 22);
            tokio.say(&format!("publish tokio {from} {to} 100"));
            smol.say(&format!("publish smol {from} {to} 100"));
            redis.restart();
            for process in [&mut tokio, &mut smol] {
                process.expect("up");
            }
            for process in [&mut tokio, &mut smol] {
                process.ask("sync", "synced");
            }
        }
        tokio.say("finish");
        smol.say("finish");
        let heard = [tokio.report(), smol.report()];
        tokio.end();
        smol.end();
        let published = 20 * restarts + 1;
        assert_adds_up(&tokio, &heard[0], "smol", published);
        assert_adds_up(&smol, &heard[1], "tokio", published);
        let own = format!("tokio={published}");
        assert!(
            heard[0].iter().all(|heard| heard.ends_with(&own)),
            "{:?}",
            heard[0]
        );
    });
}
