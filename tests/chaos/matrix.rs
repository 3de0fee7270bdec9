//! Each fault from each stage on, with the end that the handler is told of.

use std::{net::TcpStream, sync::Arc, time::Duration};

use anyws::{Io, Runtime, TimeoutPhase};
use support::{
    chaos::{Fault, Plan},
    stages::{Stage, Way},
};

use crate::{
    case::{Case, Name, Outcome, SLACK},
    client::{CODE, Talk},
    leaks::Counting,
    network,
    server::{Call, How, SERVER_CODE},
};

/// The server's timeouts where the fault makes it wait for nothing.
const SHORT: Duration = Duration::from_millis(500);

/// The server's timeouts where everything arrives: one that passes fails the test.
const LONG: Duration = Duration::from_secs(10);

/// How long a stall is. It ends once the server has nothing left of the connection.
const STALL: Duration = Duration::from_secs(20);

/// How late bytes are.
const DELAY: Duration = Duration::from_millis(20);

/// What the handler is told at the end, and the code of the Close that the client receives.
type End = ((Call, How), Option<u16>);

/// Where faults begin in connections that the client closes.
const CLIENT_CLOSES: [(Stage, Way); 6] = [
    (Stage::RequestHead, Way::ToServer),
    (Stage::Response, Way::ToClient),
    (Stage::Idle, Way::ToClient),
    (Stage::Message, Way::ToServer),
    (Stage::Close, Way::ToServer),
    (Stage::AfterClose, Way::ToClient),
];

const CLOSED: End = ((Call::Next, How::Close(CODE)), Some(CODE));
/// The client does not receive our answer to its Close.
const CLOSED_UNREAD: End = ((Call::Next, How::Close(CODE)), None);
/// The request does not come in time. The client is answered 408.
const LATE_HEAD: End = ((Call::Accept, How::LateHead), None);
const CUT_HEAD: End = ((Call::Accept, How::Cut), None);
const GONE_HEAD: End = ((Call::Accept, How::Gone), None);
/// A peer that has ended its direction without a Close is sent none.
const CUT: End = ((Call::Next, How::Cut), None);
const GONE: End = ((Call::Next, How::Gone), None);
/// A ping is not answered. The client receives the Close once the stall is over.
const SILENT: End = ((Call::Next, How::Late(TimeoutPhase::Pong)), Some(1011));
/// `send` waits for a peer that accepts nothing.
const BLOCKED: End = ((Call::Send, How::Late(TimeoutPhase::Write)), None);

/// Where faults begin in connections that the server closes: in its Close, in the client's answer,
/// and behind both.
const SERVER_CLOSES: [(Stage, Way); 3] = [
    (Stage::Close, Way::ToClient),
    (Stage::Close, Way::ToServer),
    (Stage::AfterClose, Way::ToServer),
];

const LEFT: End = ((Call::Close, How::Close(SERVER_CODE)), Some(SERVER_CODE));
const LEFT_UNANSWERED: End = (LATE_CLOSE, Some(SERVER_CODE));
const LEFT_UNREAD: End = (LATE_CLOSE, None);
const LEFT_CUT: End = ((Call::Close, How::Cut), Some(SERVER_CODE));
const LEFT_GONE: End = ((Call::Close, How::Gone), Some(SERVER_CODE));
const LEFT_GONE_UNREAD: End = ((Call::Close, How::Gone), None);

const LATE_CLOSE: (Call, How) = (Call::Close, How::Late(TimeoutPhase::Close));

/// Makes of each row a module with a test for each runtime.
macro_rules! rows {
    ($($name:ident: $fault:expr => $closed:expr, $left:expr;)*) => {$(
        mod $name {
            use super::*;

            #[cfg(feature = "rt-tokio")]
            #[test]
            fn tokio() {
                support::on_tokio(|runtime| row(runtime, network::tokio, $fault, $closed, $left));
            }

            #[cfg(feature = "rt-smol")]
            #[test]
            fn smol() {
                support::on_smol(|runtime| row(runtime, network::smol, $fault, $closed, $left));
            }
        }
    )*};
}

rows! {
    latency: Fault::Latency(DELAY) =>
        [CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED],
        [LEFT, LEFT, LEFT];
    jitter: Fault::Jitter(DELAY) =>
        [CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED],
        [LEFT, LEFT, LEFT];
    single_bytes: Fault::SingleBytes =>
        [CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED],
        [LEFT, LEFT, LEFT];
    coalescing: Fault::Coalescing(DELAY) =>
        [CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED],
        [LEFT, LEFT, LEFT];
    // The write timeout limits how long the peer accepts nothing, and not how long it reads.
    reads_slowly: Fault::ReadsSlowly(DELAY) =>
        [CLOSED, CLOSED, CLOSED, CLOSED, CLOSED, CLOSED],
        [LEFT, LEFT, LEFT];
    stall: Fault::Stall(STALL) =>
        [LATE_HEAD, SILENT, SILENT, SILENT, SILENT, CLOSED],
        [LEFT_UNANSWERED, LEFT_UNANSWERED, LEFT];
    half_close: Fault::HalfClose(Way::ToServer) =>
        [CUT_HEAD, CUT, CUT, CUT, CUT, CLOSED],
        [LEFT_CUT, LEFT_CUT, LEFT];
    reset: Fault::Reset =>
        [GONE_HEAD, GONE, GONE, GONE, GONE, CLOSED],
        [LEFT_GONE_UNREAD, LEFT_GONE, LEFT];
    never_reads: Fault::NeverReads =>
        [BLOCKED, BLOCKED, BLOCKED, BLOCKED, CLOSED_UNREAD, CLOSED],
        [LEFT_UNREAD, LEFT, LEFT];
}

async fn row<I: Io + 'static>(
    runtime: Arc<dyn Runtime>,
    open: fn(TcpStream) -> I,
    fault: Fault,
    closed: [End; 6],
    left: [End; 3],
) {
    let runtime = Counting::new(runtime);
    let closed = CLIENT_CLOSES.into_iter().zip(closed);
    let left = SERVER_CLOSES.into_iter().zip(left);
    let cells = closed
        .map(|cell| (cell, false))
        .chain(left.map(|cell| (cell, true)));
    for (((stage, way), end), server_closes) in cells {
        let case = case(fault, stage, way, server_closes);
        let outcome = case.run(&runtime, open).await;
        let _name = Name(&case);
        check(&case, &outcome, end);
    }
    runtime.wait_for_tasks(0, SLACK).await;
}

fn case(fault: Fault, stage: Stage, way: Way, server_closes: bool) -> Case {
    // What the server sends to a peer that does not read must not fit into the kernel's buffers.
    let is_blocked = fault == Fault::NeverReads && stage < Stage::Close;
    // A slow peer takes longer for it than the write timeout.
    let is_slow = matches!(fault, Fault::ReadsSlowly(_));
    let is_long = is_blocked || (is_slow && stage < Stage::Close);
    let length = if is_long { 400_000 } else { 5000 };
    // There is something to write together if the client sends everything at once.
    let is_coalesced = matches!(fault, Fault::Coalescing(_)) && way == Way::ToServer;
    Case {
        plan: Plan {
            fault,
            stage,
            way,
            seed: stage as u64,
        },
        talk: Talk {
            messages: 2,
            length,
            frames: 3,
            reply: length,
            server_closes,
            waits: !is_blocked && !is_coalesced,
        },
        limit: if fault.is_benign() && !is_slow {
            LONG
        } else {
            SHORT
        },
    }
}

fn check(case: &Case, outcome: &Outcome, (end, close): End) {
    let Outcome { served, heard, .. } = outcome;
    assert!(outcome.has_begun, "the fault never began: {outcome:?}");
    assert_eq!(served.end, end, "{outcome:?}");
    assert_eq!(heard.close, close, "{outcome:?}");
    if close.is_some() {
        assert_eq!(heard.status, Some(101), "{outcome:?}");
    }
    if matches!(end.1, How::Close(_)) {
        assert_eq!(served.messages, case.talk.messages, "{outcome:?}");
    }
    if close.is_some() && end != SILENT.0 {
        assert_eq!(heard.replies, case.talk.messages, "{outcome:?}");
    }
    if end.1 == How::LateHead {
        assert_eq!(heard.status, Some(408), "{outcome:?}");
    }
    let (least, most) = times(case, end.1);
    assert!(outcome.took >= least, "too early: {outcome:?}");
    assert!(outcome.took < most + SLACK, "too late: {outcome:?}");
    // The proxy has to do what it is told, or this file shows nothing.
    if case.plan.fault == Fault::SingleBytes && case.plan.stage < Stage::Message {
        let bytes = case.talk.messages * (case.talk.length + case.talk.reply);
        assert!(outcome.writes > bytes, "{outcome:?}");
    }
}

/// Returns when the handler may be told of the end: at the earliest, and at the latest but for the
/// slack.
fn times(case: &Case, how: How) -> (Duration, Duration) {
    let is_late = matches!(how, How::Late(_) | How::LateHead);
    let comes_before_end = case.plan.stage < Stage::AfterClose;
    match case.plan.fault {
        _ if is_late => (case.limit, case.limit),
        Fault::Latency(time) | Fault::Coalescing(time) if comes_before_end => (time, time),
        Fault::ReadsSlowly(_) if case.plan.stage < Stage::Message => (case.limit, case.limit * 2),
        Fault::ReadsSlowly(_) | Fault::Stall(_) | Fault::NeverReads => (Duration::ZERO, case.limit),
        _ => (Duration::ZERO, Duration::ZERO),
    }
}
