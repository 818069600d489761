//! Logins of `docker login` and `podman login`: their files, and the helper programs that these name.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use djship_oci::registry::{Credentials, CredentialsError, DockerConfig, Login, Place, Secret};

use crate::env;

/// The largest file, and the largest answer of a helper, in bytes.
const LIMIT: u64 = 4 * 1024 * 1024;
/// How long a helper may take: some ask a person.
const PATIENCE: Duration = Duration::from_mins(2);

/// The user's own files.
#[derive(Debug)]
pub(crate) struct Files;

impl Credentials for Files {
    fn find(&self, registry: &str, repository: &str) -> Result<Option<Login>, CredentialsError> {
        for path in env::registry_logins() {
            for place in read(path)?.places(registry, repository) {
                let login = match place {
                    Place::Here(login) => Some(login),
                    Place::Helper(name) => ask(&name, registry)?,
                };
                if login.is_some() {
                    return Ok(login);
                }
            }
        }
        Ok(None)
    }
}

/// A configuration; an empty one for a file that is not there.
fn read(path: PathBuf) -> Result<DockerConfig, CredentialsError> {
    let mut text = Vec::new();
    let file = fs_err::File::open(&path).and_then(|file| file.take(LIMIT).read_to_end(&mut text));
    match file {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(DockerConfig::default()),
        Err(source) => Err(CredentialsError::Read { path, source }),
        Ok(_) => DockerConfig::parse(&text, &path),
    }
}

/// What a helper says.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks the program `docker-credential-NAME`, in the form that Docker gave such programs.
fn ask(name: &str, registry: &str) -> Result<Option<Login>, CredentialsError> {
    let program = format!("docker-credential-{name}");
    let failed = |message: String| CredentialsError::HelperFailed { program: program.clone(), message };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.bytes().all(is_plain) {
        return Err(failed("its name is not that of a program".to_owned()));
    }
    let (success, said) = answer_of(&program, registry)
        .map_err(|source| CredentialsError::Helper { program: program.clone(), source })?;
    if !success {
        let line: String = String::from_utf8_lossy(&said).trim().chars().take(200).collect();
        // These words are a part of the form.
        let has_none = line.contains("credentials not found") || line.contains("no credentials server URL");
        return if has_none { Ok(None) } else { Err(failed(line)) };
    }
    // The words of the JSON library could hold a part of the password.
    let answer: Answer = serde_json::from_slice(&said)
        .map_err(|_| failed("its answer is not what a helper says".to_owned()))?;
    let secret = if answer.username == "<token>" {
        Secret::IdentityToken(answer.secret)
    } else {
        Secret::Password(answer.secret)
    };
    let user = if answer.username == "<token>" { String::new() } else { answer.username };
    Ok(Some(Login { user, secret, from: program }))
}

/// Whether it succeeds, and what it says.
fn answer_of(program: &str, registry: &str) -> std::io::Result<(bool, Vec<u8>)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    if let Some(mut input) = input {
        // One that does not read knows without.
        let _ = writeln!(input, "{registry}");
    }
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        output.map_or(Ok(0), |output| output.take(LIMIT).read_to_end(&mut said)).map(|_| said)
    });
    let success = wait(&mut child)?;
    let said = reader.join().map_err(|_| std::io::Error::other("its answer could not be read"))??;
    Ok((success, said))
}

fn wait(child: &mut Child) -> std::io::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
