"""A detector of a person's own pictures: fitted on normal ones alone, it says which others do not belong, and where."""
