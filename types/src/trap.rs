//! Planted bugs: `trap!("name")` marks a line that breaks a rule, so that the tests of the rule can be
//! tested. No ordinary build holds any of them, and no Cargo feature switches one on, because features
//! unify into users' builds.
//!
//! - `--cfg pocket_trap="name"` builds with one bug.
//! - `--cfg pocket_trap="any"` builds with all of them asleep, and the environment variable
//!   `POCKET_TRAP` names the one to wake. So `.ci/traps` builds once for all.
//!
//! A rule with two defences that each hold alone has one name in two places. Beside the rules, in the
//! documentation of their module, a table names the test that catches each; `.ci/traps` reads it. Those
//! of this crate, and of what all protocols share:
//!
//! | trap | what is wrong | caught by |
//! |---|---|---|
//! | `1` | a signer counts as often as it votes | `all::traps::trap_1_duplicate_signers_don_t_count_twice` |
//! | `quorum_off_by_one` | two thirds of the weight are a quorum | `certificates::quorums_are_those_of_the_table` |
//! | `third_off_by_one` | one third of the weight holds an honest member | `certificates::quorums_are_those_of_the_table` |
//! | `weight_overflow` | weights wrap around | `all::traps::weights_near_the_limit_count_right_and_beyond_it_are_refused` |
//! | `replayed_set` | a certificate holds for other sets and epochs | `certificates::a_certificate_holds_for_its_set_and_epoch_only` |
//! | `malleable` | S may be spelt in several ways | `all::traps::a_malleated_signature_is_none` |
//! | `framed` | evidence needs no signatures | `evidence::both_signatures_must_hold` |
//! | `sent_before_stored` | outputs leave before their records are durable | `all::traps::nothing_leaves_and_nothing_counts_before_it_is_stored` |
//! | `vrf_unproved` | candidates may claim any priority | `candidacy::a_claim_that_its_own_proof_contradicts_is_an_offence` |
//! | `vrf_key_ground` | a VRF key may be chosen when the seed is known | `registration::a_key_waits_for_its_lead_and_expires` |
//! | `light_no_overlap` | light clients skip to a set that nobody trusted signed for | `light::skips_are_those_of_the_table` |
//! | `light_unsigned` | light clients skip to what no quorum decided | `light::forged_signatures_are_found_however_good_the_overlap_looks` |
//! | `light_expired` | old headers vouch for new ones for ever | `light::trust_lasts_through_the_period_and_not_a_millisecond_longer` |

/// Whether the bug of this name is planted: `cfg!(pocket_trap = "name")`, except in a build for all.
#[cfg(not(pocket_trap = "any"))]
#[doc(hidden)]
#[macro_export]
macro_rules! trap {
    ($name:literal) => {
        cfg!(pocket_trap = $name)
    };
}

/// Whether the bug of this name is planted: asks the environment, in this build for all of them.
#[cfg(pocket_trap = "any")]
#[doc(hidden)]
#[macro_export]
macro_rules! trap {
    ($name:literal) => {
        $crate::trap::is_planted($name)
    };
}

/// Whether the environment names this bug. It is read once.
#[cfg(pocket_trap = "any")]
pub fn is_planted(name: &str) -> bool {
    extern crate std;
    static PLANTED: std::sync::OnceLock<Option<std::string::String>> = std::sync::OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("POCKET_TRAP").ok()).as_deref() == Some(name)
}
