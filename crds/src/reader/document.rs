//! The YAML documents of one file as resources.

use kube::{Resource as _, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::hint;
use crate::{
    GovernancePlatform, GovernanceProposal,
    schema::{Kind, Step, path_text},
};

/// A path in a resource and what is wrong there.
pub(super) type Problem = (String, String);

/// A resource of one of the kinds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Document {
    Proposal(Box<GovernanceProposal>),
    Platform(Box<GovernancePlatform>),
}

/// All resources that can be read from `text`, and everything that is wrong with it.
pub(super) fn read_all(text: &str) -> (Vec<Document>, Vec<Problem>) {
    let values: Vec<Value> = match serde_saphyr::from_multiple(text) {
        Ok(values) => values,
        Err(error) => return (Vec::new(), vec![(String::new(), format!("not YAML: {}", yaml_problem(&error)))]),
    };
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for value in values.into_iter().filter(|value| !value.is_null()) {
        match read_one(value) {
            Ok(document) => documents.push(document),
            Err(found) => problems.extend(found),
        }
    }
    (documents, problems)
}

/// One line that speaks to the file's author, with line and column.
fn yaml_problem(error: &serde_saphyr::Error) -> String {
    error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter)
}

fn read_one(mut value: Value) -> Result<Document, Vec<Problem>> {
    match take_kind(&mut value).map_err(|problem| vec![problem])? {
        Kind::Proposal => read_typed(Kind::Proposal, value).map(|proposal| Document::Proposal(Box::new(proposal))),
        Kind::Platform => read_typed(Kind::Platform, value).map(|platform| Document::Platform(Box::new(platform))),
    }
}

fn read_typed<T: DeserializeOwned + ResourceExt>(kind: Kind, value: Value) -> Result<T, Vec<Problem>> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    let read = serde_ignored::deserialize(deserializer, |path| unknown.push(steps_of_ignored(&path)));
    let mut problems: Vec<Problem> = unknown.iter().map(|steps| unknown_field(kind, steps)).collect();
    match read {
        Ok(_) if !problems.is_empty() => Err(problems),
        Ok(resource) => Ok(with_namespace(resource)),
        Err(error) => {
            problems.push(wrong_value(&steps_of_error(&track.path()), &error));
            Err(problems)
        }
    }
}

/// Takes `apiVersion` and `kind` out of the document, which must say that it is one of ours.
fn take_kind(document: &mut Value) -> Result<Kind, Problem> {
    let version = GovernanceProposal::api_version(&());
    let supported = format!("supported are {} of {version}", Kind::ALL.map(Kind::name).join(" and "));
    let Some(fields) = document.as_object_mut() else {
        return Err((String::new(), format!("not a resource; {supported}")));
    };
    let mut take =
        |field: &str| fields.remove(field).ok_or_else(|| (field.to_owned(), format!("is required; {supported}")));
    let unknown = |field: &str, value: &Value| (field.to_owned(), format!("{value} is not known; {supported}"));
    let found = take("apiVersion")?;
    if found != *version {
        return Err(unknown("apiVersion", &found));
    }
    let found = take("kind")?;
    Kind::ALL.into_iter().find(|kind| found == *kind.name()).ok_or_else(|| unknown("kind", &found))
}

/// As the API server does for a client that names none.
fn with_namespace<T: ResourceExt>(mut resource: T) -> T {
    resource.meta_mut().namespace.get_or_insert_with(|| "default".to_owned());
    resource
}

fn unknown_field(kind: Kind, steps: &[Step]) -> Problem {
    let known = steps.split_last().map(|(_, parent)| kind.known_fields(parent)).unwrap_or_default();
    let hint = match steps.last() {
        Some(Step::Field(field)) => hint::nearest(field, &known),
        Some(Step::Item(_)) | None => None,
    };
    let advice = match hint {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None if known.is_empty() => String::new(),
        None => format!("; known here: {}", known.join(", ")),
    };
    (path_text(steps), format!("is not a known field{advice}"))
}

/// serde names a missing field in its message only; all other mistakes are at the path.
fn wrong_value(steps: &[Step], error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    if let Some(field) = missing {
        let steps: Vec<Step> = steps.iter().cloned().chain([Step::Field(field.to_owned())]).collect();
        return (path_text(&steps), "is required".to_owned());
    }
    let is_bare_scalar = ["invalid type: integer", "invalid type: floating point", "invalid type: boolean"]
        .iter()
        .any(|start| message.starts_with(start));
    let advice = if is_bare_scalar && message.ends_with("a string") { "; write it in quotes" } else { "" };
    (path_text(steps), format!("{message}{advice}"))
}

fn steps_of_ignored(path: &serde_ignored::Path<'_>) -> Vec<Step> {
    let (parent, step) = match path {
        serde_ignored::Path::Root => return Vec::new(),
        serde_ignored::Path::Seq { parent, index } => (parent, Some(Step::Item(*index))),
        serde_ignored::Path::Map { parent, key } => (parent, Some(Step::Field(key.clone()))),
        serde_ignored::Path::Some { parent }
        | serde_ignored::Path::NewtypeStruct { parent }
        | serde_ignored::Path::NewtypeVariant { parent } => (parent, None),
    };
    let mut steps = steps_of_ignored(parent);
    steps.extend(step);
    steps
}

fn steps_of_error(path: &serde_path_to_error::Path) -> Vec<Step> {
    let step = |segment: &serde_path_to_error::Segment| match segment {
        serde_path_to_error::Segment::Seq { index } => Some(Step::Item(*index)),
        serde_path_to_error::Segment::Map { key } => Some(Step::Field(key.clone())),
        serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
    };
    path.iter().filter_map(step).collect()
}
