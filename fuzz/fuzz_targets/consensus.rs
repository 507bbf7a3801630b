//! See [`pocket_fuzz::consensus`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::consensus);
