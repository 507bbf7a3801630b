//! Moving, minting and burning money: the only code that changes a balance.

use pocket_types::codec;
use pocket_types::id::Address;
use pocket_types::number::Amount;
use pocket_types::state::StateRead;

use super::{DeliverError, Event, Ledger, LedgerError, Refusal};
use crate::state::treasury::{MAX_SUPPLY, Pool};
use crate::state::{ACCOUNTS, is_pool};

impl<S: StateRead> Ledger<S> {
    pub(super) fn balance(&self, account: &Address) -> Result<Amount, LedgerError> {
        Ok(self.store.get(ACCOUNTS, &codec::encode(account))?.unwrap_or_default())
    }

    fn set_balance(&mut self, account: &Address, balance: Amount) {
        let key = codec::encode(account);
        if balance == Amount::ZERO {
            self.store.delete(ACCOUNTS, key);
        } else {
            self.store.put(ACCOUNTS, key, &balance);
        }
    }

    pub(crate) fn credit(&mut self, account: &Address, amount: Amount) -> Result<(), LedgerError> {
        if amount == Amount::ZERO {
            return Ok(());
        }
        let balance = add(self.balance(account)?, amount)?;
        self.treasury.accounts = add(self.treasury.accounts, amount)?;
        self.set_balance(account, balance);
        Ok(())
    }

    fn debit(&mut self, account: &Address, amount: Amount) -> Result<(), DeliverError> {
        let balance = self.balance(account)?;
        let rest = balance.checked_sub(amount).ok_or(Refusal::Balance {
            account: *account,
            balance,
            needed: amount,
        })?;
        self.treasury.accounts = sub(self.treasury.accounts, amount)?;
        self.set_balance(account, rest);
        Ok(())
    }

    pub(super) fn account_to_pool(
        &mut self,
        account: &Address,
        pool: Pool,
        amount: Amount,
    ) -> Result<(), DeliverError> {
        self.debit(account, amount)?;
        let held = self.treasury.pool_mut(pool);
        *held = add(*held, amount)?;
        Ok(())
    }

    pub(super) fn pool_to_account(
        &mut self,
        pool: Pool,
        account: &Address,
        amount: Amount,
    ) -> Result<(), LedgerError> {
        let held = self.treasury.pool_mut(pool);
        *held = sub(*held, amount)?;
        self.credit(account, amount)
    }

    pub(super) fn pool_to_pool(
        &mut self,
        from: Pool,
        to: Pool,
        amount: Amount,
    ) -> Result<(), LedgerError> {
        let held = self.treasury.pool_mut(from);
        *held = sub(*held, amount)?;
        let held = self.treasury.pool_mut(to);
        *held = add(*held, amount)?;
        Ok(())
    }

    /// Mints into a pool, at most what the bound on the supply leaves room for; says how much.
    pub(super) fn mint(&mut self, pool: Pool, amount: Amount) -> Result<Amount, LedgerError> {
        let amount = amount.min(sub(MAX_SUPPLY, self.treasury.supply.total)?);
        let held = self.treasury.pool_mut(pool);
        *held = add(*held, amount)?;
        let supply = &mut self.treasury.supply;
        supply.total = add(supply.total, amount)?;
        supply.minted = add(supply.minted, amount)?;
        Ok(amount)
    }

    pub(super) fn burn(&mut self, pool: Pool, amount: Amount) -> Result<(), LedgerError> {
        let held = self.treasury.pool_mut(pool);
        *held = sub(*held, amount)?;
        let supply = &mut self.treasury.supply;
        supply.total = sub(supply.total, amount)?;
        supply.burned = add(supply.burned, amount)?;
        Ok(())
    }

    pub(super) fn check_send(&self, to: &Address, amount: Amount) -> Result<(), Refusal> {
        if amount == Amount::ZERO {
            return Err(Refusal::ZeroAmount);
        }
        if is_pool(to) { Err(Refusal::PaysPool(*to)) } else { Ok(()) }
    }

    /// A payment. To oneself it changes nothing but costs the fee.
    pub(super) fn send(
        &mut self,
        from: Address,
        to: Address,
        amount: Amount,
    ) -> Result<(), DeliverError> {
        self.debit(&from, amount)?;
        self.credit(&to, amount)?;
        self.events.push(Event::Sent { from, to, amount });
        Ok(())
    }

    /// End of the block: the proposer's share to its output if that is known, the rest to the DAO.
    pub(super) fn share_fees(&mut self) -> Result<(), LedgerError> {
        let fees = self.treasury.pool(Pool::FeeCollector);
        if fees == Amount::ZERO {
            return Ok(());
        }
        let percentage = u128::from(self.params.proposer_percentage_of_fees);
        let share = fees.mul_div_down(percentage, 100).unwrap_or_default();
        let proposer = self.proposer_output()?;
        let share = if proposer.is_some() { share } else { Amount::ZERO };
        if let Some(output) = &proposer {
            self.pool_to_account(Pool::FeeCollector, output, share)?;
        }
        let dao = sub(fees, share)?;
        self.pool_to_pool(Pool::FeeCollector, Pool::Dao, dao)?;
        self.events.push(Event::FeesPaid { proposer, share, dao });
        Ok(())
    }
}

pub(crate) fn add(a: Amount, b: Amount) -> Result<Amount, LedgerError> {
    a.checked_add(b).ok_or(LedgerError::Arithmetic("a sum of amounts overflows"))
}

pub(crate) fn sub(a: Amount, b: Amount) -> Result<Amount, LedgerError> {
    a.checked_sub(b).ok_or(LedgerError::Arithmetic("an amount would be negative"))
}
