//! What a run amounts to, for people and for programs. Everything is asked of the nodes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use pocket_types::hash::Hash;
use pocket_types::id::Address;
use pocket_types::number::Amount;
use pocket_utility::ledger::Event;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::Keys;
use crate::devnet::NODES;
use crate::genesis;
use crate::node::Status;
use crate::rpc::Client;
use crate::workload::Work;

/// The summary of a run, as `--json` writes it.
#[derive(Serialize)]
pub(crate) struct Summary {
    heights: Heights,
    block_time_ms: BlockTime,
    transactions: Transactions,
    relays: Relays,
    claims: Claims,
    rewards: Vec<Reward>,
    unstakes_paid: Vec<UnstakePaid>,
    nodes: Vec<NodeReport>,
    /// Whether all nodes have the same state root at the last height.
    state_roots_equal: bool,
    supply: Supply,
}

#[derive(Serialize)]
struct Heights {
    /// Height at which the run began.
    before: u64,
    /// Height of the report: every node has reached it.
    after: u64,
}

#[derive(Serialize)]
struct BlockTime {
    mean: u64,
    min: u64,
    max: u64,
}

#[derive(Serialize)]
struct Transactions {
    sent: u64,
    refused: u64,
    /// Those in blocks, by kind.
    in_blocks: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Relays {
    sent: u64,
    answered: u64,
    failed: u64,
    /// Served, by servicer, since the servicers started.
    served: BTreeMap<String, u64>,
    /// Refused by the servicers, by reason.
    rejected: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Claims {
    made: u64,
    /// Claims proven and settled.
    settled: u64,
    relays_settled: u64,
    sessions_rewarded: u64,
}

#[derive(Serialize)]
struct Reward {
    actor: String,
    #[serde(rename = "amount_upokt")]
    amount: Amount,
}

#[derive(Serialize)]
struct UnstakePaid {
    actor: String,
    #[serde(rename = "amount_upokt")]
    amount: Amount,
    height: u64,
}

#[derive(Serialize)]
struct NodeReport {
    name: String,
    height: u64,
    state_root: Hash,
    peers: usize,
    restarts: u64,
}

#[derive(Serialize)]
struct Supply {
    before: SupplyView,
    after: SupplyView,
    conserved: bool,
}

/// What `pocket_supply` answers.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SupplyView {
    #[serde(rename = "total_upokt")]
    pub total: Amount,
    #[serde(rename = "minted_upokt")]
    pub minted: Amount,
    #[serde(rename = "burned_upokt")]
    pub burned: Amount,
}

/// What `pocket_block` answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct BlockView {
    pub height: u64,
    pub id: Hash,
    pub time: u64,
    pub proposer: Address,
    pub state_root: Hash,
    pub transactions: Vec<TransactionView>,
    pub events: Vec<EventView>,
}

/// A transaction in a [`BlockView`].
#[derive(Serialize, Deserialize)]
pub(crate) struct TransactionView {
    pub id: Hash,
    pub kind: String,
}

/// Something of a block that a report counts.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum EventView {
    /// A claim was proven and paid.
    Settled { servicer: Address, session_start: u64, relays: u64, output: Address, salary: Amount },
    /// A claim was not proven in time.
    Void { servicer: Address, session_start: u64 },
    /// A proposer got its share of the fees.
    Proposed { proposer: Address, share: Amount },
    /// A stake was returned.
    Unstaked { actor: Address, output: Address, amount: Amount },
    /// A stake was cut.
    Slashed { actor: Address, amount: Amount },
}

impl EventView {
    /// What a report says of an event; none if it is told otherwise.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::ClaimSettled { session, servicer, settled, salary, output, .. } => {
                Self::Settled {
                    servicer: *servicer,
                    session_start: session.start.0,
                    relays: *settled,
                    output: *output,
                    salary: *salary,
                }
            }
            Event::ClaimVoid { session, servicer } => {
                Self::Void { servicer: *servicer, session_start: session.start.0 }
            }
            Event::FeesPaid { proposer: Some(proposer), share, .. } => {
                Self::Proposed { proposer: *proposer, share: *share }
            }
            Event::Unstaked { actor, output, amount, .. } => {
                Self::Unstaked { actor: *actor, output: *output, amount: *amount }
            }
            Event::Slashed { actor, amount, .. } => {
                Self::Slashed { actor: *actor, amount: *amount }
            }
            _ => return None,
        })
    }
}

impl Summary {
    /// Asks the nodes.
    pub(crate) async fn collect(
        clients: &BTreeMap<String, Client>,
        restarts: &BTreeMap<String, u64>,
        first: u64,
        work: Work,
    ) -> Result<Self> {
        let mut statuses = BTreeMap::new();
        for (name, client) in clients {
            let status: Status = client.call("pocket_status", json!({})).await?;
            statuses.insert(name.clone(), status);
        }
        let after = statuses.values().map(|status| status.height).min().unwrap_or(first);
        let any = clients.values().next().context("a devnet has nodes")?;
        let mut nodes = Vec::new();
        for name in NODES {
            let Some(client) = clients.get(name) else { continue };
            let block: BlockView = client.call("pocket_block", json!({ "height": after })).await?;
            let status = &statuses[name];
            nodes.push(NodeReport {
                name: name.to_owned(),
                height: status.height,
                state_root: block.state_root,
                peers: status.peers,
                restarts: restarts.get(name).copied().unwrap_or(0),
            });
        }
        let mut blocks: Vec<BlockView> = Vec::new();
        for height in first + 1..=after {
            blocks.push(any.call("pocket_block", json!({ "height": height })).await?);
        }
        let before: SupplyView = any.call("pocket_supply", json!({ "height": first })).await?;
        let latest: SupplyView = any.call("pocket_supply", json!({ "height": after })).await?;
        let mut served = BTreeMap::new();
        let mut rejected: BTreeMap<String, u64> = BTreeMap::new();
        for (name, status) in &statuses {
            if name.starts_with("servicer") {
                served.insert(name.clone(), status.relays_served);
            }
            for (reason, count) in &status.relays_rejected {
                *rejected.entry(reason.clone()).or_default() += count;
            }
        }
        let events: Vec<(u64, EventView)> = blocks
            .iter()
            .flat_map(|block| block.events.iter().map(|event| (block.height, event.clone())))
            .collect();
        let root = nodes.first().map(|node| node.state_root);
        Ok(Self {
            heights: Heights { before: first, after },
            block_time_ms: block_time(&blocks),
            transactions: Transactions {
                sent: work.transactions_sent,
                refused: work.transactions_refused,
                in_blocks: count(
                    blocks.iter().flat_map(|b| &b.transactions).map(|t| t.kind.clone()),
                ),
            },
            relays: Relays {
                sent: work.relays_sent,
                answered: work.relays_answered,
                failed: work.relays_failed,
                served,
                rejected,
            },
            claims: claims(&blocks, &events),
            rewards: rewards(&events),
            unstakes_paid: unstakes(&events),
            state_roots_equal: nodes.iter().all(|node| Some(node.state_root) == root),
            nodes,
            supply: Supply { before, after: latest, conserved: conserved(&before, &latest) },
        })
    }

    /// Fails when the network did not keep its promises.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.state_roots_equal,
            "the nodes disagree on the state at {}",
            self.heights.after
        );
        ensure!(self.supply.conserved, "the supply was not conserved");
        // Sessions of five blocks, claims settled and stakes returned within eight more.
        if self.heights.after - self.heights.before >= 20 {
            let sessions = self.claims.sessions_rewarded;
            ensure!(sessions >= 2, "{sessions} sessions were rewarded in 20 blocks, expected 2");
            ensure!(!self.unstakes_paid.is_empty(), "no stake was returned in 20 blocks");
        }
        Ok(())
    }

    /// The report as people read it.
    pub(crate) fn table(&self) -> String {
        let mut text = Vec::new();
        let Heights { before, after } = self.heights;
        let time = &self.block_time_ms;
        let mut facts = table(&["", ""]);
        let in_blocks = &self.transactions.in_blocks;
        let kinds: Vec<_> = in_blocks.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        let rejected: u64 = self.relays.rejected.values().sum();
        let reasons: Vec<_> =
            self.relays.rejected.iter().map(|(why, n)| format!("{n} {why}")).collect();
        let rows = [
            ("blocks", format!("{} (height {} to {after})", after - before, before + 1)),
            ("time per block", format!("{} ms (min {}, max {})", time.mean, time.min, time.max)),
            (
                "transactions",
                format!("{} in blocks: {}", in_blocks.values().sum::<u64>(), kinds.join(", ")),
            ),
            (
                "relays",
                format!(
                    "{} answered of {} sent; {rejected} rejected by servicers{}",
                    self.relays.answered,
                    self.relays.sent,
                    if reasons.is_empty() {
                        String::new()
                    } else {
                        format!(" ({}: a stranger asks without a key)", reasons.join(", "))
                    },
                ),
            ),
            (
                "claims",
                format!(
                    "{} made, {} proven and settled for {} relays; sessions rewarded: {}",
                    self.claims.made,
                    self.claims.settled,
                    self.claims.relays_settled,
                    self.claims.sessions_rewarded,
                ),
            ),
            ("unstakes paid out", self.unstakes_line()),
            ("supply before", self.supply_line(&self.supply.before)),
            ("supply after", self.supply_line(&self.supply.after)),
            ("supply conserved", if self.supply.conserved { "yes" } else { "NO" }.to_owned()),
            ("state roots equal", if self.state_roots_equal { "yes" } else { "NO" }.to_owned()),
        ];
        for (name, value) in rows {
            facts.add_row([name.to_owned(), value]);
        }
        text.push(facts.to_string());
        let mut rewards = table(&["rewarded", "POKT"]);
        for reward in &self.rewards {
            rewards.add_row([short(&reward.actor), pokt(reward.amount)]);
        }
        right(&mut rewards, 1);
        text.push(rewards.to_string());
        let mut nodes =
            table(&["node", "height", "peers", "restarts", &format!("state root at {after}")]);
        for node in &self.nodes {
            nodes.add_row([
                node.name.clone(),
                node.height.to_string(),
                node.peers.to_string(),
                node.restarts.to_string(),
                node.state_root.to_string()[..16].to_owned() + "…",
            ]);
        }
        (1..4).for_each(|column| right(&mut nodes, column));
        text.push(nodes.to_string());
        text.join("\n")
    }

    fn unstakes_line(&self) -> String {
        if self.unstakes_paid.is_empty() {
            return "none".to_owned();
        }
        let paid = self.unstakes_paid.iter();
        let lines: Vec<_> = paid
            .map(|u| {
                format!("{} POKT of {} at height {}", pokt(u.amount), short(&u.actor), u.height)
            })
            .collect();
        lines.join("; ")
    }

    fn supply_line(&self, supply: &SupplyView) -> String {
        let SupplyView { total, minted, burned } = supply;
        format!("{} POKT (minted {}, burned {})", pokt(*total), pokt(*minted), pokt(*burned))
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    if header.iter().any(|name| !name.is_empty()) {
        table.set_header(header.iter().copied());
    }
    table
}

fn right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn count(items: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

fn block_time(blocks: &[BlockView]) -> BlockTime {
    let gaps: Vec<u64> =
        blocks.windows(2).map(|pair| pair[1].time.saturating_sub(pair[0].time)).collect();
    BlockTime {
        mean: gaps.iter().sum::<u64>().checked_div(gaps.len() as u64).unwrap_or(0),
        min: gaps.iter().copied().min().unwrap_or(0),
        max: gaps.iter().copied().max().unwrap_or(0),
    }
}

fn claims(blocks: &[BlockView], events: &[(u64, EventView)]) -> Claims {
    let (mut settled, mut relays_settled, mut sessions) = (0, 0, BTreeSet::new());
    for (_, event) in events {
        if let EventView::Settled { session_start, relays, salary, .. } = event {
            settled += 1;
            relays_settled += relays;
            if salary.0 > 0 {
                sessions.insert(*session_start);
            }
        }
    }
    let transactions = blocks.iter().flat_map(|block| &block.transactions);
    Claims {
        made: transactions.filter(|transaction| transaction.kind == "claim").count() as u64,
        settled,
        relays_settled,
        sessions_rewarded: sessions.len() as u64,
    }
}

fn rewards(events: &[(u64, EventView)]) -> Vec<Reward> {
    let mut sums: BTreeMap<String, Amount> = BTreeMap::new();
    for (_, event) in events {
        let (actor, amount) = match event {
            EventView::Settled { servicer, salary, .. } => (servicer, salary),
            EventView::Proposed { proposer, share } => (proposer, share),
            _ => continue,
        };
        let sum = sums.entry(name_of(actor)).or_default();
        *sum = Amount(sum.0.saturating_add(amount.0));
    }
    sums.into_iter().map(|(actor, amount)| Reward { actor, amount }).collect()
}

fn unstakes(events: &[(u64, EventView)]) -> Vec<UnstakePaid> {
    let paid = events.iter().filter_map(|(height, event)| match event {
        EventView::Unstaked { actor, amount, .. } => {
            Some(UnstakePaid { actor: name_of(actor), amount: *amount, height: *height })
        }
        _ => None,
    });
    paid.collect()
}

/// Total supply may change by what was minted and burned, and by nothing else.
fn conserved(before: &SupplyView, after: &SupplyView) -> bool {
    let minted = after.minted.checked_sub(before.minted);
    let burned = after.burned.checked_sub(before.burned);
    minted
        .zip(burned)
        .and_then(|(minted, burned)| before.total.checked_add(minted)?.checked_sub(burned))
        .is_some_and(|expected| expected == after.total)
}

/// The name of a devnet's actor, or an address.
fn name_of(address: &Address) -> String {
    let known = NODES.iter().copied().chain([genesis::CLIENT]);
    let mut named = known.filter(|name| Keys::devnet(name).address() == *address);
    named.next().map_or_else(|| address.to_string(), str::to_owned)
}

/// A name or an address, short enough for a table.
fn short(name: &str) -> String {
    if name.len() == 40 { name[..12].to_owned() + "…" } else { name.to_owned() }
}

/// uPOKT as POKT, with a comma every three digits and no trailing zeros.
fn pokt(amount: Amount) -> String {
    let (whole, fraction) = (amount.0 / 1_000_000, amount.0 % 1_000_000);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction == 0 {
        return grouped;
    }
    format!("{grouped}.{:06}", fraction).trim_end_matches('0').to_owned()
}
