//! Counts the votes for one thing, checking signatures in batches and each of them once.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pocket_types::evidence::Evidence;
use pocket_types::key::PublicKey;
use pocket_types::number::Weight;
use pocket_types::scheme::Signed;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Certificate, Phase, Vote, VoteData};

/// Votes for one [`VoteData`], one slot for each member of the electorate.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    data: VoteData,
    slots: Vec<Option<Slot>>,
    /// Weight of the slots that hold a vote for `data`, checked or not.
    weight: u64,
    unchecked: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    vote: Vote,
    checked: bool,
}

/// What a vote did to a tally.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Added {
    /// It counts, if its signature holds.
    Counted,
    /// The signer's vote was there already.
    Known,
    /// The signer had voted for something else in this slot; both signatures hold.
    Conflict(Box<Evidence>),
    /// The signature doesn't hold.
    Invalid,
}

impl Tally {
    pub(crate) fn new(data: VoteData, electorate: &Electorate) -> Self {
        Self { data, slots: alloc::vec![None; electorate.len()], weight: 0, unchecked: Vec::new() }
    }

    pub(crate) const fn data(&self) -> &VoteData {
        &self.data
    }

    /// Takes a vote of this slot whose signer sent it itself and stands at `position`. The signature
    /// is checked later, when it matters; at once when it contradicts.
    pub(crate) fn add(&mut self, vote: Vote, position: usize, electorate: &Electorate) -> Added {
        let Some(earlier) = self.slots[position] else {
            if !counts(&self.data, &vote) && !electorate.holds(&vote, position) {
                return Added::Invalid;
            }
            self.insert(vote, position, !counts(&self.data, &vote), electorate);
            return Added::Counted;
        };
        if earlier.vote == vote {
            if cfg!(pocket_trap = "1") {
                self.weight = self.weight.saturating_add(weight(position, electorate));
                return Added::Counted;
            }
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

    /// Whether more than a third of the weight voted, with signatures checked.
    pub(crate) fn exceeds_third(&mut self, electorate: &Electorate) -> (bool, Vec<PublicKey>) {
        self.settle(electorate, Electorate::exceeds_third)
    }

    /// Whether a quorum voted, by its own word: for what nobody else will have to be convinced of.
    pub(crate) fn claims_quorum(&self, electorate: &Electorate) -> bool {
        electorate.is_quorum(Weight(self.weight))
    }

    /// Whether a quorum voted, with signatures checked; and whose signatures did not hold.
    pub(crate) fn is_quorum(&mut self, electorate: &Electorate) -> (bool, Vec<PublicKey>) {
        self.settle(electorate, Electorate::is_quorum)
    }

    /// The checked votes.
    pub(crate) fn votes(&self) -> impl Iterator<Item = &Vote> {
        let slots = self.slots.iter().flatten();
        slots.filter(|slot| slot.checked && counts(&self.data, &slot.vote)).map(|slot| &slot.vote)
    }

    /// The certificate that the checked votes make; none before [`Tally::is_quorum`].
    pub(crate) fn certificate(&self, electorate: &Electorate) -> Option<Certificate> {
        Certificate::from_votes(self.data, self.votes(), electorate).ok()
    }

    /// Checks what is unchecked in one batch.
    pub(crate) fn check(&mut self, electorate: &Electorate) -> Vec<PublicKey> {
        let unchecked = core::mem::take(&mut self.unchecked);
        if unchecked.is_empty() {
            return Vec::new();
        }
        let mut batch = Vec::with_capacity(unchecked.len());
        let digest = self.data.digest();
        for position in unchecked {
            if let Some(slot) = self.slots[position].as_mut().filter(|slot| !slot.checked) {
                slot.checked = true;
                let Vote { data, signature, .. } = slot.vote;
                let digest = if data == self.data { digest } else { data.digest() };
                batch.push(Signed { position, digest, signature });
            }
        }
        let Err(invalid) = electorate.verifier().verify(&batch) else { return Vec::new() };
        let invalid: Vec<usize> = invalid.into_iter().map(|index| batch[index].position).collect();
        let slots = &self.slots;
        let signers = invalid.iter().filter_map(|&p| Some(slots[p]?.vote.signer)).collect();
        invalid.iter().for_each(|&position| self.remove(position, electorate));
        signers
    }

    fn settle(
        &mut self,
        electorate: &Electorate,
        enough: impl Fn(&Electorate, Weight) -> bool,
    ) -> (bool, Vec<PublicKey>) {
        if !enough(electorate, Weight(self.weight)) {
            return (false, Vec::new());
        }
        let invalid = self.check(electorate);
        (enough(electorate, Weight(self.weight)), invalid)
    }

    fn insert(&mut self, vote: Vote, position: usize, checked: bool, electorate: &Electorate) {
        self.slots[position] = Some(Slot { vote, checked });
        if counts(&self.data, &vote) {
            self.weight += weight(position, electorate);
            if !checked {
                self.unchecked.push(position);
            }
        }
    }

    fn remove(&mut self, position: usize, electorate: &Electorate) {
        if self.slots[position].take().is_some_and(|slot| counts(&self.data, &slot.vote)) {
            self.weight -= weight(position, electorate);
        }
    }
}

/// Whether a vote counts for this: signers of a Timeout QC may vouch for different rounds.
fn counts(data: &VoteData, vote: &Vote) -> bool {
    vote.data == *data
        || data.phase == Phase::NewRound
            && data.protocol.signs_high()
            && VoteData { high: data.high, ..vote.data } == *data
}

fn weight(position: usize, electorate: &Electorate) -> u64 {
    electorate.member(position).map_or(0, |member| member.weight.0)
}
