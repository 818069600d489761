//! Compiles the first process of Docker's containers: a static program without any library, for the processor of the djship
//! that carries it.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/docker/init");
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let out = Path::new(&variable("OUT_DIR")).join("init");
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.args(["--edition", "2024", "--crate-type", "bin", "--crate-name", "djship_init"]);
    compiler.args(["--target", &variable("TARGET"), "-C", "panic=abort", "-C", "opt-level=s"]);
    compiler.args(["-C", "codegen-units=1", "-C", "relocation-model=static", "-C", "strip=symbols"]);
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none"] {
        compiler.arg("-C").arg(format!("link-arg={argument}"));
    }
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg("-C").arg(format!("linker={linker}"));
    }
    compiler.arg("-o").arg(&out).arg("src/docker/init/main.rs");
    let status = compiler.status().unwrap_or_else(|error| panic!("cannot run {compiler:?}: {error}"));
    assert!(status.success(), "{compiler:?}: {status}");
}
