//! What happened, for indexers, receipts and reports. Events are no part of the state.

use pocket_types::evidence::Offence;
use pocket_types::id::{Address, SessionId};
use pocket_types::number::{Amount, Epoch, Height};
use pocket_types::session::{SessionClock, SessionHeader};
use pocket_types::transaction::ActorKind;
use serde::{Deserialize, Serialize};

/// Something that happened in a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// Money moved between accounts.
    Sent {
        /// Who paid.
        from: Address,
        /// Who received.
        to: Address,
        /// How much.
        amount: Amount,
    },
    /// An actor staked.
    Staked {
        /// Its kind.
        kind: ActorKind,
        /// Its address.
        actor: Address,
        /// Its stake.
        amount: Amount,
    },
    /// An actor began to leave.
    UnstakingBegan {
        /// Its kind.
        kind: ActorKind,
        /// Its address.
        actor: Address,
        /// The block that pays it out.
        due: Height,
        /// Whether it was made to.
        forced: bool,
    },
    /// An actor left and got its stake.
    Unstaked {
        /// Its kind.
        kind: ActorKind,
        /// Its address.
        actor: Address,
        /// Who received the stake.
        output: Address,
        /// What remained of it.
        amount: Amount,
    },
    /// An application chose a gateway.
    Delegated {
        /// The application.
        application: Address,
        /// The gateway.
        gateway: Address,
    },
    /// An application took that back.
    Undelegated {
        /// The application.
        application: Address,
        /// The gateway.
        gateway: Address,
    },
    /// A session began.
    SessionStarted(SessionClock),
    /// A servicer claimed relays.
    Claimed {
        /// The session.
        session: SessionHeader,
        /// The servicer.
        servicer: Address,
        /// How many relays.
        relays: u64,
    },
    /// A servicer answered its challenge.
    ClaimProven {
        /// The session.
        session: SessionHeader,
        /// The servicer.
        servicer: Address,
    },
    /// A claim was settled.
    ClaimSettled {
        /// The session.
        session: SessionHeader,
        /// The servicer.
        servicer: Address,
        /// Relays that it proved.
        proven: u64,
        /// Of these, relays within the application's budget.
        settled: u64,
        /// What they earned.
        salary: Amount,
        /// Who received it.
        output: Address,
    },
    /// A claim was not proven in time.
    ClaimVoid {
        /// The session.
        session: SessionHeader,
        /// The servicer.
        servicer: Address,
    },
    /// A session of an application was settled.
    SessionSettled {
        /// The session.
        session: SessionHeader,
        /// Its id.
        id: SessionId,
        /// Relays that were settled, of all servicers.
        settled: u64,
        /// Burnt of the application's stake.
        burned: Amount,
    },
    /// Stake was burnt as a punishment.
    Slashed {
        /// Kind of the actor.
        kind: ActorKind,
        /// Its address.
        actor: Address,
        /// How much.
        amount: Amount,
        /// What for.
        reason: SlashReason,
    },
    /// A block's fees were shared out.
    FeesPaid {
        /// Who received the proposer's share; nobody if the proposer has left.
        proposer: Option<Address>,
        /// The proposer's share.
        share: Amount,
        /// What the DAO received.
        dao: Amount,
    },
    /// Another validator set decides from a height on.
    ValidatorsChanged {
        /// The set's epoch.
        epoch: Epoch,
        /// The first height that it decides.
        from: Height,
    },
}

/// What a stake was burnt for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SlashReason {
    /// A claim was not proven.
    MissingProof,
    /// A validator signed twice.
    DoubleSign(Offence),
    /// A validator's claim to lead contradicts its own proof.
    VrfMisuse(Offence),
}
