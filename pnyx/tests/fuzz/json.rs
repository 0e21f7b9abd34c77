//! A JSON document that may be wrong in every way: order, repeated keys and the text of each number are kept.

use std::borrow::Cow;

use rand::{Rng, seq::IndexedRandom as _};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    /// Written as it is, whether it is JSON or not.
    Raw(Cow<'static, str>),
    /// A string, before escapes.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object; keys may repeat.
    Object(Members),
}

/// The members of an object, in the order in which they are written.
pub(crate) type Members = Vec<(String, Json)>;

/// How a document is written; the default is compact.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    /// White space at random around tokens.
    pub(crate) spaces: bool,
    /// Characters of strings and keys at random as escapes.
    pub(crate) escapes: bool,
}

impl Json {
    pub(crate) const fn raw(text: &'static str) -> Self {
        Self::Raw(Cow::Borrowed(text))
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn number(number: u64) -> Self {
        Self::Raw(number.to_string().into())
    }

    pub(crate) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// The value at the end of a path of keys, each the first of its name.
    pub(crate) fn get(&mut self, path: &[&str]) -> Option<&mut Self> {
        let Some((key, rest)) = path.split_first() else { return Some(self) };
        let Self::Object(members) = self else { return None };
        members.iter_mut().find(|(name, _)| name == key)?.1.get(rest)
    }

    /// Applies `change` to the value that a depth-first walk reaches as number `number`, from 0.
    pub(crate) fn change_node(&mut self, number: &mut usize, change: &mut dyn FnMut(&mut Self)) {
        if *number == 0 {
            change(self);
        }
        *number = number.wrapping_sub(1);
        match self {
            Self::List(values) => values.iter_mut().for_each(|value| value.change_node(number, change)),
            Self::Object(members) => members.iter_mut().for_each(|(_, value)| value.change_node(number, change)),
            Self::Raw(_) | Self::Text(_) => {}
        }
    }

    /// How many values there are, this one and all within.
    pub(crate) fn nodes(&self) -> usize {
        1 + match self {
            Self::List(values) => values.iter().map(Self::nodes).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.nodes()).sum(),
            Self::Raw(_) | Self::Text(_) => 0,
        }
    }

    pub(crate) fn write(&self, style: Style, rng: &mut impl Rng) -> Vec<u8> {
        let mut writer = Writer { out: String::with_capacity(1_024), style, rng };
        writer.value(self);
        writer.out.into_bytes()
    }
}

struct Writer<'r, R> {
    out: String,
    style: Style,
    rng: &'r mut R,
}

impl<R: Rng> Writer<'_, R> {
    fn value(&mut self, value: &Json) {
        self.space();
        match value {
            Json::Raw(text) => self.out.push_str(text),
            Json::Text(text) => self.string(text),
            Json::List(values) => {
                self.out.push('[');
                for (index, value) in values.iter().enumerate() {
                    self.comma(index);
                    self.value(value);
                }
                self.space();
                self.out.push(']');
            }
            Json::Object(members) => {
                self.out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    self.comma(index);
                    self.space();
                    self.string(key);
                    self.space();
                    self.out.push(':');
                    self.value(value);
                }
                self.space();
                self.out.push('}');
            }
        }
        self.space();
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
    }

    fn space(&mut self) {
        if self.style.spaces && self.rng.random_ratio(1, 4) {
            let space = [" ", "\n", "\t", "\r\n", "    "].choose(self.rng).expect("not empty");
            self.out.push_str(space);
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for char in text.chars() {
            let must = matches!(char, '"' | '\\' | '\0'..='\x1f');
            if must || self.style.escapes && self.rng.random_ratio(1, 4) {
                self.escape(char);
            } else {
                self.out.push(char);
            }
        }
        self.out.push('"');
    }

    fn escape(&mut self, char: char) {
        let short = match char {
            '"' | '\\' | '/' => Some(char),
            '\n' => Some('n'),
            '\t' => Some('t'),
            _ => None,
        };
        match short.filter(|_| self.rng.random()) {
            Some(short) => self.out.extend(['\\', short]),
            None => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let digits = format!("{unit:04x}");
                    let digits = if self.rng.random() { digits } else { digits.to_uppercase() };
                    self.out.push_str("\\u");
                    self.out.push_str(&digits);
                }
            }
        }
    }
}
