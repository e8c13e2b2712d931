"""Speaks to the outside: channels and ERPs. Owns connections, the inbox and the job ledger."""
