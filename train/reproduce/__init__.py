"""Each table and figure of the paper as one experiment, small enough for a CPU or full for a GPU, with a report."""
