//! See [`pocket_fuzz::ledger`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::ledger);
