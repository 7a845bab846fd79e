//! `tidegate policy ...`, compared with the real policy decision point.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::harness::gateway::binary;

mod eval;
mod lint;
mod pdp;
mod suites;

fn policy(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.arg("policy").args(arguments);
    command
}

/// Runs the command with an input that is written while the output is read.
fn fed(mut command: Command, input: Vec<u8>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a process");
    let mut stdin = child.stdin.take().expect("an input");
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("its end");
    // A process that did not begin to read closes its input.
    let _ = writer.join().expect("a writer");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn write(folder: &Path, name: &str, content: &str) {
    let file = folder.join(name);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    std::fs::write(file, content).expect("written");
}
