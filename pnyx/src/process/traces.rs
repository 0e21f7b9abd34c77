//! Traces of a process: where its settings say that they go.

use anyhow::{Context as _, ensure};
use pnyx_backbone::{
    telemetry::Metrics,
    traces::{self, SampleRatio, TracesConfig},
};

use super::file::OtlpSection;
use crate::cli::process::OtlpArgs;

/// Where traces go; nowhere unless a collector is named.
pub(crate) fn config(args: &OtlpArgs, section: &OtlpSection) -> anyhow::Result<Option<TracesConfig>> {
    let sample = args.otlp_sample.or(section.sample);
    let headers_file = args.otlp_headers_file.clone().or_else(|| section.headers_file.clone());
    let Some(endpoint) = args.otlp_endpoint.clone().or_else(|| section.endpoint.clone()) else {
        let is_silent = sample.is_none() && headers_file.is_none();
        ensure!(is_silent, "otlp: sample and headersFile say nothing without endpoint (or --otlp-endpoint)");
        return Ok(None);
    };
    // All: who asks for traces by a digest wants this one, and the queue's bound holds in any case.
    Ok(Some(TracesConfig { endpoint, sample: sample.unwrap_or(SampleRatio::ALL), headers_file }))
}

/// What flags and environment alone say.
pub(crate) fn config_of_flags(args: &OtlpArgs) -> anyhow::Result<Option<TracesConfig>> {
    config(args, &OtlpSection::default())
}

/// Sends traces, if that is asked for.
pub(crate) async fn start(config: Option<TracesConfig>, name: &str, metrics: &Metrics) -> anyhow::Result<()> {
    match config {
        Some(config) => traces::start(config, name, metrics).await.context("starting traces"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use pnyx_backbone::traces::Endpoint;

    use super::*;

    #[test]
    fn traces_are_off_until_a_collector_is_named_and_flags_count_more_than_the_file() {
        let endpoint = |text: &str| Some(text.parse::<Endpoint>().unwrap());
        let sample = |text: &str| Some(text.parse::<SampleRatio>().unwrap());
        assert_eq!(config(&OtlpArgs::default(), &OtlpSection::default()).unwrap(), None);

        let section = OtlpSection { endpoint: endpoint("http://file:4318"), sample: sample("0.5"), headers_file: None };
        let found = config(&OtlpArgs::default(), &section).unwrap().unwrap();
        assert_eq!(
            (found.endpoint.to_string().as_str(), Some(found.sample)),
            ("http://file:4318/v1/traces", sample("0.5"))
        );
        let args = OtlpArgs { otlp_endpoint: endpoint("http://flag:4318"), ..OtlpArgs::default() };
        let found = config(&args, &section).unwrap().unwrap();
        assert_eq!((Some(found.endpoint), Some(found.sample)), (endpoint("http://flag:4318"), sample("0.5")));
        assert_eq!(config_of_flags(&args).unwrap().unwrap().sample, SampleRatio::ALL);

        let args = OtlpArgs { otlp_sample: sample("0.5"), ..OtlpArgs::default() };
        let problem = config_of_flags(&args).unwrap_err().to_string();
        assert_eq!(problem, "otlp: sample and headersFile say nothing without endpoint (or --otlp-endpoint)");
    }
}
