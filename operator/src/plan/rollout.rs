//! Rollouts of verifiers wait for the end of a window: every pod that is replaced is a rebalance, and shards of two versions
//! while ballots come in are nobody's wish.

use kube::core::ObjectMeta;
use pnyx_crds::conditions::reasons;

use super::{Effect, Note, NoteKind};
use crate::{kinds::ChildKind, status::Said};

/// Set to `"true"` on a proposal it forces a rollout inside the window.
pub const ROLLOUT_ANNOTATION: &str = "pnyx.dev/force-rollout";

/// Takes out of `effects` what would roll pods while ballots come or wait, and says so.
pub(super) fn hold(effects: &mut Vec<Effect>, is_busy: bool, metadata: &ObjectMeta) -> Said {
    let rolls = |effect: &Effect| matches!(effect, Effect::Update(child) if child.kind() == ChildKind::Deployment);
    if !is_busy || !effects.iter().any(rolls) {
        return Said::new(false, reasons::AS_EXPECTED, "");
    }
    let annotations = metadata.annotations.as_ref();
    if annotations.and_then(|annotations| annotations.get(ROLLOUT_ANNOTATION)).is_some_and(|value| value == "true") {
        let message = format!("the verifiers are rolled inside the window, because {ROLLOUT_ANNOTATION} says so");
        effects.push(note(NoteKind::Warning, reasons::ROLLOUT_FORCED, &message));
        return Said::new(false, reasons::ROLLOUT_FORCED, message);
    }
    // A size that is only held, for the sake of an update, is held no longer than that.
    effects.retain(|effect| !rolls(effect) && !matches!(effect, Effect::Scale { from, to, .. } if *from == Some(*to)));
    let message = format!(
        "a rollout of the verifiers waits until every ballot is verified; the annotation {ROLLOUT_ANNOTATION}: \"true\" forces it"
    );
    effects.push(note(NoteKind::Normal, reasons::ROLLOUT_HELD, &message));
    Said::new(true, reasons::ROLLOUT_HELD, message)
}

fn note(kind: NoteKind, reason: &'static str, message: &str) -> Effect {
    Effect::Note(Note { kind, reason, action: "Rollout", message: message.to_owned() })
}
