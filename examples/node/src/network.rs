//! The transport: TCP connections that carry `pocket_p2p` channels. It moves bytes and decides
//! nothing; who is dialled, kept and thrown out is the node's to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pocket_p2p::channel::{Channel, ChannelConfig, Frame, Handshake, Progress};
use pocket_p2p::message::MessageClass;
use pocket_p2p::peers::{ConnectionId, Direction};
use pocket_types::key::{PublicKey, SecretKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};

use crate::node::Event;

/// Frames that wait for a slow peer; beyond them, frames to it are dropped.
const QUEUED_FRAMES: usize = 4096;
/// Bytes of frames that wait for a slow peer: a few of the largest messages.
const QUEUED_BYTES: usize = 32 << 20;
/// Sealed frames that wait for the socket.
const QUEUED_WRITES: usize = 16;
const READ_BYTES: usize = 64 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What happens on connections.
pub(crate) enum LinkEvent {
    /// Somebody connected; [`Network::accept`] or drop it.
    Incoming { stream: TcpStream },
    /// Both sides have proved who they are.
    Established {
        connection: ConnectionId,
        peer: PublicKey,
        direction: Direction,
        frames: FrameQueue,
    },
    /// A message arrived.
    Frame { connection: ConnectionId, peer: PublicKey, frame: Frame },
    /// A connection is gone, or never came to be; `dialled` is whom we meant to reach.
    Closed {
        connection: ConnectionId,
        dialled: Option<PublicKey>,
        established: bool,
        reason: String,
    },
}

/// A message to one peer.
struct Outgoing {
    class: MessageClass,
    body: Arc<Vec<u8>>,
}

/// What waits for one peer: bounded in frames and in bytes.
pub(crate) struct FrameQueue {
    frames: mpsc::Sender<Outgoing>,
    bytes: Arc<AtomicUsize>,
}

impl FrameQueue {
    fn new() -> (Self, mpsc::Receiver<Outgoing>) {
        let (frames, queued) = mpsc::channel(QUEUED_FRAMES);
        (Self { frames, bytes: Arc::default() }, queued)
    }

    /// Bytes that wait.
    pub(crate) fn backlog(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Queues a message; false if the peer is too slow for what waits already.
    pub(crate) fn send(&self, class: MessageClass, body: Arc<Vec<u8>>) -> bool {
        let length = body.len();
        if self.backlog().saturating_add(length) > QUEUED_BYTES {
            return false;
        }
        self.bytes.fetch_add(length, Ordering::Relaxed);
        let sent = self.frames.try_send(Outgoing { class, body }).is_ok();
        if !sent {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        sent
    }
}

/// Starts and ends connections.
pub(crate) struct Network {
    key: Arc<SecretKey>,
    config: ChannelConfig,
    events: mpsc::Sender<Event>,
    next: u64,
}

impl Network {
    pub(crate) fn new(key: SecretKey, config: ChannelConfig, events: mpsc::Sender<Event>) -> Self {
        Self { key: Arc::new(key), config, events, next: 0 }
    }

    /// Reports incoming connections until the node stops.
    pub(crate) async fn listen(listener: TcpListener, events: mpsc::Sender<Event>) {
        loop {
            // Out of file descriptors, or a peer that is gone already: nothing to stop for.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            if events.send(Event::Link(LinkEvent::Incoming { stream })).await.is_err() {
                return;
            }
        }
    }

    /// Opens a connection to a peer that must prove to be `peer`.
    pub(crate) fn dial(&mut self, peer: PublicKey, address: String) -> (ConnectionId, AbortHandle) {
        let connection = self.name();
        let task = self.spawn(connection, Some(peer), async move {
            let connecting = TcpStream::connect(&address);
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
            stream.context("timed out")?.with_context(|| format!("connecting to {address}"))
        });
        (connection, task)
    }

    /// A name for a connection that is to be accepted.
    pub(crate) fn name(&mut self) -> ConnectionId {
        self.next += 1;
        ConnectionId(self.next)
    }

    /// Goes on with an incoming connection.
    pub(crate) fn accept(&mut self, connection: ConnectionId, stream: TcpStream) -> AbortHandle {
        self.spawn(connection, None, async move { Ok(stream) })
    }

    fn spawn(
        &self,
        connection: ConnectionId,
        dialled: Option<PublicKey>,
        stream: impl Future<Output = Result<TcpStream>> + Send + 'static,
    ) -> AbortHandle {
        let (key, config, events) = (self.key.clone(), self.config.clone(), self.events.clone());
        let task = tokio::spawn(async move {
            let mut task = Connection { connection, dialled, events, established: false };
            let result = match stream.await {
                Ok(stream) => task.run(stream, &key, &config).await,
                Err(error) => Err(error),
            };
            let reason = match result {
                Ok(()) => "closed".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            let established = task.established;
            let closed = LinkEvent::Closed { connection, dialled, established, reason };
            let _ = task.events.send(Event::Link(closed)).await;
        });
        task.abort_handle()
    }
}

struct Connection {
    connection: ConnectionId,
    dialled: Option<PublicKey>,
    events: mpsc::Sender<Event>,
    established: bool,
}

impl Connection {
    async fn run(
        &mut self,
        stream: TcpStream,
        key: &SecretKey,
        config: &ChannelConfig,
    ) -> Result<()> {
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = stream.into_split();
        let (mut channel, early) =
            handshake(&mut reader, &mut writer, key, config, self.dialled).await?;
        let (connection, peer) = (self.connection, channel.peer().key);
        let direction =
            if self.dialled.is_some() { Direction::Outbound } else { Direction::Inbound };
        self.established = true;
        let (frames, mut outgoing) = FrameQueue::new();
        let waiting = frames.bytes.clone();
        self.report(LinkEvent::Established { connection, peer, direction, frames }).await?;
        for frame in early {
            self.report(LinkEvent::Frame { connection, peer, frame }).await?;
        }
        let (writes, queued) = mpsc::channel(QUEUED_WRITES);
        // Writing in a task of its own: two peers that both write must not wait for each other.
        let mut writing = AbortOnDrop(tokio::spawn(write_all(writer, queued)));
        let mut buffer = vec![0; READ_BYTES];
        loop {
            tokio::select! {
                read = reader.read(&mut buffer) => {
                    let length = read.context("reading")?;
                    if length == 0 {
                        return Ok(());
                    }
                    for frame in channel.receive(&buffer[..length])? {
                        self.report(LinkEvent::Frame { connection, peer, frame }).await?;
                    }
                }
                next = async { (writes.reserve().await, outgoing.recv().await) } => {
                    let (Ok(place), Some(Outgoing { class, body })) = next else { return Ok(()) };
                    place.send(channel.send(class, &body)?);
                    waiting.fetch_sub(body.len(), Ordering::Relaxed);
                }
                written = &mut writing.0 => return written.context("writing")?.context("writing"),
            }
        }
    }

    async fn report(&self, event: LinkEvent) -> Result<()> {
        self.events.send(Event::Link(event)).await.context("the node stopped")
    }
}

/// A task that ends with its owner.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn write_all(
    mut writer: OwnedWriteHalf,
    mut queued: mpsc::Receiver<Vec<u8>>,
) -> std::io::Result<()> {
    while let Some(bytes) = queued.recv().await {
        writer.write_all(&bytes).await?;
    }
    Ok(())
}

async fn handshake(
    reader: &mut OwnedReadHalf,
    writer: &mut OwnedWriteHalf,
    key: &SecretKey,
    config: &ChannelConfig,
    dialled: Option<PublicKey>,
) -> Result<(Channel, Vec<Frame>)> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("drawing fresh randomness")?;
    let mut handshake = match dialled {
        Some(peer) => {
            let (handshake, hello) = Handshake::dial(config, Some(peer), seed);
            writer.write_all(&hello).await.context("greeting")?;
            handshake
        }
        None => Handshake::accept(config, seed),
    };
    let mut buffer = [0; 2048];
    loop {
        let length = reader.read(&mut buffer).await.context("shaking hands")?;
        if length == 0 {
            bail!("the peer hung up during the handshake");
        }
        match handshake.receive(key, &buffer[..length])? {
            Progress::Pending { handshake: next, send } => {
                writer.write_all(&send).await.context("shaking hands")?;
                handshake = next;
            }
            Progress::Established { channel, send, frames } => {
                writer.write_all(&send).await.context("shaking hands")?;
                return Ok((channel, frames));
            }
        }
    }
}
