//! See [`pocket_fuzz::transactions`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::transactions);
