//! The environment of the project's own processes: what djship sets, over it `.env`, over it what the developer exported.

use std::collections::{BTreeMap, BTreeSet};

use super::dot_env::{DotEnv, DotEnvError};
use super::facts::DevelopmentFacts;
use crate::project::Project;
use crate::services::{Kind, Wanted};

/// Variables of the developer's own shell that are about the host, and never about the project.
const OF_THE_HOST: &[&str] = &[
    "_",
    "COLORTERM",
    "DISPLAY",
    "EDITOR",
    "HOME",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "LS_COLORS",
    "MAIL",
    "NO_COLOR",
    "OLDPWD",
    "PAGER",
    "PATH",
    "PS1",
    "PWD",
    "SHELL",
    "SHLVL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
    "VISUAL",
    "WAYLAND_DISPLAY",
];
/// The same, by how they begin.
const OF_THE_HOST_PREFIXES: &[&str] = &[
    "BASH",
    "CARGO",
    "CONDA_",
    "DBUS_",
    "DJSHIP_",
    "GIT_",
    "GPG_",
    "GTK_",
    "LC_",
    "LD_",
    "PIP_",
    "PYENV",
    "PYTHON",
    "QT_",
    "RUST",
    "SSH_",
    "SSL_",
    "SUDO_",
    "SYSTEMD_",
    "TERM_",
    "UV_",
    "VSCODE_",
    "XAUTHORITY",
    "XDG_",
];

/// What the developer gives.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `.env`: everything in it counts.
    pub file: BTreeMap<String, String>,
    /// Exported, except what is about the host.
    pub exported: BTreeMap<String, String>,
}

impl Given {
    /// Reads `.env` of the project, and takes what is `exported`; `more` comes from the configuration, weaker than both.
    pub fn read(
        project: &Project,
        exported: &BTreeMap<String, String>,
        more: &BTreeMap<String, String>,
    ) -> Result<Self, DotEnvError> {
        let mut file = more.clone();
        file.extend(DotEnv::of_project(project, exported)?.variables);
        let about_the_project = |name: &str| {
            !OF_THE_HOST.contains(&name)
                && !OF_THE_HOST_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        };
        let exported = exported
            .iter()
            .filter(|(name, _)| about_the_project(name) || file.contains_key(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(Self { file, exported })
    }

    /// All of it: what the settings are asked with when it is not known yet what they read.
    pub fn all(&self) -> BTreeMap<String, String> {
        let mut all = self.file.clone();
        all.extend(self.exported.clone());
        all
    }

    /// What concerns a project whose settings read `names`: a shell exports much else.
    pub fn relevant(&self, names: &BTreeSet<String>) -> BTreeMap<String, String> {
        let mut relevant = self.file.clone();
        for (name, value) in &self.exported {
            if names.contains(name) || self.file.contains_key(name) || name.starts_with("DJANGO_") {
                relevant.insert(name.clone(), value.clone());
            }
        }
        relevant
    }

    /// The environment of the project's processes, when its settings read what the facts say and its code names `mentioned`.
    pub fn environment(
        &self,
        facts: &DevelopmentFacts,
        mentioned: BTreeSet<String>,
    ) -> BTreeMap<String, String> {
        let mut names = names_read(facts);
        names.extend(mentioned);
        let mut environment = facts.variables();
        environment.extend(self.relevant(&names));
        environment
    }
}

/// Gives PostgreSQL's client library the password where the settings name a server of ours and no password
/// (<https://www.postgresql.org/docs/current/libpq-envars.html>).
pub(super) fn add_password(env: &mut BTreeMap<String, String>, services: &[Wanted], password: &str) {
    let open = |wanted: &Wanted| {
        matches!(wanted.kind, Kind::Postgres | Kind::Postgis)
            && wanted.password.as_deref().unwrap_or_default().is_empty()
    };
    if services.iter().any(open) {
        env.entry("PGPASSWORD".to_owned()).or_insert_with(|| password.to_owned());
    }
}

/// The names that the settings were seen to read.
pub(super) fn names_read(facts: &DevelopmentFacts) -> BTreeSet<String> {
    facts.read.iter().map(|variable| variable.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn who_has_no_password_gets_ours_and_nobody_else() {
        let add = |wanted: &str, before: &[(&str, &str)]| {
            let mut env = map(before);
            add_password(&mut env, &[serde_json::from_str(wanted).unwrap()], "ours");
            env.remove("PGPASSWORD")
        };
        let open = r#"{"kind": "postgres", "host": "db", "port": 5432, "user": "shop"}"#;
        assert_eq!(add(open, &[]).as_deref(), Some("ours"));
        assert_eq!(add(open, &[("PGPASSWORD", "theirs")]).as_deref(), Some("theirs"));
        let fixed = r#"{"kind": "postgres", "host": "db", "port": 5432, "password": "x"}"#;
        assert_eq!(add(fixed, &[]), None);
        assert_eq!(add(r#"{"kind": "redis", "host": "db", "port": 6379}"#, &[]), None);
    }

    #[test]
    fn exported_wins_over_the_file_and_both_over_ours() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join(".env"), "SECRET_KEY=file\nDATABASE_URL=file\nHOME=/x\n").unwrap();
        let manage_py = djship_store::TreePath::parse("manage.py").unwrap();
        let project = Project { folder: folder.path().to_owned(), manage_py };
        let exported = map(&[
            ("DATABASE_URL", "exported"),
            ("PATH", "/bin"),
            ("SHOP_DEBUG", "1"),
            ("UNRELATED", "x"),
            ("DJANGO_SETTINGS_MODULE", "a.b"),
        ]);
        let given =
            Given::read(&project, &exported, &map(&[("SECRET_KEY", "config"), ("REGION", "eu")])).unwrap();
        let json = r#"{"supplied": [{"name": "SECRET_KEY", "value": "ours"}, {"name": "OTHER", "value": "ours"}],
            "connections": {"DATABASE_URL": {"value": "ours"}}, "read": [{"name": "SHOP_DEBUG"}]}"#;
        let facts: DevelopmentFacts = serde_json::from_str(json).unwrap();
        let expected = map(&[
            ("DATABASE_URL", "exported"),
            ("DJANGO_SETTINGS_MODULE", "a.b"),
            ("HOME", "/x"),
            ("OTHER", "ours"),
            ("REGION", "eu"),
            ("SECRET_KEY", "file"),
            ("SHOP_DEBUG", "1"),
        ]);
        assert_eq!(given.environment(&facts, BTreeSet::new()), expected);
        let later = given.environment(&facts, BTreeSet::from(["UNRELATED".to_owned()]));
        assert_eq!(later.get("UNRELATED").map(String::as_str), Some("x"));
        assert!(!given.all().contains_key("PATH"));
    }
}
