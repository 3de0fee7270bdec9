//! Clients, as far as they are told apart.

use std::net::IpAddr;

/// A client: an IPv4 address, or the first half of an IPv6 address.
///
/// A network gives each of its clients a whole /64 (RFC 6177), so one client could use any number
/// of IPv6 addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Client {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        // A socket that accepts both families reports an IPv4 peer as a mapped IPv6 address.
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Client;

    fn client(address: &str) -> Client {
        Client::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        assert!(client("2001:db8:1:2::3") == client("2001:db8:1:2:ffff::4"));
        assert!(client("2001:db8:1:2::3") != client("2001:db8:1:3::3"));
        assert!(client("192.0.2.1") != client("192.0.2.2"));
        assert!(client("::ffff:192.0.2.1") == client("192.0.2.1"));
    }
}
