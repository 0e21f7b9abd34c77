//! A Redis that exists already.

use std::env;

use crate::TestbedError;

/// Names a Redis that exists already, as `redis://[[user]:password@]host:port`.
pub const EXTERNAL_VARIABLE: &str = "PNYX_TEST_REDIS";

/// Where it is and how to come in.
#[derive(Debug, Clone)]
pub(super) struct External {
    /// As the variable has it.
    pub(super) url: String,
    /// `host:port`.
    pub(super) address: String,
    /// User and password.
    pub(super) credentials: Option<(String, String)>,
}

/// The server that the variable names, if it is set.
pub(super) fn external() -> Result<Option<External>, TestbedError> {
    let Some(value) = env::var_os(EXTERNAL_VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
    let parsed = value.to_str().and_then(parse);
    let form = "redis://host:port or redis://user:password@host:port";
    parsed.map(Some).ok_or(TestbedError::BadVariable { variable: EXTERNAL_VARIABLE, form })
}

pub(super) fn not_ours(action: &'static str) -> TestbedError {
    TestbedError::NotOurs { action, variable: EXTERNAL_VARIABLE }
}

fn parse(url: &str) -> Option<External> {
    let rest = url.strip_prefix("redis://")?;
    let rest = rest.split_once('/').map_or(rest, |(before, _)| before);
    let (credentials, address) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((credentials, address)) => {
            let (user, password) = credentials.split_once(':')?;
            let user = if user.is_empty() { "default" } else { user };
            (Some((user.to_owned(), password.to_owned())), address)
        }
    };
    let (host, port) = address.rsplit_once(':')?;
    let is_good = !host.is_empty() && port.parse::<u16>().is_ok();
    is_good.then(|| External { url: url.to_owned(), address: address.to_owned(), credentials })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_have_a_password_and_a_database() {
        let plain = parse("redis://127.0.0.1:6379").unwrap();
        assert_eq!((plain.address.as_str(), plain.credentials), ("127.0.0.1:6379", None));
        let with_password = parse("redis://:secret@db.test:1/0").unwrap();
        assert_eq!(with_password.address, "db.test:1");
        assert_eq!(with_password.credentials, Some(("default".to_owned(), "secret".to_owned())));
        for bad in ["127.0.0.1:6379", "redis://host", "redis://host:x", "rediss://host:1"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
