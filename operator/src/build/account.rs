//! Who pods run as: an account of their own without any rights, and without a token that could be stolen.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::part::Part;

/// The account of a part.
pub(super) fn service_account(part: &Part<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: part.metadata(),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
