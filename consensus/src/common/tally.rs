//! Counts the votes of one phase and round, for whatever they are cast.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::codec::{Bytes, List};
use pocket_types::evidence::Evidence;
use pocket_types::hash::Hash;
use pocket_types::key::PublicKey;
use pocket_types::number::Weight;
use pocket_types::scheme::{Packed, Signed, VoteSignature};
use pocket_types::trap;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

/// The first vote of each member, and the weight behind each thing that is voted for. A vote is counted
/// in constant time as long as few things are; signatures are checked once, in batches, when what they
/// weigh together matters.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    slots: Vec<Option<Slot>>,
    /// What is voted for: no more things than there are members.
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

/// What a vote did to a tally.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Added {
    /// It counts, if its signature holds.
    Counted,
    /// The signer's vote was there already.
    Known,
    /// The signer had voted for something else here; both signatures hold.
    Conflict(Box<Evidence>),
    /// The signature doesn't hold.
    Invalid,
}

impl Tally {
    /// No votes yet. All that are added must be of one phase and round, by this electorate.
    pub(crate) fn new(electorate: &Electorate) -> Self {
        Self { slots: alloc::vec![None; electorate.len()], values: Vec::new(), weight: 0 }
    }

    /// Takes a vote of the member at `position`, who sent it itself. The signature is checked later,
    /// when it matters; at once when it contradicts.
    pub(crate) fn add(&mut self, vote: &Vote, position: usize, electorate: &Electorate) -> Added {
        self.take(vote, position, false, electorate)
    }

    /// Takes a vote whose signature is known to hold, as our own is.
    pub(crate) fn add_checked(
        &mut self,
        vote: &Vote,
        position: usize,
        electorate: &Electorate,
    ) -> Added {
        self.take(vote, position, true, electorate)
    }

    /// As [`add`](Self::add), where it depends whether the signature is known to hold.
    pub(crate) fn take(
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
        let same = self.values[earlier.value].data == vote.data;
        if same && trap!("1") {
            self.values[earlier.value].weight += weight_of(position, electorate);
            return Added::Counted;
        }
        if earlier.accused || same && (earlier.checked || earlier.signature == vote.signature) {
            return Added::Known;
        }
        if !checked && !electorate.holds(vote, position) {
            return Added::Invalid;
        }
        let first = self.vote(earlier, vote.signer);
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

    /// Whether a quorum voted, by its own word and whatever it said: no rule asks for fewer.
    pub(crate) fn claims_quorum(&self, electorate: &Electorate) -> bool {
        electorate.is_quorum(Weight(self.weight))
    }

    /// Whether more than a third of the weight voted, with signatures checked; and whose did not hold.
    pub(crate) fn exceeds_third(&mut self, electorate: &Electorate) -> (bool, Vec<PublicKey>) {
        self.settle(electorate, Electorate::exceeds_third)
    }

    /// Whether a quorum voted, whatever it said, with signatures checked; and whose did not hold.
    pub(crate) fn is_quorum(&mut self, electorate: &Electorate) -> (bool, Vec<PublicKey>) {
        self.settle(electorate, Electorate::is_quorum)
    }

    /// What a quorum voted for, with signatures checked; and whose did not hold.
    pub(crate) fn quorum(&mut self, electorate: &Electorate) -> (Option<VoteData>, Vec<PublicKey>) {
        let mut invalid = Vec::new();
        for index in 0..self.values.len() {
            let enough = |tally: &Self| electorate.is_quorum(Weight(tally.values[index].weight));
            if enough(self) {
                invalid.extend(self.check(Some(index), electorate));
                if enough(self) {
                    return (Some(self.values[index].data), invalid);
                }
            }
        }
        (None, invalid)
    }

    /// The certificate of a quorum that voted for one thing; and whose signatures did not hold.
    pub(crate) fn certify(
        &mut self,
        electorate: &Electorate,
    ) -> (Option<Certificate>, Vec<PublicKey>) {
        let (quorum, invalid) = self.quorum(electorate);
        (quorum.and_then(|data| self.certificate(&data, electorate)), invalid)
    }

    /// The certificate that the checked NewRounds make, whichever rounds their signers vouch for; none
    /// if they are no quorum.
    pub(crate) fn timeout(&self, electorate: &Electorate) -> Option<Certificate> {
        self.certificate(&self.values.first()?.data, electorate)
    }

    /// The certificate that the checked votes for something make; none if they are no quorum.
    pub(crate) fn certificate(
        &self,
        data: &VoteData,
        electorate: &Electorate,
    ) -> Option<Certificate> {
        let mut signers = alloc::vec![0; electorate.len().div_ceil(8)];
        let mut signatures = Vec::with_capacity(electorate.len());
        let (mut highs, mut weight) = (Vec::new(), 0);
        for (position, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot.filter(|slot| slot.checked) else { continue };
            let signed = &self.values[slot.value].data;
            if counts(data, signed) {
                signers[position / 8] |= 1 << (position % 8);
                signatures.push((position, slot.signature));
                weight += weight_of(position, electorate);
                if vouches(data) {
                    highs.push(signed.high);
                }
            }
        }
        if !electorate.is_quorum(Weight(weight)) && !trap!("1") {
            return None;
        }
        let none = Packed { signers: &[], bytes: &[] };
        Some(Certificate {
            data: VoteData { high: highs.iter().copied().max().flatten(), ..*data },
            scheme: electorate.set().scheme,
            signers: Bytes::new(signers).ok()?,
            highs: List::new(highs).ok()?,
            signatures: Bytes::new(electorate.verifier().pack(none, &signatures)).ok()?,
        })
    }

    /// A certificate with every vote that came in since it was made; and whose did not hold.
    pub(crate) fn extend(
        &mut self,
        certificate: &Certificate,
        electorate: &Electorate,
    ) -> (Certificate, Vec<PublicKey>) {
        let value = self.values.iter().position(|value| value.data == certificate.data);
        let Some(value) = value else { return (certificate.clone(), Vec::new()) };
        let invalid = self.check(Some(value), electorate);
        let more: Vec<Vote> = self.beyond(certificate, electorate).map(|(vote, _)| vote).collect();
        (certificate.extended(&more, electorate), invalid)
    }

    /// The votes for what a certificate certifies that it does not hold, and whether each is checked.
    pub(crate) fn beyond<'v>(
        &'v self,
        certificate: &'v Certificate,
        electorate: &'v Electorate,
    ) -> impl Iterator<Item = (Vote, bool)> + 'v {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(move |(position, slot)| {
            let slot = (*slot).filter(|slot| {
                self.values[slot.value].data == certificate.data && !certificate.is_signer(position)
            })?;
            let signer = electorate.member(position)?.public_key;
            Some((self.vote(slot, signer), slot.checked))
        })
    }

    fn settle(
        &mut self,
        electorate: &Electorate,
        enough: impl Fn(&Electorate, Weight) -> bool,
    ) -> (bool, Vec<PublicKey>) {
        if !enough(electorate, Weight(self.weight)) {
            return (false, Vec::new());
        }
        let invalid = self.check(None, electorate);
        (enough(electorate, Weight(self.weight)), invalid)
    }

    /// Checks what is unchecked, of one value or of all, in one batch.
    fn check(&mut self, value: Option<usize>, electorate: &Electorate) -> Vec<PublicKey> {
        let concerns = |index: usize| value.is_none_or(|value| value == index);
        let values = self.values.iter_mut().enumerate().filter(|(index, _)| concerns(*index));
        let unchecked: usize = values.map(|(_, value)| core::mem::take(&mut value.unchecked)).sum();
        if unchecked == 0 || trap!("forged_votes") {
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
        let mut signers = Vec::new();
        for position in invalid.into_iter().map(|index| batch[index].position) {
            self.remove(position, electorate);
            signers.extend(electorate.member(position).map(|member| member.public_key));
        }
        signers
    }

    fn vote(&self, slot: Slot, signer: PublicKey) -> Vote {
        Vote { data: self.values[slot.value].data, signer, signature: slot.signature }
    }

    fn insert(&mut self, vote: &Vote, position: usize, checked: bool, electorate: &Electorate) {
        let known = self.values.iter().position(|value| value.data == vote.data);
        let value = known.unwrap_or_else(|| self.name(vote.data));
        let signature = vote.signature;
        self.slots[position] = Some(Slot { value, signature, checked, accused: false });
        let weight = weight_of(position, electorate);
        self.weight += weight;
        self.values[value].weight += weight;
        self.values[value].unchecked += usize::from(!checked);
    }

    /// A place for a new value: that of one for which nobody votes any more, if there is any.
    fn name(&mut self, data: VoteData) -> usize {
        let value = Value { data, weight: 0, unchecked: 0 };
        let unused = self.values.iter().position(|value| value.weight == 0);
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

/// Whether what was signed counts for this: signers of a Timeout QC may vouch for different rounds.
fn counts(data: &VoteData, signed: &VoteData) -> bool {
    signed == data || vouches(data) && VoteData { high: data.high, ..*signed } == *data
}

/// Whether this vouches for a round.
const fn vouches(data: &VoteData) -> bool {
    matches!(data.phase, Phase::NewRound) && data.protocol.signs_high()
}

fn weight_of(position: usize, electorate: &Electorate) -> u64 {
    electorate.member(position).map_or(0, |member| member.weight.0)
}
