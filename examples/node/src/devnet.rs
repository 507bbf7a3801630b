//! A whole network on one machine: lays out the nodes, starts them as threads or processes, gives
//! them work, watches, and reports.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use pocket_types::finality::TrustedTip;
use pocket_types::id::{BlockId, RelayChain};
use pocket_types::number::{Height, Timestamp};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{Keys, NodeConfig, PeerConfig, write_json};
use crate::genesis;
use crate::node::{self, Status};
use crate::report::Summary;
use crate::rpc::Client;
use crate::workload::{Work, Workload};

/// The actors of a devnet.
pub(crate) const NODES: [&str; 9] = [
    "validator-1",
    "validator-2",
    "validator-3",
    "validator-4",
    "servicer-1",
    "servicer-2",
    "fisherman-1",
    "application-1",
    "gateway-1",
];

/// The chain that the devnet's servicers serve: Pocket itself.
pub(crate) const POCKET_CHAIN: &str = "0001";

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);
/// Blocks that pass before a killed node is started again, so that it has something to catch up.
const BLOCKS_DOWN: u64 = 3;
const LONGEST_DOWN: Duration = Duration::from_secs(20);

/// Options of `devnet`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Blocks to produce before the report; 0 runs until Ctrl-C.
    #[arg(long, default_value_t = 20)]
    blocks: u64,
    /// Time between blocks, such as 1s or 500ms.
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    block_time: Duration,
    /// Keep the databases, keys and logs (NODE/node.log) here, and continue the chain that is
    /// there; configuration files are written anew at each start [default: a fresh temporary
    /// directory].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Write the report here as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run each node as a process of its own instead of a thread.
    #[arg(long)]
    processes: bool,
    /// Kill a node with SIGKILL once a height is reached, and start it again three blocks later;
    /// may be repeated.
    #[arg(long, value_name = "NODE@HEIGHT", requires = "processes")]
    kill: Vec<Kill>,
    /// First TCP port; the nodes take 18 from there [default: any free ones].
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
}

#[derive(Clone)]
struct Kill {
    node: String,
    height: u64,
}

impl FromStr for Kill {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, height) = text.split_once('@').ok_or("expected NODE@HEIGHT")?;
        if !NODES.contains(&node) {
            return Err(format!("no node {node:?}; there are {}", NODES.join(", ")));
        }
        let height = height.parse().map_err(|_| format!("{height:?} is not a height"))?;
        Ok(Self { node: node.to_owned(), height })
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a duration"))?;
    let milliseconds = match unit {
        "ms" => number,
        "s" | "" => number.saturating_mul(1000),
        _ => return Err(format!("unknown unit {unit:?}; use s or ms")),
    };
    if !(50..=600_000).contains(&milliseconds) {
        return Err("the block time must be between 50ms and 600s".to_owned());
    }
    Ok(Duration::from_millis(milliseconds))
}

/// Runs a devnet to its report.
pub(crate) fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // First of all: from here on, being told to stop ends in a report and leaves no orphans.
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        // Opened now, so that a path that can't be written is known before the run.
        let json = options
            .json
            .as_ref()
            .map(|path| File::create(path).with_context(|| format!("writing {}", path.display())));
        let json = json.transpose()?;
        let temporary = match &options.data_dir {
            Some(_) => None,
            None => Some(tempfile::tempdir().context("creating a temporary directory")?),
        };
        let directory = match (&options.data_dir, &temporary) {
            (Some(directory), _) => directory.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => unreachable!("one of the two was just made"),
        };
        let mut devnet = Devnet::lay_out(&options, &directory)?;
        let result = devnet.run(&options, json, stop).await;
        devnet.stop().await;
        if let (Err(_), Some(temporary)) = (&result, temporary) {
            eprintln!("the nodes' directories are left in {}", temporary.keep().display());
        }
        result
    })
}

struct Devnet {
    directory: PathBuf,
    nodes: BTreeMap<String, Node>,
    processes: bool,
    /// Held while the devnet runs: two of them must not share a directory.
    _lock: File,
}

struct Node {
    running: Option<Running>,
    client: Client,
    restarts: u64,
    /// The height, or the time if the chain stands still, at which it is started again.
    restart_at: Option<(u64, Instant)>,
    /// The greatest height at which it was seen: what it has decided it must never lose.
    height: u64,
}

enum Running {
    Thread { thread: thread::JoinHandle<Result<()>>, stop: watch::Sender<bool> },
    Process(Box<Process>),
}

struct Process {
    child: Child,
    /// Yields the last line that it wrote, once it has ended: why, if it gave up.
    last_words: JoinHandle<String>,
}

impl Devnet {
    /// Writes genesis, keys and configuration, or finds those of an earlier run.
    fn lay_out(options: &Options, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)
            .with_context(|| format!("creating the data directory {}", directory.display()))?;
        let lock =
            File::create(directory.join("devnet.lock")).context("locking the data directory")?;
        if lock.try_lock().is_err() {
            bail!("another devnet runs in {}; choose another --data-dir", directory.display());
        }
        let genesis_path = directory.join("genesis.json");
        let begun = NODES.iter().any(|name| directory.join(name).join("chain.redb").exists());
        if begun && !genesis_path.exists() {
            bail!(
                "there are databases in {} but no genesis.json: put it back, or choose another --data-dir",
                directory.display(),
            );
        }
        let ports = ports(options.port_base, directory)?;
        let addresses = |ports: &[u16]| -> BTreeMap<String, SocketAddr> {
            let address = |&port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            NODES.iter().map(|name| (*name).to_owned()).zip(ports.iter().map(address)).collect()
        };
        let (listen, rpc) = ports.split_at(NODES.len());
        let (listen, rpc) = (addresses(listen), addresses(rpc));
        if !genesis_path.exists() {
            write_genesis(directory, &genesis_path, options.block_time, &rpc)?;
        }
        let peers: Vec<PeerConfig> = listen
            .iter()
            .map(|(name, &address)| PeerConfig {
                name: name.clone(),
                public_key: Keys::devnet(name).public_key(),
                address,
            })
            .collect();
        let chain: RelayChain = POCKET_CHAIN.parse()?;
        let mut nodes = BTreeMap::new();
        for name in NODES {
            let url = format!("http://{}", rpc[name]);
            let serves = name.starts_with("servicer");
            let gateway = name.starts_with("gateway");
            let config = NodeConfig {
                name: name.to_owned(),
                listen: listen[name],
                rpc: rpc[name],
                genesis: fs::canonicalize(&genesis_path)?,
                block_time: u64::try_from(options.block_time.as_millis())?,
                peers: peers.clone(),
                relay_chains: serves.then(|| (chain, url.clone())).into_iter().collect(),
                gateway_for: gateway
                    .then(|| Keys::devnet("application-1").address())
                    .into_iter()
                    .collect(),
            };
            let node_directory = directory.join(name);
            config.save(&node_directory)?;
            Keys::devnet(name).save(&node_directory)?;
            let client = Client::new(url)?;
            let node = Node { running: None, client, restarts: 0, restart_at: None, height: 0 };
            nodes.insert(config.name.clone(), node);
        }
        Ok(Self {
            directory: directory.to_owned(),
            nodes,
            processes: options.processes,
            _lock: lock,
        })
    }

    async fn run(
        &mut self,
        options: &Options,
        json: Option<File>,
        stop: impl Future<Output = ()>,
    ) -> Result<()> {
        let mut stop = pin!(stop);
        for name in NODES {
            self.start(name)?;
        }
        let first = tokio::select! {
            first = self.wait_until_up() => first?,
            () = &mut stop => return Ok(()),
        };
        let target = (options.blocks > 0).then_some(first + options.blocks);
        if let Some(kill) =
            options.kill.iter().find(|kill| target.is_some_and(|t| kill.height >= t))
        {
            bail!("--kill {}@{}: this run ends before that", kill.node, kill.height);
        }
        let bar = progress_bar(target.unwrap_or(first), first);
        let clients = self.nodes.iter().map(|(name, node)| (name.clone(), node.client.clone()));
        let workload = Workload::start(clients.collect(), first)?;
        let outcome = tokio::select! {
            outcome = self.watch(options, target, &bar, &workload) => outcome,
            () = &mut stop => {
                say(&bar, "stopping");
                Ok(())
            }
        };
        let work = workload.stop().await;
        bar.finish_and_clear();
        outcome?;
        self.report(options, json, first, work).await
    }

    /// Keeps the network up, kills what shall be killed, until every node has reached the target.
    async fn watch(
        &mut self,
        options: &Options,
        target: Option<u64>,
        bar: &ProgressBar,
        workload: &Workload,
    ) -> Result<()> {
        let mut kills = options.kill.clone();
        let (mut best, mut progressed) = (0, Instant::now());
        loop {
            tokio::time::sleep(POLL).await;
            self.revive(bar, best).await?;
            let statuses = self.statuses().await?;
            let tip = statuses.values().map(|status| status.height).max().unwrap_or(best);
            if tip > best {
                (best, progressed) = (tip, Instant::now());
            }
            if let Some(target) = target {
                bar.set_position(best.min(target));
            } else {
                bar.set_position(best);
            }
            let (sent, relays) = workload.counts();
            bar.set_message(format!(
                "block {best} · {sent} transactions sent · {relays} relays answered · {}/{} nodes up",
                statuses.len(),
                NODES.len(),
            ));
            let mut due = Vec::new();
            kills.retain(|kill| {
                let ripe = kill.height <= best;
                if ripe {
                    due.push(kill.node.clone());
                }
                !ripe
            });
            if !due.is_empty() {
                for name in due {
                    self.kill(&name, best, bar).await?;
                }
                continue;
            }
            let all_there = |target| {
                statuses.len() == NODES.len() && statuses.values().all(|s| s.height >= target)
            };
            if target.is_some_and(all_there) && kills.is_empty() {
                return Ok(());
            }
            let patience = STALL_TIMEOUT.max(options.block_time * 10);
            ensure!(
                progressed.elapsed() < patience
                    || target.is_some_and(|t| best >= t && progressed.elapsed() < 2 * patience),
                "no new block for {} seconds after height {best}; the nodes' logs are in {}",
                progressed.elapsed().as_secs(),
                self.directory.display(),
            );
        }
    }

    fn start(&mut self, name: &str) -> Result<()> {
        let directory = self.directory.join(name);
        let running = if self.processes {
            let log_path = directory.join("node.log");
            let log = File::options().create(true).append(true).open(&log_path);
            let log = log.with_context(|| format!("opening {}", log_path.display()))?;
            let program = std::env::current_exe().context("finding this program")?;
            let mut child = Command::new(program)
                .arg("run")
                .arg(&directory)
                .arg("--stop-with-stdin")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .process_group(0)
                .spawn()
                .with_context(|| format!("starting {name}"))?;
            let stderr = child.stderr.take().context("the child's stderr was just asked for")?;
            let last_words = tokio::spawn(keep_log(stderr, log));
            let child = Box::new(Process { child, last_words });
            Running::Process(child)
        } else {
            let (stop, stopped) = watch::channel(false);
            let thread = thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || node::run_until(&directory, stopped))
                .with_context(|| format!("starting {name}"))?;
            Running::Thread { thread, stop }
        };
        let node = self.nodes.get_mut(name).ok_or_else(|| anyhow!("no node {name}"))?;
        node.running = Some(running);
        node.restart_at = None;
        Ok(())
    }

    /// Starts again what died by a signal, reports what gave up with an error.
    async fn revive(&mut self, bar: &ProgressBar, height: u64) -> Result<()> {
        let mut dead = Vec::new();
        for (name, node) in &mut self.nodes {
            match &mut node.running {
                Some(Running::Process(process)) => {
                    let Some(status) = process.child.try_wait()? else { continue };
                    if status.code().is_some() {
                        bail!("{name}: {}", process.last_words().await);
                    }
                    say(bar, format!("{name} died ({status}) at height {height}"));
                    node.running = None;
                    dead.push(name.clone());
                }
                Some(Running::Thread { thread, .. }) if thread.is_finished() => {
                    let Some(Running::Thread { thread, .. }) = node.running.take() else {
                        continue;
                    };
                    match thread.join() {
                        Ok(Ok(())) => bail!("{name} stopped"),
                        Ok(Err(error)) => return Err(error.context(name.clone())),
                        Err(_) => bail!("{name} panicked"),
                    }
                }
                Some(_) => {}
                None if node
                    .restart_at
                    .is_none_or(|(at, by)| at <= height || by <= Instant::now()) =>
                {
                    dead.push(name.clone());
                }
                None => {}
            }
        }
        for name in dead {
            self.start(&name)?;
            if let Some(node) = self.nodes.get_mut(&name) {
                node.restarts += 1;
            }
            say(bar, format!("{name} started again at height {height}"));
        }
        Ok(())
    }

    async fn kill(&mut self, name: &str, height: u64, bar: &ProgressBar) -> Result<()> {
        let Some(node) = self.nodes.get_mut(name) else { return Ok(()) };
        if let Some(Running::Process(process)) = &mut node.running {
            process.child.kill().await.with_context(|| format!("killing {name}"))?;
            node.running = None;
            node.restart_at = Some((height + BLOCKS_DOWN, Instant::now() + LONGEST_DOWN));
            say(bar, format!("{name} killed with SIGKILL at height {height}"));
        }
        Ok(())
    }

    /// Waits for every node to answer; returns the height at which this run begins.
    async fn wait_until_up(&mut self) -> Result<u64> {
        let started = Instant::now();
        let bar = ProgressBar::hidden();
        loop {
            self.check_started(&bar).await?;
            let statuses = self.statuses().await?;
            if statuses.len() == NODES.len() {
                return Ok(statuses.values().map(|status| status.height).max().unwrap_or(0));
            }
            let missing: Vec<_> =
                NODES.iter().filter(|name| !statuses.contains_key(**name)).collect();
            ensure!(
                started.elapsed() < START_TIMEOUT,
                "{missing:?} did not answer within {} seconds; see {}/*/node.log",
                START_TIMEOUT.as_secs(),
                self.directory.display(),
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// While starting, a node that ends is an error, whatever ended it.
    async fn check_started(&mut self, bar: &ProgressBar) -> Result<()> {
        for (name, node) in &mut self.nodes {
            if let Some(Running::Process(process)) = &mut node.running
                && process.child.try_wait()?.is_some()
            {
                bail!("{name}: {}", process.last_words().await);
            }
        }
        self.revive(bar, 0).await
    }

    /// What the nodes say of themselves; those that don't answer are left out.
    async fn statuses(&mut self) -> Result<BTreeMap<String, Status>> {
        let mut statuses = BTreeMap::new();
        for (name, node) in &mut self.nodes {
            if node.running.is_none() {
                continue;
            }
            let Ok(status) = node.client.call::<Status>("pocket_status", json!({})).await else {
                continue;
            };
            let (seen, height) = (node.height, status.height);
            ensure!(height >= seen, "{name} lost decided blocks: {seen} before, {height} now");
            node.height = height;
            statuses.insert(name.clone(), status);
        }
        Ok(statuses)
    }

    async fn report(
        &self,
        options: &Options,
        json: Option<File>,
        first: u64,
        work: Work,
    ) -> Result<()> {
        // A node that is down has nothing to say.
        let up = self.nodes.iter().filter(|(_, node)| node.running.is_some());
        let clients: BTreeMap<_, _> =
            up.map(|(name, node)| (name.clone(), node.client.clone())).collect();
        let restarts =
            self.nodes.iter().map(|(name, node)| (name.clone(), node.restarts)).collect();
        let summary = Summary::collect(&clients, &restarts, first, work).await?;
        let mut text = summary.table();
        if options.data_dir.is_some() {
            text += &format!("\nThe databases are kept in {}.", self.directory.display());
        }
        match writeln!(std::io::stdout(), "{text}") {
            // Whoever reads the first lines only has seen what he wanted.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written.context("writing the report")?,
        }
        if let Some(mut json) = json {
            serde_json::to_writer_pretty(&json, &summary).context("writing the report as JSON")?;
            writeln!(json).context("writing the report as JSON")?;
        }
        summary.check()
    }

    async fn stop(&mut self) {
        for node in self.nodes.values_mut() {
            match &mut node.running {
                Some(Running::Thread { stop, .. }) => drop(stop.send(true)),
                Some(Running::Process(process)) => drop(process.child.stdin.take()),
                None => {}
            }
        }
        for node in self.nodes.values_mut() {
            match node.running.take() {
                Some(Running::Thread { thread, .. }) => {
                    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
                }
                Some(Running::Process(mut process)) => {
                    let wait = process.child.wait();
                    let _ = tokio::time::timeout(Duration::from_secs(5), wait).await;
                    let _ = process.child.kill().await;
                }
                None => {}
            }
        }
    }
}

/// Writes the genesis, and what a stranger needs to trust it.
fn write_genesis(
    directory: &Path,
    path: &Path,
    block_time: Duration,
    rpc: &BTreeMap<String, SocketAddr>,
) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let time = Timestamp(u64::try_from(now)?);
    let block_time = pocket_types::number::Duration(u64::try_from(block_time.as_millis())?);
    let genesis = genesis::devnet(time, block_time, rpc)?;
    let built = genesis.build()?;
    let checkpoint = TrustedTip {
        chain: built.chain,
        height: Height::GENESIS,
        block: BlockId::default(),
        time,
        next_validators: built.validators.hash(),
    };
    write_json(&directory.join("checkpoint.json"), &checkpoint)?;
    let actors: BTreeMap<&str, _> = NODES
        .iter()
        .map(|name| (*name, json!({ "address": Keys::devnet(name).address(), "rpc": rpc[*name] })))
        .collect();
    write_json(&directory.join("actors.json"), &actors)?;
    // Last: where there is a genesis, everything else is there too.
    write_json(path, &genesis)
}

/// Two ports for each node: those asked for, those of an earlier run, or some that are free.
fn ports(base: Option<u16>, directory: &Path) -> Result<Vec<u16>> {
    let count = 2 * NODES.len();
    let earlier = earlier_ports(directory);
    if let (Some(base), Some(earlier)) = (base, &earlier)
        && earlier.first() != Some(&base)
    {
        bail!(
            "this chain's service URLs name the ports from {}: leave --port-base out",
            earlier[0]
        );
    }
    let wanted: Vec<u16> = match base {
        Some(base) => {
            let last = base.checked_add(u16::try_from(count)? - 1);
            let last = last
                .with_context(|| format!("--port-base {base} leaves no room for {count} ports"))?;
            (base..=last).collect()
        }
        None => match earlier {
            Some(earlier) => earlier,
            None => return free_ports(count),
        },
    };
    let mut listeners = Vec::new();
    for port in wanted {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        listeners.push(listener.with_context(|| {
            format!("port {port} can't be used; free it or choose another --port-base")
        })?);
    }
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Free ports below those from which systems take the ports of outgoing connections: such a
/// connection could otherwise hold a node's port when the node comes back. The search begins at
/// another place in each process, so that two devnets started together don't meet.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    const FROM: u16 = 10_000;
    const BELOW: u16 = 32_000;
    let all = usize::from(BELOW - FROM);
    let start = std::process::id() as usize * count % all;
    let free: Vec<u16> = (FROM..BELOW)
        .cycle()
        .skip(start)
        .take(all)
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .take(count)
        .collect();
    ensure!(free.len() == count, "no {count} free ports between {FROM} and {BELOW}");
    Ok(free)
}

/// The ports of an earlier run in this directory, which the chain's service URLs name.
fn earlier_ports(directory: &Path) -> Option<Vec<u16>> {
    let configs = NODES.iter().map(|name| NodeConfig::load(&directory.join(name)).ok());
    let configs = configs.collect::<Option<Vec<_>>>()?;
    let listen = configs.iter().map(|config| config.listen.port());
    Some(listen.chain(configs.iter().map(|config| config.rpc.port())).collect())
}

/// A line above the progress bar, also where there is no terminal to draw a bar on.
fn say(bar: &ProgressBar, line: impl std::fmt::Display) {
    bar.suspend(|| eprintln!("{line}"));
}

impl Process {
    /// Why a process that has ended gave up.
    async fn last_words(&mut self) -> String {
        let words = tokio::time::timeout(Duration::from_secs(1), &mut self.last_words).await;
        let line = words.ok().and_then(Result::ok).unwrap_or_default();
        match line.trim_start_matches("error: ") {
            "" => "stopped silently".to_owned(),
            words => words.to_owned(),
        }
    }
}

/// Copies what a node writes to its log and yields the last line: where the disk is full, the log
/// is the first thing that can't be written.
async fn keep_log(stderr: ChildStderr, mut log: File) -> String {
    let mut lines = BufReader::new(stderr).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = writeln!(log, "{line}");
        last = line;
    }
    last
}

fn progress_bar(target: u64, first: u64) -> ProgressBar {
    let bar = ProgressBar::new(target);
    let template = if target > first {
        "{elapsed_precise} {bar:30} {pos}/{len} · {msg}"
    } else {
        "{elapsed_precise} {spinner} {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
