"""The benchmark: accuracy and speed against known truth, of this workflow and of methods from libraries, on simulated data."""
