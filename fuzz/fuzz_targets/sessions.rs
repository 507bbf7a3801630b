//! See [`pocket_fuzz::sessions`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::sessions);
