//! What a tracker costs.

use allocation_counter::measure;
use anyws::Tracker;

const SOCKETS: usize = 10_000;

#[test]
fn a_seat_is_small_and_a_rush_of_seats_is_given_back() {
    let tracker = Tracker::new();
    let seats = measure(|| {
        let permits: Vec<_> = (0..SOCKETS)
            .map(|_| tracker.permit(None).unwrap())
            .collect();
        assert_eq!(tracker.open(), SOCKETS);
        drop(permits);
    });
    // 16 bytes of a permit and 40 of a seat, in vectors that have grown: a vector and its
    // successor exist while it grows, so three times as much.
    let each = seats.bytes_max / SOCKETS as u64;
    assert!(each <= 3 * (16 + 40), "{each} bytes");
    assert!(seats.bytes_current <= 1024, "{seats:?}");
}

#[test]
fn clients_that_have_left_are_forgotten() {
    let tracker = Tracker::new().max_per_client(1, |_, peer| peer);
    let clients = measure(|| {
        for address in 0..SOCKETS {
            let address = u32::try_from(address).unwrap();
            let address = std::net::IpAddr::from(address.to_be_bytes());
            drop(tracker.permit(address).unwrap());
        }
    });
    assert!(clients.bytes_current <= 1024, "{clients:?}");
}
