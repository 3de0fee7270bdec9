//! Subprotocols: what the client offers, which one is chosen, and whose handler runs.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyws::{ConfigError, Error, Message, Rejection, Runtime, WebSocket, WebSocketConfig, testing};
use futures::{FutureExt, future::BoxFuture};
use http::{Response, StatusCode};
use support::{
    config, runtimes,
    upgrades::{self, Upgrade, extract_from, failed, next},
};

const HEADER: &str = "sec-websocket-protocol";

/// Makes a request that offers `lines` and extracts it, with a client for its answer.
fn offer(lines: &[&str]) -> (Upgrade, testing::Client) {
    let (mut request, client) = testing::upgrade("/");
    for line in lines {
        request.headers_mut().append(HEADER, line.parse().unwrap());
    }
    (Upgrade::from_request(&mut request).unwrap(), client)
}

/// Returns the subprotocol of an answer of 101.
fn answered(response: &Response<String>) -> Option<&str> {
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut lines = response.headers().get_all(HEADER).into_iter();
    let name = lines.next().map(|name| name.to_str().unwrap());
    assert!(lines.next().is_none(), "at most one is answered");
    name
}

/// Returns which of the `lines` that a client offers is answered.
fn choice(lines: &[&str], set: impl FnOnce(Upgrade) -> Upgrade) -> Option<String> {
    let ws = set(offer(lines).0);
    let selected = ws.selected_protocol().map(str::to_owned);
    let (response, _upgrading) = ws.accept();
    assert_eq!(answered(&response), selected.as_deref());
    selected
}

/// A handler that tells its name; those of all names are of one type.
fn named(name: &'static str) -> fn(WebSocket) -> BoxFuture<'static, ()> {
    match name {
        "a" => |socket| tell(socket, "a").boxed(),
        "b" => |socket| tell(socket, "b").boxed(),
        "c" => |socket| tell(socket, "c").boxed(),
        _ => |socket| tell(socket, "the default").boxed(),
    }
}

async fn tell(mut socket: WebSocket, name: &'static str) {
    let protocol = socket.protocol().unwrap_or("none").to_owned();
    let text = format!("{name}, speaking {protocol}");
    socket.send(text.into()).await.unwrap();
}

/// Returns what the handler says that serves a client that offers `line`.
async fn heard(rt: &Arc<dyn Runtime>, line: &str, set: impl FnOnce(Upgrade) -> Upgrade) -> String {
    let (ws, client) = offer(&[line]);
    let response = set(ws.runtime(Arc::clone(rt))).on_upgrade(named("the default"));
    let mut client = client.set_config(config(rt)).open(&response).unwrap();
    assert_eq!(client.protocol(), answered(&response));
    match next(&mut client).await {
        Message::Text(text) => text.to_string(),
        other => panic!("not what a handler says: {other:?}"),
    }
}

#[test]
fn what_the_client_offers_is_seen_in_its_order() {
    let (ws, _client) = offer(&["v2.chat, v1.chat", "superchat,,\tChat ", "a"]);
    let requested: Vec<&str> = ws.requested_protocols().collect();
    assert_eq!(requested, ["v2.chat", "v1.chat", "superchat", "Chat", "a"]);
    assert_eq!(offer(&[]).0.requested_protocols().count(), 0);
}

#[test]
fn the_first_of_the_servers_list_that_is_offered_is_chosen() {
    let chosen = |line| choice(&[line], |ws| ws.protocols(["a", "b", "c"]));
    assert_eq!(chosen("c, b, a").as_deref(), Some("a"));
    assert_eq!(chosen("c, b").as_deref(), Some("b"));
    assert_eq!(chosen("x, c").as_deref(), Some("c"));
}

#[test]
fn none_is_chosen_if_none_matches() {
    assert_eq!(choice(&["a, b"], |ws| ws), None);
    assert_eq!(choice(&["a, b"], |ws| ws.protocols(["c"])), None);
    assert_eq!(choice(&[], |ws| ws.protocols(["a"])), None);
    // Names are compared as they are (RFC 6455, section 4.1).
    assert_eq!(choice(&["Chat"], |ws| ws.protocols(["chat"])), None);
}

#[test]
fn names_may_be_of_any_kind_of_string() {
    let list: Vec<String> = vec!["a".to_owned()];
    assert_eq!(
        choice(&["a"], |ws| ws.protocols(list)).as_deref(),
        Some("a")
    );
    let list: [Cow<'static, str>; 1] = ["a".into()];
    assert_eq!(
        choice(&["a"], |ws| ws.protocols(list)).as_deref(),
        Some("a")
    );
}

#[test]
fn a_later_list_takes_the_place_of_the_former() {
    let set = |ws: Upgrade| ws.protocols(["a"]).protocols(["b"]);
    assert_eq!(choice(&["a"], set), None);
    assert_eq!(choice(&["a, b"], set).as_deref(), Some("b"));
}

#[test]
fn what_is_selected_is_seen_as_the_settings_are_so_far() {
    let (ws, _client) = offer(&["a, b"]);
    assert_eq!(ws.selected_protocol(), None);
    let ws = ws.set_config(WebSocketConfig::new().set_protocols(["a"]));
    assert_eq!(ws.selected_protocol(), Some("a"));
    let ws = ws.protocols(["b", "a"]);
    assert_eq!(ws.selected_protocol(), Some("b"));
    let ws = ws.protocols(["a"]);
    assert_eq!(ws.selected_protocol(), Some("a"));
    let ws = ws.select_protocol(|offered| offered.last().map(str::to_owned));
    assert_eq!(ws.selected_protocol(), Some("b"));
}

#[test]
fn a_callback_is_given_the_clients_order_and_chooses() {
    let chosen = choice(&["v1", "v3, v2"], |ws| {
        ws.protocols(["v1"]).select_protocol(|offered| {
            let offered = offered.collect::<Vec<_>>();
            assert_eq!(offered, ["v1", "v3", "v2"]);
            offered.into_iter().max().map(str::to_owned)
        })
    });
    assert_eq!(chosen.as_deref(), Some("v3"));
    let chosen = choice(&["v1"], |ws| ws.select_protocol(|_| Some("v1")));
    assert_eq!(chosen.as_deref(), Some("v1"));
}

#[test]
fn what_is_offered_is_an_iterator_with_all_methods_of_one() {
    let offered = &["v1", "token-s3cret", "v2"];
    let chosen = choice(offered, |ws| {
        let names = ws.requested_protocols();
        assert_eq!(names.len(), 3);
        assert!(!format!("{names:?}").contains("s3cret"));
        assert_eq!(names.clone().next_back(), Some("v2"));
        ws.select_protocol(|offered| {
            assert!(offered.clone().any(|name| name == "v2"));
            let name = offered.find(|name| name.starts_with("token-"));
            assert_eq!(offered.next(), Some("v2"));
            name.map(str::to_owned)
        })
    });
    assert_eq!(chosen.as_deref(), Some("token-s3cret"));
}

#[test]
fn a_callback_may_choose_none() {
    let chosen = choice(&["a"], |ws| {
        ws.protocols(["a"]).select_protocol(|_| None::<&str>)
    });
    assert_eq!(chosen, None);
}

/// An order in which a list and handlers are set.
type Order = fn(Upgrade, WebSocketConfig, &dyn Fn(Upgrade) -> Upgrade) -> Upgrade;

runtimes! {
    async fn the_chosen_one_is_told_to_both_ends(rt) {
        let (ws, client) = offer(&["b, a"]);
        let (response, upgrading) = ws.runtime(Arc::clone(&rt)).protocols(["a", "b"]).accept();
        assert_eq!(answered(&response), Some("a"));
        let client = client.set_config(config(&rt)).open(&response).unwrap();
        let server = upgrading.await.unwrap();
        assert_eq!(client.protocol(), Some("a"));
        assert_eq!(server.protocol(), Some("a"));
        let (sender, receiver) = server.split();
        assert_eq!(sender.protocol(), Some("a"));
        assert_eq!(receiver.protocol(), Some("a"));
        assert_eq!(sender.reunite(receiver).unwrap().protocol(), Some("a"));
    }

    async fn without_a_chosen_one_neither_end_is_told_any(rt) {
        let (ws, client) = offer(&["b, a"]);
        let (response, upgrading) = ws.runtime(Arc::clone(&rt)).protocols(["c"]).accept();
        let client = client.set_config(config(&rt)).open(&response).unwrap();
        assert_eq!(client.protocol(), None);
        assert_eq!(upgrading.await.unwrap().protocol(), None);
    }

    async fn a_strict_server_answers_400_if_none_matches(rt) {
        let not_matching: [&[&str]; 3] = [&[], &["b"], &["A"]];
        for lines in not_matching {
            let ws = offer(lines).0.runtime(Arc::clone(&rt));
            let ws = ws.protocols(["a"]).require_protocol(true);
            let (response, error) = failed(ws).await;
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            assert!(!response.headers().contains_key(HEADER));
            assert!(
                matches!(error, Error::Rejected(Rejection::NoProtocol)),
                "{error:?}"
            );
        }
        let strict = |ws: Upgrade| ws.protocols(["a"]).require_protocol(true);
        assert_eq!(choice(&["b, a"], strict).as_deref(), Some("a"));
    }

    async fn a_strict_server_also_refuses_what_a_callback_does_not_choose(rt) {
        let ws = offer(&["a"]).0.runtime(Arc::clone(&rt));
        let ws = ws.require_protocol(true).select_protocol(|_| None::<&str>);
        let (response, error) = failed(ws).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(
            matches!(error, Error::Rejected(Rejection::NoProtocol)),
            "{error:?}"
        );
    }

    async fn a_callback_that_chooses_what_was_not_offered_is_a_mistake_of_the_server(rt) {
        for name in ["c", "A", "", "a, b"] {
            let ws = offer(&["a, b"]).0.runtime(Arc::clone(&rt));
            let (response, error) = failed(ws.select_protocol(|_| Some(name))).await;
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(!response.headers().contains_key(HEADER));
            let Error::Config(error) = error else {
                panic!("not an error of the settings: {error:?}");
            };
            assert_eq!(error, ConfigError::ProtocolNotOffered(name.to_owned()));
        }
    }

    async fn handlers_of_many_types_each_serve_their_subprotocol(rt) {
        async fn first(socket: WebSocket) {
            tell(socket, "first").await;
        }
        async fn second(mut socket: WebSocket) {
            socket.flush().await.unwrap();
            tell(socket, "second").await;
        }
        let set = |ws: Upgrade| {
            let name = "third";
            ws.protocols(["z"])
                .on_protocol("a", first)
                .on_protocol("b", second)
                .on_protocol("c".to_owned(), move |socket| tell(socket, name))
        };
        assert_eq!(heard(&rt, "a", set).await, "first, speaking a");
        assert_eq!(heard(&rt, "x, b", set).await, "second, speaking b");
        assert_eq!(heard(&rt, "c", set).await, "third, speaking c");
        // Chosen, but without a handler of its own; and not chosen at all.
        assert_eq!(heard(&rt, "a, z", set).await, "the default, speaking z");
        assert_eq!(heard(&rt, "x", set).await, "the default, speaking none");
    }

    async fn of_two_handlers_for_one_name_the_first_counts(rt) {
        let set = |ws: Upgrade| ws.on_protocol("a", named("a")).on_protocol("a", named("b"));
        assert_eq!(heard(&rt, "a", set).await, "a, speaking a");
        let handlers = || vec![("b", named("b")), ("a", named("a")), ("a", named("c"))];
        let set = |ws: Upgrade| ws.on_protocols(handlers());
        assert_eq!(heard(&rt, "a", set).await, "a, speaking a");
        let set = |ws: Upgrade| ws.on_protocol("a", named("c")).on_protocols(handlers());
        assert_eq!(heard(&rt, "a", set).await, "c, speaking a");
    }

    async fn a_callbacks_choice_has_its_handler_too(rt) {
        let set = |ws: Upgrade| {
            ws.on_protocol("a", named("a"))
                .on_protocol("b", named("b"))
                .select_protocol(|offered| offered.last().map(str::to_owned))
        };
        assert_eq!(heard(&rt, "a, b", set).await, "b, speaking b");
        assert_eq!(heard(&rt, "b, x", set).await, "the default, speaking x");
    }

    async fn a_strict_server_takes_the_names_that_have_a_handler(rt) {
        let set = |ws: Upgrade| ws.on_protocol("a", named("a")).require_protocol(true);
        assert_eq!(heard(&rt, "a", set).await, "a, speaking a");
    }

    async fn handlers_may_come_as_an_array(rt) {
        let handlers = || [("b", named("b")), ("a", named("a"))];
        let set = |ws: Upgrade| ws.on_protocols(handlers());
        assert_eq!(heard(&rt, "a", set).await, "a, speaking a");
        assert_eq!(heard(&rt, "a, b", set).await, "b, speaking b");
        assert_eq!(heard(&rt, "x", set).await, "the default, speaking none");
    }

    async fn handlers_may_come_as_a_vector(rt) {
        let handlers = || vec![("b".to_owned(), named("b")), ("a".to_owned(), named("a"))];
        let set = |ws: Upgrade| ws.on_protocols(handlers());
        assert_eq!(heard(&rt, "a, b", set).await, "b, speaking b");
        assert_eq!(heard(&rt, "a", set).await, "a, speaking a");
    }

    async fn handlers_may_come_as_an_option(rt) {
        let set = |ws: Upgrade| ws.on_protocols(Some(("a", named("a"))));
        assert_eq!(heard(&rt, "a", set).await, "a, speaking a");
        let none = None::<(&str, fn(WebSocket) -> BoxFuture<'static, ()>)>;
        let set = |ws: Upgrade| ws.on_protocols(none);
        assert_eq!(heard(&rt, "a", set).await, "the default, speaking none");
    }

    async fn handlers_may_come_as_a_sorted_map(rt) {
        let handlers = || BTreeMap::from([("b", named("b")), ("a", named("a"))]);
        let set = |ws: Upgrade| ws.on_protocols(handlers());
        assert_eq!(heard(&rt, "b, a", set).await, "a, speaking a");
        assert_eq!(heard(&rt, "b", set).await, "b, speaking b");
    }

    async fn handlers_in_a_hash_map_are_sorted_in_every_run(rt) {
        for _ in 0..50 {
            // Each map hashes by keys of its own, and so has an order of its own.
            let names = ["c", "b", "a"];
            let handlers = HashMap::<_, _>::from_iter(names.map(|name| (name, named(name))));
            let set = |ws: Upgrade| ws.on_protocols(handlers);
            assert_eq!(heard(&rt, "c, x, b", set).await, "b, speaking b");
        }
    }

    async fn names_of_handlers_follow_the_list(rt) {
        let set = |ws: Upgrade| {
            let more = HashMap::from([("b", named("b")), ("a", named("a"))]);
            ws.protocols(["z"])
                .on_protocol("c", named("c"))
                .on_protocols(more)
        };
        assert_eq!(
            heard(&rt, "a, b, c, z", set).await,
            "the default, speaking z"
        );
        assert_eq!(heard(&rt, "a, b, c", set).await, "c, speaking c");
        assert_eq!(heard(&rt, "b, a", set).await, "a, speaking a");
    }

    async fn a_name_of_the_list_keeps_its_place_there(rt) {
        let set = |ws: Upgrade| {
            ws.protocols(["b", "a"])
                .on_protocol("a", named("a"))
                .on_protocol("b", named("b"))
        };
        assert_eq!(heard(&rt, "a, b", set).await, "b, speaking b");
    }

    async fn a_list_may_be_set_before_its_handlers_or_after_them(rt) {
        let list = || config(&rt).set_protocols(["z", "b"]);
        let handlers = |ws: Upgrade| ws.on_protocols([("a", named("a")), ("b", named("b"))]);
        let orders: [Order; 3] = [
            |ws, list, handlers| handlers(ws.set_config(list)),
            |ws, list, handlers| handlers(ws).set_config(list),
            |ws, list, handlers| handlers(ws.set_config(list)).protocols(["z", "b"]),
        ];
        for order in orders {
            let set = |ws| order(ws, list(), &handlers);
            assert_eq!(heard(&rt, "a, b, z", set).await, "the default, speaking z");
            assert_eq!(heard(&rt, "a, b", set).await, "b, speaking b");
            assert_eq!(heard(&rt, "a", set).await, "a, speaking a");
        }
    }

    async fn a_name_of_a_handler_that_is_no_token_is_a_mistake_of_the_server(rt) {
        let ws = offer(&["a"]).0.runtime(Arc::clone(&rt));
        let (response, error) = failed(ws.on_protocol("a b", named("a"))).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let Error::Config(error) = error else {
            panic!("not an error of the settings: {error:?}");
        };
        assert_eq!(error, ConfigError::Protocol("a b".to_owned()));
    }

    async fn handlers_that_do_not_run_are_dropped(rt) {
        let (handler, ran) = upgrades::witness();
        let set = |ws: Upgrade| ws.on_protocol("a", handler).on_protocol("b", named("b"));
        assert_eq!(heard(&rt, "b", set).await, "b, speaking b");
        assert!(ran.await.is_err());
    }

    async fn a_list_that_the_client_repeats_is_refused(rt) {
        let (mut request, _) = testing::upgrade("/");
        request
            .headers_mut()
            .insert(HEADER, "a, b, a".parse().unwrap());
        assert_eq!(
            Upgrade::from_request(&mut request).unwrap_err(),
            Rejection::ProtocolHeader
        );
        // Mended, the same request is fine: nothing was taken from it.
        request
            .headers_mut()
            .insert(HEADER, "a, b".parse().unwrap());
        let _ = extract_from(request, &rt);
    }
}
