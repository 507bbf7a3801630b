//! See [`pocket_fuzz::rows`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::rows);
