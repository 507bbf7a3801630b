//! The votes of one phase of one view, whatever block they name.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use pocket_types::evidence::Evidence;
use pocket_types::key::PublicKey;
use pocket_types::number::Weight;
use pocket_types::scheme::Signed;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Vote, VoteData};

use crate::common::tally::Added;

/// The first vote of each member. Everybody counts everybody's votes, and they may come before the
/// proposal, so it isn't known beforehand what they should say.
#[derive(Clone, Debug)]
pub(crate) struct Poll {
    slots: Vec<Option<Slot>>,
    /// Weight of the votes for each, checked or not.
    weights: BTreeMap<VoteData, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    vote: Vote,
    checked: bool,
}

impl Poll {
    pub(crate) fn new(electorate: &Electorate) -> Self {
        Self { slots: alloc::vec![None; electorate.len()], weights: BTreeMap::new() }
    }

    /// Takes a vote of this phase and view whose signer sent it itself and stands at `position`. The
    /// signature is checked later, when it matters; at once when it contradicts.
    pub(crate) fn add(&mut self, vote: Vote, position: usize, electorate: &Electorate) -> Added {
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
    pub(crate) fn add_checked(&mut self, vote: Vote, position: usize, electorate: &Electorate) {
        if self.slots[position].is_none() {
            self.insert(vote, position, true, electorate);
        }
    }

    /// The certificate for this, once a quorum has signed it; and whose signatures did not hold.
    pub(crate) fn certificate(
        &mut self,
        data: &VoteData,
        electorate: &Electorate,
    ) -> (Option<Certificate>, Vec<PublicKey>) {
        let weight = self.weights.get(data).copied().unwrap_or_default();
        if !electorate.is_quorum(Weight(weight)) {
            return (None, Vec::new());
        }
        let invalid = self.check(data, electorate);
        (Certificate::from_votes(*data, self.votes(data), electorate).ok(), invalid)
    }

    /// The checked votes for this.
    pub(crate) fn votes(&self, data: &VoteData) -> impl Iterator<Item = &Vote> {
        let slots = self.slots.iter().flatten();
        slots.filter(move |slot| slot.checked && slot.vote.data == *data).map(|slot| &slot.vote)
    }

    /// Checks what is unchecked of the votes for this, in one batch.
    pub(crate) fn check(&mut self, data: &VoteData, electorate: &Electorate) -> Vec<PublicKey> {
        let digest = data.digest();
        let mut batch = Vec::new();
        for (position, slot) in self.slots.iter_mut().enumerate() {
            let Some(slot) = slot.as_mut().filter(|slot| slot.vote.data == *data) else { continue };
            if !core::mem::replace(&mut slot.checked, true) {
                batch.push(Signed { position, digest, signature: slot.vote.signature });
            }
        }
        if batch.is_empty() {
            return Vec::new();
        }
        let Err(invalid) = electorate.verifier().verify(&batch) else { return Vec::new() };
        let positions = invalid.into_iter().filter_map(|index| Some(batch.get(index)?.position));
        positions.filter_map(|position| self.remove(position, electorate)).collect()
    }

    fn insert(&mut self, vote: Vote, position: usize, checked: bool, electorate: &Electorate) {
        self.slots[position] = Some(Slot { vote, checked });
        *self.weights.entry(vote.data).or_default() += weight(position, electorate);
    }

    fn remove(&mut self, position: usize, electorate: &Electorate) -> Option<PublicKey> {
        let Slot { vote, .. } = self.slots[position].take()?;
        if let Some(sum) = self.weights.get_mut(&vote.data) {
            *sum -= weight(position, electorate);
            if *sum == 0 {
                self.weights.remove(&vote.data);
            }
        }
        Some(vote.signer)
    }
}

fn weight(position: usize, electorate: &Electorate) -> u64 {
    electorate.member(position).map_or(0, |member| member.weight.0)
}
