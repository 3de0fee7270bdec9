//! Random connections: any fault at any stage, with messages of any size in both directions.
//!
//! `ANYWS_CHAOS_RUNS` is how many there are for each runtime, and `ANYWS_CHAOS_SEED` the seed of
//! the first; each has the seed after the one before it.

use std::{env, net::TcpStream, ops::Range, sync::Arc, time::Duration};

use anyws::{Io, Runtime};
use support::{
    chaos::{Fault, Plan},
    random::Random,
    stages::{Stage, Way},
};

use crate::{
    case::{Case, Name, Outcome, SLACK},
    client::{CODE, Talk},
    leaks::Counting,
    network,
    server::{Call, How, SERVER_CODE},
};

const DEFAULT_RUNS: u64 = 50;

/// How many runs share a runtime, and the time that a test may take.
const BATCH: u64 = 100;

/// The server's timeouts if something may never arrive.
const SHORT: Duration = Duration::from_millis(40);

/// The server's timeouts if everything arrives.
const LONG: Duration = Duration::from_secs(10);

/// The longest stall: it may pass the server's timeouts, or not.
const STALL: Duration = Duration::from_millis(60);

/// The longest that bytes are late.
const DELAY: Duration = Duration::from_millis(2);

/// Lengths of messages around those where headers, buffers and reads change.
const LENGTHS: [usize; 9] = [0, 1, 125, 126, 4096, 16_384, 65_535, 65_536, 200_000];

/// The longest message that is written in single bytes.
const MOST_SINGLE: usize = 1000;

#[cfg(feature = "rt-tokio")]
#[test]
fn random_connections_on_tokio() {
    for seeds in batches() {
        support::on_tokio(move |runtime| batch(runtime, network::tokio, seeds));
    }
}

#[cfg(feature = "rt-smol")]
#[test]
fn random_connections_on_smol() {
    for seeds in batches() {
        support::on_smol(move |runtime| batch(runtime, network::smol, seeds));
    }
}

/// Returns the seeds of each batch.
fn batches() -> impl Iterator<Item = Range<u64>> {
    let runs = setting("ANYWS_CHAOS_RUNS").unwrap_or(DEFAULT_RUNS);
    let first = setting("ANYWS_CHAOS_SEED").unwrap_or(1);
    let end = first + runs;
    (first..end)
        .step_by(usize::try_from(BATCH).expect("it is small"))
        .map(move |first| first..end.min(first + BATCH))
}

fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

async fn batch<I: Io + 'static>(
    runtime: Arc<dyn Runtime>,
    open: fn(TcpStream) -> I,
    seeds: Range<u64>,
) {
    let runtime = Counting::new(runtime);
    for seed in seeds {
        let case = case(seed);
        let outcome = case.run(&runtime, open).await;
        let _name = Name(&case);
        check(&case, &outcome);
    }
    runtime.wait_for_tasks(0, SLACK).await;
}

fn case(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let fault = match random.below(9) {
        0 => Fault::Latency(random.duration(DELAY)),
        1 => Fault::Jitter(random.duration(DELAY)),
        2 => Fault::SingleBytes,
        3 => Fault::Coalescing(random.duration(DELAY)),
        4 => Fault::Stall(random.duration(STALL)),
        5 => Fault::HalfClose(random.pick(&Way::BOTH)),
        6 => Fault::Reset,
        7 => Fault::ReadsSlowly(random.duration(DELAY)),
        _ => Fault::NeverReads,
    };
    let most = match fault {
        Fault::SingleBytes => MOST_SINGLE,
        _ => usize::MAX,
    };
    Case {
        plan: Plan {
            fault,
            stage: random.pick(&Stage::ALL),
            way: random.pick(&Way::BOTH),
            seed,
        },
        talk: Talk {
            messages: random.below(4),
            length: random.pick(&LENGTHS).min(most),
            frames: 1 + random.below(4),
            reply: random.pick(&LENGTHS).min(most),
            server_closes: random.below(3) == 0,
            waits: random.below(2) == 0,
        },
        limit: if fault.is_benign() { LONG } else { SHORT },
    }
}

fn check(case: &Case, outcome: &Outcome) {
    let Outcome { served, heard, .. } = outcome;
    let (is_closed, messages) = (matches!(served.end.1, How::Close(_)), case.talk.messages);
    if is_closed {
        assert_eq!(served.messages, messages, "a Close comes last: {outcome:?}");
    }
    if case.plan.fault.is_benign() {
        let (call, code) = if case.talk.server_closes {
            (Call::Close, SERVER_CODE)
        } else {
            (Call::Next, CODE)
        };
        assert_eq!(served.end, (call, How::Close(code)), "{outcome:?}");
        assert_eq!(heard.close, Some(code), "{outcome:?}");
        assert_eq!(heard.replies, messages, "{outcome:?}");
        assert!(outcome.took < SLACK, "too late: {outcome:?}");
    }
    // A stall, and a timeout for each call that waits.
    let most = STALL + case.limit.min(SLACK) * 8 + SLACK;
    assert!(outcome.took < most, "too late: {outcome:?}");
}
