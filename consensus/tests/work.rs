//! What a replica computes for a decided block, counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use crate::common::{chain, config, finish};
use pocket_consensus::{
    HotPokt, Identity, Input, Message, Output, Protocol, Replica, Tip, Verdict,
};
use pocket_sim::cheap::{CheapKeys, CheapVerifier};
use pocket_types::hash::Hash;
use pocket_types::key::PublicKey;
use pocket_types::machine::{Machine, Step, Tick};
use pocket_types::number::{Epoch, Round, Timestamp};
use pocket_types::scheme::{Keys as _, Packed, Signed, Verifier, VoteSignature, list};
use pocket_types::validator::{Electorate, ValidatorSet, ValidatorSetError};
use pocket_types::vote::CertificateError;
use pocket_types::vrf::{VrfError, VrfOutput, VrfProof, VrfPublicKey};

/// How often each signature (by whom, of what) and each proof of randomness was checked.
#[derive(Clone, Default, Debug)]
struct Work {
    signatures: BTreeMap<(usize, Hash), usize>,
    proofs: usize,
}

/// The verifier of one replica.
#[derive(Debug)]
struct Counting {
    inner: Box<dyn Verifier>,
    work: Arc<Mutex<Work>>,
}

impl Counting {
    fn count(&self, entries: impl Iterator<Item = (usize, Hash)>) {
        let mut work = self.work.lock().unwrap();
        entries.for_each(|entry| *work.signatures.entry(entry).or_default() += 1);
    }
}

impl Verifier for Counting {
    fn verify(&self, signed: &[Signed]) -> Result<(), Vec<usize>> {
        self.count(signed.iter().map(|signed| (signed.position, signed.digest)));
        self.inner.verify(signed)
    }

    fn pack(&self, packed: Packed<'_>, more: &[(usize, VoteSignature)]) -> Vec<u8> {
        self.inner.pack(packed, more)
    }

    fn verify_packed(
        &self,
        packed: Packed<'_>,
        known: Option<Packed<'_>>,
    ) -> Result<(), CertificateError> {
        let unknown = list::unknown(packed, known)?;
        self.count(unknown.iter().map(|(position, digest, _)| (*position, *digest)));
        self.inner.verify_packed(packed, known)
    }

    fn vrf(
        &self,
        key: &VrfPublicKey,
        input: &[u8],
        proof: &VrfProof,
    ) -> Result<VrfOutput, VrfError> {
        self.work.lock().unwrap().proofs += 1;
        self.inner.vrf(key, input, proof)
    }

    fn succeed(&self, set: &ValidatorSet) -> Result<Box<dyn Verifier>, ValidatorSetError> {
        Ok(Box::new(Self { inner: self.inner.succeed(set)?, work: Arc::clone(&self.work) }))
    }
}

/// Validators whose messages arrive at once, in the order in which they were sent.
struct Network<P: Protocol> {
    keys: Vec<PublicKey>,
    replicas: Vec<Replica<P>>,
    work: Vec<Arc<Mutex<Work>>>,
    queue: VecDeque<(usize, Input)>,
    now: Timestamp,
}

impl<P: Protocol> Network<P> {
    fn new(n: u64) -> Self {
        let (mut replicas, mut work) = (vec![], vec![]);
        for node in 0..n {
            let members = (0..n).map(|node| CheapKeys(node).validator(1)).collect();
            let set = ValidatorSet::new(Epoch(0), members).unwrap();
            let count = Arc::<Mutex<Work>>::default();
            let inner = Box::new(CheapVerifier::new(&set));
            let counting = Box::new(Counting { inner, work: Arc::clone(&count) });
            let electorate = Electorate::with_verifier(set, counting).unwrap();
            let tip = Tip::genesis_of(chain(), Timestamp::ZERO, Hash::ZERO, electorate);
            let identity = Identity::with_keys(CheapKeys(node));
            replicas.push(Replica::recover(config(), Some(identity), tip, []).unwrap());
            work.push(count);
        }
        let keys = (0..n).map(|node| CheapKeys(node).public_key()).collect();
        let queue = (0..n as usize).map(|node| (node, Input::Tick)).collect();
        Self { keys, replicas, work, queue, now: Timestamp::ZERO }
    }

    /// Runs until all decide this height.
    fn reach(&mut self, height: u64) {
        while self.replicas.iter().any(|replica| replica.height().0 < height) {
            let Some((node, input)) = self.queue.pop_front() else {
                let deadlines = self.replicas.iter().filter_map(Machine::next_deadline);
                self.now = self.now.max(deadlines.min().unwrap());
                self.queue.extend((0..self.keys.len()).map(|node| (node, Tick.into())));
                continue;
            };
            let mut step = self.replicas[node].handle(self.now, input).unwrap();
            loop {
                let Step { records, outputs } = step;
                outputs.into_iter().for_each(|output| self.perform(node, output));
                let Some(unstored) = records else { break };
                step = self.replicas[node].release(self.now, unstored.stored()).unwrap();
            }
        }
    }

    fn perform(&mut self, node: usize, output: Output) {
        match output {
            Output::Send { to, message } => self.send(node, |key| *key == to, &message),
            Output::Broadcast { message, .. } => {
                let own = self.keys[node];
                self.send(node, |key| *key != own, &message);
            }
            Output::Build(request) => {
                let block = Box::new(finish(&request));
                self.queue.push_back((node, Input::Built { block, change: None }));
            }
            Output::Check(block) => {
                let verdict = Verdict::Valid { change: None };
                self.queue.push_back((node, Input::Checked { block: block.id(), verdict }));
            }
            Output::Decided { .. } => {}
            other => panic!("nothing goes wrong here: {other:?}"),
        }
    }

    fn send(&mut self, from: usize, to: impl Fn(&PublicKey) -> bool, message: &Message) {
        for node in (0..self.keys.len()).filter(|&node| to(&self.keys[node])) {
            let input = Input::Message { from: self.keys[from], message: message.clone() };
            self.queue.push_back((node, input));
        }
    }

    fn leader(&self) -> usize {
        let leader = self.replicas[0].leader(Round::ZERO);
        self.keys.iter().position(|key| *key == leader).unwrap()
    }

    fn work(&self, node: usize) -> (usize, usize) {
        let work = self.work[node].lock().unwrap();
        (work.signatures.values().sum(), work.proofs)
    }
}

#[test]
fn a_replica_checks_each_signature_at_most_once_and_its_own_work_not_at_all() {
    for n in [4, 7, 10] {
        let quorum = n as usize * 2 / 3 + 1;
        let mut network = Network::<HotPokt>::new(n);
        network.reach(3);
        for height in 3..20 {
            let leader = network.leader();
            let before: Vec<_> = (0..n as usize).map(|node| network.work(node)).collect();
            network.reach(height + 1);
            for (node, before) in before.into_iter().enumerate() {
                let after = network.work(node);
                let (signatures, proofs) = (after.0 - before.0, after.1 - before.1);
                let late = n as usize - quorum;
                if node == leader {
                    // Three quorums but for its own votes, and all that was late but its own.
                    let own = signatures - 3 * (quorum - 1);
                    assert!(own == late || own + 1 == late, "leader, n={n}: {signatures}");
                    assert_eq!(proofs, 0);
                } else {
                    // The proposal, what the header has beyond the decision, and three certificates.
                    assert_eq!(signatures, 1 + late + 3 * quorum, "follower, n={n}");
                    assert_eq!(proofs, 1);
                }
            }
        }
        for (node, work) in network.work.iter().enumerate() {
            let work = work.lock().unwrap();
            let twice = work.signatures.iter().find(|(_, times)| **times > 1);
            assert_eq!(twice, None, "node {node} of {n}");
        }
    }
}
