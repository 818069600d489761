//! Rebuilds, and the start of a container: short, and measured often.

use anyhow::Result;

use super::compare::{Comparison, Goal, Measured, Side};
use super::docker::Builder;
use super::measure::Repeat;
use super::ours::Ours;
use super::project::{Checkout, Project};
use super::stage::{Copies, Stage};

/// A rebuild after this file was edited, or after nothing was.
pub(super) fn rebuild(
    stage: &Stage,
    copies: &mut Copies,
    name: &'static str,
    edited: Option<&'static str>,
    repeat: Repeat,
) -> Result<Measured> {
    println!("{name}");
    let project = copies.project.name();
    let edit = move |checkout: &mut Checkout| edited.map_or(Ok(()), |path| checkout.edit(path));
    let ours = &mut copies.ours;
    let mut sides = vec![Side {
        name: "djship",
        prepare: Box::new(move || {
            edit(ours)?;
            Ok(stage.ours.build(ours, &Ours::image(project)))
        }),
    }];
    for (builder, checkout) in &mut copies.docker {
        let builder = *builder;
        sides.push(Side {
            name: builder.name(),
            prepare: Box::new(move || {
                edit(checkout)?;
                Ok(stage.docker.build(builder, checkout, &builder.image(project), &stage.proxy))
            }),
        });
    }
    let goal = Some(Goal { ratio: 0.25, beside: Some(Builder::BuildKit.name()) });
    Comparison { name, sides, goal }.measure(repeat)
}

/// A container of the image that does nothing and is waited for. The image has a shell, and no program `true`.
pub(super) fn start(stage: &Stage, project: Project, repeat: Repeat) -> Result<Measured> {
    let name = "container start";
    println!("{name}");
    let project = project.name();
    let ours = Side {
        name: "djship",
        prepare: Box::new(move || {
            Ok(stage.ours.command(&["run", &Ours::image(project), "--", "sh", "-c", ":"]))
        }),
    };
    let image = Builder::BuildKit.image(project);
    let docker = Side {
        name: "docker",
        // Its fastest way: no network of its own has to be made.
        prepare: Box::new(move || {
            Ok(stage.docker.client(&["run", "--rm", "--network", "host", &image, "sh", "-c", ":"]))
        }),
    };
    let goal = Some(Goal { ratio: 1.0 / 15.0, beside: None });
    Comparison { name, sides: vec![ours, docker], goal }.measure(repeat)
}
