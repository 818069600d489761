//! What `update-alternatives` would have been told: read from a package's `postinst`, never run.
//!
//! Nearly every call is literal; some use variables that were assigned a plain string above. What still has a `$` in it
//! is reported, and a small table stands in for the calls that are known to be beyond reading.

use std::collections::HashMap;

/// One `update-alternatives --install`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Alternative {
    /// The link that programs use.
    pub link: String,
    /// The name of the choice below `/etc/alternatives`.
    pub name: String,
    /// What the link leads to.
    pub target: String,
    /// The highest of several wins.
    pub priority: i32,
    /// Links that go along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slaves: Vec<Slave>,
}

/// A link that follows the choice of another.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Slave {
    /// The link that programs use.
    pub link: String,
    /// Its name below `/etc/alternatives`.
    pub name: String,
    /// What it leads to.
    pub target: String,
}

/// What a script says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The calls that could be read.
    pub alternatives: Vec<Alternative>,
    /// The lines that could not.
    pub unread: Vec<String>,
}

/// Calls that are known to be unreadable, by package.
const KNOWN: [(&str, &str, &str, &str, i32); 1] = [("procps", "/usr/bin/w", "w", "/usr/bin/w.procps", 50)];

/// Reads the `--install` calls of a script.
pub fn parse(package: &str, script: &str) -> Found {
    let mut found = Found::default();
    let mut variables: HashMap<String, String> = HashMap::new();
    for line in script.replace("\\\n", " ").lines() {
        let words = split_words(line, &variables);
        if let Some((name, value)) = assignment(line, &words) {
            variables.insert(name, value);
            continue;
        }
        let Some(call) = words.iter().position(|word| word == "update-alternatives") else { continue };
        if !words[call..].iter().any(|word| word == "--install") {
            continue;
        }
        match read_call(&words[call + 1..]) {
            Some(alternative) => found.alternatives.push(alternative),
            None => found.unread.push(line.trim().to_owned()),
        }
    }
    if !found.unread.is_empty() {
        let known: Vec<Alternative> = KNOWN
            .iter()
            .filter(|(owner, ..)| *owner == package)
            .map(|(_, link, name, target, priority)| Alternative {
                link: (*link).to_owned(),
                name: (*name).to_owned(),
                target: (*target).to_owned(),
                priority: *priority,
                slaves: Vec::new(),
            })
            .collect();
        if !known.is_empty() {
            found.alternatives.extend(known);
            found.unread.clear();
        }
    }
    found
}

/// `NAME=value` alone on its line, the value without anything to be computed.
fn assignment(line: &str, words: &[String]) -> Option<(String, String)> {
    let [word] = words else { return None };
    let (name, value) = word.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && !value.contains(['$', '`']) && line.trim_start().starts_with(name))
        .then(|| (name.to_owned(), value.to_owned()))
}

/// Splits at spaces, honours quotes, ends at a comment or an operator, and puts in the variables that are known.
fn split_words(line: &str, variables: &HashMap<String, String>) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_word = false;
    let mut quote: Option<char> = None;
    let mut rest = line.chars().peekable();
    while let Some(sign) = rest.next() {
        match (quote, sign) {
            (Some(open), sign) if sign == open => quote = None,
            (Some('\''), sign) => word.push(sign),
            (None, '\'' | '"') => {
                quote = Some(sign);
                in_word = true;
            }
            (_, '$') => {
                in_word = true;
                word.push_str(&expand(&mut rest, variables));
            }
            (None, '#') if !in_word => break,
            (None, '|' | ';' | '&' | '>' | '<' | '(' | ')') => break,
            (None, sign) if sign.is_whitespace() => {
                if in_word {
                    words.push(std::mem::take(&mut word));
                    in_word = false;
                }
            }
            (_, sign) => {
                word.push(sign);
                in_word = true;
            }
        }
    }
    if in_word {
        words.push(word);
    }
    words
}

/// The value of `NAME` or `{NAME}` behind a `$`; the text as it stands, with its `$`, if it is not a known variable.
fn expand(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    variables: &HashMap<String, String>,
) -> String {
    let braces = rest.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(sign) = rest.next_if(|sign| sign.is_ascii_alphanumeric() || *sign == '_') {
        name.push(sign);
    }
    if braces && rest.next_if_eq(&'}').is_none() {
        return format!("${{{name}");
    }
    variables.get(&name).cloned().unwrap_or_else(|| format!("${name}"))
}

/// `[--quiet...] --install LINK NAME PATH PRIORITY [--slave LINK NAME PATH]...`
fn read_call(words: &[String]) -> Option<Alternative> {
    let install = words.iter().position(|word| word == "--install")?;
    if !words[..install].iter().all(|word| word.starts_with("--"))
        || words.iter().any(|word| word.contains(['$', '`']))
    {
        return None;
    }
    let (main, mut rest) = words[install + 1..].split_at_checked(4)?;
    let path = |text: &String| text.starts_with('/').then(|| text.clone());
    // A name becomes a file name below /etc/alternatives.
    let name = |text: &String| (!text.contains('/') && !text.starts_with('.')).then(|| text.clone());
    let mut slaves = Vec::new();
    while let [slave, link, slave_name, target, after @ ..] = rest {
        if slave != "--slave" {
            return None;
        }
        slaves.push(Slave { link: path(link)?, name: name(slave_name)?, target: path(target)? });
        rest = after;
    }
    let priority = main[3].parse().ok()?;
    rest.is_empty().then_some(())?;
    Some(Alternative {
        link: path(&main[0])?,
        name: name(&main[1])?,
        target: path(&main[2])?,
        priority,
        slaves,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(script: &str) -> Alternative {
        let mut found = parse("p", script);
        assert_eq!((found.alternatives.len(), found.unread.as_slice()), (1, [].as_slice()), "{found:?}");
        found.alternatives.remove(0)
    }

    #[test]
    fn literal_calls() {
        let read = only(
            "#! /bin/sh\nset -e\nif [ \"$1\" = configure ]; then\n  update-alternatives --quiet \\\n    --install /usr/bin/awk awk /usr/bin/mawk 5 \\\n    --slave /usr/bin/nawk nawk \"/usr/bin/mawk\" \\\n    --slave /usr/share/man/man1/awk.1.gz awk.1.gz /usr/share/man/man1/mawk.1.gz || true\nfi\n",
        );
        assert_eq!(
            (read.link.as_str(), read.target.as_str(), read.priority),
            ("/usr/bin/awk", "/usr/bin/mawk", 5)
        );
        assert_eq!(read.slaves.len(), 2);
        assert_eq!(read.slaves[0].target, "/usr/bin/mawk");
    }

    #[test]
    fn comments_at_the_end() {
        let read = only(
            "update-alternatives --install /usr/bin/c++ c++ /usr/bin/g++ 20 #--slave /usr/man c++.1 /x\n",
        );
        assert!(read.slaves.is_empty());
        assert_eq!(read.name, "c++");
    }

    #[test]
    fn plain_variables_are_put_in() {
        let read = only(
            "PGVERSION=\"15\"\nDIR=/usr/share/postgresql\n  MAJOR='3'\nupdate-alternatives --install ${DIR}/$PGVERSION/extension/postgis.control postgresql-$PGVERSION-postgis.control \"$DIR/15/extension/postgis-${MAJOR}.control\" 30\n",
        );
        assert_eq!(read.link, "/usr/share/postgresql/15/extension/postgis.control");
        assert_eq!(read.name, "postgresql-15-postgis.control");
        assert_eq!(read.target, "/usr/share/postgresql/15/extension/postgis-3.control");
    }

    #[test]
    fn what_cannot_be_read_is_reported() {
        for line in [
            "update-alternatives --install /usr/bin/x x /usr/bin/x.$1 50",
            "update-alternatives --install /usr/bin/x x $(which y) 50",
            "update-alternatives --install /usr/bin/x ../x /usr/bin/y 50",
            "update-alternatives --install /usr/bin/x x relative 50",
            "update-alternatives --install /usr/bin/x x /usr/bin/y high",
            "update-alternatives --install /usr/bin/x x",
        ] {
            let found = parse("p", line);
            assert_eq!((found.alternatives.len(), found.unread.len()), (0, 1), "{line}");
        }
        assert_eq!(
            parse("p", "update-alternatives --remove x /usr/bin/x\n# update-alternatives --install\n"),
            Found::default()
        );
    }

    #[test]
    fn known_calls_stand_in() {
        let found = parse("procps", "update-alternatives --install /usr/bin/$1 $1 /usr/bin/$2 50\n");
        assert_eq!((found.alternatives.len(), found.unread.len()), (1, 0));
        assert_eq!(found.alternatives[0].link, "/usr/bin/w");
    }
}
