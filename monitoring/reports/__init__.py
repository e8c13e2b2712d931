"""The reports an operator lives by. Each names what stands still, since when, why, and what mends it."""
