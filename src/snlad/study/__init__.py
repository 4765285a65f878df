"""Studies: grids of trials, run once, kept as rows, laid out as tables and plots."""
