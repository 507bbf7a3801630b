//! What one node is told when it starts, and the keys it holds.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pocket_types::hash::Domain;
use pocket_types::id::{Address, RelayChain};
use pocket_types::key::{PublicKey, SecretKey};
use pocket_types::vrf::VrfSecret;
use serde::{Deserialize, Serialize};

/// A node's configuration file, `config.json` in its directory.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// How people call it.
    pub name: String,
    /// Where peers connect.
    pub listen: SocketAddr,
    /// Where clients connect.
    pub rpc: SocketAddr,
    /// The genesis that all nodes of the network share.
    pub genesis: PathBuf,
    /// Wished time between blocks, in milliseconds.
    pub block_time: u64,
    /// All nodes of the network.
    pub peers: Vec<PeerConfig>,
    /// JSON-RPC endpoints of the chains that this node serves, if it is a servicer.
    pub relay_chains: BTreeMap<RelayChain, String>,
    /// Applications for which this node signs relays, if it is a gateway.
    pub gateway_for: Vec<Address>,
}

/// A peer as the configuration names it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeerConfig {
    /// How people call it.
    pub name: String,
    /// Its identity.
    pub public_key: PublicKey,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The seeds of a node's keys, `keys.json` in its directory.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(with = "pocket_types::codec::array")]
    identity_seed: [u8; 32],
    #[serde(with = "pocket_types::codec::array")]
    vrf_seed: [u8; 32],
}

/// A node's keys.
pub(crate) struct Keys {
    seeds: KeyFile,
}

impl Keys {
    /// Keys that a devnet derives from a name. Anybody can: they protect nothing.
    pub(crate) fn devnet(name: &str) -> Self {
        let seed = |purpose: &'static str| Domain::custom(purpose).hash(name.as_bytes()).0;
        Self {
            seeds: KeyFile {
                identity_seed: seed("pocket devnet identity seed"),
                vrf_seed: seed("pocket devnet vrf seed"),
            },
        }
    }

    pub(crate) fn identity(&self) -> SecretKey {
        SecretKey::from_seed(self.seeds.identity_seed)
    }

    pub(crate) fn vrf(&self) -> VrfSecret {
        VrfSecret::from_seed(self.seeds.vrf_seed)
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.identity().public_key()
    }

    pub(crate) fn address(&self) -> Address {
        Address::of(&self.public_key())
    }

    /// Reads `keys.json`.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("keys.json");
        Ok(Self { seeds: read_json(&path)? })
    }

    /// Writes `keys.json`, readable by its owner only.
    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        let path = directory.join("keys.json");
        write_json(&path, &self.seeds)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                .with_context(|| format!("protecting {}", path.display()))?;
        }
        Ok(())
    }
}

impl NodeConfig {
    /// Reads `config.json`.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        read_json(&directory.join("config.json"))
    }

    /// Writes `config.json`.
    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        write_json(&directory.join("config.json"), self)
    }

    /// The name of a peer, for messages to people.
    pub(crate) fn peer_name(&self, key: &PublicKey) -> String {
        let peer = self.peers.iter().find(|peer| peer.public_key == *key);
        peer.map_or_else(|| key.to_string(), |peer| peer.name.clone())
    }
}

/// Reads a JSON file; errors name the file.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    match serde_json::from_str(&text) {
        Ok(value) => Ok(value),
        Err(error) => bail!("{} is not valid: {error}", path.display()),
    }
}

/// Writes a JSON file by way of a temporary one, so that it is never half-written.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let text = serde_json::to_string_pretty(value)?;
    fs::write(&temporary, text + "\n")
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("writing {}", path.display()))
}
