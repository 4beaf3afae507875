"""Join the other processes of a run, wherever it was launched."""

import glob
import importlib.util
import os
from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from echogan_jax.command import BadInput


def join(*, coordinator: str, processes: int, process: int) -> None:
  """Make this process one of many, if it is; before anything is computed.

  What is said comes first, then JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
  JAX_PROCESS_ID (or an indexed Kubernetes job's JOB_COMPLETION_INDEX), then
  what JAX itself finds out inside a Slurm step of several tasks or on a TPU
  slice.

  Args:
    coordinator: HOST:PORT of process 0; empty to look around.
    processes: how many there are.
    process: number of this one.

  Raises:
    BadInput: what is said is no place among them.
  """
  if not coordinator:
    coordinator, processes, process = _environment(os.environ)
  if coordinator:
    port = coordinator.rpartition(':')[2]
    if not port.isdigit() or not 0 <= process < processes:
      raise BadInput(
        f'process {process} of {processes} at {coordinator}: write '
        'parallel.coordinator=HOST:PORT, processes=N and process=0 to N-1'
      )
    jax.distributed.initialize(coordinator, processes, process)
  elif int(os.environ.get('SLURM_STEP_NUM_TASKS', 1)) > 1 or _on_tpu():
    jax.distributed.initialize()


def wait(why: str) -> None:
  """Wait for the other processes to come here too."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(why)


def agree(flag: bool) -> bool:
  """Return whether it is true for all processes."""
  if jax.process_count() == 1:
    return flag
  return bool(multihost_utils.process_allgather(np.array(flag)).all())


def _environment(found: Mapping[str, str]) -> tuple[str, int, int]:
  process = found.get('JAX_PROCESS_ID') or found.get('JOB_COMPLETION_INDEX')
  address, count = (
    found.get(f'JAX_{name}')
    for name in ('COORDINATOR_ADDRESS', 'NUM_PROCESSES')
  )
  if not address:
    return '', 1, 0
  try:
    return address, int(count or ''), int(process or '')
  except ValueError as error:
    raise BadInput(
      f'JAX_COORDINATOR_ADDRESS={address}, but JAX_NUM_PROCESSES={count} and '
      f'JAX_PROCESS_ID={process}: write numbers'
    ) from error


def _on_tpu() -> bool:
  devices = glob.glob('/dev/accel*') + glob.glob('/dev/vfio/*')
  return bool(devices and importlib.util.find_spec('libtpu'))
