//! Front ends: what `npm run build` makes ships, and Node does not.

#![expect(clippy::print_stderr, reason = "tests talk to their developer")]

mod support;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use djship_testkit::mirror::DebianMirror;
use djship_testkit::{Djship, TempProject};
use support::layout::Layout;
use support::serving::Serving;
use support::{SECRET_KEY, fixture, in_place, sharing, timed};

fn build(djship: &Djship, project: &Path) -> Result<String> {
    let folder = project.to_str().context("a path in UTF-8")?;
    Ok(timed("build", || djship.run(["build", folder, "-t", "shop", "--no-check"])?.success())?.stderr)
}

fn edit(project: &Path, file: &str, from: &str, to: &str) -> Result<()> {
    let path = project.join(file);
    let text = fs_err::read_to_string(&path)?;
    ensure!(text.contains(from), "{file} has no {from}");
    Ok(fs_err::write(path, text.replace(from, to))?)
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn what_the_script_makes_ships_and_node_does_not() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("front-end"))?, "front-end")?;
    let said = build(&djship, &project)?;
    // "Built" or, when the store has seen these files before, "Using".
    ensure!(said.contains(" 2 files of `npm run build` in frontend"), "{said}");
    ensure!(!project.join("frontend/node_modules").exists(), "the project was written to");
    ensure!(!project.join("frontend/dist").exists(), "the project was written to");

    let serving = Serving::start(&djship, &["shop", "-e", SECRET_KEY])?;
    ensure!(serving.page("/")?.text().contains("a page with a front end"), "another page");
    ensure!(serving.page("/static/shop.css")?.text() == ".large { font-size: 2em }\n", "another style sheet");
    let script = serving.page("/static/shop.js")?.text();
    ensure!(script.contains("BUILT BY NODE, production, no python"), "{script}");
    serving.stop()?;

    let layout = tempfile::tempdir()?;
    let target = layout.path().join("shop");
    let folder = project.to_str().context("UTF-8")?;
    let output = format!("layout:{}", target.display());
    djship.run(["build", folder, "-t", "shop", "--no-check", "-o", &output])?.success()?;
    for file in Layout::read(&target)?.files()?.into_iter().flatten() {
        let is_nodes = file.path.contains("node_modules") || file.path.ends_with("bin/node");
        ensure!(!is_nodes, "{} ships", file.path);
    }

    // Python files are nothing to it, templates are.
    edit(&project, "shop/urls.py", "def page", "def  page")?;
    let said = build(&djship, &project)?;
    ensure!(said.contains("Using 2 files of `npm run build` in frontend"), "{said}");
    // Never seen before.
    let name = format!("small{}", std::process::id());
    edit(&project, "templates/page.html", "class=\"large\"", &format!("class=\"{name}\""))?;
    let said = build(&djship, &project)?;
    ensure!(said.contains("Built 2 files of `npm run build` in frontend"), "{said}");
    ensure!(said.contains("Using 1 Node package"), "{said}");
    let serving = Serving::start(&djship, &["shop", "-e", SECRET_KEY])?;
    let style = format!(".{name} {{ font-size: 2em }}\n");
    ensure!(serving.page("/static/shop.css")?.text() == style, "an old style sheet");
    serving.stop()?;
    Ok(())
}

#[test]
#[ignore = "needs user namespaces and the network"]
fn a_front_end_that_cannot_be_built_is_told() -> Result<()> {
    let mirror = DebianMirror::start()?;
    let djship = sharing(&mirror)?;
    let project = in_place(&TempProject::copy_of(fixture("front-end"))?, "front-end-wrong")?;
    let folder = project.to_str().context("a path in UTF-8")?;
    let refused = || -> Result<String> {
        Ok(djship.run(["build", folder, "-t", "shop-wrong", "--no-check"])?.exit_code(1)?.stderr)
    };

    edit(&project, "frontend/package.json", "node build.mjs", "node nothing.mjs")?;
    let said = refused()?;
    ensure!(said.contains("the script `build` of `frontend/package.json` ended with 1"), "{said}");
    ensure!(said.contains("nothing.mjs") && said.contains("front-end = false"), "{said}");

    // A lock of before the dependency.
    let lock = r#"{"name": "shop", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "shop", "version": "1.0.0"}}}"#;
    fs_err::write(project.join("frontend/package-lock.json"), lock)?;
    let said = refused()?;
    ensure!(said.contains("Cannot install what `frontend/package-lock.json` names"), "{said}");
    ensure!(said.contains("is older than package.json: run `npm install`"), "{said}");

    fs_err::create_dir(project.join("docs"))?;
    fs_err::write(project.join("docs/package.json"), r#"{"scripts": {"build": "true"}}"#)?;
    fs_err::rename(project.join("frontend"), project.join("shopfront"))?;
    let said = refused()?;
    ensure!(said.contains("`docs/package.json`, `shopfront/package.json`"), "{said}");

    // The developer's word counts.
    fs_err::create_dir_all(project.join("frontend/dist"))?;
    fs_err::write(project.join("djship.toml"), "front-end = false\n")?;
    let said = build(&djship, &project)?;
    ensure!(!said.contains("npm run"), "{said}");
    fs_err::write(project.join("djship.toml"), "front-end = \"docs\"\n")?;
    ensure!(build(&djship, &project)?.contains("of `npm run build` in docs"), "another one was built");
    fs_err::write(project.join("djship.toml"), "front-end = { folder = \"templates\" }\n")?;
    let said = refused()?;
    ensure!(said.contains("`templates`") && said.contains("no package.json"), "{said}");
    Ok(())
}
