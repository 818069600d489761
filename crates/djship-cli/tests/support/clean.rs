//! "Clean" as the design defines it, looked for in every layer without the product's own rules: by name wherever a
//! file lies, and by what is in it.

use super::layout::File;

/// Programs that build, link, debug or install, by the start of their name up to a version or a target.
const PROGRAMS: [&str; 50] = [
    "gcc",
    "g++",
    "cc",
    "c++",
    "c89",
    "c99",
    "cpp",
    "cc1",
    "cc1plus",
    "collect2",
    "lto1",
    "lto-wrapper",
    "clang",
    "rustc",
    "cargo",
    "go",
    "gofmt",
    "javac",
    "tcc",
    "make",
    "gmake",
    "cmake",
    "ninja",
    "meson",
    "autoconf",
    "automake",
    "libtool",
    "pkg-config",
    "pkgconf",
    "ld",
    "ld.bfd",
    "ld.gold",
    "lld",
    "as",
    "ar",
    "ranlib",
    "nm",
    "objcopy",
    "objdump",
    "strip",
    "gdb",
    "strace",
    "ltrace",
    "apt",
    "apt-get",
    "apt-cache",
    "dpkg",
    "dpkg-deb",
    "pip",
    "uv",
];

const FURTHER_PROGRAMS: [&str; 12] = [
    "pip3",
    "pipx",
    "uvx",
    "easy_install",
    "perl",
    "npm",
    "npx",
    "yarn",
    "gem",
    "pg_config",
    "python-config",
    "python3-config",
];

/// Python packages that install other ones.
const INSTALLERS: [&str; 4] = ["pip", "uv", "ensurepip", "easy_install"];

/// Why a file must not ship; `None` when it may.
pub(crate) fn offence(file: &File) -> Option<&'static str> {
    let path = format!("/{}", file.path);
    let name = path.rsplit('/').next().unwrap_or_default();
    if file.mode & 0o6000 != 0 && !file.kind.is_dir() {
        return Some("has a set-id bit");
    }
    if !(file.kind.is_file() || file.kind.is_dir() || file.kind.is_symlink()) {
        return Some("is neither file, folder nor link");
    }
    by_name(&path, name, file).or_else(|| by_content(&path, &file.content))
}

fn by_name(path: &str, name: &str, file: &File) -> Option<&'static str> {
    let runs = file.kind.is_symlink() || file.mode & 0o111 != 0;
    let source =
        [".py", ".pyc", ".so", ".js", ".css"].iter().any(|end| name.ends_with(end)) || name.contains(".so.");
    if !file.kind.is_dir() && runs && !source && is_program(name) {
        return Some("is a program that builds, links, debugs or installs");
    }
    let parts: Vec<&str> = path.split('/').collect();
    let below = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
    if below(&["/usr/include/", "/usr/local/include/", "/usr/src/", "/usr/lib/gcc/", "/usr/libexec/gcc/"]) {
        return Some("is below a folder of headers or compilers");
    }
    if below(&[
        "/usr/share/perl",
        "/etc/perl/",
        "/usr/lib/x86_64-linux-gnu/perl",
        "/usr/lib/aarch64-linux-gnu/perl",
    ]) {
        return Some("is of Perl");
    }
    if below(&[
        "/var/lib/apt/",
        "/var/cache/apt/",
        "/etc/apt/",
        "/var/lib/dpkg/info/",
        "/usr/lib/apt/",
        "/usr/lib/dpkg/",
    ]) {
        return Some("is a package manager's");
    }
    if below(&["/var/lib/dpkg/status.d/"]) && (name.ends_with("-dev") || name.ends_with("-dbg")) {
        return Some("says that a -dev package is here");
    }
    let in_distribution = path.starts_with("/venv/lib/") && path.contains("/site-packages/");
    if !in_distribution {
        let header = [".h", ".hh", ".hpp", ".hxx"].iter().any(|end| name.ends_with(end));
        let development =
            [".pc", ".la", ".m4"].iter().any(|end| name.ends_with(end)) || path.contains("/pkgconfig/");
        if header || development {
            return Some("is a header or another file of a -dev package");
        }
    }
    let python = parts
        .iter()
        .any(|part| ["site-packages", "dist-packages"].contains(part) || part.starts_with("python3"));
    if python && parts.iter().any(|part| INSTALLERS.contains(part) || is_installer_metadata(part)) {
        return Some("is of a Python installer");
    }
    if path.starts_with("/app/") {
        let kept = name.ends_with(".example") || name.ends_with(".sample");
        if parts.iter().any(|part| [".git", ".hg", ".venv", "venv", ".tox"].contains(part)) {
            return Some("is of version control or a virtual environment");
        }
        if name.starts_with(".env") && !kept {
            return Some("is a file of secret variables");
        }
    }
    None
}

fn is_program(name: &str) -> bool {
    // Debian's compilers have the target before their name and the version after it.
    let name = ["x86_64-linux-gnu-", "aarch64-linux-gnu-"]
        .iter()
        .find_map(|target| name.strip_prefix(target))
        .unwrap_or(name);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let known = |name: &str| PROGRAMS.contains(&name) || FURTHER_PROGRAMS.contains(&name);
    known(name) || (!bare.is_empty() && known(bare)) || name.starts_with("gcc-") || name.starts_with("dpkg-")
}

fn is_installer_metadata(part: &str) -> bool {
    let metadata = part.ends_with(".dist-info") || part.ends_with(".egg-info") || part.contains(".whl");
    metadata && ["pip-", "uv-"].iter().any(|start| part.starts_with(start))
}

fn by_content(path: &str, content: &[u8]) -> Option<&'static str> {
    if content.starts_with(b"!<arch>\n") {
        return Some("is a static library or a Debian package");
    }
    // ELF's 17th byte is the kind of file, 1 for what a linker still has to link: elf(5).
    if content.starts_with(b"\x7fELF") && content.get(16) == Some(&1) {
        return Some("is an object file");
    }
    let first = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if first.starts_with(b"#!") && contains(first, b"perl") {
        return Some("is a Perl program");
    }
    // Documentation and tests of others show what one looks like; a project's own file is one.
    let is_key = contains(content, b"-----BEGIN") && contains(content, b"PRIVATE KEY-----");
    (is_key && (path.starts_with("/app/") || path.starts_with("/etc/") || path.starts_with("/opt/")))
        .then_some("holds a private key")
}

/// Whether a text is somewhere in a file.
pub(crate) fn contains(content: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(content, text).is_some()
}
