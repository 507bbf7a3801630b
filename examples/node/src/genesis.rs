//! The devnet's genesis: nine actors, a client with money, and short times.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result};
use pocket_types::codec::{SortedSet, Text};
use pocket_types::number::{Amount, Duration, Timestamp};
use pocket_types::transaction::{Role, ServiceUrl};
use pocket_utility::genesis::{Genesis, GenesisActor, GenesisDelegation};
use pocket_utility::params::Preset;

use crate::config::Keys;
use crate::devnet::{NODES, POCKET_CHAIN};

/// Who sends the devnet's transactions.
pub(crate) const CLIENT: &str = "client";
/// Where everybody is.
pub(crate) const ZONE: &str = "EU01";
/// What a transaction of the devnet pays.
pub(crate) const FEE: Amount = Amount(10_000);

const STAKE: Amount = Amount::pokt(60_000);

/// Everything of [`NODES`] staked, with services at these JSON-RPC addresses.
pub(crate) fn devnet(
    time: Timestamp,
    block_time: Duration,
    rpc: &BTreeMap<String, SocketAddr>,
) -> Result<Genesis> {
    let mut actors = Vec::new();
    let mut accounts = BTreeMap::new();
    accounts.insert(Keys::devnet(CLIENT).address(), Amount::pokt(1_000_000));
    for name in NODES {
        let keys = Keys::devnet(name);
        let address = rpc.get(name).with_context(|| format!("no address for {name}"))?;
        let service_url = ServiceUrl::new(format!("http://{address}"))?;
        // Servicers pay fees for their claims.
        accounts.insert(keys.address(), Amount::pokt(1_000));
        actors.push(GenesisActor {
            public_key: keys.public_key(),
            output: keys.address(),
            stake: STAKE,
            role: role(name, &keys, service_url)?,
        });
    }
    Ok(Genesis {
        name: Text::new("pocket devnet")?,
        time,
        preset: Preset::Devnet,
        block_time,
        parameters: BTreeMap::new(),
        accounts,
        dao: Amount::pokt(100_000),
        actors,
        delegations: vec![GenesisDelegation {
            application: Keys::devnet("application-1").address(),
            gateway: Keys::devnet("gateway-1").public_key(),
        }],
        fishermen: Vec::new(),
        scheme: Default::default(),
    })
}

fn role(name: &str, keys: &Keys, service_url: ServiceUrl) -> Result<Role> {
    let chains = SortedSet::new(vec![POCKET_CHAIN.parse()?])?;
    let zone = ZONE.parse()?;
    let kind = name.split('-').next().unwrap_or_default();
    Ok(match kind {
        "validator" => {
            Role::Validator { vrf_key: keys.vrf().public_key(), bls_key: None, service_url }
        }
        "servicer" => Role::Servicer { chains, zone, service_url },
        "fisherman" => Role::Fisherman { zone, service_url },
        "application" => Role::Application { chains, zone },
        "gateway" => Role::Gateway { service_url },
        _ => anyhow::bail!("{name} is no kind of actor"),
    })
}
