//! A transaction is what its signer signed, on one network, under one id.

mod common;

use common::*;
use pocket_types::codec;
use pocket_types::hash::Hash;
use pocket_types::id::{Address, ChainId};
use pocket_types::key::{KeyError, PublicKey, Signature};
use pocket_types::number::{Amount, Height};
use pocket_types::transaction::{
    MAX_TRANSACTION_BYTES, Message, Transaction, TransactionBody, TransactionError,
};

fn send() -> Transaction {
    transaction(Message::Send { to: address(5), amount: Amount(7) })
}

#[test]
fn a_signed_transaction_holds() {
    let transaction = send();
    assert_eq!(transaction.verify(), Ok(()));
    assert_eq!(transaction.sender(), Address::of(&secret(0x40).public_key()));
    assert!(codec::encoded_len(&transaction) < MAX_TRANSACTION_BYTES);
}

#[test]
fn a_transaction_is_signed_as_a_whole() {
    let transaction = send();
    let body = || transaction.body.clone();
    let changed = [
        TransactionBody { chain: ChainId(Hash([1; 32])), ..body() },
        TransactionBody { nonce: 1, ..body() },
        TransactionBody { expiry: Height(100), ..body() },
        TransactionBody { fee: Amount(0), ..body() },
        TransactionBody { signer: secret(0x41).public_key(), ..body() },
        TransactionBody { message: Message::Send { to: address(6), amount: Amount(7) }, ..body() },
        TransactionBody { message: Message::Send { to: address(5), amount: Amount(8) }, ..body() },
    ];
    for body in changed {
        let changed = Transaction { body, ..transaction.clone() };
        assert_ne!(changed.id(), transaction.id());
        assert_eq!(changed.verify(), Err(TransactionError::Signature));
    }
    let garbled = Transaction { signature: Signature([7; 64]), ..transaction };
    assert_eq!(garbled.verify(), Err(TransactionError::Signature));
}

#[test]
fn an_id_does_not_depend_on_the_signature() {
    let transaction = send();
    let garbled = Transaction { signature: Signature([7; 64]), ..transaction.clone() };
    assert_eq!(garbled.id(), transaction.id());
    assert_ne!(transaction.body.signing_digest(), transaction.id().0);
}

/// ZIP-215 lets anybody sign for the identity; a transaction of such a signer is refused.
#[test]
fn a_key_that_anybody_can_sign_for_signs_nothing() {
    let mut identity = PublicKey([0; 32]);
    identity.0[0] = 1;
    let mut signature = Signature([0; 64]);
    signature.0[0] = 1;
    let body = TransactionBody { signer: identity, ..send().body };
    let refused = TransactionError::Key(KeyError::Identity(identity));
    assert_eq!(Transaction { body, signature }.verify(), Err(refused));
    let nobody = PublicKey([2; 32]);
    let body = TransactionBody { signer: nobody, ..send().body };
    let refused = TransactionError::Key(KeyError::NotOnCurve(nobody));
    assert_eq!(Transaction { body, signature }.verify(), Err(refused));
}
