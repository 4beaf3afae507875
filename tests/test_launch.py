"""The launchers: sound scripts that type, go on and stop as a person would.

Each is run for real, with the cluster's commands and Python replaced by
stand-ins that write down what they were called with.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sysconfig
import time

import kubernetes_validate
import pytest
import yaml

LAUNCH = pathlib.Path(__file__).parents[1] / 'experiments' / 'launch'
SERVICE, JOB = yaml.safe_load_all((LAUNCH / 'gke_job.yaml').read_text())
POD = JOB['spec']['template']['spec']
(TRAIN,) = POD['containers']
ENV = {entry['name']: entry['value'] for entry in TRAIN['env']}
SCRIPT = next(word for word in TRAIN['command'] if '\n' in word)
SLURM = ['bash', str(LAUNCH / 'slurm.sbatch')]
TPU = ['bash', str(LAUNCH / 'tpu_vm.sh')]
WRAPPER = [*TRAIN['command'], *TRAIN['args']]
SETTINGS = {
  'CONFIG': 'configs/unit.py',
  'DATA': "the echo's $DATA",
  'BATCH': '8',
}
EXTRA = ['--config.seed=1', '--config.note=a  b']

# The n-th call of Python does what line n of `plan` says: a status, an event.
STAND_INS = {
  'python': """
    calls=$(tr -cd '\\036' < "$FAKE/python.calls" | wc -c)
    read -r status event < <(sed -n "${calls}p" "$FAKE/plan")
    case $event in
      finished) touch "$WORKDIR/finished" ;;
      preempted) echo SUSPENDED > "$FAKE/state" ;;
      waits)
        trap '/bin/sleep 0.2; touch "$FAKE/saved"; exit "$status"' TERM
        touch "$FAKE/started"
        while true; do /bin/sleep 0.05; done ;;
    esac
    exit "$status" """,
  'srun': 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
  'gcloud': """
    case " $* " in
      *' create '*) echo ACTIVE > "$FAKE/state" ;;
      *' describe '*) cat "$FAKE/state" ;;
    esac
    for word in "$@"; do
      [[ $word == --command=* ]] || continue
      cd "$FAKE" && exec bash -c "${word#--command=}"
    done""",
  **dict.fromkeys(['git', 'python3', 'scontrol', 'sleep', 'sudo', 'tar'], ''),
}


class Machine:
  """Runs a launcher among stand-ins; `calls` tells what they were given."""

  def __init__(self, folder):
    self.folder, self.workdir = folder, folder / 'run 1'
    for each in (folder / 'bin', folder / 'venv' / 'bin', self.workdir):
      each.mkdir(parents=True)
    (folder / 'venv' / 'bin' / 'activate').touch()
    note = """printf '%s\\037' "$@" >> "$FAKE/${0##*/}.calls"
      printf '\\036' >> "$FAKE/${0##*/}.calls" """
    for name, body in STAND_INS.items():
      path = folder / 'bin' / name
      path.write_text(f'#!/bin/bash\n{note}\n{body}\n')
      path.chmod(0o755)

  def start(self, words, *plan):
    (self.folder / 'plan').write_text('\n'.join(plan) + '\n')
    variables = {
      **ENV,
      **SETTINGS,
      'FAKE': str(self.folder),
      'PATH': f'{self.folder / "bin"}:/usr/bin:/bin',
      'SLURM_CPUS_PER_TASK': '8',
      'SLURM_JOB_ID': '42',
      'WORKDIR': str(self.workdir),
    }
    self.process = subprocess.Popen(
      [*words, *EXTRA], env=variables, cwd=self.folder, start_new_session=True
    )
    return self.process

  def run(self, words, *plan):
    return self.start(words, *plan).wait(60)

  def calls(self, name):
    path = self.folder / f'{name}.calls'
    calls = path.read_text().split('\036')[:-1] if path.exists() else []
    return [call.split('\037')[:-1] for call in calls]

  def wait_for(self, name):
    deadline = time.monotonic() + 60
    while not (self.folder / name).exists():
      assert time.monotonic() < deadline, name
      time.sleep(0.05)


@pytest.fixture
def machine(tmp_path):
  """A machine on which nothing has run yet, and nothing does afterwards."""
  machine = Machine(tmp_path)
  yield machine
  with contextlib.suppress(ProcessLookupError):
    os.killpg(machine.process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
  'launcher', [SLURM, TPU, WRAPPER], ids=['slurm', 'tpu', 'pod']
)
def test_the_command_is_the_one_a_person_types(launcher, machine):
  assert machine.run(launcher, '0 finished') == 0
  typed = [
    *'-m echogan_jax.main --config=configs/unit.py'.split(),
    f'--workdir={machine.workdir}',
    f'--config.data.dir={SETTINGS["DATA"]}',
    '--config.data.batch_size=8',
    '--config.parallel.mode=sharded',
    *EXTRA,
  ]
  assert machine.calls('python') == [typed]


@pytest.mark.parametrize(
  ('end', 'status', 'requeued'),
  [
    ('0 finished', 0, []),
    ('0 stopped', 0, [['requeue', '42']]),
    ('2', 2, []),
    ('137', 137, []),
  ],
)
def test_slurm_queues_again_what_was_stopped(machine, end, status, requeued):
  assert machine.run(SLURM, end) == status
  assert machine.calls('scontrol') == requeued


def test_slurm_directives():
  lines = pathlib.Path(SLURM[1]).read_text().splitlines()
  words = [line.split()[1] for line in lines if line.startswith('#SBATCH')]
  flags = dict(word.partition('=')[::2] for word in words)
  # JAX counts the GPUs of a node by its tasks
  assert flags['--gpus-per-node'] == flags['--ntasks-per-node']
  assert '--gpus-per-task' not in flags
  assert flags['--signal'] == 'TERM@90'  # without B: to the steps
  assert flags['--open-mode'] == 'append'
  assert '--requeue' in flags
  assert '/' not in flags['--output']  # Slurm makes no folder
  first = next(n for n, line in enumerate(lines) if line[:1] not in '#')
  assert not any(line.startswith('#SBATCH') for line in lines[first:])


def test_scancel_is_final(machine):
  process = machine.start(SLURM, '0 waits')
  machine.wait_for('started')
  os.killpg(process.pid, signal.SIGTERM)  # the shell as well as the steps
  assert process.wait(60) == -signal.SIGTERM
  machine.wait_for('saved')
  assert machine.calls('scontrol') == []


@pytest.mark.parametrize(
  ('plan', 'status', 'slices'),
  [
    (['0 finished'], 0, 1),
    (['0 stopped', '0 finished'], 0, 2),
    (['255 preempted', '137 preempted', '0 finished'], 0, 3),
    (['2 preempted'], 2, 1),
    (['1'], 1, 1),  # a crash on a slice that is still there
  ],
)
def test_tpu_takes_new_slices_until_finished(machine, plan, status, slices):
  assert machine.run(TPU, *plan) == status
  said = [' '.join(words) for words in machine.calls('gcloud')]
  made = [words for words in said if ' create ' in words]
  freed = [words for words in said if ' delete ' in words]
  assert len(machine.calls('python')) == len(made) == len(freed) == slices
  assert ' delete ' in said[-1]
  assert all('--spot' in words for words in made)
  assert sum('./echogan[tpu]' in w for w in machine.calls('python3')) == slices


def test_tpu_frees_no_slice_of_someone_else(machine):
  gcloud = machine.folder / 'bin' / 'gcloud'
  gcloud.write_text(f'{gcloud.read_text()}exit 1')
  assert machine.run(TPU) == 1  # there is a slice of that name
  assert len(machine.calls('gcloud')) == 1


@pytest.mark.parametrize(
  ('end', 'status'), [('0 finished', 0), ('0 stopped', 75), ('2', 2)]
)
def test_pod_ends_with_0_only_when_finished(machine, end, status):
  assert machine.run(WRAPPER, end) == status


@pytest.mark.parametrize(('end', 'status'), [('0 waits', 75), ('2 waits', 2)])
def test_pod_passes_sigterm_on_and_waits(machine, end, status):
  process = machine.start(WRAPPER, end)
  machine.wait_for('started')
  process.terminate()
  assert process.wait(60) == status
  assert (machine.folder / 'saved').exists()


@pytest.mark.parametrize('resource', [SERVICE, JOB])
def test_kubernetes_takes_the_resources(resource):
  kubernetes_validate.validate(resource, '1.31', strict=True)


def test_every_stopped_pod_comes_back():
  spec = JOB['spec']
  rules = spec['podFailurePolicy']['rules']
  assert [rule['action'] for rule in rules] == ['FailJob', 'Ignore', 'Ignore']
  codes = [rule['onExitCodes'] for rule in rules[:2]]
  assert [code['values'] for code in codes] == [[2], [75]]
  assert all(code['containerName'] == TRAIN['name'] for code in codes)
  assert rules[2]['onPodConditions'][0]['type'] == 'DisruptionTarget'
  assert spec['successPolicy'] == {'rules': [{'succeededIndexes': '0'}]}
  # an index given up for itself would leave the others waiting for it
  assert 'backoffLimitPerIndex' not in spec
  assert POD['restartPolicy'] == 'Never'
  assert POD['terminationGracePeriodSeconds'] >= 60


def test_pods_find_each_other():
  spec = JOB['spec']
  assert spec['completionMode'] == 'Indexed'
  pods = int(ENV['JAX_NUM_PROCESSES'])
  assert spec['completions'] == spec['parallelism'] == pods
  host = f'{JOB["metadata"]["name"]}-0.{SERVICE["metadata"]["name"]}'
  assert ENV['JAX_COORDINATOR_ADDRESS'].rpartition(':')[0] == host
  assert POD['subdomain'] == SERVICE['metadata']['name']
  assert SERVICE['spec']['clusterIP'] == 'None'
  assert SERVICE['spec']['selector'] == {
    'batch.kubernetes.io/job-name': JOB['metadata']['name']
  }


@pytest.mark.parametrize('name', ['slurm.sbatch', 'tpu_vm.sh', 'gke_job.yaml'])
def test_scripts_are_sound(name):
  text = SCRIPT if name == 'gke_job.yaml' else (LAUNCH / name).read_text()
  shellcheck = pathlib.Path(sysconfig.get_path('scripts')) / 'shellcheck'
  for words in (['bash', '-n'], [shellcheck, '--shell=bash', '-']):
    subprocess.run(words, input=text, text=True, check=True)
