//! The votes of one round and phase, for whatever they are cast.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::codec::{Bytes, List};
use pocket_types::evidence::Evidence;
use pocket_types::hash::Hash;
use pocket_types::id::BlockId;
use pocket_types::key::PublicKey;
use pocket_types::number::Weight;
use pocket_types::scheme::{Packed, Signed, VoteSignature};
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Vote, VoteData};

use crate::common::tally::Added;

/// One vote of each member, and the weight behind each block and behind none (nil). A vote is counted
/// in constant time; signatures are checked once, in batches, when what they weigh together matters.
#[derive(Clone, Debug)]
pub(super) struct Votes {
    slots: Vec<Option<Slot>>,
    /// What was voted for; nil first. At most one more than there are members.
    values: Vec<Value>,
    /// Weight of all slots, checked or not.
    weight: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Index into the values.
    value: usize,
    signature: VoteSignature,
    checked: bool,
    /// The signer is proved to have voted twice here.
    accused: bool,
}

#[derive(Clone, Debug)]
struct Value {
    data: VoteData,
    /// Weight of its slots, checked or not.
    weight: u64,
    unchecked: usize,
}

impl Votes {
    /// No votes yet for the slot of `data`.
    pub(super) fn new(data: VoteData, electorate: &Electorate) -> Self {
        let nil = Value { data: data.slot(), weight: 0, unchecked: 0 };
        Self { slots: alloc::vec![None; electorate.len()], values: Vec::from([nil]), weight: 0 }
    }

    /// Takes a vote for this slot of the member at `position`. Its signature is checked later, when
    /// it matters; at once when it contradicts.
    pub(super) fn add(
        &mut self,
        vote: &Vote,
        position: usize,
        checked: bool,
        electorate: &Electorate,
    ) -> Added {
        let Some(earlier) = self.slots[position] else {
            self.insert(vote, position, checked, electorate);
            return Added::Counted;
        };
        let same = self.values[earlier.value].data.block == vote.data.block;
        if earlier.accused || same && (earlier.checked || earlier.signature == vote.signature) {
            return Added::Known;
        }
        if !checked && !electorate.holds(vote, position) {
            return Added::Invalid;
        }
        let Some(first) = self.vote(earlier, position, electorate) else { return Added::Invalid };
        if !earlier.checked && !electorate.holds(&first, position) {
            self.remove(position, electorate);
            self.insert(vote, position, true, electorate);
            return Added::Counted;
        }
        self.values[earlier.value].unchecked -= usize::from(!earlier.checked);
        self.slots[position] = Some(Slot { checked: true, accused: !same, ..earlier });
        if same {
            return Added::Known;
        }
        Added::Conflict(Box::new(Evidence::equivocation(first, *vote)))
    }

    /// Whether there are as many votes as a quorum, whatever they say and whether or not they hold: no
    /// rule asks for fewer.
    pub(super) fn are_enough(&self, electorate: &Electorate) -> bool {
        electorate.is_quorum(Weight(self.weight))
    }

    /// The block for which a quorum voted, or zero if it voted for none, with signatures checked;
    /// and whose signatures did not hold.
    pub(super) fn quorum(&mut self, electorate: &Electorate) -> (Option<BlockId>, Vec<PublicKey>) {
        let mut invalid = Vec::new();
        if !self.are_enough(electorate) {
            return (None, invalid);
        }
        for index in 0..self.values.len() {
            let enough = |votes: &Self| electorate.is_quorum(Weight(votes.values[index].weight));
            if enough(self) {
                invalid.extend(self.check(Some(index), electorate));
                if enough(self) {
                    return (Some(self.values[index].data.block), invalid);
                }
            }
        }
        (None, invalid)
    }

    /// Whether a quorum voted for anything, with signatures checked; and whose did not hold.
    pub(super) fn quorum_of_any(&mut self, electorate: &Electorate) -> (bool, Vec<PublicKey>) {
        if !self.are_enough(electorate) {
            return (false, Vec::new());
        }
        let invalid = self.check(None, electorate);
        (self.are_enough(electorate), invalid)
    }

    /// The certificate that the checked votes for a block make; none if they are no quorum.
    pub(super) fn certificate(
        &self,
        block: BlockId,
        electorate: &Electorate,
    ) -> Option<Certificate> {
        let value = self.values.iter().position(|value| value.data.block == block)?;
        let mut signers = alloc::vec![0; electorate.len().div_ceil(8)];
        let mut signatures = Vec::with_capacity(electorate.len());
        let mut weight = 0;
        for (position, slot) in self.slots.iter().enumerate() {
            if let Some(slot) = slot.filter(|slot| slot.value == value && slot.checked) {
                signers[position / 8] |= 1 << (position % 8);
                signatures.push((position, slot.signature));
                weight += weight_of(position, electorate);
            }
        }
        if !electorate.is_quorum(Weight(weight)) {
            return None;
        }
        let none = Packed { signers: &[], bytes: &[] };
        Some(Certificate {
            data: self.values[value].data,
            scheme: electorate.set().scheme,
            signers: Bytes::new(signers).ok()?,
            highs: List::empty(),
            signatures: Bytes::new(electorate.verifier().pack(none, &signatures)).ok()?,
        })
    }

    /// The votes for what a certificate certifies that it does not hold, and whether each is checked.
    pub(super) fn beyond<'v>(
        &'v self,
        certificate: &'v Certificate,
        electorate: &'v Electorate,
    ) -> impl Iterator<Item = (Vote, bool)> + 'v {
        let block = certificate.data.block;
        let slots = self.slots.iter().enumerate();
        slots.filter_map(move |(position, slot)| {
            let slot = (*slot).filter(|slot| {
                self.values[slot.value].data.block == block && !certificate.is_signer(position)
            })?;
            Some((self.vote(slot, position, electorate)?, slot.checked))
        })
    }

    /// Checks what is unchecked, of one value or of all, in one batch.
    fn check(&mut self, value: Option<usize>, electorate: &Electorate) -> Vec<PublicKey> {
        let concerns = |index: usize| value.is_none_or(|value| value == index);
        let values = self.values.iter_mut().enumerate().filter(|(index, _)| concerns(*index));
        let unchecked: usize = values.map(|(_, value)| core::mem::take(&mut value.unchecked)).sum();
        if unchecked == 0 {
            return Vec::new();
        }
        let mut digests: Vec<Option<Hash>> = alloc::vec![None; self.values.len()];
        let mut batch = Vec::with_capacity(unchecked);
        for (position, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot.as_mut().filter(|slot| !slot.checked && concerns(slot.value)) {
                slot.checked = true;
                let data = &self.values[slot.value].data;
                let digest = *digests[slot.value].get_or_insert_with(|| data.digest());
                batch.push(Signed { position, digest, signature: slot.signature });
            }
        }
        let Err(invalid) = electorate.verifier().verify(&batch) else { return Vec::new() };
        let invalid = invalid.into_iter().map(|index| batch[index].position);
        let mut signers = Vec::new();
        for position in invalid {
            self.remove(position, electorate);
            signers.extend(electorate.member(position).map(|member| member.public_key));
        }
        signers
    }

    fn vote(&self, slot: Slot, position: usize, electorate: &Electorate) -> Option<Vote> {
        let signer = electorate.member(position)?.public_key;
        Some(Vote { data: self.values[slot.value].data, signer, signature: slot.signature })
    }

    fn insert(&mut self, vote: &Vote, position: usize, checked: bool, electorate: &Electorate) {
        let block = vote.data.block;
        let known = self.values.iter().position(|value| value.data.block == block);
        let value = known.unwrap_or_else(|| self.name(block));
        let signature = vote.signature;
        self.slots[position] = Some(Slot { value, signature, checked, accused: false });
        let weight = weight_of(position, electorate);
        self.weight += weight;
        self.values[value].weight += weight;
        self.values[value].unchecked += usize::from(!checked);
    }

    /// A place for a new value: that of one for which nobody votes any more, if there is any.
    fn name(&mut self, block: BlockId) -> usize {
        let data = VoteData { block, ..self.values[0].data };
        let value = Value { data, weight: 0, unchecked: 0 };
        let unused = (1..self.values.len()).find(|&index| self.values[index].weight == 0);
        let index = unused.unwrap_or(self.values.len());
        match unused {
            Some(index) => self.values[index] = value,
            None => self.values.push(value),
        }
        index
    }

    fn remove(&mut self, position: usize, electorate: &Electorate) {
        if let Some(slot) = self.slots[position].take() {
            let weight = weight_of(position, electorate);
            self.weight -= weight;
            self.values[slot.value].weight -= weight;
            self.values[slot.value].unchecked -= usize::from(!slot.checked);
        }
    }
}

fn weight_of(position: usize, electorate: &Electorate) -> u64 {
    electorate.member(position).map_or(0, |member| member.weight.0)
}
