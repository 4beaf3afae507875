"""The walk over a data set that measures an enhancer."""
