//! Whatever fails and whenever: afterwards the database is exactly the last acknowledged state or
//! the last attempted one, and goes on.

mod common;

use common::*;
use pocket_persistence::fault::FaultStore;
use pocket_persistence::store::{Direction, Durability, KeyRange, Store};
use pocket_persistence::{Database, DatabaseError, Genesis, State, StoreError};
use pocket_types::hash::{Domain, Hash};
use pocket_types::id::BlockId;
use pocket_types::number::Height;
use pocket_types::state::{Collection, StateChanges};

/// Long enough for runs to be merged twice over.
const HEIGHTS: u64 = 66;

const NOTES: Collection = Collection::new("notes");

fn step(height: u64) -> StateChanges {
    let key = format!("account {}", height % 5);
    let value = (!height.is_multiple_of(3)).then(|| height.to_string());
    changes([(ACCOUNTS, &key, value.as_deref()), (POOLS, "dao", Some(&height.to_string()))])
}

fn begin() -> Genesis {
    genesis(step(0))
}

/// What the host was told, and what it tried.
#[derive(Clone, Copy, Default, Debug)]
struct Progress {
    initialized: bool,
    acknowledged: u64,
    attempted: u64,
    log_acknowledged: u64,
    log_attempted: u64,
}

/// Goes on from wherever the store is, until the end or a failure.
fn run(store: &FaultStore, progress: &mut Progress, heights: u64) -> Result<(), DatabaseError> {
    let database = match Database::open(store.clone(), CONFIG, chain()) {
        Err(DatabaseError::Uninitialized) => {
            assert!(!progress.initialized, "an acknowledged genesis is kept");
            Database::initialize(store.clone(), CONFIG, &begin())?
        }
        other => other?,
    };
    progress.initialized = true;
    let tip = database.tip().height.0;
    let possible = [progress.acknowledged, progress.attempted];
    assert!(possible.contains(&tip), "height {tip} of {progress:?}");
    let log = database.load_log()?;
    let acknowledged = if progress.log_acknowledged > tip { 2 } else { 0 };
    let attempted = if progress.log_attempted > tip { 2 } else { 0 };
    assert!([acknowledged, attempted].contains(&log.len()), "{progress:?}, log of {}", log.len());
    let root = (0..=tip).fold(State::empty(), |state, height| state.apply(&step(height)).unwrap());
    assert_eq!(database.tip().state_root, root.root());
    progress.acknowledged = tip;
    for height in tip + 1..=heights {
        let block = BlockId(Hash([height as u8; 32]));
        progress.log_attempted = height;
        if database.body(Height(height), block)?.is_none() {
            let records = [vec![1, height as u8], vec![2, height as u8]];
            database.append_log(Height(height), &records, &[(block, b"body".to_vec())])?;
        }
        assert_eq!(database.load_log()?.len(), 2);
        progress.log_acknowledged = height;
        let note = (height.to_be_bytes().to_vec(), vec![]);
        database.put_local(NOTES, &[note], Durability::Eventual)?;
        progress.attempted = height;
        extend(&database, &step(height), vec![transfer(height)])?;
        progress.acknowledged = height;
    }
    let notes = database.scan_local(NOTES, &KeyRange::all(), Direction::Forward, usize::MAX)?;
    assert_eq!(notes.len() as u64, heights);
    Ok(())
}

fn crashed(error: &DatabaseError) -> bool {
    matches!(error, DatabaseError::Store(StoreError::Io { .. }))
}

fn finish(store: &FaultStore, mut progress: Progress, heights: u64) {
    run(store, &mut progress, heights).unwrap();
    let database = Database::open(store.clone(), CONFIG, chain()).unwrap();
    assert_eq!(database.tip().height, Height(heights));
    assert_eq!(database.verify(), Ok(()));
}

#[test]
fn a_crash_at_any_effect_leaves_the_last_acknowledged_or_the_last_attempted_block() {
    // Around the commits that merge 8 and 64 runs the effects are the same as anywhere.
    let whole = FaultStore::new(0);
    run(&whole, &mut Progress::default(), 18).unwrap();
    let effects = whole.effects();
    assert!(effects > 18 * 8);
    for effect in 0..effects {
        for seed in 0..2 {
            let store = FaultStore::new(seed);
            store.crash_at(effect);
            let mut progress = Progress::default();
            let error = run(&store, &mut progress, 18).unwrap_err();
            assert!(crashed(&error), "seed {seed}, effect {effect}: {error}");
            finish(&store.restart(), progress, 18);
        }
    }
}

#[test]
fn crash_after_crash_after_crash_never_loses_a_block() {
    for seed in 0..6 {
        let mut words = Domain::custom("pocket v1 crash test").hasher().number(seed).words();
        let mut store = FaultStore::new(seed);
        let mut progress = Progress::default();
        let mut crashes = 0;
        loop {
            store.crash_at(store.effects() + words.below(60));
            match run(&store, &mut progress, HEIGHTS) {
                Ok(()) => break,
                Err(error) => assert!(crashed(&error), "seed {seed}: {error}"),
            }
            crashes += 1;
            store = store.restart();
        }
        assert!(crashes > 5, "seed {seed}: {crashes} crashes");
        finish(&store.restart(), progress, HEIGHTS);
    }
}

#[test]
fn a_failed_sync_closes_the_writer_and_loses_nothing_acknowledged() {
    let store = FaultStore::new(3);
    let mut progress = Progress::default();
    run(&store, &mut progress, 5).unwrap();
    let database = Database::open(store.clone(), CONFIG, chain()).unwrap();
    store.fail_next_sync();
    let decided = prepare(&database, &step(6), vec![]).unwrap();
    let failed = database.commit(&decided).unwrap_err();
    assert!(crashed(&failed), "{failed}");
    assert_eq!(database.commit(&decided), Err(DatabaseError::Closed));
    assert_eq!(database.tip().height, Height(5), "reads go on");
    assert!(database.block(Height(5)).is_ok());
    finish(&store, progress, 12);
}

#[test]
fn a_full_disk_is_named_and_leaves_everything_as_it_was() {
    let store = FaultStore::new(4);
    let mut progress = Progress::default();
    run(&store, &mut progress, 5).unwrap();
    let database = Database::open(store.clone(), CONFIG, chain()).unwrap();
    let last = store.last();
    store.set_room(300);
    let failed = extend(&database, &step(6), vec![]);
    assert!(matches!(failed, Err(DatabaseError::Store(StoreError::Full { .. }))), "{failed:?}");
    assert_eq!(store.last(), last);
    assert_eq!(database.state_at(Height(3)).map(|state| state.root()), root_at(&database, 3));
    store.set_room(usize::MAX);
    assert_eq!(extend(&database, &step(6), vec![]), Err(DatabaseError::Closed));
    finish(&store, progress, 12);
}

fn root_at(database: &Database<FaultStore>, height: u64) -> Result<Hash, DatabaseError> {
    Ok(database.header(Height(height))?.state_root)
}
