//! Compression without the feature `deflate`: its settings are there, and cannot be used.

use anyws::{ConfigError, DeflateConfig, Error, WebSocketConfig, WebSocketUpgrade, testing};
use http::{HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};

fn config() -> WebSocketConfig {
    WebSocketConfig::new().set_deflate(DeflateConfig::new())
}

#[test]
fn compression_that_was_not_compiled_is_an_error_of_the_settings() {
    let Err(Error::Config(error)) = config().validate() else {
        panic!("the feature is off");
    };
    assert_eq!(error, ConfigError::DeflateNotCompiled);
    assert!(error.to_string().contains("`deflate`"), "{error}");
    let pair = testing::pair_with(&config());
    assert!(matches!(
        pair,
        Err(Error::Config(ConfigError::DeflateNotCompiled))
    ));
    let (mut request, _) = testing::upgrade("/");
    let upgrade = WebSocketUpgrade::<String>::from_request(&mut request).unwrap();
    let (response, _) = upgrade.deflate(DeflateConfig::new()).accept();
    assert_eq!(response.status(), 500);
}

#[test]
fn an_offer_is_declined_and_none_is_made() {
    let (mut request, client) = testing::upgrade_with("/", &config());
    let headers = request.headers_mut();
    assert!(!headers.contains_key(SEC_WEBSOCKET_EXTENSIONS));
    let offer = HeaderValue::from_static("permessage-deflate; client_max_window_bits");
    headers.insert(SEC_WEBSOCKET_EXTENSIONS, offer);
    let upgrade = WebSocketUpgrade::<String>::from_request(&mut request).unwrap();
    let (response, _) = upgrade.accept();
    assert_eq!(response.status(), 101);
    assert!(!response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS));
    assert!(!client.open(&response).unwrap().is_compressed());
}
