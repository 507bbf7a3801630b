//! See [`pocket_fuzz::frames`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::frames);
