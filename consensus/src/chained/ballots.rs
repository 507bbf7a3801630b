//! Votes of one round, counted by the leader of the next.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::evidence::Evidence;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::{Height, Weight};
use pocket_types::scheme::Signed;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Vote, VoteData};

use crate::common::tally::Added;

/// The first vote of each member, whichever block it is for: a leader counts before it has seen the
/// proposal. Signatures are checked in batches, and each of them once.
#[derive(Clone, Debug)]
pub(super) struct Ballots {
    slots: Vec<Option<Slot>>,
    /// Weight of the votes for each block, checked or not.
    weights: BTreeMap<(BlockId, Height), u64>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    vote: Vote,
    checked: bool,
}

impl Ballots {
    pub(super) fn new(electorate: &Electorate) -> Self {
        Self { slots: alloc::vec![None; electorate.len()], weights: BTreeMap::new() }
    }

    /// Takes a vote of this round whose signer sent it itself and stands at `position`.
    pub(super) fn add(&mut self, vote: Vote, position: usize, electorate: &Electorate) -> Added {
        let Some(earlier) = self.slots[position] else {
            self.insert(vote, position, false, electorate);
            return Added::Counted;
        };
        if earlier.vote == vote {
            return Added::Known;
        }
        if !electorate.holds(&vote, position) {
            return Added::Invalid;
        }
        if !earlier.checked && !electorate.holds(&earlier.vote, position) {
            self.remove(position, electorate);
            self.insert(vote, position, true, electorate);
            return Added::Counted;
        }
        if earlier.vote.data == vote.data {
            return Added::Known;
        }
        Added::Conflict(Box::new(Evidence::equivocation(earlier.vote, vote)))
    }

    /// Takes a vote whose signature is known to hold: our own.
    pub(super) fn add_checked(&mut self, vote: Vote, position: usize, electorate: &Electorate) {
        if self.slots[position].is_none() {
            self.insert(vote, position, true, electorate);
        }
    }

    /// The certificate of a quorum, if there is one; and whose signatures did not hold.
    pub(super) fn certificate(
        &mut self,
        electorate: &Electorate,
    ) -> (Option<Certificate>, Vec<PublicKey>) {
        let quorum = self.weights.iter().find(|(_, weight)| electorate.is_quorum(Weight(**weight)));
        let Some((&(block, height), _)) = quorum else { return (None, Vec::new()) };
        let votes = self.slots.iter().flatten().map(|slot| slot.vote.data);
        let Some(data) =
            votes.into_iter().find(|data| (data.block, data.height) == (block, height))
        else {
            return (None, Vec::new());
        };
        let invalid = self.check(&data, electorate);
        (Certificate::from_votes(data, self.votes(&data), electorate).ok(), invalid)
    }

    /// A certificate with every vote that came in since it was made; and whose did not hold.
    pub(super) fn extend(
        &mut self,
        certificate: &Certificate,
        electorate: &Electorate,
    ) -> (Certificate, Vec<PublicKey>) {
        let invalid = self.check(&certificate.data, electorate);
        (certificate.extended(self.votes(&certificate.data), electorate), invalid)
    }

    fn votes(&self, data: &VoteData) -> impl Iterator<Item = &Vote> {
        let checked = self.slots.iter().flatten().filter(|slot| slot.checked);
        checked.map(|slot| &slot.vote).filter(|vote| vote.data == *data)
    }

    /// Checks the unchecked votes for this in one batch.
    fn check(&mut self, data: &VoteData, electorate: &Electorate) -> Vec<PublicKey> {
        let digest = data.digest();
        let mut batch = Vec::new();
        for (position, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot.as_mut().filter(|s| !s.checked && s.vote.data == *data) {
                slot.checked = true;
                batch.push(Signed { position, digest, signature: slot.vote.signature });
            }
        }
        if batch.is_empty() {
            return Vec::new();
        }
        let Err(invalid) = electorate.verifier().verify(&batch) else { return Vec::new() };
        let invalid: Vec<usize> = invalid.into_iter().map(|index| batch[index].position).collect();
        let slots = &self.slots;
        let signers = invalid.iter().filter_map(|&p| Some(slots[p]?.vote.signer)).collect();
        invalid.iter().for_each(|&position| self.remove(position, electorate));
        signers
    }

    fn insert(&mut self, vote: Vote, position: usize, checked: bool, electorate: &Electorate) {
        self.slots[position] = Some(Slot { vote, checked });
        let weight = self.weights.entry((vote.data.block, vote.data.height)).or_default();
        *weight = weight.saturating_add(weight_of(position, electorate));
    }

    fn remove(&mut self, position: usize, electorate: &Electorate) {
        let Some(slot) = self.slots[position].take() else { return };
        let key = (slot.vote.data.block, slot.vote.data.height);
        if let Some(weight) = self.weights.get_mut(&key) {
            *weight = weight.saturating_sub(weight_of(position, electorate));
        }
        self.weights.retain(|_, weight| *weight > 0);
    }
}

fn weight_of(position: usize, electorate: &Electorate) -> u64 {
    electorate.member(position).map_or(0, |member| member.weight.0)
}
