use super::*;
use crate::project::Project;

const MANAGE: &str = "import os\nfrom django.core.management import execute_from_command_line\n\
                      os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";

/// What was looked at for a key: place, what stands there, verdict; what is not there left out.
fn explained(files: &[(&str, &str)], key: &str) -> Vec<(String, String, Verdict)> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files.iter().chain(&[("manage.py", MANAGE)]) {
        let file = folder.path().join(path);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }
    let plan = Plan::for_project(&Project::open(folder.path()).unwrap()).unwrap();
    let all = explain(&plan, None, key).unwrap().unwrap();
    let there = all.into_iter().filter(|one| one.verdict != Verdict::Absent);
    there.map(|one| (one.place, one.found.unwrap_or_default(), one.verdict)).collect()
}

fn row(place: &str, found: &str, verdict: Verdict) -> (String, String, Verdict) {
    (place.to_owned(), found.to_owned(), verdict)
}

#[test]
fn python_and_what_rules_others_out() {
    let files = [
        ("requirements.txt", "Django==5.2\n"),
        ("pyproject.toml", "[project]\nname = 'x'\nrequires-python = '>=3.12'\n"),
        (".python-version", "3.12\n"),
        ("runtime.txt", "python-3.13.1\n"),
    ];
    let all = explained(&files, "python");
    let wish = ".python-version, line 1";
    assert_eq!(all[0], row("pyproject.toml, line 3", "requires Python >=3.12", Verdict::Taken));
    assert_eq!(all[2], row(wish, "wishes for 3.12", Verdict::NotOnOffer));
    assert_eq!(all[3], row("runtime.txt", "there", Verdict::ComesAfter(wish.to_owned())));
    assert_eq!(all[4], row("Debian trixie", "has Python 3.13", Verdict::Taken));
    let excluded = Verdict::ExcludedBy("pyproject.toml, line 3 (>=3.12)".to_owned());
    assert_eq!(all[5], row("Debian bookworm", "has Python 3.11", excluded));
}

#[test]
fn a_base_image_rules_debian_out() {
    let files = [
        ("requirements.txt", "Django==5.2\n"),
        (".python-version", "3.12\n"),
        ("djship.toml", "base = 'reg.test/python:3.12-slim'\n"),
    ];
    let all = explained(&files, "python");
    assert_eq!(all[1], row(".python-version, line 1", "wishes for 3.12", Verdict::AskedInABuild));
    let found = "base = \"reg.test/python:3.12-slim\": the image brings its Python";
    assert_eq!(all[2], row("djship.toml, line 1", found, Verdict::Taken));
    let after = Verdict::ComesAfter("`base` in djship.toml, line 1".to_owned());
    assert_eq!(all[3], row("Debian trixie", "has Python 3.13", after));
    assert_eq!(explained(&files, "base"), all);
}

#[test]
fn dependencies_in_their_order() {
    let files = [
        ("requirements/production.txt", "-r base.txt\n"),
        ("requirements/base.txt", "Django==5.2\n"),
        ("requirements.txt", "Django\n"),
        ("requirements/own.txt", "Django==5.2\n"),
    ];
    let first = "requirements/production.txt";
    let all = explained(&files, "dependencies");
    let after = |place: &str| Verdict::ComesAfter(place.to_owned());
    assert_eq!(
        all,
        [
            row(first, "there", Verdict::Taken),
            row("requirements.txt", "there", after(first)),
            row("requirements/base.txt", "part of it", Verdict::Taken),
        ]
    );
    let config = ("djship.toml", "requirements = ['requirements/own.txt']\n");
    let all = explained(&[files[0], files[1], files[3], config], "dependencies");
    let named = "`requirements` in djship.toml, line 1";
    assert_eq!(all[0], row(named, "requirements/own.txt", Verdict::Taken));
    assert_eq!(all[1], row(first, "there", after(named)));
}

#[test]
fn settings_server_and_the_others() {
    let files = [
        ("requirements.txt", "Django==5.2\n"),
        ("djship.toml", "settings = 'shop.live'\npackages = ['jq']\n[develop]\nsettings = 'shop.local'\n"),
        ("Procfile", "web: gunicorn shop.wsgi\nworker: docker compose up\n"),
        ("gunicorn.conf.py", "workers = 3\n"),
    ];
    let settings = explained(&files, "settings");
    let named = "`settings` in djship.toml, line 1";
    assert_eq!(settings[0], row(named, "shop.live", Verdict::Taken));
    assert_eq!(settings[1].2, Verdict::ExcludedBy("what is for development alone".to_owned()));
    assert_eq!(settings[2], row("manage.py, line 3", "shop.settings", Verdict::ComesAfter(named.to_owned())));
    let unsaid = explained(&files[..1], "settings");
    assert_eq!(unsaid, [row("manage.py, line 3", "shop.settings", Verdict::AskedInABuild)]);
    let server = explained(&files, "server");
    assert_eq!(server[0], row("Procfile, line 1", "web: gunicorn shop.wsgi", Verdict::Taken));
    assert_eq!(server[1].0, "gunicorn.conf.py");
    let commands = explained(&files, "commands");
    assert!(matches!(&commands[1].2, Verdict::NoCommand(left) if left.name == "worker"), "{commands:?}");
    let packages = explained(&files, "packages");
    assert_eq!(packages[1], row("djship.toml, line 2", "jq (run)", Verdict::Taken));
}
