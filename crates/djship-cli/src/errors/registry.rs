//! Pushes and pulls that fail, in words.

use djship_oci::registry::{ReferenceError, RegistryError};
use djship_store::fetch::FetchError;

use super::{Kind, Report, storage};
use crate::env;

/// The report of a failed push or pull.
pub(crate) fn registry(error: &RegistryError) -> Report {
    let report = Report::new(Kind::User, error.to_string());
    match error {
        RegistryError::Reference(error) => reference(report, error),
        RegistryError::PushToDigest { .. } => {
            Report { kind: Kind::Usage, ..report }.hint("Write REGISTRY/NAME:TAG")
        }
        RegistryError::Unreachable { .. }
        | RegistryError::Certificate { .. }
        | RegistryError::NotTls { .. }
        | RegistryError::PlainTokenServer { .. } => connection(report, error),
        RegistryError::WrongCredentials { registry, from, message, .. } => {
            said(report, message).line(format!("It comes from {from}.")).hint(login(registry))
        }
        RegistryError::LoginNeeded { registry, message, .. } => said(report, message).hint(login(registry)),
        RegistryError::Denied { registry, repository, user, message } => {
            let report = said(report, message).line(asked_as(user.as_deref()));
            report
                .hint(format!("Check the name `{repository}`, and who may push to it"))
                .hint(format!("Log in as somebody else: docker login {registry}"))
        }
        RegistryError::NoRepository { message, .. } => said(report, message)
            .hint("Make the repository there first: this registry does not make it by itself"),
        RegistryError::ManifestUnknown { message, .. } => {
            said(report, message).hint("Check the name and the tag")
        }
        RegistryError::NoPlatform { found, .. } => report
            .line(format!("It is made for {}.", found.join(", ")))
            .hint("Name an image for this processor"),
        RegistryError::Full { status, message, .. } => {
            let report = said(report, message);
            if *status == 413 {
                report.hint(
                    "A proxy before the registry may limit the size of uploads (nginx: client_max_body_size)",
                )
            } else {
                report.hint("Free some space there, or ask for more; nothing that people pull was changed")
            }
        }
        RegistryError::RateLimited { registry, user, message, .. } => {
            let report = said(report, message).line(asked_as(user.as_deref()));
            let report = if user.is_none() { report.hint(login(registry)) } else { report };
            report.hint("Wait, or use a mirror of it")
        }
        RegistryError::Rejected { message, .. } => {
            said(report, message).hint("Run it again; if the answer stays, the registry's log says more")
        }
        RegistryError::Protocol { .. }
        | RegistryError::Malformed { .. }
        | RegistryError::WrongDigest { .. } => report
            .causes(error)
            .hint("Check that this is a container registry, and what is between you and it"),
        RegistryError::Unsupported { .. } | RegistryError::TooLarge { .. } | RegistryError::Image(_) => {
            report.causes(error).hint("Name another image")
        }
        RegistryError::Credentials(_) => {
            report.causes(error).hint("Mend it, or log in again with docker login or podman login")
        }
        RegistryError::Unpack(_) => report.causes(error).hint("The image is damaged, or not for running"),
        RegistryError::Blob { .. } | RegistryError::Layer(_) | RegistryError::Store(_) => storage(error),
    }
}

fn reference(report: Report, error: &ReferenceError) -> Report {
    let report = Report { kind: Kind::Usage, ..report };
    match error {
        ReferenceError::Name(_) => {
            report.hint("Write REGISTRY/NAME:TAG, such as registry.example/team/shop:1.4")
        }
        ReferenceError::NoRegistry { text } => report
            .hint(format!("Name it: REGISTRY/{text}"))
            .hint(format!("{} may say where short names are: HOST[:PORT][/PATH]", env::REGISTRY)),
        ReferenceError::NoHost { .. } => {
            report.hint("Name the host that the registry's programming interface is on")
        }
        ReferenceError::Default { .. } => report.hint(format!("Mend {}", env::REGISTRY)),
    }
}

fn connection(report: Report, error: &RegistryError) -> Report {
    let report = Report { kind: Kind::Host, ..report }.causes(error);
    match error {
        RegistryError::Unreachable { source: FetchError::Offline { .. }, .. } => {
            report.hint("Run it without --offline")
        }
        // What `openssl req -x509` makes, and some other programs accept.
        RegistryError::Certificate { fault, .. } if fault.contains("CaUsedAsEndEntity") => report
            .line("It is the certificate of an authority, and not a server's.")
            .hint("Make it with -addext basicConstraints=critical,CA:FALSE"),
        RegistryError::Certificate { .. } => {
            report.hint("If it is yours, add its authority to the certificates of this host: SSL_CERT_FILE names the file")
        }
        RegistryError::NotTls { registry } => report.hint(format!(
            "If every machine on the way is trusted, declare it: {}={registry}",
            env::INSECURE_REGISTRIES
        )),
        RegistryError::PlainTokenServer { registry, host } => report.hint(format!(
            "If every machine on the way is trusted, declare both: {}={registry},{host}",
            env::INSECURE_REGISTRIES
        )),
        _ => report.hint("Check the name and the network; proxies are HTTPS_PROXY and NO_PROXY"),
    }
}

/// With what the registry says.
fn said(report: Report, message: &str) -> Report {
    if message.is_empty() { report } else { report.line(format!("It says: {message}")) }
}

fn asked_as(user: Option<&str>) -> String {
    match user {
        Some("") => "It was asked with a token.".to_owned(),
        Some(user) => format!("It was asked as `{user}`."),
        None => "It was asked without a login.".to_owned(),
    }
}

fn login(registry: &str) -> String {
    format!("docker login {registry}    or: podman login {registry}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_who_asked_and_what_to_do() {
        let (registry, repository) = ("reg.test".to_owned(), "shop".to_owned());
        let message = "insufficient scope".to_owned();
        let denied = RegistryError::Denied { registry, repository, user: Some("me".to_owned()), message };
        let report = super::registry(&denied);
        assert_eq!(report.body, ["It says: insufficient scope", "It was asked as `me`."]);
        assert_eq!(report.kind.code(), 1);
        let text = "shop".to_owned();
        let report = super::registry(&ReferenceError::NoRegistry { text }.into());
        assert_eq!((report.kind.code(), report.hints[0].as_str()), (2, "Name it: REGISTRY/shop"));
    }
}
