//! The Dockerfile of a build context, in words that Docker's classic builder and BuildKit both read.
//!
//! In most instructions Docker replaces variables and takes quotes and backslashes away
//! (<https://docs.docker.com/reference/dockerfile/#environment-replacement>), so whatever could mean something is escaped.

use std::fmt::Write as _;
use std::time::Duration;

use crate::config::Healthcheck;
use crate::image::{Image, read_config};

use super::layer_files;

/// A line that a Dockerfile cannot hold is longer than this (the classic builder's limit is 65 535 bytes).
const LONGEST_LINE: usize = 60_000;

/// Something in an image's config that a Dockerfile has no words for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be written in a Dockerfile: {reason}")]
pub struct Unwritable {
    /// What, such as ``the variable `NAME` ``.
    pub what: String,
    /// Why.
    pub reason: Reason,
}

/// Why a Dockerfile has no words for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// An instruction ends with its line.
    #[error("it holds a line break")]
    LineBreak,
    /// The name would be read as something else.
    #[error("its name holds white space, a quote, a backslash or `$`")]
    Name,
    /// Docker reads no line of that length.
    #[error("it is longer than {LONGEST_LINE} bytes")]
    TooLong,
}

/// The Dockerfile that makes `image` of its layers.
pub fn dockerfile(image: &Image) -> Result<String, Unwritable> {
    let config = &image.config;
    let mut text =
        Text(String::from("# Made of files only: no network and no other image is needed.\nFROM scratch\n"));
    let made_by = made_by(image);
    for (index, (name, layer)) in layer_files(image).enumerate() {
        // What the image's history says of this layer, for people.
        let position = image.layers.iter().position(|found| std::ptr::eq(found, layer)).unwrap_or(index);
        if let Some(words) = made_by.get(position) {
            text.comment(words);
        }
        text.line("layer", &format!("ADD {name} /"))?;
    }
    for (name, value) in &config.env {
        let what = format!("the variable `{name}`");
        if name.contains(|c: char| c.is_whitespace() || "\"'\\$".contains(c)) {
            return Err(Unwritable { what, reason: Reason::Name });
        }
        text.line(&what, &format!("ENV {name}={}", quoted(value)))?;
    }
    for (name, value) in &config.labels {
        text.line(&format!("the label `{name}`"), &format!("LABEL {}={}", quoted(name), quoted(value)))?;
    }
    if !config.working_dir.is_empty() {
        text.line("the working folder", &format!("WORKDIR {}", word(&config.working_dir)))?;
    }
    for port in &config.exposed_ports {
        text.line("a port", &format!("EXPOSE {}", word(port)))?;
    }
    for volume in &config.volumes {
        // Docker replaces variables within the list as well.
        text.line("a volume", &format!("VOLUME {}", list(&[word(volume)])))?;
    }
    if !config.user.is_empty() {
        text.line("the user", &format!("USER {}", word(&config.user)))?;
    }
    if let Some(signal) = &config.stop_signal {
        text.line("the stop signal", &format!("STOPSIGNAL {}", word(signal)))?;
    }
    if let Some(check) = &config.healthcheck {
        text.line("the health check", &format!("HEALTHCHECK {}", healthcheck(check)))?;
    }
    if !config.entrypoint.is_empty() {
        text.line("the entry point", &format!("ENTRYPOINT {}", list(&config.entrypoint)))?;
    }
    if !config.command.is_empty() {
        text.line("the command", &format!("CMD {}", list(&config.command)))?;
    }
    Ok(text.0)
}

struct Text(String);

impl Text {
    fn line(&mut self, what: &str, line: &str) -> Result<(), Unwritable> {
        let fail = |reason| Err(Unwritable { what: what.to_owned(), reason });
        if line.contains(['\n', '\r']) {
            return fail(Reason::LineBreak);
        }
        if line.len() > LONGEST_LINE {
            return fail(Reason::TooLong);
        }
        self.0.push_str(line);
        self.0.push('\n');
        Ok(())
    }

    fn comment(&mut self, words: &str) {
        let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# {words}");
    }
}

/// What made each layer, lowest first.
fn made_by(image: &Image) -> Vec<String> {
    let history = read_config(&image.config_bytes).map(|config| config.history).unwrap_or_default();
    let layers = history.into_iter().filter(|line| !line.empty_layer);
    layers.map(|line| line.created_by.unwrap_or_default()).collect()
}

/// `text` as it is, in double quotes, as instructions take it.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// `text` as one word: bare where nothing in it means something.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+@,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { quoted(text) }
}

/// Words as the JSON list that Docker runs without a shell.
fn list(words: &[String]) -> String {
    // A list of strings is always JSON; a line break in one is written as `\n`.
    serde_json::to_string(words).unwrap_or_default()
}

fn healthcheck(check: &Healthcheck) -> String {
    let mut options = String::new();
    for (name, duration) in
        [("interval", check.interval), ("timeout", check.timeout), ("start-period", check.start_period)]
    {
        // Zero is Docker's own default.
        if !duration.is_zero() {
            let _ = write!(options, "--{name}={} ", go_duration(duration));
        }
    }
    if check.retries > 0 {
        let _ = write!(options, "--retries={} ", check.retries);
    }
    match check.test.split_first() {
        Some((kind, words)) if kind == "CMD" => format!("{options}CMD {}", list(words)),
        Some((kind, words)) if kind == "CMD-SHELL" => format!("{options}CMD {}", words.join(" ")),
        _ => "NONE".to_owned(),
    }
}

/// A duration as Go reads it.
fn go_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ns", duration.as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ImageConfig, Platform};

    fn image(config: ImageConfig) -> Image {
        Image::from_layers(Vec::new(), config, Platform::linux("amd64"))
    }

    fn lines(config: ImageConfig) -> Vec<String> {
        dockerfile(&image(config)).unwrap().lines().skip(2).map(str::to_owned).collect()
    }

    #[test]
    fn what_means_something_to_docker_is_escaped() {
        let config = ImageConfig {
            env: [("A".to_owned(), "a $HOME \"b\" c:\\d 'e' ${x:-y}".to_owned())].into(),
            labels: [("a b".to_owned(), "\u{e9}".to_owned())].into(),
            working_dir: "/app/two words".to_owned(),
            volumes: ["/app/$media".to_owned()].into(),
            exposed_ports: ["8000/tcp".to_owned()].into(),
            user: "1000:1000".to_owned(),
            entrypoint: vec!["/bin/sh".to_owned(), "-c".to_owned(), "echo \"$X\"\nexit".to_owned()],
            ..ImageConfig::default()
        };
        assert_eq!(
            lines(config),
            [
                r#"ENV A="a \$HOME \"b\" c:\\d 'e' \${x:-y}""#,
                "LABEL \"a b\"=\"\u{e9}\"",
                "WORKDIR \"/app/two words\"",
                "EXPOSE 8000/tcp",
                r#"VOLUME ["\"/app/\\$media\""]"#,
                "USER 1000:1000",
                r#"ENTRYPOINT ["/bin/sh","-c","echo \"$X\"\nexit"]"#,
            ]
        );
    }

    #[test]
    fn health_checks_in_all_forms() {
        let check = |test: &[&str], interval| Healthcheck {
            test: test.iter().map(|&word| word.to_owned()).collect(),
            interval,
            timeout: Duration::ZERO,
            start_period: Duration::from_secs(30),
            retries: 3,
        };
        let second = Duration::from_secs(1);
        assert_eq!(
            healthcheck(&check(&["CMD", "/x", "a b"], second)),
            r#"--interval=1s --start-period=30s --retries=3 CMD ["/x","a b"]"#
        );
        assert_eq!(
            healthcheck(&check(&["CMD-SHELL", "exit $X"], Duration::from_millis(1500))),
            "--interval=1500000000ns --start-period=30s --retries=3 CMD exit $X"
        );
        assert_eq!(healthcheck(&check(&["NONE"], second)), "NONE");
    }

    #[test]
    fn what_has_no_words_is_named() {
        let env = |name: &str, value: String| ImageConfig {
            env: [(name.to_owned(), value)].into(),
            ..ImageConfig::default()
        };
        for (config, reason) in [
            (env("A", "one\ntwo".to_owned()), Reason::LineBreak),
            (env("A B", "x".to_owned()), Reason::Name),
            (env("A", "x".repeat(70_000)), Reason::TooLong),
        ] {
            assert_eq!(dockerfile(&image(config)).unwrap_err().reason, reason);
        }
    }
}
