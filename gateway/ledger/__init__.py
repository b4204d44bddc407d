"""Compute vouchers: grants, a double-entry ledger, reservations and settlements."""
