//! See [`pocket_fuzz::proofs`].
#![cfg_attr(feature = "libfuzzer", no_main)]

pocket_fuzz::target!(pocket_fuzz::proofs);
