"""Grids of runs, the ledger of what came out of them, and reports."""
