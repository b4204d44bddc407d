"""Tests of compute vouchers."""
