//! `djship run`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use djship_django::build::{BuildOptions, Built};
use djship_django::running::first_look::FirstLook;
use djship_django::running::{self, Mount, RunOptions, Runnable};
use djship_django::tools::Tools;
use djship_engine::{ExitStatus, Running, Stdio, Streams};
use djship_oci::ImageStore;

use super::build::{is_folder, summary};
use super::{background, shared};
use crate::args::{Cli, RunArgs};
use crate::env;
use crate::errors::{self, Kind, Report};
use crate::host::{self, Workshop};
use crate::interrupt::Interrupts;
use crate::ui::Console;

pub(crate) fn run(cli: &Cli, args: &RunArgs, console: &Console) -> Result<i32, Report> {
    let since = Instant::now();
    background::enter().map_err(|error| Report::new(Kind::Host, error.to_string()))?;
    let folder = names_folder(args).then(|| PathBuf::from(&args.what));
    if args.first_look && folder.is_none() {
        return Err(Report::new(
            Kind::Usage,
            format!("cannot take a first look at `{}`: it is no project folder", args.what),
        )
        .hint("Give the folder of the project: djship run --try path/to/project"));
    }
    let mut options = options(args)?;
    let cache = shared::Wanted::of(args.cache.as_deref())?;
    if args.detach {
        let port = (args.command.is_empty() || args.command[0] == "web").then(|| options.publish.port());
        return background::start(&container_name(args)?, port, console);
    }
    if options.command.first().is_none_or(|command| command == "web") {
        // Before a build that takes a while.
        running::check_free(options.publish).map_err(|error| errors::run(&error))?;
    }
    let workshop = Workshop::open(cli, folder.as_deref(), false)?;
    let tools = workshop.tools(console);
    let Some(folder) = folder else {
        let image = ImageStore::new(&workshop.store).find(&args.what).map_err(|error| {
            Report::new(Kind::User, error.to_string()).causes(&error).hint("See what there is: djship images")
        })?;
        if options.name.is_empty() {
            options.name = named_like(&args.what);
        }
        return serve(&tools, &image.into(), &options, args, console);
    };
    let build = BuildOptions { name: None, check: true };
    let (built, said) = shared::build_with(&workshop, cache, &folder, &build, console)?;
    summary(&built.summary, console, since);
    for line in &said {
        console.line(line);
    }
    if options.name.is_empty() {
        options.name = named_like(&built.name.to_string());
    }
    if args.first_look {
        first_look(&tools, &built, options, args, console)
    } else {
        serve(&tools, &Runnable::from(&built.image), &options, args, console)
    }
}

/// Everything that a first look needs, then the server; all of it ends with the server.
fn first_look(
    tools: &Tools<'_>,
    built: &Built,
    mut options: RunOptions,
    args: &RunArgs,
    console: &Console,
) -> Result<i32, Report> {
    console.heading("First look (for this run only)");
    let image = Runnable::from(&built.image);
    let look = FirstLook::prepare(tools, built, &options.env).map_err(|error| errors::first_look(&error))?;
    let names: Vec<_> = look.env.keys().filter(|name| *name != "DJSHIP_TRY").cloned().collect();
    if let Some(address) = look.database_address() {
        console.line(&format!("PostgreSQL on {address}:5432, empty and thrown away at the end"));
    }
    if let Some(engine) = &look.unmet {
        console.warn(&format!("the settings ask for {engine}, which --try does not start yet"));
    }
    if !names.is_empty() {
        console.line(&format!("Throw-away values for {}", names.join(", ")));
    }
    console.line("localhost is an allowed host, and nothing asks for HTTPS");
    for (name, value) in &look.env {
        options.env.entry(name.clone()).or_insert_with(|| value.clone());
    }
    options.hosts.extend(look.hosts.iter().cloned());
    options.volumes = Some(look.folder.path().join("volumes"));
    let migrated = if built.facts.has_migrations && args.command.is_empty() {
        console.line("Migrating");
        let migrate = RunOptions { command: vec!["migrate".to_owned()], ..options.clone() };
        let lines =
            running::first_look::migrate(tools, &image, &migrate).map_err(|error| errors::run(&error))?;
        lines.map(|lines| {
            lines.iter().fold(Report::new(Kind::User, "cannot migrate the database"), |report, line| {
                report.line(line)
            })
        })
    } else {
        None
    };
    if migrated.is_none()
        && args.command.is_empty()
        && let Some(password) = running::first_look::superuser(tools, &image, &built.facts, &options)
            .map_err(|error| errors::run(&error))?
    {
        console.line(&format!("Superuser `admin` with the password {password}"));
    }
    let code = match migrated {
        Some(report) => Err(report),
        None => serve(tools, &image, &options, args, console),
    };
    look.end();
    code
}

/// Runs the container until it ends or is interrupted.
fn serve(
    tools: &Tools<'_>,
    image: &Runnable,
    options: &RunOptions,
    args: &RunArgs,
    console: &Console,
) -> Result<i32, Report> {
    // Only what this run makes is removed with it: data that was there before is somebody's.
    let had_volumes = running::has_volumes(tools, &options.name);
    // Two at once would be two overlays on one writable layer, which the kernel calls undefined.
    let _alone = alone(tools, image, options)?;
    // Nobody takes the image away meanwhile.
    ImageStore::new(tools.store)
        .note_running(&image.id, &options.name)
        .map_err(|error| errors::storage(&error))?;
    let mut container = running::container(tools, image, options).map_err(|error| errors::run(&error))?;
    let one_off = !options.command.is_empty() && options.command[0] != "web";
    container.tty = one_off
        && rustix::termios::isatty(rustix::stdio::stdin())
        && rustix::termios::isatty(rustix::stdio::stdout());
    container.stdio =
        Streams { stdin: if one_off { Stdio::Inherit } else { Stdio::Null }, ..Streams::default() };
    let mut running = tools.engine.start(&container).map_err(|error| errors::start(&error))?;
    let status = if container.tty {
        running
            .attach_terminal()
            .map_err(|error| Report::new(Kind::Host, error.to_string()).causes(&error))?
    } else {
        let interrupts = Interrupts::watch().map_err(|error| Report::new(Kind::Host, error.to_string()))?;
        if one_off || announce(&mut running, options.publish, &interrupts, console) {
            background::ready();
        }
        interrupts
            .wait(&mut running)
            .map_err(|error| Report::new(Kind::Host, error.to_string()).causes(&error))?
    };
    if args.rm && options.volumes.is_none() && !had_volumes {
        running::remove_volumes(tools, &options.name).map_err(|error| errors::run(&error))?;
    }
    Ok(match status {
        // Ended because it was asked to.
        ExitStatus::Signal(2 | 15) if !one_off => 0,
        status => status.code(),
    })
}

/// The container's name: as given, else like the image.
fn container_name(args: &RunArgs) -> Result<String, Report> {
    if let Some(name) = &args.name {
        return checked_name(name);
    }
    if !names_folder(args) {
        return Ok(named_like(&args.what));
    }
    let project = djship_django::project::Project::open(Path::new(&args.what))
        .map_err(|error| errors::build(&error.into()))?;
    let plan =
        djship_django::plan::Plan::for_project(&project).map_err(|error| errors::build(&error.into()))?;
    Ok(named_like(&plan.name.value))
}

/// Whether a project's folder is meant. A plain word is an image when there is one of that name.
fn names_folder(args: &RunArgs) -> bool {
    let what = args.what.as_str();
    let is_path = what.contains('/') || what == "." || what == "..";
    if !is_path && !args.first_look {
        let home = env::home(rustix::process::geteuid().is_root());
        let known = home.is_dir()
            && djship_store::Store::open(&home).is_ok_and(|store| ImageStore::new(&store).find(what).is_ok());
        if known {
            return false;
        }
    }
    is_folder(what)
}

/// A container's name as the user gives it: it becomes a folder's.
fn checked_name(name: &str) -> Result<String, Report> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 100
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if fits {
        return Ok(name.to_owned());
    }
    Err(Report::new(
        Kind::Usage,
        format!(
            "cannot use `{name}` as a name: it must be letters, digits, `_`, `.` and `-`, the first a letter or digit"
        ),
    ))
}

/// The container of an image, however the image's name is spelled.
fn named_like(image: &str) -> String {
    let whole =
        image.parse::<djship_oci::ImageName>().map_or_else(|_| image.to_owned(), |name| name.to_string());
    let short = whole.strip_suffix(":latest").unwrap_or(&whole);
    short.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' }).collect()
}

/// For a container with a writable layer of its own: the right to be the only one that uses it.
fn alone(
    tools: &Tools<'_>,
    image: &Runnable,
    options: &RunOptions,
) -> Result<Option<djship_store::Lock>, Report> {
    if !image.has_open_folders() || options.read_only || options.volumes.is_some() {
        return Ok(None);
    }
    match tools
        .store
        .try_lock(&format!("container-{}", options.name))
        .map_err(|error| errors::storage(&error))?
    {
        Some(lock) => Ok(Some(lock)),
        None => Err(Report::new(
            Kind::User,
            format!("cannot run a second container on the data of `{}`", options.name),
        )
        .line("The project writes beside its code, and only one container at a time can do that.")
        .hint(format!(
            "Stop the other one (djship ps, djship stop {0}), or give this one data of its own: --name {0}-2",
            options.name
        ))),
    }
}

/// Prints the address once somebody answers there; false when the container ends before.
fn announce(running: &mut Running, publish: SocketAddr, interrupts: &Interrupts, console: &Console) -> bool {
    let address = if publish.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, publish.port()))
    } else {
        publish
    };
    let host = if address.ip().is_loopback() { "localhost".to_owned() } else { address.ip().to_string() };
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        // Waits for the container to end or for a moment, whichever is first.
        match running.wait_for(Duration::from_millis(20)) {
            Ok(None) if !interrupts.came() => {}
            _ => return false,
        }
    }
    console.result(&format!("Serving on http://{host}:{} (Ctrl-C ends it)", publish.port()));
    true
}

fn options(args: &RunArgs) -> Result<RunOptions, Report> {
    let user = args.user.as_deref().map(running::parse_user).transpose().map_err(|error| {
        Report::new(Kind::Usage, error.to_string()).hint("Write UID or UID:GID, such as 12345:0")
    })?;
    Ok(RunOptions {
        name: args.name.as_deref().map(checked_name).transpose()?.unwrap_or_default(),
        env: host::variables(&args.env_file, &args.env)?,
        publish: publish(args.publish.as_deref().unwrap_or("8000"))?,
        mounts: args.volume.iter().map(|text| mount(text)).collect::<Result<_, _>>()?,
        user,
        read_only: args.read_only,
        tmpfs: args.tmpfs.iter().map(|text| PathBuf::from(text.split(':').next().unwrap_or(text))).collect(),
        command: args.command.clone(),
        hosts: Vec::new(),
        volumes: None,
    })
}

/// Reads `[ADDRESS:]HOST[:CONTAINER]`. The container's own port does not matter: it is on the host's network and listens
/// where it is published.
fn publish(text: &str) -> Result<SocketAddr, Report> {
    let wrong = || {
        Report::new(Kind::Usage, format!("cannot publish on `{text}`")).hint(
            "Write a port, HOST:CONTAINER or ADDRESS:HOST:CONTAINER, such as 8080:8000 or 0.0.0.0:80:8000",
        )
    };
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(wrong);
    let text = text.strip_suffix("/tcp").unwrap_or(text);
    let (address, ports) = match text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((address, ports)) => (address.parse::<IpAddr>().map_err(|_| wrong())?, ports),
        None => match text.split_once(':') {
            Some((address, ports)) if address.contains('.') => (address.parse().map_err(|_| wrong())?, ports),
            _ => (IpAddr::V4(Ipv4Addr::LOCALHOST), text),
        },
    };
    let (host, container) = ports.split_once(':').unwrap_or((ports, ports));
    port(container)?;
    Ok(SocketAddr::new(address, port(host)?))
}

fn mount(text: &str) -> Result<Mount, Report> {
    let wrong = |why: &str| {
        Report::new(Kind::Usage, format!("cannot mount `{text}`: {why}"))
            .hint("Write SOURCE:TARGET or SOURCE:TARGET:ro, both absolute")
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, read_only) = match parts[..] {
        [source, target, "ro"] => (source, target, true),
        [source, target] | [source, target, "rw"] => (source, target, false),
        _ => return Err(wrong("it is not SOURCE:TARGET")),
    };
    // As in Docker: a plain word is a volume of that name, kept with everything else.
    let source = if source.contains('/') || source.starts_with('.') {
        std::path::absolute(source).map_err(|error| wrong(&error.to_string()))?
    } else {
        env::home(rustix::process::geteuid().is_root()).join("named-volumes").join(checked_name(source)?)
    };
    if !Path::new(target).is_absolute() {
        return Err(wrong("the target is not absolute"));
    }
    Ok(Mount { source, target: PathBuf::from(target), read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_as_docker_writes_them() {
        for (text, address) in [
            ("8000", "127.0.0.1:8000"),
            ("8080:8000", "127.0.0.1:8080"),
            ("0.0.0.0:80:8000", "0.0.0.0:80"),
            ("[::1]:8080:8000", "[::1]:8080"),
            ("8080:8000/tcp", "127.0.0.1:8080"),
        ] {
            assert_eq!(publish(text).unwrap(), address.parse().unwrap(), "{text}");
        }
        for text in ["", "0", "x:1", "1:2:3", "70000"] {
            assert!(publish(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mounts_as_docker_writes_them() {
        let found = mount("/data:/app/media:ro").unwrap();
        assert_eq!(
            (found.source.to_str(), found.target.to_str(), found.read_only),
            (Some("/data"), Some("/app/media"), true)
        );
        assert!(mount("uploads:/app/media").unwrap().source.ends_with("named-volumes/uploads"));
        for text in ["/data", "/data:media", "/a:/b:zz"] {
            assert!(mount(text).is_err(), "{text}");
        }
    }
}
