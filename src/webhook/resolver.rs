//! Names to addresses, of which only public ones are connected to: a name may point anywhere, and may point elsewhere
//! than when it was looked at.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::subscription::target::is_public;

/// How names are looked up.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// As every program of this machine does it.
pub fn lookup_of_the_system() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Resolves names to their public addresses. `localhost` is this host where that is allowed, whatever the system says.
#[derive(Clone)]
pub struct PublicOnly {
    pub lookup: Lookup,
    pub localhost_allowed: bool,
}

impl PublicOnly {
    pub async fn addresses(self, host: String) -> io::Result<Vec<IpAddr>> {
        if self.localhost_allowed && host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let mut found = (self.lookup)(host.clone()).await?;
        let known = !found.is_empty();
        found.retain(|address| is_public(*address));
        match found.is_empty() {
            false => Ok(found),
            true if known => Err(io::Error::other(format!("{host} has no public address"))),
            true => Err(io::Error::other(format!("{host} has no address"))),
        }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.addresses(name.as_str().to_owned()).await?;
            // The port of the URL takes the place of 0.
            Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(addresses: &[&str], localhost_allowed: bool) -> PublicOnly {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let lookup: Lookup = Arc::new(move |_| {
            let addresses = addresses.clone();
            Box::pin(async move { Ok(addresses) })
        });
        PublicOnly { lookup, localhost_allowed }
    }

    #[tokio::test]
    async fn only_public_addresses_are_connected_to() {
        let mixed = resolver(&["10.0.0.1", "1.1.1.1", "::1", "2606:4700::1111"], true);
        let expected: Vec<IpAddr> = vec!["1.1.1.1".parse().unwrap(), "2606:4700::1111".parse().unwrap()];
        assert_eq!(mixed.addresses("worker.example".into()).await.unwrap(), expected);
        for private in ["127.0.0.1", "169.254.169.254", "192.168.0.1", "::ffff:10.0.0.1", "fd00::1", "100.64.1.1"] {
            // Also where localhost is allowed: the name is another one.
            let outcome = resolver(&[private], true).addresses("worker.example".into()).await;
            assert!(outcome.unwrap_err().to_string().contains("no public address"), "{private}");
        }
        assert!(resolver(&[], false).addresses("worker.example".into()).await.is_err());
    }

    #[tokio::test]
    async fn localhost_is_this_host_or_nothing() {
        let elsewhere = resolver(&["10.0.0.1"], true);
        let found = elsewhere.addresses("LocalHost.".into()).await.unwrap();
        assert!(found.iter().all(|address| address.is_loopback()));
        assert!(resolver(&["127.0.0.1"], false).addresses("localhost".into()).await.is_err());
    }
}
