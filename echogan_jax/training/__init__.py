"""State, one pure step, its parallel wrappers, checkpoints and the loop."""
