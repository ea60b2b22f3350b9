//! The server's signing key: Ed25519, in a file that only its user can read, or in memory.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use ring::{digest, hmac};

use crate::engine::subscriptions::PublicKey;
use crate::model::Timestamp;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "{path} does not hold a key: it has one line of 43 characters of base64url; restore it, or remove it for a new one"
    )]
    Content { path: PathBuf },
    #[error("the system gives no random bytes")]
    Random,
}

/// Signs deliveries and seals tokens. Never shown in logs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seals: hmac::Key,
    public: PublicKey,
    former: Option<PublicKey>,
}

const SEED_BYTES: usize = 32;

impl SigningKey {
    const FILE: &str = "webhook-key";
    /// Where the key is moved to be rotated: it signs no more, and its public half stays known.
    const FORMER: &str = "webhook-key.former";

    /// A key that goes with the process.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::of_seed(&new_seed()?))
    }

    /// The key of a data directory; made if it is missing. The caller holds the directory.
    pub fn of_directory(directory: &Path) -> Result<Self, KeyError> {
        let path = directory.join(Self::FILE);
        let key = match read(&path)? {
            Some(seed) => Self::of_seed(&seed),
            None => {
                let seed = new_seed()?;
                write(directory, &path, &seed).map_err(|source| KeyError::File { path, source })?;
                Self::of_seed(&seed)
            }
        };
        let former = read(&directory.join(Self::FORMER))?;
        Ok(Self { former: former.map(|seed| Self::of_seed(&seed).public), ..key })
    }

    fn of_seed(seed: &[u8; SEED_BYTES]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed of 32 bytes is a key");
        // Another purpose gets another key.
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed), b"keyfold tokens of wakes");
        let bytes: [u8; 32] = pair.public_key().as_ref().try_into().expect("a public key has 32 bytes");
        let public = PublicKey { kid: format!("ds_{}", thumbprint(&bytes)), bytes };
        Self { pair, seals: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()), public, former: None }
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub fn former(&self) -> Option<&PublicKey> {
        self.former.as_ref()
    }

    /// The value of `Webhook-Signature` for a body. Source: PROTOCOL.md §7.1.
    pub fn signature(&self, body: &[u8], at: Timestamp) -> String {
        let seconds = at.as_millis() / 1000;
        let signed = self.pair.sign(&[seconds.to_string().as_bytes(), b".", body].concat());
        format!("t={seconds},kid={},ed25519={}", self.public.kid, URL_SAFE_NO_PAD.encode(signed.as_ref()))
    }

    pub fn seal(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.seals, text.as_bytes()).as_ref())
    }
}

/// Source: RFC 7638, with the members of RFC 8037.
fn thumbprint(public: &[u8; 32]) -> String {
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, jwk.as_bytes()).as_ref())
}

fn new_seed() -> Result<[u8; SEED_BYTES], KeyError> {
    let mut seed = [0; SEED_BYTES];
    SystemRandom::new().fill(&mut seed).map_err(|_| KeyError::Random)?;
    Ok(seed)
}

/// `None` where there is no such file.
fn read(path: &Path) -> Result<Option<[u8; SEED_BYTES]>, KeyError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|source| KeyError::File { path: path.to_owned(), source })?,
    };
    let seed = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|seed| seed.try_into().ok());
    let seed = seed.ok_or_else(|| KeyError::Content { path: path.to_owned() })?;
    guard(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
    Ok(Some(seed))
}

/// Whole or not at all: half a key would be none.
fn write(directory: &Path, path: &Path, seed: &[u8; SEED_BYTES]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{}", URL_SAFE_NO_PAD.encode(seed))?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    fs::File::open(directory)?.sync_all()
}

/// Takes away what others may do with the file.
fn guard(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others could read the signing key; now only its owner can");
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn a_directory_keeps_its_key_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SigningKey::FILE);
        let made = SigningKey::of_directory(directory.path()).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let again = SigningKey::of_directory(directory.path()).unwrap();
        assert_eq!((made.public(), made.seal("x"), mode()), (again.public(), again.seal("x"), 0o600));
        fs::write(&path, "not a key").unwrap();
        assert!(matches!(SigningKey::of_directory(directory.path()), Err(KeyError::Content { .. })));
    }

    #[test]
    fn a_key_that_is_rotated_away_stays_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let made = SigningKey::of_directory(directory.path()).unwrap();
        assert_eq!(made.former(), None);
        fs::rename(path(SigningKey::FILE), path(SigningKey::FORMER)).unwrap();
        let rotated = SigningKey::of_directory(directory.path()).unwrap();
        assert_eq!(rotated.former(), Some(made.public()));
        assert!(rotated.public() != made.public() && rotated.seal("x") != made.seal("x"));
    }

    #[test]
    fn a_signature_covers_time_and_body() {
        let key = SigningKey::generate().unwrap();
        let header = key.signature(b"{}", Timestamp::from_millis(1_700_000_000_999));
        let rest = header.strip_prefix(&format!("t=1700000000,kid={},ed25519=", key.public().kid)).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(rest).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, key.public().bytes);
        assert!(public.verify(b"1700000000.{}", &signature).is_ok());
        assert!(public.verify(b"1700000001.{}", &signature).is_err());
        assert!(public.verify(b"1700000000.{ }", &signature).is_err());
    }

    #[test]
    fn a_key_is_known_by_its_thumbprint() {
        // Source: RFC 8037, appendix A.3.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(x).unwrap().try_into().unwrap();
        assert_eq!(thumbprint(&bytes), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn seals_differ_by_text_and_by_key() {
        let (a, b) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        assert_eq!(a.seal("x"), a.seal("x"));
        assert!(a.seal("x") != a.seal("y") && a.seal("x") != b.seal("x"));
    }
}
