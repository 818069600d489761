//! What comes out: the table with what one must know to believe it.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::Result;

use super::develop::Rounds;
use super::measure::Repeat;
use super::stage::Stage;
use super::table::{self, Row};
use super::upstream::Network;
use crate::workspace::{self, output_of};

/// The page that `--write` writes, below the workspace's root.
const PAGE: &str = "docs/benchmarks.md";

/// Everything that was measured, and where.
#[derive(Debug, serde::Serialize)]
pub(super) struct Report {
    date: String,
    machine: String,
    docker: String,
    docker_compose: String,
    commit: String,
    command: String,
    repeat: Repeat,
    long_rounds: u32,
    /// What went over the network while "from nothing" was measured.
    pub(super) network: Option<Network>,
    /// How often development was measured.
    pub(super) development: Option<Rounds>,
    pub(super) rows: Vec<Row>,
}

impl Report {
    /// A report without numbers.
    pub(super) fn begin(stage: &Stage, repeat: Repeat, long_rounds: u32) -> Result<Self> {
        let ask = |line: &mut Command| output_of(line).map(|text| text.trim().to_owned());
        let arguments: Vec<String> = std::env::args().skip(2).collect();
        let mut commit = Command::new("git");
        commit.args(["describe", "--always", "--dirty"]).current_dir(workspace::root());
        Ok(Self {
            date: ask(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?,
            machine: machine()?,
            docker: stage.docker.version()?,
            docker_compose: stage.docker.compose_version()?,
            commit: ask(&mut commit)?,
            command: format!("cargo xtask bench {}", arguments.join(" ")).trim().to_owned(),
            repeat,
            long_rounds,
            network: None,
            development: None,
            rows: Vec::new(),
        })
    }

    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The table and where it is from.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!(
            "{}, {}, Docker {}, docker-compose {}, commit {}:\n\n```sh\n{}\n```\n\n",
            self.date, self.machine, self.docker, self.docker_compose, self.commit, self.command
        );
        text.push_str(&table::markdown(&self.rows));
        let rounds = |count: u32| if count == 1 { "1 run".to_owned() } else { format!("{count} runs") };
        let from_nothing = self.network.map(|_| format!("{} from nothing, ", rounds(self.long_rounds)));
        let _ = write!(
            text,
            "\nMedians of whole processes: {}{} of each rebuild and start, after {} not counted.",
            from_nothing.unwrap_or_default(),
            rounds(self.repeat.runs),
            rounds(self.repeat.warm_up),
        );
        if let Some(network) = self.network {
            let _ = if network.requests == 0 {
                write!(text, " Nothing came over the network while it was measured.")
            } else {
                write!(
                    text,
                    " While \"from nothing\" was measured, {} files with {} bytes came over the network, in {}.",
                    network.requests,
                    network.bytes,
                    table::time(network.time)
                )
            };
        }
        if let Some(Rounds { projects, warm }) = self.development {
            let _ = write!(
                text,
                " In development: {projects} new projects, each started once with nothing installed and {warm} times after that."
            );
        }
        text.push('\n');
        text
    }

    /// Writes the page.
    pub(super) fn write(&self) -> Result<()> {
        fs_err::write(workspace::root().join(PAGE), page(&self.markdown()))?;
        println!("wrote {PAGE}");
        Ok(())
    }
}

fn page(measured: &str) -> String {
    format!("{INTRODUCTION}\n{measured}\n{HOW}")
}

const INTRODUCTION: &str = "\
# Benchmarks

djship beside a multi-stage Dockerfile, and beside docker-compose in development, on the same project. Written by `cargo xtask bench --write`; do not edit. Both sides are
measured in turns in one run: the ratio is what counts, and numbers of two runs cannot be compared.
";

const HOW: &str = "\
## What is compared

- **The project**: a small Django 5.2 site with psycopg2 (compiled from source), Pillow, gunicorn and WhiteNoise, every version
  fixed; \"wheels only\" has psycopg with its binary wheel instead. It is generated from literals in `xtask/src/bench/project.rs`.
- **The usual way**: two bases from Debian's packages of the same release, made by mmdebstrap and imported, one to build in (compiler
  and headers) and one to ship from; then a Dockerfile of two stages, which installs with pip, copies the environment, and collects
  static files. Docker is Debian's, its daemon used by nothing else. The bases are made once in each round and count for both builders. The
  wheels-only project has the same Dockerfile.
- **djship** does in the same time what the Dockerfile does not: it verifies signatures, asks Django for its settings, checks the
  project, and proves that the image is clean and starts.
- **From nothing**: djship's home is empty, or all images and caches of Docker are removed. Both sides fetch from one proxy on the
  loopback interface that has every file already; what went over the network nevertheless is told.
- **Rebuilds**: before each run, the file is edited in that side's own copy of the project, to a content never seen before.
- **Build and push**: `djship build --push` beside `docker build` and `docker push`, each to its own name in one registry (Debian's
  docker-registry, on the loopback interface), which has everything but the change.
- **A new machine**: djship's home is empty, or all images and caches of Docker are removed; the dependencies are the same, and a view was
  edited. djship has a shared cache in the registry (`--cache`) that an earlier build filled. The Dockerfile takes its two bases from the
  registry, and Docker builds with `--cache-from` and the images of both stages: the classic builder pulls them before, BuildKit has its cache in
  them (`BUILDKIT_INLINE_CACHE=1`) and pulls what it needs. A new machine of djship's still reads Debian's indexes, asks Django, and checks the image.
- **Container start**: `djship run IMAGE -- sh -c :` beside `docker run --rm --network host IMAGE sh -c :`.
- **Development**: `djship up -d` beside `docker-compose up -d`, each in its own copy of `examples/polls` (psycopg2 compiled from source,
  PostgreSQL, the debug toolbar), until the first page is answered with 200. docker-compose has a web server from a Dockerfile on the base to
  build in, with the development requirements, the project mounted at `/app`, and `sh -c \"python manage.py migrate && python manage.py runserver
  0.0.0.0:8000\"`; and PostgreSQL of the same Debian release with a health check every second, which the web server waits for. The files are in
  `xtask/src/bench/develop/compose_files`. \"New project\": a folder that neither side has seen; what serves all projects is there (djship's
  store, Docker's bases), dependencies and database are not, and the time to install them counts (`docker-compose build` with BuildKit).
- **An edited view**: from the moment it is written until the first page shows it. Both sides run Django's own reloader, which looks at the
  files once a second.
- **`down`**: the database stays. docker-compose waits ten seconds for a shell that does not pass the signal on, as in most projects; how long
  it takes when the web server is killed by hand before is shown as well.
- **Size**: both images are loaded into Docker; unpacked is the size that it shows, gzip the sum of all layers through `gzip -6`.
- **Peak memory**: the high-water mark of the djship process itself, the largest of all its runs, in development also that of the process in the background. Its children (installers, compilers, Django) are not
  in it.
";

fn machine() -> Result<String> {
    let find = |file: &str, key: &str| -> Result<Option<String>> {
        let text = fs_err::read_to_string(file)?;
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_once(':'));
        Ok(value.map(|(_, value)| value.trim().to_owned()))
    };
    let processor = find("/proc/cpuinfo", "model name")?.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = find("/proc/meminfo", "MemTotal")?;
    let kibibytes = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok()).unwrap_or_default();
    let kernel = fs_err::read_to_string("/proc/sys/kernel/osrelease")?;
    let release: String =
        kernel.trim().chars().take_while(|letter| !letter.is_ascii_alphabetic() && *letter != '-').collect();
    let processors = std::thread::available_parallelism()?;
    Ok(format!(
        "{processors} cores of {processor}, {} GiB of memory, Linux {release}",
        (kibibytes + 512 * 1024) / (1024 * 1024)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_that_is_here_says_how_it_is_measured_now() {
        let written = fs_err::read_to_string(workspace::root().join(PAGE)).unwrap();
        let measured = written.strip_prefix(&format!("{INTRODUCTION}\n")).expect("the introduction");
        let measured = measured.strip_suffix(&format!("\n{HOW}")).expect("what is compared");
        assert_eq!(page(measured), written);
        assert!(measured.contains("| what | who | median |"), "{measured}");
    }
}
