//! What no text of the project may name.

use crate::{read, root, texts};

#[test]
fn no_text_names_the_host_of_a_registry() {
    for path in texts() {
        let text = match path.file_name().and_then(|name| name.to_str()) {
            // cargo writes where each crate comes from.
            Some("Cargo.lock") => continue,
            // A table of settings has the name of a host.
            Some("Cargo.toml") => read(&path).replace("[package.metadata.docs.rs]", ""),
            _ => read(&path),
        };
        for host in ["crates.io", "docs.rs", "//lib.rs", "npmjs.", "pypi.org"] {
            assert!(!text.contains(host), "{} names {host}", path.display());
        }
    }
}

#[test]
fn no_text_has_a_path_of_one_machine() {
    for path in texts() {
        let text = read(&path);
        // The folder of this checkout among them.
        let checkout = format!("{}/", root().display());
        for folder in ["/home/", "/root/", "/Users/", &checkout] {
            // Behind a name it is a part of a longer path or of a URL.
            let is_absolute = |at: usize| {
                !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-})$~".contains(c))
            };
            let found = text.match_indices(folder).any(|(at, _)| is_absolute(at));
            assert!(!found, "{} has a path in {folder}", path.display());
        }
    }
}
