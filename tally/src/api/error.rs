//! Errors as HTTP answers, in the form that Snapshot's clients know.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use pnyx_backbone::{log::LogError, store::StoreError, telemetry};
use pnyx_core::lifecycle::Phase;
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::ArchiveProblem;
use crate::ReadError;

/// When to come back after a 503: the cause is short (a rebuild, many readers) or being looked at.
const RETRY_AFTER_S: &str = "5";

/// Why a request is not answered as asked.
#[derive(Debug)]
pub(super) enum ApiError {
    /// No such proposal.
    UnknownProposal {
        /// What the request said.
        given: String,
    },
    /// A parameter that means nothing.
    Parameter {
        /// Its name.
        name: &'static str,
        /// What it should be.
        problem: String,
    },
    /// Only a final proposal has it.
    NotFinal {
        /// What was asked for.
        what: &'static str,
        /// Where the proposal is.
        phase: Phase,
    },
    /// Too many others ask for the same at this moment.
    Busy {
        /// What there is too much of.
        what: &'static str,
    },
    /// The recount gives no archive.
    Archive(ArchiveProblem),
    /// Log or store could not answer.
    Read(ReadError),
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// `client_error` or `server_error`.
    error: &'static str,
    /// What is wrong.
    error_description: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<ArchiveProblem> for ApiError {
    fn from(problem: ArchiveProblem) -> Self {
        Self::Archive(problem)
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        Self::Read(error.into())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Read(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, description, detail) = match self {
            Self::UnknownProposal { given } => (
                StatusCode::NOT_FOUND,
                "unknown proposal".to_owned(),
                format!("no proposal has the id or name {given:?}; GET /v1/proposals lists all"),
            ),
            Self::Parameter { name, problem } => {
                (StatusCode::BAD_REQUEST, format!("wrong parameter {name}"), format!("{name}: {problem}"))
            }
            Self::NotFinal { what, phase } => (
                StatusCode::NOT_FOUND,
                format!("no {what} yet"),
                format!("the proposal is {}; it has one once it is final", phase.name()),
            ),
            Self::Busy { what } => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("too many {what}"), "try again in a few seconds".to_owned())
            }
            Self::Archive(problem) => {
                error!(error = telemetry::chain(&problem), "an archive could not be opened");
                let description = problem.to_string();
                let (status, source) = match problem {
                    ArchiveProblem::Missing(source) => (StatusCode::NOT_FOUND, source),
                    ArchiveProblem::Unavailable(source) => (StatusCode::SERVICE_UNAVAILABLE, source),
                    ArchiveProblem::Failed(source) => (StatusCode::INTERNAL_SERVER_ERROR, source),
                };
                (status, description, telemetry::chain(&*source))
            }
            Self::Read(source) => {
                error!(error = telemetry::chain(&source), "a read could not be answered");
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily unavailable".to_owned(), source.to_string())
            }
        };
        let error = if status.is_client_error() { "client_error" } else { "server_error" };
        let body = axum::Json(ErrorBody { error, error_description: description, detail: Some(detail) });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return (status, [(header::RETRY_AFTER, RETRY_AFTER_S)], body).into_response();
        }
        (status, body).into_response()
    }
}
