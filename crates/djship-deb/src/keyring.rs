//! The keys that archives are signed with, and the check of a clear-signed file against them.
//!
//! Debian's keys are built in (`keys/`, exported without the certifications of others) and pinned by fingerprint, so that
//! neither the network nor the host decides whom to trust.

use std::fmt;

use pgp::composed::{CleartextSignedMessage, Deserializable as _, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, VerifyingKey};

/// Fingerprint of the primary key, and the armored key, of every key that signs bookworm or trixie.
const DEBIAN_KEYS: [(&str, &str); 7] = [
    ("b8b80b5b623eab6ad8775c45b7c5d7d6350947f8", include_str!("../keys/debian-automatic-12.asc")),
    ("04b54c3cdca79751b16bc6b5225629df75b188bd", include_str!("../keys/debian-automatic-13.asc")),
    ("4d64fec119c2029067d6e791f8d2585b8783d481", include_str!("../keys/debian-release-12.asc")),
    ("41587f7db8c774bccf131416762f67a0b2c39de4", include_str!("../keys/debian-release-13.asc")),
    ("ac530d520f2f3269f5e98313a48449044aad5c5d", include_str!("../keys/debian-security-11.asc")),
    ("05ab90340c0c5e797f44a8c8254cf3b5aec0a8f0", include_str!("../keys/debian-security-12.asc")),
    ("5e04a1e3223a19a20706e20f9904613d4cce68c6", include_str!("../keys/debian-security-13.asc")),
];

/// Keys whose signatures count.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fingerprints()).finish()
    }
}

/// Bytes that are not a keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The bytes are not OpenPGP public keys, armored or binary.
    #[error("cannot read the keyring `{name}`: {source}")]
    Malformed {
        /// What the keyring was called.
        name: String,
        /// Why.
        source: Box<pgp::errors::Error>,
    },
    /// The key's own signatures on its names and subkeys are not right.
    #[error("cannot use the key {fingerprint} of the keyring `{name}`: it does not certify itself: {source}")]
    NotCertified {
        /// What the keyring was called.
        name: String,
        /// The primary key.
        fingerprint: String,
        /// Why.
        source: Box<pgp::errors::Error>,
    },
    /// There is no key in it.
    #[error("cannot use the keyring `{name}`: it holds no key")]
    Empty {
        /// What the keyring was called.
        name: String,
    },
    /// A built-in key is not the one that its name says.
    #[error("internal error: the built-in key {expected} has the fingerprint {found}")]
    WrongBuiltIn {
        /// The pinned fingerprint.
        expected: &'static str,
        /// The key's.
        found: String,
    },
}

/// A text whose signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is not a clear-signed text.
    #[error("it is not a clear-signed text: {reason}")]
    NotSigned {
        /// What is wrong with its form.
        reason: String,
    },
    /// Nobody whose key is known has signed it.
    #[error("no known key has signed it (signed by {})", issuers.join(", "))]
    UnknownKey {
        /// The fingerprints or numbers of the keys that claim to have signed it.
        issuers: Vec<String>,
    },
    /// A known key is said to have signed it, and has not signed this.
    #[error("the signature by {key} does not match the text")]
    BadSignature {
        /// The key.
        key: String,
    },
    /// The signature is right, but the key's time is over, it was revoked, or it is a subkey that is not bound to its key.
    #[error("the key {key} may not sign (expired, revoked, or not bound)")]
    KeyNotValid {
        /// The key.
        key: String,
    },
    /// The signature uses a digest that can be forged.
    #[error("the signature by {key} uses a weak digest")]
    WeakDigest {
        /// The key.
        key: String,
    },
}

/// A text that a known key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedText {
    /// The text, and nothing that was not signed.
    pub text: String,
    /// Fingerprint of the primary key.
    pub signer: String,
}

impl Keyring {
    /// The keys of Debian's archives.
    pub fn debian() -> Result<Self, KeyringError> {
        let mut keyring = Self { keys: Vec::with_capacity(DEBIAN_KEYS.len()) };
        for (expected, armored) in DEBIAN_KEYS {
            keyring.add("Debian", armored.as_bytes())?;
            let found = keyring.keys.last().map(fingerprint).unwrap_or_default();
            if found != expected {
                return Err(KeyringError::WrongBuiltIn { expected, found });
            }
        }
        Ok(keyring)
    }

    /// No key at all; for archives that are not Debian's.
    pub fn empty() -> Self {
        Self { keys: Vec::new() }
    }

    /// Adds the keys of a keyring, armored or binary. `name` is for messages.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), KeyringError> {
        let malformed = |source| KeyringError::Malformed { name: name.to_owned(), source: Box::new(source) };
        let (keys, _) = SignedPublicKey::from_reader_many(bytes).map_err(malformed)?;
        let before = self.keys.len();
        for key in keys {
            let key = key.map_err(malformed)?;
            key.details.verify_bindings(&key.primary_key).map_err(|source| KeyringError::NotCertified {
                name: name.to_owned(),
                fingerprint: fingerprint(&key),
                source: Box::new(source),
            })?;
            self.keys.push(key);
        }
        if self.keys.len() == before { Err(KeyringError::Empty { name: name.to_owned() }) } else { Ok(()) }
    }

    /// The fingerprints of the primary keys, sorted.
    pub fn fingerprints(&self) -> Vec<String> {
        let mut all: Vec<String> = self.keys.iter().map(fingerprint).collect();
        all.sort();
        all
    }

    /// Checks a clear-signed text. One good signature by a known key is enough; those of unknown keys do not matter. `now` is in
    /// seconds since 1970.
    pub fn verify(&self, clear_signed: &str, now: u64) -> Result<SignedText, SignatureError> {
        let (message, _) = CleartextSignedMessage::from_string(clear_signed)
            .map_err(|error| SignatureError::NotSigned { reason: error.to_string() })?;
        let text = message.signed_text();
        let mut worst = SignatureError::UnknownKey {
            issuers: message.signatures().iter().map(issuer).collect::<Vec<_>>(),
        };
        for signature in message.signatures() {
            for key in &self.keys {
                match check(key, signature, &text, now) {
                    Checked::Good => return Ok(SignedText { text, signer: fingerprint(key) }),
                    Checked::NotByThis => {}
                    Checked::Refused(error) => worst = error,
                }
            }
        }
        Err(worst)
    }
}

enum Checked {
    Good,
    NotByThis,
    Refused(SignatureError),
}

/// Checks one signature against one key and its subkeys.
fn check(key: &SignedPublicKey, signature: &Signature, text: &str, now: u64) -> Checked {
    let name = fingerprint(key);
    let is_right = if is_issued_by(signature, &key.primary_key) {
        verdict(signature, &key.primary_key, text, primary_may_sign(key, now), &name, now)
    } else if let Some(subkey) = key.public_subkeys.iter().find(|subkey| is_issued_by(signature, &subkey.key))
    {
        let may_sign = primary_is_valid(key, now) && subkey_may_sign(key, subkey, now);
        verdict(signature, &subkey.key, text, may_sign, &name, now)
    } else {
        return Checked::NotByThis;
    };
    match is_right {
        Ok(()) => Checked::Good,
        Err(error) => Checked::Refused(error),
    }
}

fn verdict(
    signature: &Signature,
    key: &impl VerifyingKey,
    text: &str,
    may_sign: bool,
    name: &str,
    now: u64,
) -> Result<(), SignatureError> {
    let key_name = name.to_owned();
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err(SignatureError::BadSignature { key: key_name });
    }
    if !is_strong(signature) {
        return Err(SignatureError::WeakDigest { key: key_name });
    }
    if signature.verify(key, text.as_bytes()).is_err() {
        return Err(SignatureError::BadSignature { key: key_name });
    }
    let ends =
        signature.signature_expiration_time().filter(|life| life.as_secs() > 0).zip(signature.created());
    let is_over =
        ends.is_some_and(|(life, from)| u64::from(from.as_secs()) + u64::from(life.as_secs()) < now);
    if may_sign && !is_over { Ok(()) } else { Err(SignatureError::KeyNotValid { key: key_name }) }
}

fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
    )
}

fn is_issued_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        signature.issuer_key_id().contains(&&key.legacy_key_id())
    } else {
        fingerprints.contains(&&key.fingerprint())
    }
}

/// The key's newest signature on one of its own names: it says what the key may do, and how long. (Signatures on the key
/// itself, in Debian's keys, only name who may revoke it.)
fn newest_certification(key: &SignedPublicKey) -> Option<&Signature> {
    let on_names = key.details.users.iter().flat_map(|user| &user.signatures);
    on_names
        .filter(|signature| signature.is_certification() && is_issued_by(signature, &key.primary_key))
        .max_by_key(|signature| signature.created())
}

/// Neither revoked nor expired. A revocation that came in with the key was checked then.
fn primary_is_valid(key: &SignedPublicKey, now: u64) -> bool {
    key.details.revocation_signatures.is_empty()
        && newest_certification(key).is_some_and(|signature| !is_over(&key.primary_key, signature, now))
}

fn primary_may_sign(key: &SignedPublicKey, now: u64) -> bool {
    primary_is_valid(key, now)
        && newest_certification(key).is_some_and(|signature| signature.key_flags().sign())
}

/// Bound to the primary key for signing, by a signature in each direction, and neither revoked nor expired.
fn subkey_may_sign(key: &SignedPublicKey, subkey: &SignedPublicSubKey, now: u64) -> bool {
    let newest = subkey
        .signatures
        .iter()
        .filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding))
        .max_by_key(|signature| signature.created());
    let revoked = subkey.signatures.iter().any(|one| one.typ() == Some(SignatureType::SubkeyRevocation));
    // With the flag, rPGP insists on the signature in the other direction.
    !revoked
        && subkey.verify_bindings(&key.primary_key).is_ok()
        && newest.is_some_and(|binding| binding.key_flags().sign() && !is_over(&subkey.key, binding, now))
}

/// Whether the time that `signature` gives to `key` is over.
fn is_over(key: &impl KeyDetails, signature: &Signature, now: u64) -> bool {
    let key_ends = signature
        .key_expiration_time()
        .filter(|life| life.as_secs() > 0)
        .map(|life| u64::from(key.created_at().as_secs()) + u64::from(life.as_secs()));
    key_ends.is_some_and(|end| end < now)
}

fn fingerprint(key: &SignedPublicKey) -> String {
    key.primary_key.fingerprint().to_string()
}

/// How a signature names its key.
fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(ToString::to_string);
    let number = || signature.issuer_key_id().first().map(ToString::to_string);
    fingerprint.or_else(number).unwrap_or_else(|| "nobody".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_keys_are_the_pinned_ones() {
        let mut pinned: Vec<String> =
            DEBIAN_KEYS.iter().map(|(fingerprint, _)| (*fingerprint).to_owned()).collect();
        pinned.sort();
        assert_eq!(Keyring::debian().unwrap().fingerprints(), pinned);
    }

    #[test]
    fn built_in_subkeys_are_bound() {
        for key in &Keyring::debian().unwrap().keys {
            let now = 1_790_000_000;
            assert!(primary_may_sign(key, now), "{}", fingerprint(key));
            for subkey in &key.public_subkeys {
                assert!(subkey_may_sign(key, subkey, now), "{}", fingerprint(key));
            }
            assert!(!primary_is_valid(key, 2_100_000_000), "{}", fingerprint(key));
        }
    }

    #[test]
    fn refuses_what_is_not_signed() {
        let keyring = Keyring::debian().unwrap();
        for text in ["", "Codename: trixie\n", "-----BEGIN PGP SIGNED MESSAGE-----\n\nA: b\n"] {
            assert!(matches!(keyring.verify(text, 0), Err(SignatureError::NotSigned { .. })), "{text}");
        }
        assert!(matches!(Keyring::empty().add("x", b"-"), Err(KeyringError::Malformed { .. })));
    }
}
