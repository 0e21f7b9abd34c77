//! A body in the making: a ballot, its signature, its JSON, its bytes.

use alloy_primitives::hex;
use pnyx_core::{ballot::Domain, choice::RawChoice, wire::vote_types::VoteTypes};
use rand::{Rng as _, seq::IndexedRandom as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    json::{Json, Members, Style},
    operators::{Operator, Phase},
    world::{Ballot, Fields, World},
};

/// What operators change. Each phase's part is made from that of the phase before.
pub(crate) struct Draft<'w> {
    pub(crate) world: &'w World,
    /// The ballot it began as.
    pub(crate) base: &'w Ballot,
    pub(crate) rng: ChaCha8Rng,
    /// What is signed; signed again if an operator changed it.
    pub(crate) fields: Fields,
    pub(crate) signature: Vec<u8>,
    pub(crate) json: Json,
    pub(crate) style: Style,
    pub(crate) body: Vec<u8>,
}

impl<'w> Draft<'w> {
    /// The body that operators make of a ballot, phase by phase, and whether each of them found something to change.
    pub(crate) fn body_of(
        world: &'w World,
        base: &'w Ballot,
        rng: ChaCha8Rng,
        operators: &[&Operator],
    ) -> (Vec<u8>, bool) {
        let mut draft = Self {
            world,
            base,
            rng,
            fields: base.fields.clone(),
            signature: base.signature.to_vec(),
            json: Json::List(Vec::new()),
            style: Style::default(),
            body: Vec::new(),
        };
        let mut all_applied = true;
        for phase in [Phase::Ballot, Phase::Signature, Phase::Json, Phase::Body] {
            for operator in operators.iter().filter(|operator| operator.phase == phase) {
                all_applied &= draft.can_change(phase) && (operator.change)(&mut draft).is_some();
            }
            match phase {
                Phase::Ballot if operators.iter().any(|operator| operator.phase == phase) => {
                    let key = &world.wallets[base.wallet];
                    draft.signature = key.sign_digest(*draft.fields.digest().as_bytes()).to_vec();
                }
                Phase::Ballot | Phase::Body => {}
                Phase::Signature => draft.json = envelope(&draft.fields, &draft.signature),
                Phase::Json => draft.body = draft.json.write(draft.style, &mut draft.rng),
            }
        }
        (draft.body, all_applied)
    }

    /// Whether the operators before have left something to change.
    fn can_change(&self, phase: Phase) -> bool {
        match phase {
            Phase::Ballot | Phase::Json => true,
            Phase::Signature => self.signature.len() == 65,
            Phase::Body => !self.body.is_empty(),
        }
    }

    pub(crate) fn pick<T: Clone>(&mut self, values: &[T]) -> T {
        values.choose(&mut self.rng).expect("there is something to pick").clone()
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.rng.random_range(0..bound)
    }

    pub(crate) fn members(&mut self, path: &[&str]) -> Option<&mut Members> {
        match self.json.get(path)? {
            Json::Object(members) => Some(members),
            Json::Raw(_) | Json::Text(_) | Json::List(_) => None,
        }
    }

    /// The entries of `types.Vote`.
    pub(crate) fn entries(&mut self) -> Option<&mut Vec<Json>> {
        match self.json.get(&["data", "types", "Vote"])? {
            Json::List(entries) => Some(entries),
            Json::Raw(_) | Json::Text(_) | Json::Object(_) => None,
        }
    }

    /// The string at the end of a path.
    pub(crate) fn text(&mut self, path: &[&str]) -> Option<String> {
        match self.json.get(path)? {
            Json::Text(text) => Some(text.clone()),
            Json::Raw(_) | Json::List(_) | Json::Object(_) => None,
        }
    }

    pub(crate) fn set(&mut self, path: &[&str], value: Json) -> Option<()> {
        *self.json.get(path)? = value;
        Some(())
    }

    pub(crate) fn drop_a_key(&mut self, path: &[&str]) -> Option<()> {
        let random = self.rng.random::<u32>() as usize;
        let members = self.members(path)?;
        let index = random.checked_rem(members.len())?;
        members.remove(index);
        Some(())
    }

    /// The same value again, somewhere.
    pub(crate) fn repeat_a_key(&mut self, path: &[&str]) -> Option<()> {
        let (random, place) = (self.rng.random::<u32>() as usize, self.rng.random::<u32>() as usize);
        let members = self.members(path)?;
        let repeated = members.get(random.checked_rem(members.len())?)?.clone();
        members.insert(place % (members.len() + 1), repeated);
        Some(())
    }

    /// Another name for one key, that no object of an envelope has.
    pub(crate) fn rename_a_key(&mut self, path: &[&str]) -> Option<()> {
        let random = self.rng.random::<u32>() as usize;
        let form = self.below(5);
        let members = self.members(path)?;
        let index = random.checked_rem(members.len())?;
        let key = &mut members[index].0;
        *key = match form {
            0 => key.to_uppercase(),
            1 => format!("{key} "),
            2 => format!("{key}\u{0}"),
            3 => String::new(),
            _ => format!("{key}{key}"),
        };
        Some(())
    }

    /// One key more, that no object of an envelope has.
    pub(crate) fn add_a_key(&mut self, path: &[&str]) -> Option<()> {
        let key = self.pick(&["extra", "", "Address", "__proto__", "hash", "\u{1f5f3}"]);
        let (value, place) = (self.strange(&[]), self.rng.random::<u32>() as usize);
        let members = self.members(path)?;
        members.insert(place % (members.len() + 1), (key.to_owned(), value));
        Some(())
    }

    pub(crate) fn shuffle(&mut self, path: &[&str]) -> Option<()> {
        let mut members = std::mem::take(self.members(path)?);
        members.shuffle(&mut self.rng);
        *self.members(path)? = members;
        Some(())
    }

    /// A value of any kind but these.
    pub(crate) fn strange(&mut self, but: &[Kind]) -> Json {
        let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(3_000), close.repeat(3_000)).into();
        let all = [
            (Kind::Other, Json::raw("null")),
            (Kind::Other, Json::raw("true")),
            (Kind::Number, Json::raw("0")),
            (Kind::Number, Json::raw("1760000000")),
            (Kind::Other, Json::raw("-1")),
            (Kind::Other, Json::raw("1.5e300")),
            (Kind::Text, Json::text("")),
            (Kind::Text, Json::text("Vote")),
            (Kind::List, Json::List(Vec::new())),
            (Kind::List, Json::List(vec![Json::raw("1")])),
            (Kind::List, Json::Raw(deep("[", "]"))),
            (Kind::Object, Json::Object(Vec::new())),
            (Kind::Object, Json::Raw(deep("{\"a\":", "}"))),
        ];
        let fitting: Vec<_> = all.into_iter().filter(|(kind, _)| !but.contains(kind)).collect();
        self.pick(&fitting).1
    }
}

/// What a value is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An integer that every number of an envelope may be.
    Number,
    Text,
    List,
    Object,
    /// Of no use anywhere in an envelope.
    Other,
}

fn envelope(fields: &Fields, signature: &[u8]) -> Json {
    Json::object([
        ("address", Json::text(fields.voter.to_string())),
        ("sig", Json::text(hex::encode_prefixed(signature))),
        (
            "data",
            Json::object([
                ("domain", domain_json(&fields.domain)),
                ("types", types_json(fields.types)),
                ("message", message_json(fields)),
            ]),
        ),
    ])
}

fn domain_json(domain: &Domain) -> Json {
    let mut members = vec![("name".to_owned(), Json::text("snapshot")), ("version".to_owned(), Json::text("0.1.4"))];
    if let Some(chain_id) = domain.chain_id {
        members.push(("chainId".to_owned(), Json::Raw(chain_id.to_string().into())));
    }
    if let Some(contract) = domain.verifying_contract {
        members.push(("verifyingContract".to_owned(), Json::text(contract.to_string())));
    }
    if let Some(salt) = domain.salt {
        members.push(("salt".to_owned(), Json::text(hex::encode_prefixed(salt))));
    }
    Json::Object(members)
}

pub(crate) fn types_json(types: VoteTypes) -> Json {
    let entry = |(name, kind): (&str, &str)| Json::object([("name", Json::text(name)), ("type", Json::text(kind))]);
    Json::object([("Vote", Json::List(types.fields().map(entry).collect()))])
}

fn message_json(fields: &Fields) -> Json {
    let member = |(name, _): (&'static str, &str)| {
        let value = match name {
            "from" => Json::text(fields.voter.to_string()),
            "space" => Json::text(fields.space.as_str()),
            "timestamp" => Json::number(fields.signed_at_s),
            "proposal" => Json::text(fields.proposal.to_string()),
            "choice" => choice_json(&fields.choice),
            "reason" => Json::text(fields.reason.as_str()),
            "app" => Json::text(fields.app.as_str()),
            "metadata" => Json::text(fields.metadata.as_str()),
            other => unreachable!("a vote has no field {other}"),
        };
        (name.to_owned(), value)
    };
    Json::Object(fields.types.fields().map(member).collect())
}

pub(crate) fn choice_json(choice: &RawChoice<'_>) -> Json {
    match choice {
        RawChoice::Number(number) => Json::number(u64::from(*number)),
        RawChoice::Numbers(numbers) => {
            Json::List(numbers.iter().map(|number| Json::number(u64::from(*number))).collect())
        }
        RawChoice::Text(text) => Json::text(text.as_ref()),
    }
}
