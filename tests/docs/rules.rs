//! The rules against their tests.

use std::{collections::BTreeSet, path::Path};

use crate::{files, read};

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
