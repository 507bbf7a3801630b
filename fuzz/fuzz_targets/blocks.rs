//! See [`pocket_fuzz::blocks`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::blocks);
