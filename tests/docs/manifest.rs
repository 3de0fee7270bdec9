//! What the manifests of the packages say, as far as it matters here.

use std::{collections::BTreeMap, path::Path};

use crate::{Names, quoted, read};

/// What a `Cargo.toml` says, as far as it matters here.
#[derive(Default)]
pub(crate) struct Manifest {
    /// Each feature with the features that it implies.
    pub(crate) features: BTreeMap<String, Names>,
    /// Each feature with those that it turns on in the dependency anyws.
    pub(crate) passed_on: BTreeMap<String, Names>,
    /// Each example with the features that it requires.
    pub(crate) examples: BTreeMap<String, Names>,
    /// Each test with the features that it requires.
    pub(crate) tests: BTreeMap<String, Names>,
}

impl Manifest {
    pub(crate) fn of_anyws() -> Self {
        Self::read("Cargo.toml")
    }

    pub(crate) fn of_servers() -> Self {
        Self::read("servers/Cargo.toml")
    }

    pub(crate) fn of_tests() -> Self {
        Self::read("tests/Cargo.toml")
    }

    /// The features of anyws and those that only the servers have, and the targets of all packages.
    pub(crate) fn of_all() -> Self {
        let mut all = Self::of_anyws();
        for other in [Self::of_servers(), Self::of_tests()] {
            for (name, required) in other.examples {
                let other = all.examples.insert(name.clone(), required);
                assert_eq!(other, None, "two examples `{name}`");
            }
            for (name, required) in other.tests {
                let other = all.tests.insert(name.clone(), required);
                assert_eq!(other, None, "two tests `{name}`");
            }
            for (feature, implied) in other.features {
                all.features.entry(feature).or_insert(implied);
            }
        }
        all
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
    pub(crate) fn enabled_by(&self, given: &Names) -> Names {
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
