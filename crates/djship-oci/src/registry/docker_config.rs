//! What `docker login` and `podman login` leave behind: `config.json` and `auth.json`. The bytes come from the caller.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::credentials::{CredentialsError, Login, Secret};

/// A configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerConfig {
    logins: BTreeMap<String, Login>,
    /// Helpers by registry.
    helpers: BTreeMap<String, String>,
    /// The helper of every other registry.
    store: Option<String>,
}

/// Where the credentials for a registry are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    Here(Login),
    /// The program `docker-credential-NAME` has them, under the name of the registry.
    Helper(String),
}

#[derive(serde::Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    auths: Option<BTreeMap<String, Option<Auth>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Auth {
    /// User and password.
    #[serde(rename = "auth")]
    encoded: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// Docker writes padding, some scripts do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl DockerConfig {
    /// Reads a file's content; `path` is where it came from.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, CredentialsError> {
        // The words of the JSON library are not repeated: they may hold a password.
        let malformed = |error: serde_json::Error| CredentialsError::Malformed {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
        };
        let document: Document = serde_json::from_slice(text).map_err(malformed)?;
        let mut logins = BTreeMap::new();
        for (entry, auth) in document.auths.unwrap_or_default() {
            let wrong = || CredentialsError::Entry { path: path.to_owned(), entry: entry.clone() };
            let login = auth.unwrap_or_default().login().ok_or_else(wrong)?;
            // Where a helper has them, the entry is empty.
            if !login.is_empty() {
                logins.insert(
                    plain_key(&entry).to_owned(),
                    Login { from: path.display().to_string(), ..login },
                );
            }
        }
        let helpers = document.cred_helpers.unwrap_or_default().into_iter();
        Ok(Self {
            logins,
            helpers: helpers.map(|(entry, name)| (plain_key(&entry).to_owned(), name)).collect(),
            store: document.creds_store.filter(|name| !name.is_empty()),
        })
    }

    /// Where to look for the credentials of `registry` for `repository`, the likeliest place first.
    pub fn places(&self, registry: &str, repository: &str) -> Vec<Place> {
        let helper = self.helpers.get(registry).or(self.store.as_ref());
        let mut places: Vec<_> = helper.map(|name| Place::Helper(name.clone())).into_iter().collect();
        // Podman keeps logins for parts of a registry as well; the closest counts.
        let mut name = format!("{registry}/{repository}");
        loop {
            if let Some(login) = self.logins.get(&name) {
                places.push(Place::Here(login.clone()));
                return places;
            }
            match name.rfind('/') {
                Some(slash) => name.truncate(slash),
                None => return places,
            }
        }
    }
}

impl Auth {
    /// Who it is; `None` if it cannot be read.
    fn login(self) -> Option<Login> {
        let mut pair = (self.username.unwrap_or_default(), self.password.unwrap_or_default());
        if let Some(encoded) = self.encoded.filter(|encoded| !encoded.is_empty()) {
            let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
            let (user, password) = decoded.split_once(':')?;
            pair = (user.to_owned(), password.trim_end_matches('\0').to_owned());
        }
        let (user, password) = pair;
        let token = self.identitytoken.filter(|token| !token.is_empty());
        let secret = token.map_or(Secret::Password(password), Secret::IdentityToken);
        Some(Login { user, secret, from: String::new() })
    }
}

/// `reg.test` for `https://reg.test/v1/`, which Docker wrote once, and still writes for its own registry.
fn plain_key(entry: &str) -> &str {
    let rest = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://")).unwrap_or(entry);
    let rest = rest.trim_end_matches('/');
    ["/v1", "/v2"].iter().find_map(|end| rest.strip_suffix(end)).unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> DockerConfig {
        DockerConfig::parse(text.as_bytes(), Path::new("/home/me/config.json")).unwrap()
    }

    fn here(user: &str, secret: Secret) -> Place {
        Place::Here(Login { user: user.to_owned(), secret, from: "/home/me/config.json".to_owned() })
    }

    fn password(user: &str, password: &str) -> Place {
        here(user, Secret::Password(password.to_owned()))
    }

    #[test]
    fn logins_are_found_by_host_and_by_the_closest_path() {
        let config = config(
            r#"{"HttpHeaders": {"x": "y"}, "auths": {
                "reg.test:5000": {"auth": "bWU6czpjcmV0"},
                "reg.test:5000/team": {"auth": "dGVhbTpwdw"},
                "https://old.test/v1/": {"username": "u", "password": "p"},
                "token.test": {"auth": "bWU6", "identitytoken": "id"},
                "empty.test": {}, "null.test": null}}"#,
        );
        assert_eq!(config.places("reg.test:5000", "shop"), [password("me", "s:cret")]);
        assert_eq!(config.places("reg.test:5000", "team/shop"), [password("team", "pw")]);
        assert_eq!(config.places("reg.test:5000", "teammate/shop"), [password("me", "s:cret")]);
        assert_eq!(config.places("old.test", "shop"), [password("u", "p")]);
        let token = here("me", Secret::IdentityToken("id".to_owned()));
        assert_eq!(config.places("token.test", "shop"), [token]);
        for registry in ["reg.test", "empty.test", "null.test", "evil.reg.test:5000"] {
            assert!(config.places(registry, "shop").is_empty(), "{registry}");
        }
    }

    #[test]
    fn helpers_come_first() {
        let config = config(
            r#"{"credsStore": "desktop", "credHelpers": {"ecr.test": "ecr-login"},
                "auths": {"reg.test": {"auth": "bWU6cHc="}, "ecr.test": {}}}"#,
        );
        let helper = |name: &str| Place::Helper(name.to_owned());
        assert_eq!(config.places("ecr.test", "x"), [helper("ecr-login")]);
        assert_eq!(config.places("reg.test", "x"), [helper("desktop"), password("me", "pw")]);
    }

    #[test]
    fn malformed_files_are_named_without_what_is_in_them() {
        for text in [
            r#"{"auths": {"reg.test": {"auth": "s3cret!"}}}"#,
            r#"{"auths": {"reg.test": {"auth": "czNjcmV0"}}}"#,
            r#"{"auths": {"reg.test": "s3cret"}}"#,
            r#"{"auths": "s3cret"}"#,
            "s3cret",
            "",
        ] {
            let error = DockerConfig::parse(text.as_bytes(), Path::new("/x/config.json")).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("/x/config.json") && !shown.contains("cret"), "{shown}");
            assert!(!shown.contains("czNjcmV0"), "{shown}");
        }
        assert_eq!(config("{}"), DockerConfig::default());
    }
}
