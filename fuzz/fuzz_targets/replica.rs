//! See [`pocket_fuzz::replica`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::replica);
