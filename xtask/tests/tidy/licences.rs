//! Licences of all libraries, as SPDX expressions.

use crate::{assert_none, dependencies::METADATA};

/// Licences whose terms a binary of ours can meet: permissive ones. The same list stands in deny.toml.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Libraries with another licence; deny.toml says why each is fine.
const EXCEPTIONS: &[(&str, &str)] = &[("fastrlp", "MPL-2.0")];

#[test]
fn all_libraries_have_licences_that_we_can_meet() {
    let mut problems = Vec::new();
    for package in &METADATA.packages {
        match &package.license {
            Some(licence) if is_allowed(licence) || EXCEPTIONS.contains(&(package.name.as_str(), licence)) => {}
            Some(licence) => problems.push(format!("{} {}: {licence} is not allowed", package.name, package.version)),
            None => problems.push(format!("{} {}: names no licence", package.name, package.version)),
        }
    }
    assert_none(&problems);
}

#[test]
fn the_list_is_the_one_of_cargo_deny() {
    let deny = crate::read("deny.toml");
    let listed: Vec<String> = ALLOWED.iter().map(|licence| format!("    \"{licence}\",\n")).collect();
    assert!(deny.contains(&format!("allow = [\n{}]", listed.concat())), "deny.toml lists other licences");
}

#[test]
fn expressions_are_understood() {
    for allowed in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(allowed), "{allowed}");
    }
    for refused in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT AND GPL-2.0) OR AGPL-3.0", "MIT WITH Foo-exception", ""] {
        assert!(!is_allowed(refused), "{refused}");
    }
}

/// Whether the choices that an expression leaves include one that is allowed.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (allowed, rest) = any_of(&words);
    allowed && rest.is_empty()
}

fn any_of<'a, 'b>(words: &'a [&'b str]) -> (bool, &'a [&'b str]) {
    let (mut allowed, mut rest) = all_of(words);
    while let Some((&"OR", tail)) = rest.split_first() {
        let (also, after) = all_of(tail);
        (allowed, rest) = (allowed || also, after);
    }
    (allowed, rest)
}

fn all_of<'a, 'b>(words: &'a [&'b str]) -> (bool, &'a [&'b str]) {
    let (mut allowed, mut rest) = one(words);
    while let Some((&"AND", tail)) = rest.split_first() {
        let (also, after) = one(tail);
        (allowed, rest) = (allowed && also, after);
    }
    (allowed, rest)
}

fn one<'a, 'b>(words: &'a [&'b str]) -> (bool, &'a [&'b str]) {
    match words {
        ["(", tail @ ..] => match any_of(tail) {
            (allowed, [")", rest @ ..]) => (allowed, rest),
            (_, rest) => (false, rest),
        },
        [licence, "WITH", exception, rest @ ..] => (ALLOWED.contains(&&*format!("{licence} WITH {exception}")), rest),
        [licence, rest @ ..] => (ALLOWED.contains(licence), rest),
        [] => (false, words),
    }
}
