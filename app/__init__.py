"""The page: watch chains, and later mix and score. Knows the core, never the trainer."""
