//! A socket under any operations, each dropped after some polls, over a stream that does its worst.

#![no_main]

use anyws_fuzz::{
    model::{Config, Model, UserMessage},
    script::Acts,
    wire::{Code, Frame, Payload, Sent},
};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    is_server: bool,
    config: Config,
    peer: Vec<Peer>,
    acts: Acts,
    operations: Vec<Operation>,
    /// At the end `next` waits, in the place of a flush.
    ends_in_next: bool,
}

/// What the peer sends.
#[derive(Arbitrary, Debug)]
enum Peer {
    Right(Sent),
    Frame(Frame),
    Raw(Vec<u8>),
}

/// An operation, and the polls after which its future is dropped.
#[derive(Arbitrary, Debug)]
enum Operation {
    Next(u8),
    Send(UserMessage, u8),
    Feed(UserMessage, u8),
    /// `poll_ready` and `start_send`.
    Sink(UserMessage, u8),
    Flush(u8),
    Close(Option<Code>, Payload, u8),
    CloseSink(u8),
    Split,
    Reunite,
    Park,
    DropSender,
    DropReceiver,
}

fuzz_target!(|input: Input| {
    let mut bytes = Vec::new();
    for part in &input.peer {
        match part {
            Peer::Right(message) => message.encode(input.is_server, &mut bytes, &mut Vec::new()),
            Peer::Frame(frame) => frame.encode(&mut bytes),
            Peer::Raw(raw) => bytes.extend(raw),
        }
    }
    let mut model = Model::new(input.is_server, &input.config, bytes, input.acts);
    for operation in input.operations {
        match operation {
            Operation::Next(polls) => model.next(polls),
            Operation::Send(message, polls) => model.send(&message, polls),
            Operation::Feed(message, polls) => model.feed(&message, polls),
            Operation::Sink(message, polls) => model.sink(&message, polls),
            Operation::Flush(polls) => model.flush(polls),
            Operation::Close(code, reason, polls) => model.close(code, &reason, polls),
            Operation::CloseSink(polls) => model.close_sink(polls),
            Operation::Split => model.split(),
            Operation::Reunite => model.reunite(),
            Operation::Park => model.park(),
            Operation::DropSender => model.drop_half(true),
            Operation::DropReceiver => model.drop_half(false),
        }
        model.check_output();
    }
    model.finish(input.ends_in_next);
});
