//! A path through the soup that a person can read, keep and run again.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::state::{Act, Soup};
use super::{Message, World};
use crate::process::Process;

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// A node takes a message.
    Deliver {
        /// Who sent it, or in whose name it is forged.
        from: usize,
        /// Who takes it.
        to: usize,
        /// Which of all that the one sent to the other, from 1, in the order of first sending.
        nth: usize,
        /// After how many effects the node crashes, and starts again; none if it doesn't.
        cut: Option<u32>,
    },
    /// A node's deadline comes.
    Tick {
        /// Whose.
        node: usize,
        /// After how many effects the node crashes, and starts again; none if it doesn't.
        cut: Option<u32>,
    },
    /// A node crashes at rest and starts again from its disk.
    Crash {
        /// Which.
        node: usize,
    },
}

/// Steps in order. `Display` writes one a line, [`FromStr`] reads them again; `//` begins a comment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Script(pub Vec<Choice>);

/// A line of a script that is none.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "line {line} is `{text}`, expected `1>2 #3`, `tick 0` or `crash 0`, with `cut 1` or without"
)]
pub struct ScriptError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

/// A path that breaks the promise.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub struct Failure {
    /// Seed of the walk that found it; none if a search did.
    pub seed: Option<u64>,
    /// What was broken.
    pub reason: String,
    /// How many steps the path had when it was found.
    pub length: usize,
    /// The steps that are left when all that can be removed are.
    pub script: Script,
    /// What is broken after those.
    pub last: String,
    /// Kind of message of each step; empty if it has none.
    kinds: Vec<&'static str>,
}

impl Failure {
    /// Shrinks a failing path.
    pub(super) fn new<W: World>(
        world: &W,
        seed: Option<u64>,
        acts: Vec<Act>,
        reason: String,
    ) -> Box<Self> {
        let length = acts.len();
        let mut none = Self {
            seed,
            last: reason.clone(),
            reason,
            length,
            script: Script::default(),
            kinds: Vec::new(),
        };
        // A world that breaks before the first step has no soup to shrink in.
        if let Ok(mut soup) = Soup::new(world) {
            let least = shrink(&mut soup, acts);
            if let Err(last) = run(&mut soup, &least) {
                none.last = last;
            }
            let choices = least.iter().filter_map(|act| choice(&soup, *act));
            (none.script.0, none.kinds) = choices.unzip();
        }
        Box::new(none)
    }
}

/// Runs a script. A step that can't be taken (there is no such message yet, say) is passed over: a
/// script of a mended bug ends well.
///
/// # Errors
///
/// Says what is broken.
pub fn replay<W: World>(world: &W, script: &Script) -> Result<(), String> {
    let mut soup = Soup::new(world)?;
    for choice in &script.0 {
        let act = match *choice {
            Choice::Tick { node, cut } => Act::Tick { node, cut },
            Choice::Crash { node } => Act::Crash { node },
            Choice::Deliver { from, to, nth, cut } => {
                let mut between = between(&soup, from, to);
                let Some(id) = between.nth(nth.saturating_sub(1)) else { continue };
                Act::Deliver { key: soup.pool.key(id), cut }
            }
        };
        soup.apply(act)?;
    }
    Ok(())
}

fn between<W: World>(soup: &Soup<'_, W>, from: usize, to: usize) -> impl Iterator<Item = u32> {
    (0..soup.pool.len() as u32).filter(move |&id| {
        let sent = soup.pool.get(id);
        (sent.from, sent.to) == (from, to)
    })
}

fn choice<W: World>(soup: &Soup<'_, W>, act: Act) -> Option<(Choice, &'static str)> {
    Some(match act {
        Act::Tick { node, cut } => (Choice::Tick { node, cut }, ""),
        Act::Crash { node } => (Choice::Crash { node }, ""),
        Act::Deliver { key, cut } => {
            let id = soup.pool.find(key)?;
            let sent = soup.pool.get(id);
            let (from, to) = (sent.from, sent.to);
            let nth = 1 + between(soup, from, to).take_while(|&other| other < id).count();
            let kind = <W::Process as Process>::kind(&sent.message as &Message<W>);
            (Choice::Deliver { from, to, nth, cut }, kind)
        }
    })
}

fn run<W: World>(soup: &mut Soup<'_, W>, acts: &[Act]) -> Result<(), String> {
    soup.reset();
    acts.iter().try_for_each(|&act| soup.apply(act).map(drop))
}

/// Removes steps for as long as the rest still fails: halves, quarters, at last one at a time.
fn shrink<W: World>(soup: &mut Soup<'_, W>, mut acts: Vec<Act>) -> Vec<Act> {
    let mut size = acts.len().div_ceil(2);
    while size > 0 {
        let mut removed = false;
        let mut end = acts.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut fewer = acts.clone();
            fewer.drain(start..end);
            if run(soup, &fewer).is_err() {
                (acts, removed) = (fewer, true);
            }
            end = start;
        }
        size = if size > 1 { size / 2 } else { usize::from(removed) };
    }
    acts
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = match self {
            Self::Deliver { from, to, nth, cut } => {
                write!(f, "{from}>{to} #{nth}")?;
                cut
            }
            Self::Tick { node, cut } => {
                write!(f, "tick {node}")?;
                cut
            }
            Self::Crash { node } => return write!(f, "crash {node}"),
        };
        cut.map_or(Ok(()), |cut| write!(f, " cut {cut}"))
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|choice| writeln!(f, "{choice}"))
    }
}

impl FromStr for Choice {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = |text: &str| text.parse().map_err(drop);
        let mut words = text.split_whitespace();
        let (first, second) = (words.next().ok_or(())?, words.next().ok_or(())?);
        let cut = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("cut"), Some(effects), None) => Some(effects.parse().map_err(drop)?),
            _ => return Err(()),
        };
        match (first, cut) {
            ("tick", _) => Ok(Self::Tick { node: number(second)?, cut }),
            ("crash", None) => Ok(Self::Crash { node: number(second)? }),
            _ => {
                let (from, to) = first.split_once('>').ok_or(())?;
                let nth = number(second.strip_prefix('#').ok_or(())?)?;
                Ok(Self::Deliver { from: number(from)?, to: number(to)?, nth, cut })
            }
        }
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let lines = text.lines().enumerate().map(|(at, line)| {
            let step = line.split_once("//").map_or(line, |(step, _)| step);
            (at + 1, step.trim())
        });
        let steps = lines
            .filter(|(_, step)| !step.is_empty())
            .map(|(line, step)| step.parse().map_err(|()| ScriptError { line, text: step.into() }));
        steps.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            Some(seed) => write!(f, "the walk of seed {seed}")?,
            None => f.write_str("the search")?,
        }
        writeln!(f, " fails after {} steps: {}", self.length, self.reason)?;
        writeln!(f, "shrunk to {}, it fails: {}", self.script.0.len(), self.last)?;
        for (choice, kind) in self.script.0.iter().zip(&self.kinds) {
            let slashes = if kind.is_empty() { "" } else { " // " };
            writeln!(f, "{choice}{slashes}{kind}")?;
        }
        Ok(())
    }
}
