//! Votes of later rounds, and following those who cast them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use pocket_types::evidence::Evidence;
use pocket_types::key::PublicKey;
use pocket_types::number::{Round, Timestamp, Weight};
use pocket_types::scheme::Signed;
use pocket_types::validator::Electorate;
use pocket_types::vote::{Phase, Vote};

use super::{Fx, Heard, Tendermint};
use crate::common::tally::{Added, Tally};
use crate::common::{charge, invalid};

/// The latest prevote and the latest precommit of each member, if its round is later than ours.
#[derive(Clone, Debug, Default)]
pub(super) struct Later {
    held: BTreeMap<(usize, Phase), Held>,
    /// Weight of the members who have any.
    weight: u64,
}

#[derive(Clone, Debug)]
struct Held {
    vote: Vote,
    checked: bool,
}

impl Later {
    fn has(&self, position: usize) -> bool {
        [Phase::Prepare, Phase::Commit].iter().any(|&p| self.held.contains_key(&(position, p)))
    }

    fn insert(&mut self, key: (usize, Phase), held: Held, electorate: &Electorate) {
        if !self.has(key.0) {
            self.weight += weight(key.0, electorate);
        }
        self.held.insert(key, held);
    }

    fn remove(&mut self, key: (usize, Phase), electorate: &Electorate) -> Option<Held> {
        let held = self.held.remove(&key)?;
        if !self.has(key.0) {
            self.weight -= weight(key.0, electorate);
        }
        Some(held)
    }

    /// The latest round that more than a third of the weight has reached.
    fn reached(&self, electorate: &Electorate) -> Option<Round> {
        if !electorate.exceeds_third(Weight(self.weight)) {
            return None;
        }
        let mut latest: BTreeMap<usize, Round> = BTreeMap::new();
        for (&(position, _), held) in &self.held {
            let round = latest.entry(position).or_default();
            *round = held.vote.data.round.max(*round);
        }
        let mut latest: Vec<_> = latest.into_iter().map(|(p, round)| (Reverse(round), p)).collect();
        latest.sort_unstable();
        let mut sum = 0;
        latest.into_iter().find_map(|(Reverse(round), position)| {
            sum += weight(position, electorate);
            electorate.exceeds_third(Weight(sum)).then_some(round)
        })
    }

    /// Checks what is unchecked of a round and later ones, in one batch; gives whose did not hold.
    fn check(&mut self, from: Round, electorate: &Electorate) -> Vec<((usize, Phase), PublicKey)> {
        let mut batch = Vec::new();
        let mut keys = Vec::new();
        for (&key, held) in &mut self.held {
            if !held.checked && held.vote.data.round >= from {
                held.checked = true;
                let Vote { data, signature, signer } = held.vote;
                batch.push(Signed { position: key.0, digest: data.digest(), signature });
                keys.push((key, signer));
            }
        }
        let Err(invalid) = electorate.verifier().verify(&batch) else { return Vec::new() };
        let invalid: Vec<_> = invalid.into_iter().map(|index| keys[index]).collect();
        for (key, _) in &invalid {
            self.remove(*key, electorate);
        }
        invalid
    }
}

impl Tendermint {
    /// Keeps a vote of a later round.
    pub(super) fn hold(
        &mut self,
        now: Timestamp,
        vote: Vote,
        position: usize,
        fx: &mut Fx,
    ) -> Heard {
        let electorate = self.core.electorate();
        let key = (position, vote.data.phase);
        let mut checked = false;
        if let Some(held) = self.later.held.get(&key) {
            let known = held.vote == vote || held.checked && held.vote.data == vote.data;
            if known || held.vote.data.round > vote.data.round {
                return Ok(());
            }
            if held.vote.data.round == vote.data.round {
                if !electorate.holds(&vote, position) {
                    return Err(invalid(&vote));
                }
                checked = true;
                if held.checked || electorate.holds(&held.vote, position) {
                    let (first, data) = (held.vote, vote.data);
                    self.later.insert(key, Held { vote: first, checked }, &electorate);
                    if first.data != data {
                        self.core.accuse(Evidence::equivocation(first, vote), fx);
                    }
                    return Ok(());
                }
            }
        }
        self.later.insert(key, Held { vote, checked }, &electorate);
        self.skip(now, fx);
        Ok(())
    }

    /// 55-56: more than a third of the weight is in rounds not before this one, so an honest replica
    /// is.
    fn skip(&mut self, now: Timestamp, fx: &mut Fx) {
        let electorate = self.core.electorate();
        while let Some(round) = self.later.reached(&electorate).filter(|_| self.undecided()) {
            let invalid = self.later.check(round, &electorate);
            if invalid.is_empty() {
                return self.enter(now, round, fx);
            }
            for ((_, phase), signer) in invalid {
                charge(&[signer], phase, fx);
            }
        }
    }

    const fn undecided(&self) -> bool {
        self.core.decision.is_none()
    }

    /// Counts what came early for a round, and forgets what is past.
    pub(super) fn take_up(&mut self, round: Round, fx: &mut Fx) {
        let electorate = self.core.electorate();
        let due = self.later.held.iter().filter(|(_, held)| held.vote.data.round <= round);
        let due: Vec<_> = due.map(|(key, _)| *key).collect();
        for key in due {
            let Some(Held { vote, checked }) = self.later.remove(key, &electorate) else {
                continue;
            };
            let data = vote.data;
            if data.round.0.saturating_add(self.core.config.round_window) < round.0 {
                continue;
            }
            let votes = self.votes.entry((data.round, data.phase));
            let votes = votes.or_insert_with(|| Tally::new(&electorate));
            let added = votes.take(&vote, key.0, checked, &electorate);
            if let Added::Conflict(evidence) = added {
                self.core.accuse(*evidence, fx);
            }
        }
    }
}

fn weight(position: usize, electorate: &Electorate) -> u64 {
    electorate.member(position).map_or(0, |member| member.weight.0)
}
