"""Three-dimensional tracks of defocused fluorescent beads: pure functions on arrays and tables."""
