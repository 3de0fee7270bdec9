//! The documents against the code: `features.md` against the manifests, the commands in all texts
//! against the examples, the rules against their tests, and no name of a registry's host nor a path
//! of one machine anywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Names of features.
type Names = BTreeSet<String>;

#[test]
fn the_table_has_every_feature_and_what_it_implies() {
    let table: BTreeMap<_, _> = rows()
        .into_iter()
        .map(|row| (row.feature, row.implies))
        .collect();
    assert_eq!(table, Manifest::of_anyws().features);
}

#[test]
fn the_counts_of_crates_are_plausible() {
    let counts: BTreeMap<_, _> = rows()
        .iter()
        .map(|row| (row.feature.clone(), row.crates))
        .collect();
    let features = Manifest::of_anyws().features;
    for (feature, &count) in &counts {
        assert!(
            (counts["default"]..=counts["full"]).contains(&count),
            "{feature}"
        );
        for implied in &features[feature] {
            assert!(
                count >= counts[implied],
                "{feature} has fewer than {implied}"
            );
        }
    }
    assert!((10..counts["full"]).contains(&counts["default"]));
    assert!(counts["full"] < 400);
}

#[test]
fn the_counts_have_their_command_and_their_date() {
    let text = read(Path::new("features.md"));
    assert!(
        text.contains("\ncargo tree -e normal -p anyws --no-default-features --features FEATURE ")
    );
    let (_, after) = text.split_once("Measured on ").expect("a date");
    let date: Vec<u32> = after[..10]
        .split('-')
        .map(|part| part.parse().unwrap())
        .collect();
    assert!(
        matches!(date[..], [2026..=2100, 1..=12, 1..=31]),
        "{date:?}"
    );
}

#[test]
fn the_crate_docs_have_every_feature() {
    let docs = read(Path::new("src/lib.rs"));
    for feature in Manifest::of_anyws()
        .features
        .keys()
        .filter(|name| *name != "default")
    {
        let item = format!("//! - **`{feature}`**");
        assert!(
            docs.contains(&item),
            "src/lib.rs has no item on `{feature}`"
        );
    }
}

#[test]
fn the_servers_pass_every_feature_on() {
    let anyws = Manifest::of_anyws().features;
    let servers = Manifest::of_servers();
    // TLS is a matter of the stream, so only the servers have a feature for it.
    let own = "tls".to_owned();
    let names = servers.features.keys().filter(|name| **name != own);
    assert!(names.eq(anyws.keys()));
    let full: Names = anyws["full"].iter().cloned().chain([own]).collect();
    assert_eq!(servers.features["full"], full);
    for feature in &anyws["full"] {
        assert!(servers.passed_on[feature].contains(feature), "{feature}");
    }
}

#[test]
fn the_features_that_examples_and_tests_require_exist() {
    let manifest = Manifest::of_both();
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
    let manifest = Manifest::of_both();
    let files = files().into_iter().filter_map(|path| {
        // What drives a check of conformance is an example, too, of a kind.
        rust_file_in("examples", &path).or_else(|| rust_file_in("conformance", &path))
    });
    assert_eq!(
        files.collect::<Names>(),
        manifest.examples.keys().cloned().collect()
    );
}

#[test]
fn every_test_is_in_a_manifest() {
    let mut tests: Names = files()
        .iter()
        .filter_map(|path| rust_file_in("tests", path))
        .collect();
    tests.insert("features".to_owned());
    assert_eq!(tests, Manifest::of_both().tests.into_keys().collect());
}

#[test]
fn every_rule_has_a_test_and_every_test_of_a_rule_its_rule() {
    let rules: BTreeSet<u32> = read(Path::new("conformance/RULES.md"))
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |")?.0.parse().ok())
        .collect();
    let tests = files();
    let tests = tests.iter().filter(|path| path.starts_with("tests"));
    let tested: BTreeSet<u32> = tests
        .flat_map(|path| {
            let text = read(path);
            let names = text.split("fn rule_").skip(1);
            let numbers = names.filter_map(|name| name.split('_').next()?.parse().ok());
            numbers.collect::<Vec<_>>()
        })
        .collect();
    assert!(!rules.is_empty());
    assert_eq!(tested, rules);
}

#[test]
fn commands_that_run_examples_work() {
    let manifest = Manifest::of_both();
    let mut shown = Names::new();
    for path in files() {
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

#[test]
fn no_text_names_the_host_of_a_registry() {
    for path in files() {
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
    for path in files() {
        let text = read(&path);
        // The folder of this checkout among them.
        let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/");
        for folder in ["/home/", "/root/", "/Users/", checkout] {
            // Behind a name it is a part of a longer path or of a URL.
            let is_absolute = |at: usize| {
                !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-})$~".contains(c))
            };
            let found = text.match_indices(folder).any(|(at, _)| is_absolute(at));
            assert!(!found, "{} has a path in {folder}", path.display());
        }
    }
}

/// A row of the table in `features.md`.
struct Row {
    feature: String,
    implies: Names,
    crates: u32,
}

fn rows() -> Vec<Row> {
    let text = read(Path::new("features.md"));
    let (_, table) = text.split_once("\n| Feature |").expect("the table");
    table
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| "))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [feature, implies, crates, ..] = cells[..] else {
                panic!("a row is too short: {line}");
            };
            Row {
                feature: feature.trim_matches('`').to_owned(),
                implies: quoted(implies, '`'),
                crates: crates.parse().expect("a number of crates"),
            }
        })
        .collect()
}

/// What a `Cargo.toml` says, as far as it matters here.
#[derive(Default)]
struct Manifest {
    /// Each feature with the features that it implies.
    features: BTreeMap<String, Names>,
    /// Each feature with those that it turns on in the dependency anyws.
    passed_on: BTreeMap<String, Names>,
    /// Each example with the features that it requires.
    examples: BTreeMap<String, Names>,
    /// Each test with the features that it requires.
    tests: BTreeMap<String, Names>,
}

impl Manifest {
    fn of_anyws() -> Self {
        Self::read("Cargo.toml")
    }

    fn of_servers() -> Self {
        Self::read("servers/Cargo.toml")
    }

    /// The features of anyws and those that only the servers have, and the targets of both
    /// packages.
    fn of_both() -> Self {
        let mut both = Self::of_anyws();
        let servers = Self::of_servers();
        for (name, required) in servers.examples {
            let other = both.examples.insert(name.clone(), required);
            assert_eq!(other, None, "two examples `{name}`");
        }
        both.tests.extend(servers.tests);
        for (feature, implied) in servers.features {
            both.features.entry(feature).or_insert(implied);
        }
        both
    }

    fn read(path: &str) -> Self {
        let mut manifest = Self::default();
        let mut section = String::new();
        let mut target = String::new();
        for (key, value) in settings(&read(Path::new(path))) {
            match (&*section, &*key) {
                (_, "[") => section = value,
                ("features", _) => {
                    let mut implied = quoted(&value, '"');
                    let passed_on = implied
                        .iter()
                        .filter_map(|name| name.strip_prefix("anyws/"))
                        .map(String::from)
                        .collect();
                    manifest.passed_on.insert(key.clone(), passed_on);
                    // `dep:x` is a crate, and so is what stands before a slash.
                    implied.retain(|name| !name.contains([':', '/']));
                    manifest.features.insert(key, implied);
                }
                ("[example]" | "[test]", "name") => {
                    target = quoted(&value, '"').pop_first().expect("a name");
                    manifest
                        .targets(&section)
                        .insert(target.clone(), Names::new());
                }
                ("[example]" | "[test]", "required-features") => {
                    let required = quoted(&value, '"');
                    manifest.targets(&section).insert(target.clone(), required);
                }
                _ => {}
            }
        }
        manifest
    }

    fn targets(&mut self, section: &str) -> &mut BTreeMap<String, Names> {
        match section {
            "[example]" => &mut self.examples,
            _ => &mut self.tests,
        }
    }

    /// Returns the features that are on if those `given` are.
    fn enabled_by(&self, given: &Names) -> Names {
        let mut enabled = given.clone();
        loop {
            let implied = enabled
                .iter()
                .filter_map(|name| self.features.get(name))
                .flatten();
            let more: Names = enabled.iter().chain(implied).cloned().collect();
            if more == enabled {
                return enabled;
            }
            enabled = more;
        }
    }
}

/// Reads the part of TOML that a manifest uses: keys with their values as text, and each header as
/// the value of a key `[`. The name of an array of tables keeps its inner brackets.
fn settings(text: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut lines = text.lines().map(without_comment);
    while let Some(line) = lines.next() {
        if let Some(header) = line.strip_prefix('[') {
            let name = header.strip_suffix(']').expect("a header in one line");
            settings.push(("[".to_owned(), name.to_owned()));
        } else if let Some((key, value)) = line.split_once('=') {
            let mut value = value.trim().to_owned();
            while value.matches('[').count() > value.matches(']').count() {
                value += lines.next().expect("the end of a list");
            }
            settings.push((key.trim().to_owned(), value));
        }
    }
    settings
}

fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    let end = line.find(|c| {
        in_string ^= c == '"';
        c == '#' && !in_string
    });
    line[..end.unwrap_or(line.len())].trim()
}

/// Returns what stands between pairs of `quote`.
fn quoted(text: &str, quote: char) -> Names {
    text.split(quote)
        .skip(1)
        .step_by(2)
        .map(String::from)
        .collect()
}

/// Returns the name of a Rust file, if it is one in `folder`.
fn rust_file_in(folder: &str, path: &Path) -> Option<String> {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    let name = path.file_stem()?.to_str()?;
    (is_rust && path.parent() == Some(Path::new(folder))).then(|| name.to_owned())
}

/// Returns the text files of the project, by their paths from its root; all but this one, which
/// names what the others must not.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(Path::new(ROOT).join(&folder)).expect("a folder");
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
            } else if kind.is_file() && fs::read_to_string(Path::new(ROOT).join(&path)).is_ok() {
                files.push(path);
            }
        }
    }
    assert!(files.contains(&PathBuf::from("Cargo.toml")));
    files.retain(|path| !path.ends_with(file!()));
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).expect("a text of the project")
}
