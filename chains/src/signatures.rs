//! Whether contracts accept signatures, at a pin: ERC-1271 as it is and as it was drafted, and ERC-6492.
//!
//! Everything here is a fact of the chain at the pin. An account without code accepts nothing; a contract that fails,
//! says anything but the one word, or needs more gas than the rules fix, refuses. An endpoint that fails is an error.

use std::{ops::Range, sync::Arc};

use alloy_primitives::U256;
use futures_util::{
    future::try_join,
    stream::{self, StreamExt as _, TryStreamExt as _},
};
use pnyx_core::{
    ballot::SIGNATURE_BYTES_MAX,
    chain::{ChainId, Pin, Pins},
    id::{Digest, Voter},
    signature_check::{ContractCheck, SignatureRuling},
};

use crate::{
    Chains,
    aggregate::{self, BatchSize, CHECKS_MAX, Call, Checked},
    batches::Batched,
    chain::{Chain, ChainError, Question, Subject},
    codes::CodeCache,
    endpoint::Endpoint,
    failure::Failure,
    metrics::{BatchMetrics, Raised},
    powers::ChainPowerError,
    rpc::{self, Request},
    wrapper::Wrapper,
};

/// `isValidSignature(bytes32,bytes)`, which also is what it answers (ERC-1271).
const ERC_1271: [u8; 4] = [0x16, 0x26, 0xba, 0x7e];

/// `isValidSignature(bytes,bytes)` of ERC-1271's draft, and its answer.
const ERC_1271_DRAFT: [u8; 4] = [0x20, 0xc1, 0x3b, 0x0b];

const WORD_LEN: usize = 32;

/// Whether a signature is its account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureQuestion<'a> {
    /// The account.
    pub signer: Voter,
    /// What was signed.
    pub digest: Digest,
    /// What is said to be its signature. One of more than [`SIGNATURE_BYTES_MAX`] bytes is refused unasked.
    pub signature: &'a [u8],
}

/// Whether contracts accept signatures, at a proposal's pin of its signers' chain. Clones share the cache.
#[derive(Debug, Clone)]
pub struct ChainSignatures {
    chain: Chain,
    pin: Pin,
    codes: Option<Arc<CodeCache>>,
}

impl ChainSignatures {
    /// What the signers' chain says at its pin, asked past any cache.
    pub fn new(chains: &Chains, signers: ChainId, pins: &Pins) -> Result<Self, ChainPowerError> {
        let chain = chains.get(signers).ok_or(ChainPowerError::NotConfigured { chain: signers })?.clone();
        let pin = *pins.get(signers).ok_or(ChainPowerError::NotPinned { chain: signers })?;
        Ok(Self { chain, pin, codes: None })
    }

    /// The same with a cache of which accounts have code at the pin, of at most about this many bytes.
    #[must_use]
    pub fn cached(self, chains: &Chains, bytes_max: usize) -> Self {
        Self { codes: Some(Arc::new(CodeCache::new(bytes_max, chains.code_metrics()))), ..self }
    }

    /// Where contracts are asked.
    pub const fn pin(&self) -> &Pin {
        &self.pin
    }

    /// What the chain says of each signature, in their order. All of them, or an error that decides nothing.
    pub async fn rulings(&self, questions: &[SignatureQuestion<'_>]) -> Result<Vec<SignatureRuling>, ChainError> {
        self.chain.rulings(&self.pin, questions, self.codes.as_deref()).await
    }
}

impl Chain {
    /// What the chain says at the pin of each signature, in their order, past any cache. Facts only: whatever an
    /// endpoint fails at is an error.
    pub async fn signatures(
        &self,
        pin: &Pin,
        questions: &[SignatureQuestion<'_>],
    ) -> Result<Vec<SignatureRuling>, ChainError> {
        self.rulings(pin, questions, None).await
    }

    async fn rulings(
        &self,
        pin: &Pin,
        questions: &[SignatureQuestion<'_>],
        codes: Option<&CodeCache>,
    ) -> Result<Vec<SignatureRuling>, ChainError> {
        let signers: Vec<Voter> = questions.iter().map(|question| question.signer).collect();
        let have_code = self.have_code_by(pin, &signers, codes).await?;
        let cases: Vec<Case<'_>> =
            questions.iter().zip(have_code).map(|(question, has_code)| Case::new(question, has_code)).collect();
        let mut rulings: Vec<SignatureRuling> = cases.iter().map(Case::unless_accepted).collect();
        let asked = select(&cases, Case::first_call);
        self.accept(pin, asked, ERC_1271, &mut rulings, |case| cases[case].check()).await?;

        let is_open = |index: usize| !matches!(rulings[index], SignatureRuling::Accepted(_));
        let mut older = select(&cases, Case::draft_call);
        older.retain(|(index, _)| is_open(*index));
        let mut prepared = select(&cases, Case::prepared_calls);
        prepared.retain(|(index, _)| is_open(*index));
        let mut rulings_older = rulings.clone();
        let legacy = |_| ContractCheck::Eip1271Legacy;
        let (accepted, ()) = try_join(
            self.accepted_after_preparation(pin, &prepared),
            self.accept(pin, older, ERC_1271_DRAFT, &mut rulings_older, legacy),
        )
        .await?;
        rulings = rulings_older;
        for index in accepted {
            rulings[index] = SignatureRuling::Accepted(ContractCheck::Eip6492);
        }
        rulings.iter().for_each(|ruling| self.inner.metrics.count_ruling(*ruling));
        Ok(rulings)
    }

    /// Makes calls and notes which of them are answered by `magic`.
    async fn accept(
        &self,
        pin: &Pin,
        calls: Vec<(usize, Call)>,
        magic: [u8; 4],
        rulings: &mut [SignatureRuling],
        check: impl Fn(usize) -> ContractCheck,
    ) -> Result<(), ChainError> {
        let (cases, calls): (Vec<usize>, Vec<Call>) = calls.into_iter().unzip();
        let facts = self.facts(&Checks { calls: &calls, pin }).await?;
        for (case, fact) in cases.into_iter().zip(facts) {
            if accepts(fact, magic) {
                rulings[case] = SignatureRuling::Accepted(check(case));
            }
        }
        Ok(())
    }

    /// Which of these cases are accepted once their preparing call was made. Each is asked alone.
    async fn accepted_after_preparation(
        &self,
        pin: &Pin,
        prepared: &[(usize, [Call; 2])],
    ) -> Result<Vec<usize>, ChainError> {
        let _waiting = Raised::by(&self.inner.metrics.checks.waiting, prepared.len());
        // Made before the first is awaited, so that whoever awaits all of them may do so on any thread.
        let asked: Vec<_> = prepared.iter().map(|(case, calls)| self.accepts_prepared(pin, *case, calls)).collect();
        let facts: Vec<Option<usize>> = stream::iter(asked).buffer_unordered(self.concurrency()).try_collect().await?;
        Ok(facts.into_iter().flatten().collect())
    }

    /// The case, if it is accepted once its preparing call was made.
    async fn accepts_prepared(
        &self,
        pin: &Pin,
        case: usize,
        [preparation, call]: &[Call; 2],
    ) -> Result<Option<usize>, ChainError> {
        let request = aggregate::check_prepared(preparation, call, pin);
        let fact = self.ask(&Prepared { request, pin }).await?;
        Ok(accepts(fact, ERC_1271).then_some(case))
    }
}

/// A question, and what is known of it before any contract is asked.
struct Case<'a> {
    question: &'a SignatureQuestion<'a>,
    has_code: bool,
    form: Form<'a>,
}

/// What kind of bytes a signature is.
enum Form<'a> {
    Plain,
    Wrapped(Wrapper<'a>),
    /// No contract is asked about it.
    Broken,
}

impl<'a> Case<'a> {
    fn new(question: &'a SignatureQuestion<'a>, has_code: bool) -> Self {
        let form = match Wrapper::read(question.signature) {
            _ if question.signature.len() > SIGNATURE_BYTES_MAX => Form::Broken,
            Ok(None) => Form::Plain,
            Ok(Some(wrapper)) => Form::Wrapped(wrapper),
            Err(_) => Form::Broken,
        };
        Self { question, has_code, form }
    }

    /// The ruling if no contract accepts.
    const fn unless_accepted(&self) -> SignatureRuling {
        if self.has_code { SignatureRuling::Refused } else { SignatureRuling::NoContract }
    }

    /// How a contract accepts that is asked as it is.
    const fn check(&self) -> ContractCheck {
        match self.form {
            Form::Plain | Form::Broken => ContractCheck::Eip1271,
            Form::Wrapped(_) => ContractCheck::Eip6492,
        }
    }

    /// What a contract is asked first: as it is at the pin, also about what is in a wrapper.
    fn first_call(&self) -> Option<Call> {
        let signature = match &self.form {
            Form::Plain => self.question.signature,
            Form::Wrapped(wrapper) => wrapper.signature,
            Form::Broken => return None,
        };
        self.has_code.then(|| self.call(signature))
    }

    /// What an older contract understands.
    fn draft_call(&self) -> Option<Call> {
        let SignatureQuestion { signer, digest, signature } = *self.question;
        let words = [word(2 * WORD_LEN), word(4 * WORD_LEN), word(WORD_LEN), *digest.as_bytes()];
        let is_asked = self.has_code && matches!(self.form, Form::Plain);
        is_asked.then(|| Call { to: signer, input: calldata(ERC_1271_DRAFT, &words, signature) })
    }

    /// What makes the contract ready, and what it is asked then.
    fn prepared_calls(&self) -> Option<[Call; 2]> {
        let Form::Wrapped(wrapper) = &self.form else { return None };
        let preparation = Call { to: wrapper.factory, input: wrapper.calldata.to_vec() };
        Some([preparation, self.call(wrapper.signature)])
    }

    fn call(&self, signature: &[u8]) -> Call {
        let words = [*self.question.digest.as_bytes(), word(2 * WORD_LEN)];
        Call { to: self.question.signer, input: calldata(ERC_1271, &words, signature) }
    }
}

/// The cases that have something, and what.
fn select<'a, T>(cases: &[Case<'a>], of: impl Fn(&Case<'a>) -> Option<T>) -> Vec<(usize, T)> {
    cases.iter().enumerate().filter_map(|(index, case)| Some((index, of(case)?))).collect()
}

/// Selector, words, and the signature as the last argument, with its length before it and zeros behind.
fn calldata(selector: [u8; 4], words: &[[u8; 32]], signature: &[u8]) -> Vec<u8> {
    let padded = signature.len().next_multiple_of(WORD_LEN);
    let mut bytes = Vec::with_capacity(selector.len() + (words.len() + 1) * WORD_LEN + padded);
    bytes.extend(selector);
    bytes.extend(words.as_flattened());
    bytes.extend(word(signature.len()));
    bytes.extend(signature);
    bytes.resize(bytes.len() + padded - signature.len(), 0);
    bytes
}

fn word(number: usize) -> [u8; 32] {
    U256::from(number).to_be_bytes()
}

/// Whether a contract's answer is the magic number and 28 zeros, as Solidity returns four bytes.
fn accepts(fact: Checked, magic: [u8; 4]) -> bool {
    let mut word = [0; 32];
    word[..4].copy_from_slice(&magic);
    fact == Checked::Word(U256::from_be_bytes(word))
}

/// Calls that check signatures.
struct Checks<'a> {
    calls: &'a [Call],
    pin: &'a Pin,
}

impl Batched for Checks<'_> {
    type Fact = Checked;

    const IS_OF_VOTERS: bool = true;

    fn count(&self) -> usize {
        self.calls.len()
    }

    fn size<'a>(&self, chain: &'a Chain) -> &'a BatchSize {
        &chain.inner.checks_size
    }

    fn metrics<'a>(&self, chain: &'a Chain) -> &'a BatchMetrics {
        &chain.inner.metrics.checks
    }

    fn fitting(&self, part: Range<usize>) -> usize {
        aggregate::fitting(self.calls, part).min(CHECKS_MAX)
    }

    fn batch(&self, part: Range<usize>) -> Request {
        aggregate::check_batch(&self.calls[part], self.pin)
    }

    fn read_batch(&self, answer: &[u8], count: usize) -> Result<Vec<Option<Checked>>, Failure> {
        aggregate::read_check_batch(answer, count, self.pin)
    }

    fn alone(&self, index: usize) -> Request {
        aggregate::check_alone(&self.calls[index], self.pin)
    }

    fn read_alone(&self, answer: &[u8]) -> Result<Checked, Failure> {
        aggregate::read_check_alone(answer, self.pin)
    }
}

struct Prepared<'a> {
    request: Request,
    pin: &'a Pin,
}

impl Question for Prepared<'_> {
    type Answer = Checked;

    const IS_HEAVY: bool = false;
    const IS_OF_VOTERS: bool = true;

    async fn ask(&self, endpoint: &Endpoint) -> Result<Checked, Failure> {
        endpoint.call(&self.request, |value| aggregate::read_check_prepared(&rpc::bytes(value)?, self.pin)).await
    }

    fn subject(&self) -> Subject {
        self.request.subject()
    }

    fn agree(one: &Checked, other: &Checked) -> bool {
        one == other
    }

    fn merge(one: Checked, _: &Checked) -> Checked {
        one
    }
}
