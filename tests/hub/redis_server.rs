//! The server that other tests here start: `support::redis`.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use support::redis::Redis;

/// Connects, and sends a ping.
fn ping(redis: &Redis) -> TcpStream {
    let mut stream = TcpStream::connect(redis.address()).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    stream
}

/// Reads an answer of the given length.
fn answer(mut stream: TcpStream, length: usize) -> String {
    let mut answer = vec![0; length];
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_server_answers_commands() {
    let redis = Redis::start();
    assert_eq!(redis.command(&["PING"]), "PONG");
    assert_eq!(
        redis.command(&[&b"ECHO"[..], b"\xCE\xBA\r\n"]),
        "\u{3BA}\r\n"
    );
    assert_eq!(redis.command(&["PUBSUB", "NUMSUB", "a", "b"]), "a\n0\nb\n0");
    assert_eq!(redis.command(&["GET", "nothing"]), "");
}

#[test]
#[should_panic(expected = "ERR unknown command")]
fn an_error_is_loud() {
    Redis::start().command(&["FROBNICATE"]);
}

#[test]
fn servers_have_ports_and_arguments_of_their_own() {
    let open = Redis::start();
    let locked = Redis::with(&["--requirepass", "secret"]);
    assert_ne!(open.url(), locked.url());
    assert_eq!(locked.command(&["PING"]), "PONG");
    assert_eq!(answer(ping(&locked), 7), "-NOAUTH");
    assert_eq!(answer(ping(&open), 7), "+PONG\r\n");
}

#[test]
fn a_paused_server_answers_once_it_is_resumed() {
    let redis = Redis::start();
    redis.pause();
    let mut stream = ping(&redis);
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    redis.resume();
    assert_eq!(answer(stream, 7), "+PONG\r\n");
}

#[test]
fn a_server_that_was_stopped_starts_again_on_its_port() {
    let mut redis = Redis::start();
    redis.command(&["SET", "key", "value"]);
    let (url, address) = (redis.url(), redis.address());
    redis.stop();
    let error = TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    redis.restart();
    assert_eq!(redis.url(), url);
    assert_eq!(redis.command(&["GET", "key"]), "");
    drop(redis);
    let error = TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
