//! What goes through a registry: a pushed code change, and a build on a machine that has nothing yet.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::compare::{Comparison, Measured, Side};
use super::docker::{BASES, Builder, CLIENT};
use super::measure::{Repeat, run_once};
use super::project::{self, Checkout};
use super::registry::Registry;
use super::stage::{Copies, Stage};

/// The image is built after a code change, and pushed. `stage.build_all` ran before.
pub(super) fn push(
    stage: &Stage,
    registry: &Registry,
    copies: &mut Copies,
    repeat: Repeat,
) -> Result<Measured> {
    let name = "build and push, an edited view";
    println!("{name}");
    let project = copies.project.name();
    let image = registry.name(&format!("djship/{project}:1"));
    let build = move |checkout: &Checkout| {
        let mut command = stage.ours.command(&["build", "--tag", &image, "--push"]);
        command.arg(&checkout.folder);
        command
    };
    // The registry has the base and the dependencies: only the change is pushed from here on.
    run_once(&mut build(&copies.ours))?;
    let ours = &mut copies.ours;
    let mut sides = vec![Side {
        name: "djship",
        prepare: Box::new(move || {
            ours.edit(project::VIEW)?;
            Ok(build(ours))
        }),
    }];
    for (builder, checkout) in &mut copies.docker {
        let builder = *builder;
        let image = registry.name(&format!("{}/{project}:1", builder.name().to_lowercase()));
        let build = move |checkout: &Checkout| {
            let build = stage.docker.build(builder, checkout, &image, &stage.proxy);
            script(&build, r#""$@" && exec "$0" push --quiet "$IMAGE""#, &[("IMAGE", &image)])
        };
        run_once(&mut build(checkout))?;
        sides.push(Side {
            name: builder.name(),
            prepare: Box::new(move || {
                checkout.edit(project::VIEW)?;
                Ok(build(checkout))
            }),
        });
    }
    Comparison { name, sides, goal: None }.measure(repeat)
}

/// A new machine builds another commit with the same dependencies: djship with its shared cache, Docker from bases and images
/// that it pulls and takes for a cache. Afterwards Docker has nothing.
pub(super) fn fresh(
    stage: &Stage,
    registry: &Registry,
    copies: &mut Copies,
    rounds: u32,
) -> Result<Measured> {
    let name = "a new machine, an edited view";
    println!("{name}");
    let project = copies.project.name();
    let cache = registry.name("djship/cache");
    let build = move |checkout: &Checkout| {
        let mut command = stage.ours.build(checkout, "bench-fresh");
        command.args(["--cache", &cache]);
        command
    };
    println!("  filling the shared cache");
    stage.ours.forget()?;
    run_once(&mut build(&copies.ours))?;
    let ours = &mut copies.ours;
    let mut sides = vec![Side {
        name: "djship",
        prepare: Box::new(move || {
            ours.edit(project::VIEW)?;
            stage.ours.forget()?;
            settle();
            Ok(build(ours))
        }),
    }];
    for (base, _) in BASES {
        push_as(stage, base, &registry.name(base))?;
    }
    for (builder, checkout) in &mut copies.docker {
        let builder = *builder;
        checkout.take_bases_from(&registry.name(""))?;
        let kept = Kept::of(registry, builder, project);
        println!("  pushing what {} takes for a cache", builder.name());
        kept.fill(stage, builder, checkout)?;
        sides.push(Side {
            name: builder.name(),
            prepare: Box::new(move || {
                checkout.edit(project::VIEW)?;
                stage.docker.forget()?;
                settle();
                Ok(kept.build(stage, builder, checkout))
            }),
        });
    }
    Comparison { name, sides, goal: None }.measure(Repeat { warm_up: 0, runs: rounds })
}

/// What was removed before is not to be paid for by what is measured.
fn settle() {
    rustix::fs::sync();
}

/// The images of one builder that hold its cache: one for each stage of the Dockerfile.
#[derive(Clone)]
struct Kept {
    stage: String,
    image: String,
}

impl Kept {
    fn of(registry: &Registry, builder: Builder, project: &str) -> Self {
        let name = |tag: &str| registry.name(&format!("{}/{project}:{tag}", builder.name().to_lowercase()));
        Self { stage: name("builder"), image: name("cache") }
    }

    fn fill(&self, stage: &Stage, builder: Builder, checkout: &Checkout) -> Result<()> {
        for (image, target) in [(&self.stage, &["--target", "builder"][..]), (&self.image, &[])] {
            let mut build = stage.docker.build(builder, checkout, image, &stage.proxy);
            // Which BuildKit needs to find its cache in an image, and the classic builder does not know.
            if builder == Builder::BuildKit {
                build.args(["--build-arg", "BUILDKIT_INLINE_CACHE=1"]);
            }
            run_once(build.args(target)).with_context(|| format!("cannot build {image}"))?;
            run_once(&mut stage.docker.client(&["push", image]))?;
        }
        Ok(())
    }

    /// Pulls the cache, and builds. BuildKit pulls it by itself, and of everything only what it needs.
    fn build(&self, stage: &Stage, builder: Builder, checkout: &Checkout) -> Command {
        let mut build = stage.docker.build(builder, checkout, "bench-fresh", &stage.proxy);
        build.args(["--cache-from", &self.stage, "--cache-from", &self.image]);
        if builder == Builder::BuildKit {
            return build;
        }
        let lines = r#"for image in $KEPT; do "$0" pull --quiet "$image" || exit; done; exec "$@""#;
        let kept = format!("{} {}", self.stage, self.image);
        script(&build, lines, &[("KEPT", &kept)])
    }
}

fn push_as(stage: &Stage, image: &str, name: &str) -> Result<()> {
    run_once(&mut stage.docker.client(&["tag", image, name]))?;
    run_once(&mut stage.docker.client(&["push", name])).with_context(|| format!("cannot push {name}"))?;
    Ok(())
}

/// Lines of the shell around a command of Docker's client, which they have as `"$@"`, and the client as `$0`.
fn script(command: &Command, lines: &str, variables: &[(&str, &str)]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", lines, CLIENT]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.envs(variables.iter().copied());
    shell
}
