//! Examples and tests against the manifests, and commands against the examples.

use std::path::{Path, PathBuf};

use crate::{Names, files, manifest::Manifest, read, texts};

#[test]
fn the_features_that_examples_and_tests_require_exist() {
    let manifest = Manifest::of_all();
    assert!(!manifest.examples.is_empty());
    for (target, required) in manifest.examples.iter().chain(&manifest.tests) {
        for feature in required {
            assert!(
                manifest.features.contains_key(feature),
                "{target} requires {feature}"
            );
        }
    }
}

#[test]
fn every_example_is_in_a_manifest() {
    let manifest = Manifest::of_all();
    let files = files().into_iter().filter_map(|path| {
        // What drives a check of conformance is an example, too, of a kind.
        target_in("examples", &path).or_else(|| target_in("conformance", &path))
    });
    assert_eq!(
        files.collect::<Names>(),
        manifest.examples.keys().cloned().collect()
    );
}

#[test]
fn every_test_is_in_a_manifest() {
    let tests = rust_files_of_tests();
    let mains = tests.iter().filter(|path| path.ends_with("main.rs"));
    let folders: Names = mains
        .filter_map(|path| path.parent()?.file_name()?.to_str())
        .map(String::from)
        .collect();
    assert_eq!(folders, Manifest::of_all().tests.into_keys().collect());
}

#[test]
fn every_file_of_tests_is_a_module_of_its_folder() {
    let files = rust_files_of_tests();
    let is_root = |path: &Path| path.ends_with("main.rs") || path.ends_with("support/lib.rs");
    let modules = files.iter().filter(|path| !is_root(path));
    assert!(modules.clone().next().is_some());
    for path in modules {
        let place = path.display();
        // A folder in that of a target is a module, too.
        let module = if path.ends_with("mod.rs") {
            path.parent().expect("a folder")
        } else {
            path
        };
        let root = files.iter().find(|root| {
            (is_root(root) || root.ends_with("mod.rs")) && root.parent() == module.parent()
        });
        let root = root.unwrap_or_else(|| panic!("{place} is in no folder of a target"));
        let name = module.file_stem().and_then(|stem| stem.to_str());
        let item = format!("mod {};", name.expect("a name"));
        let text = read(root);
        let mut lines = text.lines();
        assert!(
            lines.any(|line| line.trim_start_matches("pub ") == item),
            "{place} is not a module of {}",
            root.display()
        );
    }
}

#[test]
fn commands_that_run_examples_work() {
    let manifest = Manifest::of_all();
    let mut shown = Names::new();
    for path in texts() {
        let text = read(&path);
        for command in text.split("cargo run --example ").skip(1) {
            let end = command.find(['`', '\n']).unwrap_or(command.len());
            let mut words = command[..end].split_whitespace();
            let name = words.next().unwrap_or_default().to_owned();
            let mut given = Names::new();
            if words.next() == Some("--features") {
                given.extend(
                    words
                        .next()
                        .into_iter()
                        .flat_map(|list| list.split(','))
                        .map(String::from),
                );
            }
            let place = path.display();
            let Some(required) = manifest.examples.get(&name) else {
                panic!("{place}: there is no example `{name}`");
            };
            let enabled = manifest.enabled_by(&given);
            assert!(
                required.is_subset(&enabled),
                "{place}: {name} requires {required:?}"
            );
            shown.insert(name);
        }
    }
    assert_eq!(
        shown,
        manifest.examples.keys().cloned().collect(),
        "examples without a command"
    );
}

/// Returns the name of a target in `folder`: a Rust file, or a folder with a `main.rs`.
fn target_in(folder: &str, path: &Path) -> Option<String> {
    let path = if path.ends_with("main.rs") {
        &path.parent()?.with_extension("rs")
    } else {
        path
    };
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    let name = path.file_stem()?.to_str()?;
    (is_rust && path.parent() == Some(Path::new(folder))).then(|| name.to_owned())
}

fn rust_files_of_tests() -> Vec<PathBuf> {
    let files = files().into_iter().filter(|path| path.starts_with("tests"));
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files.filter(is_rust).collect()
}
