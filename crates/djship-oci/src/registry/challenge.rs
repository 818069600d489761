//! What a registry asks for when it answers 401: the header `WWW-Authenticate` (RFC 9110, 11.6.1, and RFC 6750).

/// How a registry wants to be told who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Offer {
    /// User and password with every request.
    Basic,
    /// A token of another server's.
    Bearer {
        /// The server's address.
        realm: String,
        /// What the token is for.
        service: Option<String>,
        /// What the token must allow, as the registry sees it.
        scope: Option<String>,
    },
}

/// The longest header that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;

impl Offer {
    /// The best offer in these headers: a token before a password with every request.
    pub(super) fn best<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let challenges: Vec<_> = headers.filter(|header| header.len() <= LONGEST).flat_map(parse).collect();
        let bearer = challenges.iter().find_map(|challenge| {
            let realm = challenge.parameter("realm").filter(|_| challenge.is("bearer"))?;
            Some(Self::Bearer {
                realm: realm.to_owned(),
                service: challenge.parameter("service").map(str::to_owned),
                scope: challenge.parameter("scope").map(str::to_owned),
            })
        });
        bearer.or_else(|| challenges.iter().any(|challenge| challenge.is("basic")).then_some(Self::Basic))
    }
}

/// One challenge of a header.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Every challenge of a header, as far as it can be read.
fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word_end = rest.find(|character| !is_token(character)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        if word.is_empty() {
            return challenges;
        }
        let Some(value) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            // A scheme; one with the old form of credentials has them behind it as a word without a name.
            challenges.push(Challenge { scheme: word.to_owned(), parameters: Vec::new() });
            rest = after;
            continue;
        };
        let value = value.trim_start_matches([' ', '\t']);
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            unquote(quoted)
        } else {
            let end = value.find([',', ' ', '\t']).unwrap_or(value.len());
            (value[..end].to_owned(), &value[end..])
        };
        if let Some(challenge) = challenges.last_mut() {
            challenge.parameters.push((word.to_owned(), value));
        }
        rest = after;
    }
}

/// The text up to the closing quote, and what follows; a quote that is not closed ends with the header.
fn unquote(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (text, &quoted[at + 1..]),
            '\\' => text.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => text.push(character),
        }
    }
    (text, "")
}

fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(headers: &[&str]) -> Option<Offer> {
        Offer::best(headers.iter().copied())
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Offer {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Offer::Bearer { realm: realm.to_owned(), service: text(service), scope: text(scope) }
    }

    #[test]
    fn offers_are_read() {
        assert_eq!(
            best(&[
                "Bearer realm=\"https://auth.test/token?x=1,2\",service=\"reg.test\",scope=\"repository:a/b:pull,push\""
            ]),
            Some(bearer("https://auth.test/token?x=1,2", Some("reg.test"), Some("repository:a/b:pull,push")))
        );
        assert_eq!(
            best(&["bearer Realm = \"https://a\\\"b\" , error=insufficient_scope"]),
            Some(bearer("https://a\"b", None, None))
        );
        assert_eq!(best(&["Basic realm=\"Registry Realm\""]), Some(Offer::Basic));
        assert_eq!(best(&["Basic"]), Some(Offer::Basic));
        let both = Some(bearer("https://a/t", None, None));
        assert_eq!(best(&["Basic realm=\"x, Bearer realm=y\", Bearer realm=\"https://a/t\""]), both);
        assert_eq!(best(&["Negotiate YWJj==, Basic realm=x", "Bearer realm=\"https://a/t\""]), both);
        for nothing in ["", "Bearer", "Bearer service=x", "realm=\"https://a\"", "=,=", "Digest realm=x"] {
            assert_eq!(best(&[nothing]), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(header in "[ -~]{0,60}") {
            let _ = parse(&header);
        }

        #[test]
        fn values_survive_quoting(value in "[ -~]{0,30}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Bearer scope=\"s\", realm=\"{quoted}\", service=z");
            prop_assert_eq!(best(&[header.as_str()]), Some(bearer(&value, Some("z"), Some("s"))));
        }
    }
}
