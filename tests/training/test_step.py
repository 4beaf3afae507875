"""The step against reference numbers, as XLA compiles it for users.

The other tests compile without optimisation, which also rounds differently.
"""

import os
import pathlib
import subprocess
import sys


def test_the_step_is_exact_as_users_compile_it():
  path = pathlib.Path(__file__).with_name('exact_step.py')
  words = [sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', str(path)]
  found = subprocess.run(
    words,
    cwd=path.parents[2],
    env=os.environ | {'XLA_FLAGS': '', 'ECHOGAN_TEST_XLA': ''},
    capture_output=True,
    text=True,
  )
  assert found.returncode == 0, found.stdout[-5000:]
