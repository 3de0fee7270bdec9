//! Where and with what it was measured.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::Result;
use crate::compressed::COMPRESSORS;
use crate::contestants::CONTESTANTS;

const LOCK_FILE: &str = include_str!("../Cargo.lock");
/// That of the server which is built alone.
const LOCK_FILE_OF_SOKETTO: &str = include_str!("../soketto/Cargo.lock");

/// What compresses messages.
const CODECS: [&str; 2] = ["flate2", "zlib-rs"];

/// What the report says about the machine and the software.
#[derive(Debug)]
pub struct Machine {
    pub date: String,
    pub commit: String,
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
    pub rustc: String,
    /// The versions of the peers.
    pub libraries: BTreeMap<&'static str, String>,
}

/// Finds out what the report says about the machine.
///
/// # Errors
///
/// When the system does not tell.
pub fn describe() -> Result<Machine> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let processor = value(&info, "model name").unwrap_or("unknown");
    let info = fs::read_to_string("/proc/meminfo")?;
    let memory = value(&info, "MemTotal").and_then(|value| value.strip_suffix(" kB"));
    let memory: u64 = memory.ok_or("no size of the memory")?.parse()?;
    let peers = CONTESTANTS.iter().filter(|server| server.is_peer());
    let compressors = COMPRESSORS.iter().filter(|server| !server.is_ours);
    let libraries = peers
        .map(|server| server.library)
        .chain(compressors.map(|server| server.library))
        .chain(CODECS)
        .map(|library| Ok((library, locked_version(library)?)))
        .collect::<Result<_>>()?;
    Ok(Machine {
        date: output("date", &["-u", "+%Y-%m-%d"])?,
        commit: commit()?,
        processor: processor.to_owned(),
        cores: available_parallelism()?.get(),
        memory_gib: memory >> 20,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        rustc: output("rustc", &["--version"])?,
        libraries,
    })
}

/// The commit of the work tree, and whether the code differs from it.
fn commit() -> Result<String> {
    let folder = env!("CARGO_MANIFEST_DIR");
    let commit = output("git", &["-C", folder, "rev-parse", "--short=10", "HEAD"])?;
    let status = [
        "-C",
        folder,
        "status",
        "--porcelain",
        "--untracked-files=no",
        ":/",
    ];
    let changes = output("git", &status)?;
    // The results of the run before are no change of what is measured.
    let is_code = |line: &&str| !line.contains("RESULTS.md") && !line.contains("results.svg");
    let suffix = if changes.lines().any(|line| is_code(&line)) {
        ", with changes that are not committed"
    } else {
        ""
    };
    Ok(commit + suffix)
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {}: {error}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The value behind the key and a colon.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// The version of a direct dependency. Where the lock file has more than one, the greatest is
/// it: the others are what frameworks bring along.
fn locked_version(library: &str) -> Result<String> {
    let version = [LOCK_FILE, LOCK_FILE_OF_SOKETTO]
        .into_iter()
        .find_map(|lock_file| last_version(lock_file, library));
    Ok(version.ok_or_else(|| format!("no lock file has {library}"))?)
}

fn last_version(lock_file: &str, library: &str) -> Option<String> {
    let name = format!("name = \"{library}\"");
    let packages = lock_file.split("[[package]]");
    let versions = packages.filter(|package| package.lines().any(|line| line == name));
    let mut lines = versions.last()?.lines();
    let version = lines.find_map(|line| line.strip_prefix("version = "))?;
    Some(version.trim_matches('"').to_owned())
}
