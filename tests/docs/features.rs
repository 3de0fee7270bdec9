//! `features.md` and the crate documentation against the manifests.

use std::{collections::BTreeMap, path::Path};

use crate::{Names, manifest::Manifest, quoted, read};

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
        text.contains(
            "\ncargo tree -e normal -p anyws --no-default-features --features \"FEATURE\" "
        )
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
fn the_servers_and_the_tests_pass_every_feature_on() {
    let anyws = Manifest::of_anyws().features;
    for other in [Manifest::of_servers(), Manifest::of_tests()] {
        assert!(other.features.keys().eq(anyws.keys()));
        assert_eq!(other.features["full"], anyws["full"]);
        for feature in &anyws["full"] {
            assert!(other.passed_on[feature].contains(feature), "{feature}");
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
