//! The documents against the code: `features.md` against the manifests, the commands in all texts
//! against the examples, the rules against their tests, and no name of a registry's host nor a path
//! of one machine anywhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

mod features;
mod manifest;
mod rules;
mod targets;
mod texts;

/// Names of features, or of targets.
type Names = BTreeSet<String>;

/// The folder of the project.
fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are in a folder of it")
}

/// Returns the text files of the project, by their paths from its root.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root().join(&folder)).expect("a folder");
        for entry in entries.map(|entry| entry.expect("an entry")) {
            let name = entry.file_name();
            let path = folder.join(&name);
            let kind = entry.file_type().expect("a type");
            if kind.is_dir()
                && !["target", ".git", "node_modules"]
                    .iter()
                    .any(|skip| name == *skip)
            {
                folders.push(path);
            } else if kind.is_file() && fs::read_to_string(root().join(&path)).is_ok() {
                files.push(path);
            }
        }
    }
    assert!(files.contains(&PathBuf::from("Cargo.toml")));
    files
}

/// Returns the text files but for the tests here, which name what the others must not.
fn texts() -> impl Iterator<Item = PathBuf> {
    let files = files().into_iter();
    files.filter(|path| !path.starts_with("tests/docs"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).expect("a text of the project")
}

/// Returns what stands between pairs of `quote`.
fn quoted(text: &str, quote: char) -> Names {
    text.split(quote)
        .skip(1)
        .step_by(2)
        .map(String::from)
        .collect()
}
