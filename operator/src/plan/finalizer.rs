//! The finalizer: what holds a proposal's deletion until the operator has let it go. Others may have theirs beside it.

use kube::core::ObjectMeta;

use super::Effect;

/// As metadata lists it.
pub const FINALIZER: &str = "pnyx.dev/drain";

/// Whether a deletion waits for the operator.
pub(crate) fn is_held(metadata: &ObjectMeta) -> bool {
    metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

/// What makes a deletion wait; nothing if it does.
pub(super) fn hold(metadata: &ObjectMeta) -> Option<Effect> {
    let others = metadata.finalizers.iter().flatten().cloned();
    (!is_held(metadata)).then(|| set(metadata, others.chain([FINALIZER.to_owned()]).collect()))
}

/// What lets it go; nothing if the operator does not hold it.
pub(crate) fn release(metadata: &ObjectMeta) -> Option<Effect> {
    let others = metadata.finalizers.iter().flatten().filter(|name| *name != FINALIZER).cloned();
    is_held(metadata).then(|| set(metadata, others.collect()))
}

fn set(metadata: &ObjectMeta, finalizers: Vec<String>) -> Effect {
    Effect::Finalizers { finalizers, version: metadata.resource_version.clone().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(finalizers: &[&str]) -> ObjectMeta {
        let finalizers = finalizers.iter().map(|name| (*name).to_owned()).collect();
        ObjectMeta { finalizers: Some(finalizers), resource_version: Some("7".to_owned()), ..ObjectMeta::default() }
    }

    fn set(finalizers: &[&str]) -> Option<Effect> {
        let finalizers = finalizers.iter().map(|name| (*name).to_owned()).collect();
        Some(Effect::Finalizers { finalizers, version: "7".to_owned() })
    }

    #[test]
    fn those_of_others_stay_as_they_are() {
        assert_eq!(hold(&of(&[])), set(&[FINALIZER]));
        assert_eq!(hold(&of(&["a/b"])), set(&["a/b", FINALIZER]));
        assert_eq!(hold(&of(&[FINALIZER, "a/b"])), None);
        assert_eq!(release(&of(&["a/b", FINALIZER, "c/d"])), set(&["a/b", "c/d"]));
        assert_eq!(release(&of(&[FINALIZER])), set(&[]));
        assert_eq!(release(&of(&["a/b"])), None);
    }
}
