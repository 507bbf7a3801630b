//! See [`pocket_fuzz::raintree`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::raintree);
