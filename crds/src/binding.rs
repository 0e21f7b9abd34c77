//! What binds a voter cannot change once it is accepted: the same rule for each part of a proposal.

use kube::core::{Reason, Rule};

/// Whether the stored resource is accepted, or its definition may be recorded at any moment: what stands in the log and what
/// stands here must be the same. Rules at the root see the status, because it is part of what is stored; while a spec is
/// written the API server keeps the status as it was.
const IS_ACCEPTED: &str = "has(oldSelf.status) && has(oldSelf.status.conditions) && \
oldSelf.status.conditions.exists(c, c.type == 'Accepted' && (c.status == 'True' || c.reason == 'Recording'))";

/// `spec.field`, which every resource has, stays as it is.
pub(crate) fn binds(field: &str) -> Rule {
    rule(field, &format!("self.spec.{field} == oldSelf.spec.{field}"))
}

/// `spec.field`, which may be left out, stays as it is or stays out.
pub(crate) fn binds_optional(field: &str) -> Rule {
    let (new, old) = (format!("self.spec.{field}"), format!("oldSelf.spec.{field}"));
    rule(field, &format!("has({new}) == has({old}) && (!has({new}) || {new} == {old})"))
}

fn rule(field: &str, stays: &str) -> Rule {
    Rule::new(format!("!({IS_ACCEPTED}) || ({stays})"))
        .message(
            "this is part of what voters sign and cannot change once the proposal is accepted; make another proposal \
             instead",
        )
        .reason(Reason::FieldValueForbidden)
        .field_path(format!(".spec.{field}"))
}
