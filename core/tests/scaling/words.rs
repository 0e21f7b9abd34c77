//! Every word of a decision has a name of its own, by which it is found again, and a sentence that people read.

use std::{collections::BTreeSet, fmt::Write as _};

use expect_test::expect_file;
use pnyx_core::scaling::{Candidate, DataQuality, Limit, PartitionsLimit, ScalingPhase};

/// Name and meaning of every case, in order.
macro_rules! told {
    ($($kind:ident),+) => {{
        let mut out = String::new();
        $(
            let _ = writeln!(out, "{}", stringify!($kind));
            let names: BTreeSet<_> = $kind::ALL.iter().map(|word| word.name()).collect();
            assert_eq!(names.len(), $kind::ALL.len(), "no name twice");
            for word in $kind::ALL {
                assert_eq!($kind::named(word.name()), Some(*word));
                assert!(word.meaning().ends_with('.') && !word.meaning().starts_with(' '), "{word:?}");
                let _ = writeln!(out, "  {:<17} {}", word.name(), word.meaning());
            }
            assert_eq!($kind::named("moonPhase"), None);
        )+
        out
    }};
}

#[test]
fn every_word_has_a_name_and_a_meaning() {
    let told = told!(ScalingPhase, Limit, PartitionsLimit, Candidate, DataQuality);
    expect_file!["words.txt"].assert_eq(&told);
}

#[test]
fn a_limit_that_is_a_candidate_has_its_name() {
    for limit in Limit::ALL {
        match (limit, limit.candidate()) {
            // Both are the floor, of a time in which nothing else is asked.
            (Limit::Idle | Limit::Drained, candidate) => assert_eq!(candidate, Some(Candidate::Floor)),
            (_, Some(candidate)) => assert_eq!(candidate.name(), limit.name()),
            (_, None) => {}
        }
    }
}
