//! See [`pocket_fuzz::genesis`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::genesis);
