//! The table of parameters: complete, typed, in range, and the same in code, page and vectors.

mod common;

use std::collections::BTreeSet;

use pocket_types::number::Duration;
use pocket_utility::params::{self, ParamError, Params, Preset, TARGET_BLOCK_TIME};
use serde_json::Value;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/PARAMETERS.md");

/// Write the page again with `POCKET_WRITE=1 cargo test -p pocket-utility parameters_page`.
#[test]
fn parameters_page() {
    let page = params::markdown();
    if std::env::var_os("POCKET_WRITE").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(PAGE).unwrap_or_default(), page, "PARAMETERS.md is stale");
}

#[test]
fn every_preset_is_valid() {
    for preset in [Preset::Mainnet, Preset::GoV1, Preset::Devnet] {
        assert_eq!(Params::preset(preset, TARGET_BLOCK_TIME).validate(), Ok(()), "{preset:?}");
    }
    for seconds in [1, 5, 15, 60, 900] {
        let params = Params::preset(Preset::Mainnet, Duration::seconds(seconds));
        assert_eq!(params.validate(), Ok(()), "{seconds} s");
    }
}

#[test]
fn mainnets_times_are_durations() {
    let params = |seconds| Params::preset(Preset::Mainnet, Duration::seconds(seconds));
    assert_eq!(params(60).blocks_per_session, 15);
    assert_eq!(params(15).blocks_per_session, 60);
    assert_eq!(params(60).servicer_unstaking_blocks, 21 * 24 * 60);
    assert_eq!(params(60).session_grace_blocks, 1);
    assert_eq!(params(7).session_grace_blocks, 9, "rounded up");
}

#[test]
fn the_go_v1_preset_is_the_go_codes() {
    let text = include_str!("vectors/go_v1_params.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let params = Params::preset(Preset::GoV1, TARGET_BLOCK_TIME);
    let mut values = 0;
    let mut owners = BTreeSet::new();
    for case in vectors["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        if name == "acl_owner" || name.ends_with("_owner") {
            owners.insert(name.to_owned());
            continue;
        }
        values += 1;
        let expected: u128 = case["default"].as_str().unwrap().parse().unwrap();
        assert_eq!(params.value(name), Some(expected), "{name}");
        let row = Params::parameter(name).unwrap();
        assert_eq!(row.owner, case["owner_param"].as_str().unwrap(), "{name}");
        assert!(owners.contains(row.owner) || !row.owner.is_empty());
    }
    assert_eq!((values, owners.len()), (54, 55));
    for row in Params::TABLE {
        owners.remove(row.owner);
    }
    assert_eq!(owners.into_iter().collect::<Vec<_>>(), ["acl_owner"]);
}

#[test]
fn every_parameter_can_be_set_within_its_range_and_no_further() {
    let names: BTreeSet<_> = Params::TABLE.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), Params::TABLE.len(), "a name comes twice");
    let mut params = Params::preset(Preset::Devnet, TARGET_BLOCK_TIME);
    for row in Params::TABLE {
        for number in [row.min, row.max] {
            params.set(row.name, number).unwrap();
            assert_eq!(params.value(row.name), Some(number), "{}", row.name);
        }
        let above = params.set(row.name, row.max + 1);
        let (name, min, max) = (row.name, row.min, row.max);
        assert_eq!(above, Err(ParamError::Range { name, got: max + 1, min, max }));
        assert_eq!(params.value(row.name), Some(row.max), "a refused value changes nothing");
    }
    let unknown = params.set("no_such_thing", 1);
    assert_eq!(unknown, Err(ParamError::Unknown("no_such_thing".into())));
}

#[test]
fn rules_between_parameters_hold() {
    let with = |changes: &[(&str, u128)]| {
        let mut params = Params::preset(Preset::Devnet, TARGET_BLOCK_TIME);
        for (name, value) in changes {
            params.set(name, *value).unwrap();
        }
        params.validate()
    };
    let refused = with(&[("session_grace_blocks", 2)]);
    assert_eq!(refused, Err(ParamError::ClaimsBeforeGrace { open: 1, grace: 2 }));
    // 63 sessions of 5 blocks after the end is the longest that fits.
    assert_eq!(with(&[("proof_window_blocks", 310)]), Ok(()));
    let refused = with(&[("proof_window_blocks", 311)]);
    assert!(matches!(refused, Err(ParamError::TooManyOpenSessions { span: 316, .. })));
    let refused = with(&[("validator_minimum_pause_blocks", 101)]);
    assert!(matches!(refused, Err(ParamError::PauseRange { minimum: 101, maximum: 100, .. })));

    // Whoever serves himself must not gain: what a relay mints is at most what it burns.
    assert_eq!(with(&[("usage_to_reward_numerator", 10_000)]), Ok(()));
    let refused = with(&[("usage_to_reward_numerator", 10_001)]);
    assert!(matches!(refused, Err(ParamError::MintExceedsBurn { .. })));
    assert!(refused.unwrap_err().to_string().contains("inflationary = true"));
    assert_eq!(with(&[("usage_to_reward_numerator", 10_001), ("inflationary", 1)]), Ok(()));
    assert_eq!(
        with(&[("usage_to_reward_numerator", 20_001), ("usage_to_reward_denominator", 2)]),
        Err(ParamError::MintExceedsBurn {
            burned: pocket_types::number::Amount(10_000),
            numerator: 20_001,
            denominator: 2
        })
    );
}

/// Codes of ours begin above all of the Go code's, and those that we share mean the same there.
#[test]
fn error_codes_are_the_go_codes_where_it_has_one() {
    use pocket_types::number::Amount;
    use pocket_utility::ledger::Refusal;

    let text = include_str!("vectors/go_v1_error_codes.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let named = |name: &str| {
        let cases = vectors["cases"].as_array().unwrap();
        let case = cases.iter().find(|case| case["name"] == name);
        u32::try_from(case.unwrap()["code"].as_u64().unwrap()).unwrap()
    };
    let address = common::address("alice");
    let kind = pocket_types::transaction::ActorKind::Servicer;
    let (got, min) = (Amount(1), Amount(2));
    let table = [
        ("CodeInvalidSignerError", Refusal::Signer { signer: address, expected: "operator" }),
        ("CodeUnknownMessageError", Refusal::UnknownMessage),
        ("CodeInvalidAmountError", Refusal::ZeroAmount),
        ("CodeInsufficientAmountError", Refusal::Fee { got, min }),
        ("CodeMinimumStakeError", Refusal::MinimumStake { got, min }),
        ("CodeEmptyRelayChainsError", Refusal::NoChains),
        ("CodeMaxChainsError", Refusal::TooManyChains { got: 2, max: 1 }),
        ("CodeInvalidStatusError", Refusal::Unstaking { kind, actor: address }),
        ("CodeAlreadyExistsError", Refusal::ActorExists { kind, actor: address }),
        ("CodeInvalidServiceURLError", Refusal::ServiceUrl { url: String::new(), reason: "" }),
        ("CodeNotExistsError", Refusal::NoActor { kind, actor: address }),
        ("CodeUnauthorizedParamChangeError", Refusal::FishermanNotAdmitted(address)),
        ("CodeTransactionAlreadyCommittedError", Refusal::AlreadyIncluded),
    ];
    for (name, refusal) in table {
        assert_eq!(refusal.code(), named(name), "{name}");
    }
    let largest = vectors["cases"].as_array().unwrap().iter().map(|case| case["code"].as_u64());
    assert!(largest.max().unwrap().unwrap() < 1_001);
}
