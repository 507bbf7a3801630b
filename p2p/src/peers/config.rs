use pocket_types::number::Duration;

/// Bounds and delays of the connection policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeersConfig {
    /// The most connections that others opened.
    pub max_inbound: usize,
    /// The most connections that we opened, those being dialled included.
    pub max_outbound: usize,
    /// Of the inbound connections, how many only peers of our list may have.
    pub reserved_inbound: usize,
    /// The most inbound connections whose handshake isn't done.
    pub max_handshakes: usize,
    /// How long an inbound connection may take for its handshake.
    pub handshake_timeout: Duration,
    /// How long dialling, handshake included, may take. Two connections between the same two peers
    /// count as dialled at once when they come within this time of each other.
    pub dial_timeout: Duration,
    /// The first delay before dialling a peer again; it doubles with every failure.
    pub min_backoff: Duration,
    /// The longest delay before dialling a peer again.
    pub max_backoff: Duration,
    /// A connection that lasts this long starts its peer's delays anew.
    pub stable_after: Duration,
    /// Penalty points at which a peer is banned.
    pub ban_at: u32,
    /// Penalty points forgiven each minute.
    pub forgiven_per_minute: u32,
    /// How long a ban lasts.
    pub ban_time: Duration,
    /// The most peers in the list.
    pub max_listed: usize,
    /// The most peers outside the list whose penalties or bans are remembered.
    pub max_remembered: usize,
}

impl Default for PeersConfig {
    /// 125 connections each way, 50 of the inbound ones reserved; 32 handshakes of 10 seconds; delays
    /// from half a second to two minutes; bans of ten minutes at 100 points.
    fn default() -> Self {
        Self {
            max_inbound: 125,
            max_outbound: 125,
            reserved_inbound: 50,
            max_handshakes: 32,
            handshake_timeout: Duration::seconds(10),
            dial_timeout: Duration::seconds(10),
            min_backoff: Duration(500),
            max_backoff: Duration::seconds(120),
            stable_after: Duration::seconds(30),
            ban_at: 100,
            forgiven_per_minute: 10,
            ban_time: Duration::seconds(600),
            max_listed: 16_384,
            max_remembered: 4_096,
        }
    }
}
