//! Settings that cannot work, and what is off by default.

use anyws::{ConfigError, DeflateConfig, Error, Takeover, WebSocketConfig, testing};

fn config(deflate: DeflateConfig) -> WebSocketConfig {
    WebSocketConfig::new().set_deflate(deflate)
}

fn error(deflate: DeflateConfig) -> Option<ConfigError> {
    match config(deflate).validate() {
        Ok(()) => None,
        Err(Error::Config(error)) => Some(error),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn windows_have_9_to_15_bits_and_levels_go_from_1_to_9() {
    let new = DeflateConfig::new;
    for bits in 0..=255 {
        let is_window = (9..=15).contains(&bits);
        let expected = |setter| (!is_window).then_some(ConfigError::WindowBits { setter, bits });
        for deflate in [new(), new().send_takeover(Takeover::Window)] {
            let (send, receive) = ("send_window_bits", "receive_window_bits");
            assert_eq!(error(deflate.send_window_bits(bits)), expected(send));
            assert_eq!(error(deflate.receive_window_bits(bits)), expected(receive));
        }
        let is_level = (1..=9).contains(&bits);
        let expected = (!is_level).then_some(ConfigError::CompressionLevel(bits));
        assert_eq!(error(new().level(bits)), expected);
    }
    assert_eq!(error(new()), None);
    assert_eq!(error(new().threshold(usize::MAX)), None);
}

/// The settings of such a client are not validated.
#[test]
fn a_client_of_a_test_offers_nothing_by_settings_that_cannot_work() {
    let new = DeflateConfig::new;
    for deflate in [
        new().send_window_bits(3),
        new().receive_window_bits(200),
        new().level(77),
    ] {
        let (request, _) = testing::upgrade_with("/", &config(deflate));
        assert!(!request.headers().contains_key("sec-websocket-extensions"));
    }
    let (request, _) = testing::upgrade_with("/", &config(new()));
    assert!(request.headers().contains_key("sec-websocket-extensions"));
}

#[test]
fn compression_is_off_unless_it_is_set_and_can_be_turned_off_again() {
    let on = config(DeflateConfig::new());
    for (config, expected) in [
        (WebSocketConfig::new(), false),
        (on.clone(), true),
        (on.set_deflate(None), false),
    ] {
        let (client, server) = testing::pair_with(&config).unwrap();
        assert_eq!(client.is_compressed(), expected);
        assert_eq!(server.is_compressed(), expected);
    }
    let (client, server) = testing::pair();
    assert!(!client.is_compressed() && !server.is_compressed());
}
