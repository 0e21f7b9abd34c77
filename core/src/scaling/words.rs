//! Words that decisions are told in: closed enums, each case with its name and what it means.

/// Declares an enum with the list of all its cases, their names, and what they mean, so that none can be missing from any.
/// What a case means is its documentation: people read it on terminals as well.
macro_rules! words {
    ($(#[$about:meta])* $kind:ident { $($(#[doc = $meaning:literal])+ $case:ident => $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind { $($(#[doc = $meaning])+ $case,)+ }

        impl $kind {
            /// Every case.
            pub const ALL: &'static [Self] = &[$(Self::$case,)+];

            /// Name in JSON, in metrics and on terminals.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$case => $name,)+ }
            }

            /// The case of that name.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$case),)+
                    _ => None,
                }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$case => concat!($($meaning),+).trim_ascii_start(),)+ }
            }
        }
    };
}

pub(super) use words;
