//! Everything that is wrong with a resource, each with the field's path and what to do about it.

use std::fmt;

/// What was found wrong so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    /// Notes what is wrong with a field.
    pub(super) fn add(&mut self, path: impl fmt::Display, problem: impl fmt::Display) {
        self.0.push(format!("{path}: {problem}"));
    }

    /// The value, or nothing after noting its problem.
    pub(super) fn keep<T, E: fmt::Display>(&mut self, path: impl fmt::Display, value: Result<T, E>) -> Option<T> {
        value.map_err(|problem| self.add(path, problem)).ok()
    }

    /// As [`Self::keep`], where the problem itself begins with a path below this one.
    pub(super) fn keep_below<T>(&mut self, path: impl fmt::Display, value: Result<T, String>) -> Option<T> {
        value.map_err(|problem| self.0.push(format!("{path}.{problem}"))).ok()
    }

    /// As [`Self::keep`], of a field that may be left out: the outer `None` is a problem.
    pub(super) fn keep_optional<T, E: fmt::Display>(
        &mut self,
        path: impl fmt::Display,
        value: Option<Result<T, E>>,
    ) -> Option<Option<T>> {
        match value {
            None => Some(None),
            Some(value) => self.keep(path, value).map(Some),
        }
    }

    /// All of it in one line, or nothing.
    pub(super) fn into_message(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.0.join(". "))
    }
}

/// A number of the API as a type that holds no other values than it may have. The schema bounds each, so whatever does not
/// fit was written past it.
pub(super) fn number<T: TryFrom<i64>>(value: i64) -> Result<T, String> {
    T::try_from(value).map_err(|_| format!("{value} is out of bounds; see `kubectl explain` for them"))
}
