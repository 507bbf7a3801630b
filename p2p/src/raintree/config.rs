use pocket_types::number::Duration;

/// Which nodes a node sends to. All nodes of a segment must use the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Topology {
    /// Exact partition over a permutation of the view: every node once, in the fewest hops.
    #[default]
    ExactPartition,
    /// The targets of Pocket v1's Go code, for comparison: no repair, and most sizes leave nodes
    /// out (see [`go_v1`](super::go_v1)).
    GoV1,
}

/// Bounds of a RainTree machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RainTreeConfig {
    /// Which nodes a node sends to.
    pub topology: Topology,
    /// The most segments that the host may hand in views of.
    pub max_segments: usize,
    /// Views kept per segment, the current one included; at least 1. Messages by an older one are
    /// delivered and not passed on. Who has left a segment may send to it until the views with him
    /// are gone.
    pub max_views: usize,
    /// How long a message is remembered, so that it is neither delivered nor passed on again.
    pub remember: Duration,
    /// The most messages remembered; beyond it the oldest is forgotten.
    pub max_remembered: usize,
    /// How long a message that we sent is kept, for a host that finds a target unreachable.
    pub repair: Duration,
    /// The most bytes of payload kept for repair; beyond it the oldest message is let go.
    pub max_repair_bytes: usize,
}

impl Default for RainTreeConfig {
    /// 16 segments of 4 views, 65,536 messages remembered for ten minutes, 64 MiB kept for repair
    /// for 30 seconds.
    fn default() -> Self {
        Self {
            topology: Topology::default(),
            max_segments: 16,
            max_views: 4,
            remember: Duration::seconds(600),
            max_remembered: 65_536,
            repair: Duration::seconds(30),
            max_repair_bytes: 64 << 20,
        }
    }
}
