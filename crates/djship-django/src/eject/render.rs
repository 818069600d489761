//! The templates, filled in.

use minijinja::{Environment, Error, UndefinedBehavior};

use super::description::Description;
use super::{EjectError, EjectedFile};

/// Path, template, and whether it is a program.
const FILES: [(&str, &str, bool); 5] = [
    ("docker-compose.yml", include_str!("templates/docker-compose.yml.j2"), false),
    ("docker/Dockerfile-dev", include_str!("templates/Dockerfile-dev.j2"), false),
    ("docker/builder.sh", include_str!("templates/builder.sh.j2"), true),
    ("docker/Dockerfile-prod", include_str!("templates/Dockerfile-prod.j2"), false),
    (".dockerignore", include_str!("templates/dockerignore.j2"), false),
];

/// The files.
pub(super) fn files(description: &Description) -> Result<Vec<EjectedFile>, EjectError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Text in the form that the language around it takes for a text.
    environment.add_filter("shell", |text: String| {
        shlex::try_quote(&text).map(std::borrow::Cow::into_owned).unwrap_or_default()
    });
    environment.add_filter("docker", |text: String| djship_oci::context::quoted(&text));
    // Compose replaces variables in values; a JSON text is a YAML text.
    environment.add_filter("yaml", |text: String| json(&text.replace('$', "$$")));
    environment.add_filter("json", |text: String| json(&text));
    environment.add_filter("json_list", |words: Vec<String>| json_list(&words));
    environment.add_filter("words", |words: Vec<String>| words.join(" "));
    let render = |(path, template, executable): (&'static str, &str, bool)| {
        let text = environment.render_str(template, minijinja::value::Serde(description));
        let text = text.map_err(|source: Error| EjectError::Template { path, source })?;
        // The template's own last line break is not printed.
        Ok(EjectedFile { path, text: text + "\n", executable })
    };
    FILES.into_iter().map(render).collect()
}

/// A JSON list as people write it, with spaces.
pub(super) fn json_list(words: &[impl AsRef<str>]) -> String {
    let words: Vec<String> = words.iter().map(|word| json(&word.as_ref())).collect();
    format!("[{}]", words.join(", "))
}

/// Values of a description are always JSON.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
