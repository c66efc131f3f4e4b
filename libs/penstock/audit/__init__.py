"""The audit trail: its records, their hash chain, its seals and its verification."""
