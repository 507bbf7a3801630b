//! A program without std that uses the types. It has a panic handler of its own: as soon as anything
//! below it brings std in, there are two, and the build fails with E0152.
#![no_std]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::panic::PanicInfo;
use core::ptr;

use pocket_types::codec;
use pocket_types::finality::FinalityProof;
use pocket_types::key::SecretKey;
use pocket_types::number::Timestamp;
use pocket_types::relay::RelayResponse;
use pocket_types::validator::{Electorate, ValidatorSet};
use pocket_types::vrf::VrfSecret;

/// What a small device would do: check a decided header, sign and check an answer.
#[unsafe(no_mangle)]
pub extern "C" fn probe() -> bool {
    let key = SecretKey::from_seed([1; 32]);
    let proof = codec::decode::<FinalityProof>(&[0; 8]);
    let set = codec::decode::<ValidatorSet>(&[0; 16]).map(Electorate::new);
    let decided = match (&proof, &set) {
        (Ok(proof), Ok(Ok(electorate))) => proof.verify(electorate).is_ok(),
        _ => false,
    };
    let answer = codec::decode::<RelayResponse>(&[0; 144]).map(|mut answer| {
        answer = RelayResponse::sign(answer.request, answer.payload, Timestamp(1), &key);
        codec::encode(&answer).len()
    });
    let (proof, _) = VrfSecret::from_seed([2; 32]).prove(b"input");
    decided || answer.is_ok() || proof.as_bytes()[0] == 0
}

struct Nowhere;

// SAFETY: it never hands out memory.
unsafe impl GlobalAlloc for Nowhere {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nowhere = Nowhere;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
