"""How good the scanners are on golden tables that were made apart from the rules, beside two baselines."""
