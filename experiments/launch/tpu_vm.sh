#!/bin/bash
# Trains on a spot TPU slice, takes a new one after each preemption until the
# run is finished, and gives it back. Trains the commit that is checked out.
# From the repository root, on a machine that stays on:
#   ssh-add ~/.ssh/google_compute_engine
#   SHARE=10.0.0.2:/share WORKDIR=/mnt/share/runs/a DATA=/mnt/share/DATA \
#     bash experiments/launch/tpu_vm.sh [--config.seed=1 ...]
# SHARE is a Filestore (NFS) share in the TPU's network that you may write to.
# Not a bucket mounted by gcsfuse: Orbax commits a checkpoint by renaming its
# folder, which is not atomic on a bucket with a flat namespace.
set -euo pipefail

NAME=${NAME:-echogan}
ZONE=${ZONE:-us-west4-a}
TYPE=${TYPE:-v5litepod-16}
VERSION=${VERSION:-v2-alpha-tpuv5-lite}
SHARE=${SHARE:-10.0.0.2:/share}
CONFIG=${CONFIG:-configs/cyclegan.py}
WORKDIR=${WORKDIR:-/mnt/share/runs/a}
DATA=${DATA:-/mnt/share/DATA}
BATCH=${BATCH:-16}  # a multiple of the chips

printf -v train '%q ' \
  python -m echogan_jax.main --config="$CONFIG" --workdir="$WORKDIR" \
  --config.data.dir="$DATA" --config.data.batch_size="$BATCH" \
  --config.parallel.mode=sharded "$@"
printf -v share %q "$SHARE"
printf -v finished %q "$WORKDIR/finished"
code=${TMPDIR:-/tmp}/$NAME.tar

tpus() { gcloud compute tpus "$@" --zone="$ZONE"; }
slice() { tpus queued-resources "$1" "$NAME" "${@:2}"; }
state() { slice describe --format='value(state.state)'; }
release() { slice delete --force --quiet; }
on() { tpus tpu-vm ssh "$NAME" --worker="$1" --command="$2"; }

# Runs on every worker. The image's own Python is too old for JAX.
install() {
  set -e
  sudo apt-get update
  sudo apt-get -o DPkg::Lock::Timeout=300 install -y nfs-common
  sudo mkdir -p /mnt/share
  # positive: a worker sees at once the file that another wrote
  sudo mount -o lookupcache=positive "$1" /mnt/share
  mkdir -p echogan
  tar -xf echogan.tar -C echogan
  python3 -m pip install --user uv
  python3 -m uv venv --python 3.12 venv
  python3 -m uv pip install --python venv './echogan[tpu]'
}

prepare() {
  git archive --output="$code" HEAD &&
    tpus tpu-vm scp "$code" "$NAME:echogan.tar" --worker=all &&
    on all "$(declare -f install); install $share"
}

while true; do
  slice create --node-id="$NAME" --spot \
    --accelerator-type="$TYPE" --runtime-version="$VERSION"
  trap release EXIT
  until [[ $(state) =~ ACTIVE|SUSPEND|FAILED ]]; do sleep 60; done
  status=1
  if prepare; then
    status=0
    on all "cd echogan && source ../venv/bin/activate && $train" || status=$?
  fi
  case $status in
    0) on 0 "test -e $finished" && exit ;;
    2) exit 2 ;;  # bad input or an alarm would only come again
    255) ;;  # the connection went, most likely with the machine
    *)  # a crash, unless the machine turns out to be gone
      sleep 120
      [[ $(state) =~ ACTIVE|FAILED ]] && exit "$status"
      ;;
  esac
  release
  trap - EXIT
done
