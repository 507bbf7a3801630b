//! The loop that both sides are driven through: messages are delivered in the order in which they
//! were sent, at once, in one thread.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use pocket_benches::fixture::Validators;
use pocket_types::hash::Hash;
use pocket_types::key::{SecretKey, Signature};
use pocket_types::number::Timestamp;

/// Whether signatures are made and checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crypto {
    /// Both.
    Ed25519,
    /// Neither: signatures are zeros, and hold.
    Off,
}

impl Crypto {
    /// A signature.
    pub(crate) fn sign(self, key: &SecretKey, digest: impl Fn() -> Hash) -> Signature {
        match self {
            Self::Ed25519 => key.sign(&digest()),
            Self::Off => Signature([0; 64]),
        }
    }
}

/// How messages get from one node to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Carriage {
    /// As they are: each receiver clones one.
    Memory,
    /// Encoded once by the sender, decoded by each receiver; what is to be logged is encoded, too.
    /// Only for sides that have an encoding.
    Wire,
}

/// What all nodes of a network have in common.
pub(crate) struct Setup {
    pub(crate) validators: Validators,
    pub(crate) crypto: Crypto,
    pub(crate) carriage: Carriage,
}

impl Setup {
    /// Of n validators.
    pub(crate) fn new(n: u64, crypto: Crypto, carriage: Carriage) -> Self {
        Self { validators: Validators::new(n), crypto, carriage }
    }
}

/// A validator of either side, with the part of a host that answers without delay.
pub(crate) trait Node: Sized {
    /// What validators send each other.
    type Message;
    /// What a node asks its host.
    type Question;

    /// A validator before the first height.
    fn new(setup: &Setup, place: usize) -> Self;
    /// Another validator at the height that this one is deciding, which has heard nothing of it. The
    /// two share what they know of the validator set, as each would have it in a cache of its own.
    fn join(&self, setup: &Setup, place: usize) -> Self;
    /// The height being decided.
    fn height(&self) -> u64;
    /// Who leads the first round of a height.
    fn leader(&self, height: u64) -> usize;
    /// When to tick, if nothing comes before.
    fn deadline(&self) -> Option<Timestamp>;
    /// The deadline has come.
    fn tick(&mut self, now: Timestamp) -> Vec<Output<Self>>;
    /// The host answers.
    fn answer(&mut self, now: Timestamp, question: Self::Question) -> Vec<Output<Self>>;
    /// A message arrives.
    fn hear(&mut self, now: Timestamp, from: usize, message: &Self::Message) -> Vec<Output<Self>>;
    /// What another follower says where a follower says this.
    fn echo(setup: &Setup, place: usize, message: &Self::Message) -> Self::Message;
    /// What a message is.
    fn kind(message: &Self::Message) -> Kind;
}

/// What a node wants done.
pub(crate) enum Output<N: Node> {
    /// To one validator, or to all others.
    Say { to: Option<usize>, message: N::Message },
    /// To the host.
    Ask(N::Question),
}

/// What a message is, and what is in it.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// None if the side has no encoding.
    pub(crate) bytes: Option<usize>,
    pub(crate) signatures: usize,
}

/// Messages of a kind.
#[derive(Default)]
pub(crate) struct Count {
    messages: usize,
    bytes: Option<usize>,
    signatures: usize,
}

/// All validators of a network; or, of a large one, those that are looked at.
pub(crate) struct Network<N: Node> {
    setup: Setup,
    /// By position in the set. Who doesn't run speaks through [`Network::follower`].
    pub(crate) nodes: Vec<Option<N>>,
    /// In a network of which not all run: a follower that does.
    pub(crate) follower: Option<usize>,
    inputs: VecDeque<(usize, Arriving<N>)>,
    now: Timestamp,
    /// Of each that runs, at this height, if not all do.
    spent: BTreeMap<usize, Duration>,
    /// What was sent, while it is being counted.
    pub(crate) sent: Option<BTreeMap<&'static str, Count>>,
}

enum Arriving<N: Node> {
    Tick,
    Answer(N::Question),
    Message {
        from: usize,
        message: Rc<N::Message>,
    },
    /// What the follower said, in the words of another.
    Echo {
        of: usize,
        message: Rc<N::Message>,
    },
}

/// What the two roles of a height cost.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) leader: Duration,
    pub(crate) follower: Duration,
}

impl<N: Node> Network<N> {
    /// All of them run.
    pub(crate) fn whole(setup: Setup) -> Self {
        let n = setup.validators.keys.len();
        let first = N::new(&setup, 0);
        let mut nodes: Vec<_> = (1..n).map(|place| Some(first.join(&setup, place))).collect();
        nodes.insert(0, Some(first));
        Self::with(setup, nodes, None)
    }

    /// One follower runs, and the leaders of this height and the next. All others say what this
    /// follower says, signed with their own keys: on the happy path all followers say the same.
    pub(crate) fn few(setup: Setup) -> Self {
        let mut nodes: Vec<_> = setup.validators.keys.iter().map(|_| None).collect();
        let follower = nodes.len() / 2;
        nodes[follower] = Some(N::new(&setup, follower));
        Self::with(setup, nodes, Some(follower))
    }

    fn with(setup: Setup, nodes: Vec<Option<N>>, follower: Option<usize>) -> Self {
        let (inputs, now, spent) = (VecDeque::new(), Timestamp::ZERO, BTreeMap::new());
        Self { setup, nodes, follower, inputs, now, spent, sent: None }
    }

    /// Runs until everybody has decided the next height.
    pub(crate) fn decide(&mut self) {
        let height = self.running().map(|(_, node)| node.height()).max().expect("nodes run");
        while self.running().any(|(_, node)| node.height() <= height) {
            match self.inputs.pop_front() {
                Some((to, arriving)) => self.deliver(to, arriving),
                None => self.wait(),
            }
        }
    }

    /// Runs until the follower and the leader have decided the next height, and says what each of
    /// them spent on it.
    pub(crate) fn decide_by_few(&mut self) -> Spent {
        let mut place = self.follower.expect("a network of few");
        let follower = self.nodes[place].as_ref().expect("the follower runs");
        let height = follower.height();
        let leaders = [follower.leader(height), follower.leader(height + 1)];
        if leaders.contains(&place) {
            // Its turn to lead has come: somebody else follows.
            place = (place + self.nodes.len() / 2) % self.nodes.len();
        }
        // The next leader follows first: it hears late votes, which it has to propose.
        for joining in [leaders[0], leaders[1], place] {
            if self.nodes[joining].is_none() {
                let follower = self.follower.and_then(|place| self.nodes[place].as_ref());
                let node = follower.expect("the follower runs").join(&self.setup, joining);
                self.nodes[joining] = Some(node);
                self.inputs.push_front((joining, Arriving::Tick));
            }
        }
        self.follower = Some(place);
        for (other, node) in self.nodes.iter_mut().enumerate() {
            if other != place && !leaders.contains(&other) {
                *node = None;
            }
        }
        self.spent.clear();
        self.decide();
        let spent = |place| self.spent.get(&place).copied().unwrap_or_default();
        Spent { leader: spent(leaders[0]), follower: spent(place) }
    }

    fn running(&self) -> impl Iterator<Item = (usize, &N)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter_map(|(place, node)| Some((place, node.as_ref()?)))
    }

    /// Nobody has anything to do before the next deadline.
    fn wait(&mut self) {
        let deadlines = self.running().filter_map(|(_, node)| node.deadline());
        self.now = self.now.max(deadlines.min().expect("validators always wait for something"));
        let due = |node: &N| node.deadline().is_some_and(|deadline| deadline <= self.now);
        let due: Vec<_> = self.running().filter(|(_, node)| due(node)).collect();
        let ticks: Vec<_> = due.into_iter().map(|(place, _)| (place, Arriving::Tick)).collect();
        self.inputs.extend(ticks);
    }

    fn deliver(&mut self, to: usize, arriving: Arriving<N>) {
        let Some(node) = &mut self.nodes[to] else { return };
        let arriving = match arriving {
            Arriving::Echo { of, message } => {
                let message = Rc::new(N::echo(&self.setup, of, &message));
                Arriving::Message { from: of, message }
            }
            arriving => arriving,
        };
        let start = self.follower.is_some().then(Instant::now);
        let outputs = match arriving {
            Arriving::Tick => node.tick(self.now),
            Arriving::Answer(question) => node.answer(self.now, question),
            Arriving::Message { from, message } | Arriving::Echo { of: from, message } => {
                node.hear(self.now, from, &message)
            }
        };
        if let Some(start) = start {
            *self.spent.entry(to).or_default() += start.elapsed();
        }
        for output in outputs {
            match output {
                Output::Say { to: receiver, message } => self.send(to, receiver, message),
                Output::Ask(question) => self.inputs.push_back((to, Arriving::Answer(question))),
            }
        }
    }

    fn send(&mut self, from: usize, to: Option<usize>, message: N::Message) {
        let n = self.nodes.len();
        let receivers = to.map_or(0..n, |to| to..to + 1);
        if let Some(sent) = &mut self.sent {
            let Kind { name, bytes, signatures } = N::kind(&message);
            let times = to.map_or(n - 1, |_| 1);
            let count = sent.entry(name).or_default();
            count.messages += times;
            count.signatures += times * signatures;
            count.bytes = bytes.map(|bytes| count.bytes.unwrap_or_default() + times * bytes);
        }
        let message = Rc::new(message);
        for to in receivers.filter(|&to| to != from && self.nodes[to].is_some()) {
            let message = Rc::clone(&message);
            self.inputs.push_back((to, Arriving::Message { from, message }));
        }
        if self.follower == Some(from) {
            self.echo(to, &message);
        }
    }

    fn echo(&mut self, to: Option<usize>, message: &Rc<N::Message>) {
        let runs: Vec<_> = self.running().map(|(place, _)| place).collect();
        for of in (0..self.nodes.len()).filter(|of| !runs.contains(of)) {
            for &place in runs.iter().filter(|&&place| to.is_none_or(|to| to == place)) {
                let message = Rc::clone(message);
                self.inputs.push_back((place, Arriving::Echo { of, message }));
            }
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages with {} signatures", self.messages, self.signatures)?;
        self.bytes.map_or(Ok(()), |bytes| write!(f, " in {bytes} bytes"))
    }
}
