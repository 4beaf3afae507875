"""What two kinds of memory are worth: of old fakes, and of old weights.

Half-lives are in images of the laptop scale's 2000; 0 is no average.
"""

VARIANTS = {
  f'pool_{pool}_ema_{half_life:g}': {
    'state.pool_size': pool,
    'state.ema_halflife_images': half_life,
  }
  for pool in (0, 50)
  for half_life in (0.0, 50.0, 200.0)
}
