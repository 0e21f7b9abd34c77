//! Words of settings, read alike from flags, the environment and the file.

use std::time::Duration;

use pnyx_backbone::log::kafka::{GroupProtocol, SaslMechanism};

use super::{CLOSING, DRAIN_LIMIT_MIN, DRAIN_MIN, NOTICE};
use crate::cli::parse_duration;

/// Shortest grace of a platform on Kafka: a record that is not acknowledged is given up 4 s after it was handed over, and
/// clocks differ.
const GRACE_MIN: Duration = Duration::from_secs(5);

pub(crate) fn parse_grace(text: &str) -> Result<Duration, String> {
    at_least(GRACE_MIN, text)
}

pub(crate) fn parse_drain_limit(text: &str) -> Result<Duration, String> {
    at_least(DRAIN_LIMIT_MIN, text).map_err(|problem| {
        format!(
            "{problem}: {}s in which balancers notice, {}s for what is in flight, {}s to close the log",
            NOTICE.as_secs(),
            DRAIN_MIN.as_secs(),
            CLOSING.as_secs()
        )
    })
}

fn at_least(shortest: Duration, text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration < shortest { Err(format!("must be at least {}s", shortest.as_secs())) } else { Ok(duration) }
}

/// Milliseconds, possibly with a fraction, in whole microseconds.
pub(crate) fn parse_linger(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is not a number of milliseconds, such as 0.5");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 3 {
        return Err(problem());
    }
    let micros = format!("{whole}{fraction:0<3}").parse().map_err(|_| problem())?;
    Ok(Duration::from_micros(micros))
}

pub(crate) fn parse_group_protocol(text: &str) -> Result<GroupProtocol, String> {
    match text {
        "consumer" => Ok(GroupProtocol::Consumer),
        "classic" => Ok(GroupProtocol::Classic),
        other => Err(format!("{other:?} is not consumer or classic")),
    }
}

pub(crate) fn parse_sasl_mechanism(text: &str) -> Result<SaslMechanism, String> {
    let all = [SaslMechanism::ScramSha512, SaslMechanism::ScramSha256, SaslMechanism::Plain];
    all.into_iter()
        .find(|mechanism| mechanism.name() == text)
        .ok_or_else(|| format!("{text:?} is not {}", all.map(SaslMechanism::name).join(", ")))
}

pub(crate) fn parse_client_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        Some(_) | None => Err("expected KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_read_to_the_microsecond() {
        for (text, micros) in [("0", 0), ("0.5", 500), ("1", 1_000), ("2.25", 2_250), ("10.001", 10_001)] {
            assert_eq!(parse_linger(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", ".5", "1.", "-1", "1e3", "0.0005", "1 ms", "99999999999999999999"] {
            assert!(parse_linger(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_read_as_they_are_written_in_help() {
        assert_eq!(parse_grace("4s"), Err("must be at least 5s".to_owned()));
        assert_eq!(parse_grace("6s"), Ok(Duration::from_secs(6)));
        let too_short =
            "must be at least 15s: 3s in which balancers notice, 3s for what is in flight, 9s to close the log";
        assert_eq!(parse_drain_limit("14900ms"), Err(too_short.to_owned()));
        assert_eq!(parse_drain_limit("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(parse_group_protocol("Classic"), Err("\"Classic\" is not consumer or classic".to_owned()));
        assert_eq!(parse_sasl_mechanism("PLAIN"), Ok(SaslMechanism::Plain));
        let scram = parse_sasl_mechanism("scram");
        assert_eq!(scram, Err("\"scram\" is not SCRAM-SHA-512, SCRAM-SHA-256, PLAIN".to_owned()));
        let setting = parse_client_setting("a.b=c=d");
        assert_eq!(setting, Ok(("a.b".to_owned(), "c=d".to_owned())));
        assert!(parse_client_setting("=x").is_err());
    }
}
