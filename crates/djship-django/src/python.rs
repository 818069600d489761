//! The Python files that djship brings: the probe, what ships in `/opt/djship`, and the steps of a build.

/// A file with its path in its folder and its content.
pub(crate) type Source = (&'static str, &'static str);

macro_rules! sources {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../python/", $folder, "/", $name)))),*]
    };
}

/// What ships in `/opt/djship`.
pub(crate) const RUNTIME: &[Source] = sources!(
    "runtime":
    "start", "launch.py", "migrate.py", "healthcheck.py", "djship_serve/__init__.py", "djship_serve/asgi.py",
    "djship_serve/first_look.py", "djship_serve/gunicorn_conf.py", "djship_serve/project.py",
    "djship_serve/static_files.py", "djship_serve/wsgi.py",
);

/// The settings probe.
pub(crate) const PROBE: &[Source] = sources!(
    "probe":
    "probe.py", "djship_probe/__init__.py", "djship_probe/attempts.py", "djship_probe/celery_app.py",
    "djship_probe/child.py", "djship_probe/choice.py", "djship_probe/connections.py", "djship_probe/develop.py",
    "djship_probe/development_report.py", "djship_probe/endpoints.py", "djship_probe/facts.py",
    "djship_probe/failure.py", "djship_probe/families.py", "djship_probe/feeds.py", "djship_probe/markers.py",
    "djship_probe/modules.py", "djship_probe/preload.py", "djship_probe/recording.py", "djship_probe/report.py",
    "djship_probe/service_urls.py", "djship_probe/services.py", "djship_probe/source.py",
    "djship_probe/sqlite_default.py", "djship_probe/supplies.py", "djship_probe/tries.py", "djship_probe/values.py",
    "djship_probe/watch.py",
);

/// Records what a step reads.
pub(crate) const READS: &str = include_str!("../python/build/reads.py");

/// Catches the mail that a project sends during development.
pub(crate) const MAILBOX: &[Source] = sources!(
    "develop":
    "mailbox.py", "mailbox_http.py", "mailbox_message.py", "mailbox_pages.py", "mailbox_smtp.py", "mailbox_store.py",
);

/// Steps of a build that go through `manage.py`.
pub(crate) const BUILD: &[Source] =
    sources!("build": "through_manage.py", "collectstatic.py", "check.py", "reads.py");

/// Supplied servers, pinned by hash.
pub(crate) const SUPPLIED_WSGI: &str = include_str!("../python/runtime/supplied-wsgi.txt");
/// The same for ASGI.
pub(crate) const SUPPLIED_ASGI: &str = include_str!("../python/runtime/supplied-asgi.txt");
/// The installer in the builder, pinned by hash.
pub(crate) const UV: &str = include_str!("../python/uv.txt");
/// Supplied when something imports `pkg_resources` and nothing brings it, pinned by hash.
pub(crate) const PKG_RESOURCES: &str = include_str!("../python/build/pkg-resources.txt");
/// Says what a Python is.
pub(crate) const DESCRIBE: &str = include_str!("../python/build/describe.py");
/// Byte-compiles files, each to the same bytes whatever else is compiled.
pub(crate) const COMPILE: &str = include_str!("../python/build/compile.py");

/// The version that a requirements file pins `name` to.
pub(crate) fn pinned_version(requirements: &str, name: &str) -> Option<String> {
    let pin = requirements.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix("=="))?;
    pin.split([' ', '\\']).next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supplied_requirement_is_pinned_with_a_hash() {
        for text in [SUPPLIED_WSGI, SUPPLIED_ASGI, UV] {
            let pins = text.lines().filter(|line| line.contains("==")).count();
            assert!(pins > 0 && text.matches("--hash=sha256:").count() >= pins, "{text}");
        }
        assert!(pinned_version(SUPPLIED_WSGI, "gunicorn").is_some());
    }
}
