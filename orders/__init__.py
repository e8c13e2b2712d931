"""The canonical order and its lifecycle. Knows no external system."""
