//! Addresses of nodes, as they stand on the chain.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::Error;
use crate::limits::{MAX_ADDRESS_LEN, MAX_ADDRESSES_PER_NODE};
use crate::types::escaped;

/// What an address is.
const RULE: &str = "/ip4|ip6|dns4|dns6/HOST/tcp/PORT, at most 256 characters; ip6 in its shortest form, names \
                    in lower case and without a dot at the end";

/// Checks a node's addresses: few, short, `/ip4|ip6|dns4|dns6/HOST/tcp/PORT`. Each place has one spelling,
/// so that no other node can have it by another.
///
/// # Errors
/// [`Error::TooMany`], [`Error::Name`].
pub fn check_addresses(addresses: &[String]) -> Result<(), Error> {
    address_faults(addresses).next().map_or(Ok(()), Err)
}

/// All that [`check_addresses`] could refuse.
pub(crate) fn address_faults(addresses: &[String]) -> impl Iterator<Item = Error> {
    let got = addresses.len();
    let too_many = (got > MAX_ADDRESSES_PER_NODE).then_some(Error::TooMany {
        what: "addresses",
        max: MAX_ADDRESSES_PER_NODE,
        got,
    });
    let bad = addresses.iter().filter(|address| !is_address(address)).map(|address| Error::Name {
        what: "address",
        rule: RULE,
        got: escaped(address),
    });
    too_many.into_iter().chain(bad)
}

fn is_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let &["", protocol, host, "tcp", port] = parts.as_slice() else { return false };
    let host_is_good = match protocol {
        "ip4" => host.parse::<Ipv4Addr>().is_ok(),
        "ip6" => host
            .parse::<Ipv6Addr>()
            .is_ok_and(|ip| ip.to_string() == host && ip.to_ipv4_mapped().is_none()),
        "dns4" | "dns6" => {
            let allowed =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
            host.split('.').all(|label| !label.is_empty() && label.bytes().all(allowed))
        }
        _ => false,
    };
    // A number that reads "+1" or "0080" is one that others refuse.
    let port_is_good = port.parse::<u16>().is_ok_and(|p| p > 0 && p.to_string() == port);
    text.len() <= MAX_ADDRESS_LEN && host_is_good && port_is_good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_one_form() {
        for good in [
            "/ip4/127.0.0.1/tcp/26656",
            "/ip6/::1/tcp/1",
            "/dns4/node-1.example.com/tcp/65535",
            "/dns6/a_b/tcp/80",
        ] {
            assert_eq!(check_addresses(&[good.to_owned()]), Ok(()), "{good}");
        }
        let long = format!("/dns4/{}/tcp/1", "a".repeat(MAX_ADDRESS_LEN));
        for bad in [
            "",
            "/",
            "127.0.0.1:26656",
            "/ip4/127.0.0.1/tcp/0",
            "/ip4/127.0.0.1/tcp/65536",
            "/ip4/127.0.0.1/tcp/080",
            "/ip4/127.0.0.1/tcp/+80",
            "/ip4/127.0.0.1/tcp/",
            "/ip4/127.0.0.1/tcp/80/",
            "/ip4/127.0.0.1/tcp/80/p2p/x",
            "/ip4/127.0.0.1/udp/80",
            "/ip4/256.0.0.1/tcp/80",
            "/ip6/127.0.0.1/tcp/80",
            "/ip6/0:0:0:0:0:0:0:1/tcp/80",
            "/ip6/2001:DB8::1/tcp/80",
            "/ip6/2001:db8::0001/tcp/80",
            "/ip6/::ffff:127.0.0.1/tcp/80",
            "/dns4/Node.example.com/tcp/80",
            "/dns4/node.example.com./tcp/80",
            "/dns4/node..example.com/tcp/80",
            "/dns4/./tcp/80",
            "/dns4//tcp/80",
            "/dns4/a b/tcp/80",
            "/dns4/a\u{1b}[31m/tcp/80",
            "/quic/a/tcp/80",
            &long,
        ] {
            let error = check_addresses(&["/ip4/1.2.3.4/tcp/1".to_owned(), bad.to_owned()]);
            assert!(matches!(error, Err(Error::Name { what: "address", .. })), "{bad}");
        }
        let many = vec!["/ip4/1.2.3.4/tcp/1".to_owned(); MAX_ADDRESSES_PER_NODE + 1];
        assert!(matches!(check_addresses(&many), Err(Error::TooMany { .. })));
        assert_eq!(check_addresses(&many[1..]), Ok(()));
    }
}
