"""Files and batches: offline work at low priority."""
