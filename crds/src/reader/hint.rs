//! What a mistyped field name was meant to be.

/// Furthest that a name may be from what was written: two slips of the keyboard.
const DISTANCE_MAX: usize = 2;

/// The known name nearest to `written`, if one is near enough to be meant.
pub(super) fn nearest<'a>(written: &str, known: &'a [String]) -> Option<&'a str> {
    let distances = known.iter().map(|name| (distance(&written.to_lowercase(), &name.to_lowercase()), name));
    distances.min().filter(|(distance, _)| *distance <= DISTANCE_MAX).map(|(_, name)| name.as_str())
}

/// Levenshtein's distance: how many letters must be inserted, removed or replaced.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (removed, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = removed + 1;
        for (index, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[index + 1];
            row[index + 1] = replaced.min(row[index] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let known = ["voting", "window", "whitelistWeighted"].map(str::to_owned);
        let hints = ["votng", "Window", "whitelistweigthed", "quorum", ""].map(|written| nearest(written, &known));
        assert_eq!(hints, [Some("voting"), Some("window"), Some("whitelistWeighted"), None, None]);
    }
}
