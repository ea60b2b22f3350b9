//! Which addresses a webhook may have, so that a subscription cannot make the server knock on doors that only it can
//! reach. Source: PROTOCOL.md §6.2.
//!
//! Two questions, asked at different times: is the URL acceptable as it is written ([`WebhookUrl::parse`]), and is the
//! address that its name resolves to one of the public internet ([`is_public`]). The second must be asked of the very
//! address that is connected to: a name can change its mind in between.

// Addresses as values; sockets are not of this layer.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::sync::Arc;

use url::{Host, Url};

/// Where a webhook is delivered to. In the normal form of the WHATWG URL standard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    text: Arc<str>,
    local: bool,
}

/// Why a URL is no webhook's. Nothing was written; the same call cannot succeed. 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    #[error("webhook.url is not an absolute URL of at most {} bytes", WebhookUrl::BYTES_MAX)]
    Malformed,
    #[error("webhook.url must be https")]
    Scheme,
    #[error("webhook.url must not carry a user or password")]
    Credentials,
    #[error("webhook.url must not name this host; a server may allow localhost for development")]
    Localhost,
    #[error("webhook.url must not name a local network or a reserved address")]
    Address,
}

impl WebhookUrl {
    pub const BYTES_MAX: usize = 2048;

    /// Accepts `https` to names and public addresses; with `localhost_allowed` also `http` and `https` to `localhost`
    /// and `127.0.0.x`.
    pub fn parse(text: &str, localhost_allowed: bool) -> Result<Self, UrlFault> {
        if text.len() > Self::BYTES_MAX {
            return Err(UrlFault::Malformed);
        }
        let mut url = Url::parse(text).map_err(|_| UrlFault::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlFault::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::Credentials);
        }
        url.set_fragment(None);
        let kind = match url.host().ok_or(UrlFault::Malformed)? {
            Host::Domain(name) => Self::judge_name(name),
            Host::Ipv4(address) if is_development(address) => Kind::Localhost,
            Host::Ipv4(address) if is_public(address.into()) => Kind::Public,
            Host::Ipv6(address) if is_public(address.into()) => Kind::Public,
            Host::Ipv4(_) | Host::Ipv6(_) => Kind::Refused,
        };
        match kind {
            Kind::Localhost if localhost_allowed => Ok(Self { text: url.as_str().into(), local: true }),
            Kind::Localhost => Err(UrlFault::Localhost),
            Kind::Refused => Err(UrlFault::Address),
            Kind::Public if url.scheme() != "https" => Err(UrlFault::Scheme),
            Kind::Public => Ok(Self { text: url.as_str().into(), local: false }),
        }
    }

    fn judge_name(name: &str) -> Kind {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        // Names that are by definition of a local network. Sources: RFC 6761, RFC 6762, RFC 8375, ICANN on .internal.
        let local = ["local", "localhost", "internal", "intranet", "lan", "home.arpa", "localdomain"];
        match name.as_str() {
            "" => Kind::Refused,
            "localhost" => Kind::Localhost,
            // Without a dot it is a name of the network that the server happens to be in.
            name if !name.contains('.') => Kind::Refused,
            name if local.iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'))) => {
                Kind::Refused
            }
            _ => Kind::Public,
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is the development exception: this host, and no other address.
    pub fn is_local(&self) -> bool {
        self.local
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

enum Kind {
    Public,
    Localhost,
    Refused,
}

/// The development exception: `127.0.0.x`.
fn is_development(address: Ipv4Addr) -> bool {
    address.octets()[..3] == [127, 0, 0]
}

/// Whether an address belongs to the public internet, as far as its number says.
/// Sources: the IANA registries of special-purpose addresses.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || a == 10
        || a == 127
        || (a == 100 && (64..128).contains(&b))
        || (a == 169 && b == 254)
        || (a == 172 && (16..32).contains(&b))
        || (a, b) == (192, 168)
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 0, 2)
        || (a, b, c) == (192, 88, 99)
        || (a, b, c) == (198, 51, 100)
        || (a, b, c) == (203, 0, 113)
        || (a == 198 && (18..20).contains(&b))
        // Multicast, reserved and broadcast.
        || a >= 224;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    // Forms that carry an IPv4 address, to which the packet may go in the end.
    match s {
        // NAT64, RFC 6052 and RFC 8215; 6to4, RFC 3056.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return is_public_v4(v4(high, low)),
        [0x2002, high, low, ..] => return is_public_v4(v4(high, low)),
        _ => {}
    }
    // Only 2000::/3 is handed out; loopback, unspecified, mapped and compatible IPv4, NAT64 with a local prefix,
    // unique local, link-local, site-local and multicast all lie outside of it.
    let global = s[0] & 0xe000 == 0x2000;
    // Protocol assignments, Teredo and ORCHID among them; documentation.
    let reserved = match s[0] {
        0x2001 => s[1] < 0x0200 || s[1] == 0x0db8,
        0x3fff => s[1] < 0x1000,
        _ => false,
    };
    // ISATAP carries any IPv4 address.
    let isatap = matches!(s[4..6], [0 | 0x0200, 0x5efe]);
    global && !reserved && !isatap
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> Option<UrlFault> {
        WebhookUrl::parse(text, false).err()
    }

    #[test]
    fn only_https_to_the_public_internet_is_accepted() {
        for text in ["https://worker.example/hooks", "https://1.1.1.1/", "https://[2606:4700::1111]:8443/x?y=z"] {
            assert_eq!(refused(text), None, "{text}");
        }
        for (text, fault) in [
            ("", UrlFault::Malformed),
            ("/hooks", UrlFault::Malformed),
            ("worker.example/hooks", UrlFault::Malformed),
            ("http://worker.example/", UrlFault::Scheme),
            ("ftp://worker.example/", UrlFault::Scheme),
            ("file:///etc/passwd", UrlFault::Scheme),
            ("gopher://worker.example/", UrlFault::Scheme),
            ("http://10.0.0.1/hook", UrlFault::Address),
            ("https://user@worker.example/", UrlFault::Credentials),
            ("https://worker.example:pw@10.0.0.1/", UrlFault::Credentials),
            ("https://localhost/", UrlFault::Localhost),
            ("https://LOCALHOST./", UrlFault::Localhost),
            ("https://127.0.0.1/", UrlFault::Localhost),
        ] {
            assert_eq!(refused(text), Some(fault), "{text}");
        }
        assert_eq!(refused(&format!("https://worker.example/{}", "x".repeat(2048))), Some(UrlFault::Malformed));
    }

    #[test]
    fn disguised_addresses_are_seen_through() {
        for host in [
            "10.0.0.1",
            "10.1",
            "0x0a000001",
            "167772161",
            "012.0.0.1",
            "0xa.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "0xc0a80101",
            "3232235777",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "100.64.0.1",
            "0.0.0.0",
            "0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "203.0.113.9",
            "127.1.0.1",
            "[::]",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:7f00:1]",
            "[::10.0.0.1]",
            "[fe80::1]",
            "[fec0::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[ff02::1]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::1]",
            "[2002:a00:1::]",
            "[2002:7f00:1::1]",
            "[2001::1]",
            "[2001:db8::1]",
            "[2606::200:5efe:a00:1]",
            "[100::1]",
            "printer",
            "printer.local",
            "db.internal",
            "x.localhost",
            "router.lan",
            "nas.home.arpa",
            "10.0.0.1.",
            "１０.0.0.1",
            "⑩.0.0.1",
        ] {
            let text = format!("https://{host}/");
            assert_eq!(refused(&text), Some(UrlFault::Address), "{text}");
        }
        for host in ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1."] {
            let text = format!("https://{host}/");
            assert_eq!(refused(&text), Some(UrlFault::Localhost), "{text}");
        }
    }

    #[test]
    fn development_means_this_host_and_nothing_else() {
        for text in ["http://localhost:8080/x", "http://127.0.0.1/", "http://127.0.0.53:1/", "https://localhost/"] {
            assert!(WebhookUrl::parse(text, true).is_ok_and(|url| url.is_local()), "{text}");
        }
        for text in ["http://10.0.0.1/hook", "http://127.1.2.3/", "http://[::1]/", "http://worker.example/"] {
            assert!(WebhookUrl::parse(text, true).is_err(), "{text}");
        }
        assert!(!WebhookUrl::parse("https://worker.example/", true).unwrap().is_local());
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_never_public(bits: u32) {
            let address = Ipv4Addr::from(bits);
            prop_assert!(!is_public(address.to_ipv6_mapped().into()));
            prop_assert!(!is_public(address.to_ipv6_compatible().into()));
        }

        #[test]
        fn an_embedded_private_address_is_not_public(host in 0u32..1 << 24) {
            let [a, b, c, d] = (0x0a00_0000 | host).to_be_bytes().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            prop_assert!(!is_public(Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1).into()));
            prop_assert!(!is_public(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into()));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = WebhookUrl::parse(&format!("https://{text}"), true);
        }
    }
}
