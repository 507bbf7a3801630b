//! A validator made of malachite's core, and the host that its core wants: it signs and verifies,
//! keeps no write-ahead log, sets no timers, and starts the next height as soon as one is final.

mod context;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use arc_malachitebft_core_consensus::{
    Effect, Error, Input, LocallyProposedValue, Params, Resumable, Resume, SignedConsensusMsg,
    State, process,
};
use arc_malachitebft_core_types::{
    Round, SignedMessage, ThresholdParams, ValidatorProof, ValuePayload, VoteExtensionPolicy,
    VoteExtensionScope, VoteType,
};
use arc_malachitebft_signing::{self as signing, VerificationResult, Verifier, VerifierExt};
use pocket_types::hash::{Domain, Hash};
use pocket_types::key::{self, SecretKey};
use pocket_types::number::Timestamp;
use pocket_types::signature;

use crate::network::{Crypto, Kind, Node, Output, Setup};
use context::{Address, Bench, Height, Proposal, PublicKey, Signature, Validator, ValidatorSet};
use context::{Value, Vote};

/// A validator.
pub(crate) struct Malachite {
    state: State<Bench>,
    host: Host,
    started: bool,
}

/// What answers the core's effects.
struct Host {
    key: SecretKey,
    crypto: Crypto,
    /// Set by a decision: the next height may start.
    finalized: bool,
}

/// What the host was asked to build.
pub(crate) struct Build {
    height: Height,
    round: Round,
}

impl Malachite {
    fn at(setup: &Setup, place: usize, height: Height, validators: ValidatorSet) -> Self {
        let params = Params {
            address: validators.0[place].address,
            threshold_params: ThresholdParams::default(),
            value_payload: ValuePayload::ProposalOnly,
            enabled: true,
        };
        // Room for the messages of ten heights, and of all of one: nothing is left out here.
        let (heights, messages) = (10, 4 * validators.0.len());
        let state = State::new(Bench, height, validators, params, heights, messages);
        let (key, _) = setup.validators.pair(place);
        let host = Host { key, crypto: setup.crypto, finalized: false };
        Self { state, host, started: false }
    }

    fn handle(&mut self, input: Input<Bench>) -> Vec<Output<Self>> {
        let mut outputs = Vec::new();
        self.process(input, &mut outputs);
        while std::mem::take(&mut self.host.finalized) {
            let next = Height(self.state.height().0 + 1);
            self.process(self.start(next), &mut outputs);
        }
        outputs
    }

    fn process(&mut self, input: Input<Bench>, outputs: &mut Vec<Output<Self>>) {
        let host = &mut self.host;
        let result: Result<(), Error<Bench>> = process!(
            input: input,
            state: &mut self.state,
            metrics: &(),
            with: effect => host.perform(effect, outputs)
        );
        result.expect("nothing goes wrong here");
    }

    fn start(&self, height: Height) -> Input<Bench> {
        let validators = self.state.validator_set().clone();
        Input::StartHeight(height, validators, false, None, VoteExtensionPolicy::Disabled)
    }
}

impl Host {
    fn perform(
        &mut self,
        effect: Effect<Bench>,
        outputs: &mut Vec<Output<Malachite>>,
    ) -> Result<Resume<Bench>, Infallible> {
        Ok(match effect {
            Effect::SignVote(vote, r) => {
                let signature = self.crypto.sign(&self.key, || vote.digest());
                r.resume_with(SignedMessage::new(vote, Signature(signature.0)))
            }
            Effect::SignProposal(proposal, r) => {
                let signature = self.crypto.sign(&self.key, || proposal.digest());
                r.resume_with(SignedMessage::new(proposal, Signature(signature.0)))
            }
            Effect::VerifySignature(message, key, r) => {
                use arc_malachitebft_core_consensus::ConsensusMsg;
                let digest = || match &message.message {
                    ConsensusMsg::Vote(vote) => vote.digest(),
                    ConsensusMsg::Proposal(proposal) => proposal.digest(),
                };
                r.resume_with(holds(self.crypto, &key, digest, &message.signature))
            }
            Effect::VerifyCommitCertificate(certificate, validators, thresholds, r) => {
                let verify = self.crypto.verify_commit_certificate(
                    &Bench,
                    &certificate,
                    &validators,
                    thresholds,
                );
                r.resume_with(at_once(verify))
            }
            Effect::GetValue(height, round, _, r) => {
                outputs.push(Output::Ask(Build { height, round }));
                r.resume_with(())
            }
            Effect::PublishConsensusMsg(message, r) => {
                outputs.push(Output::Say { to: None, message });
                r.resume_with(())
            }
            Effect::Finalize(_, _, _, r) => {
                self.finalized = true;
                r.resume_with(())
            }
            Effect::Decide(_, _, r) => r.resume_with(()),
            Effect::WalAppend(_, _, r) => r.resume_with(()),
            Effect::StartRound(_, _, _, _, r) => r.resume_with(()),
            Effect::CancelAllTimeouts(r) => r.resume_with(()),
            Effect::CancelTimeout(_, r) | Effect::ScheduleTimeout(_, r) => r.resume_with(()),
            other => panic!("not on the happy path: {other:?}"),
        })
    }
}

impl Node for Malachite {
    type Message = SignedConsensusMsg<Bench>;
    type Question = Build;

    fn new(setup: &Setup, place: usize) -> Self {
        Self::at(setup, place, Height(1), validators(setup))
    }

    fn join(&self, setup: &Setup, place: usize) -> Self {
        Self::at(setup, place, self.state.height(), self.state.validator_set().clone())
    }

    fn height(&self) -> u64 {
        self.state.height().0
    }

    fn leader(&self, height: u64) -> usize {
        (height % self.state.validator_set().0.len() as u64) as usize
    }

    fn deadline(&self) -> Option<Timestamp> {
        (!self.started).then_some(Timestamp::ZERO)
    }

    fn tick(&mut self, _: Timestamp) -> Vec<Output<Self>> {
        self.started = true;
        self.handle(self.start(self.state.height()))
    }

    fn answer(&mut self, _: Timestamp, Build { height, round }: Build) -> Vec<Output<Self>> {
        let value = Value(Domain::custom("pocket benches block").hash(&height.0.to_le_bytes()));
        self.handle(Input::Propose(LocallyProposedValue { height, round, value }))
    }

    fn hear(&mut self, _: Timestamp, _: usize, message: &Self::Message) -> Vec<Output<Self>> {
        self.handle(match message {
            SignedConsensusMsg::Vote(vote) => Input::Vote(vote.clone()),
            SignedConsensusMsg::Proposal(proposal) => Input::Proposal(proposal.clone()),
        })
    }

    fn echo(setup: &Setup, place: usize, message: &Self::Message) -> Self::Message {
        let SignedConsensusMsg::Vote(vote) = message else { panic!("followers vote") };
        let (key, _) = &setup.validators.keys[place];
        let vote = Vote { validator: address(&key.public_key()), ..vote.message };
        let signature = Signature(setup.crypto.sign(key, || vote.digest()).0);
        SignedConsensusMsg::Vote(SignedMessage::new(vote, signature))
    }

    fn kind(message: &Self::Message) -> Kind {
        let name = match message {
            SignedConsensusMsg::Proposal(_) => "Proposal",
            SignedConsensusMsg::Vote(vote) => match vote.message.kind {
                VoteType::Prevote => "Prevote",
                VoteType::Precommit => "Precommit",
            },
        };
        Kind { name, bytes: None, signatures: 1 }
    }
}

/// As a host does: one signature after the other.
#[async_trait::async_trait]
impl Verifier<Bench> for Crypto {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, signing::Error> {
        let valid = holds(*self, key, || vote.digest(), signature);
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, signing::Error> {
        let valid = holds(*self, key, || proposal.digest(), signature);
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Bench>,
        _: &(),
        _: &Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, signing::Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(
        &self,
        _: &ValidatorProof<Bench>,
    ) -> Result<VerificationResult, signing::Error> {
        Ok(VerificationResult::Invalid)
    }
}

fn holds(
    crypto: Crypto,
    key: &PublicKey,
    digest: impl Fn() -> Hash,
    signature: &Signature,
) -> bool {
    match crypto {
        Crypto::Off => true,
        Crypto::Ed25519 => {
            signature::verify(&key.0, &digest(), &key::Signature(signature.0)).is_ok()
        }
    }
}

/// The value of a future that never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// The first bytes of a key, so that both sides have members in the same order.
fn address(key: &key::PublicKey) -> Address {
    Address(*key.as_bytes().first_chunk().expect("keys are longer than addresses"))
}

fn validators(setup: &Setup) -> ValidatorSet {
    let electorate = &setup.validators.electorate;
    let member = |position| {
        let key = electorate.member(position).expect("a position").public_key;
        let key = key::VerifyingKey::new(key).expect("a checked set");
        Validator { address: address(&key.public_key()), key: PublicKey(key) }
    };
    ValidatorSet(Arc::new((0..electorate.len()).map(member).collect()))
}
