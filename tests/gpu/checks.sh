#!/usr/bin/env bash
# ./checks.sh [CHECK...] [--yardstick gpu.py] [--out DIR]: in a packed tree, on the machine with the GPU.
#   agree       four models, CPU and GPU row, fp32 with TF32 off: `regatta run` must say `agree`
#   fp64        an epoch of MNIST in fp64, mlp and cnn: weights of both rows, norm of the difference over norm <= 1e-8
#   seeds       losses by epoch of three seeds, CPU and GPU, side by side, with their spread
#   throughput  samples/s of the four models on the GPU against the fastest line of the yardstick (--yardstick); resnet18
#               decodes its JPEG files
#   table       CPU against GPU: seconds, dollars and joules an epoch, in Markdown; --cluster FILE has the prices
#   faults      a killed rank and an injected NCCL error: how long until the run has ended, and with which words
# Without a CHECK: all. Each writes results/DATE-CHECK.txt (or DIR/...) with date, driver and command, and this script ends
# with 1 if one failed. A check whose data was not packed says so and fails.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit

checks=() yardstick='' out=results cluster=''
while [ $# -gt 0 ]; do
  case $1 in
    --yardstick) yardstick=${2:?} && shift 2 ;;
    --out) out=${2:?} && shift 2 ;;
    --cluster) cluster=${2:?} && shift 2 ;;
    -*) echo "checks.sh: unknown option $1" >&2 && exit 2 ;;
    *) checks+=("$1") && shift ;;
  esac
done
[ ${#checks[@]} -gt 0 ] || checks=(agree fp64 seeds throughput table faults)
mkdir -p "$out"

bad=0
for check in "${checks[@]}"; do
  command=(python3 checks.py "$check")
  [ -z "$yardstick" ] || command+=(--yardstick "$yardstick")
  [ -z "$cluster" ] || command+=(--cluster "$cluster")
  file=$out/$(date -u +%Y-%m-%d-%H%M)-$check.txt
  {
    echo "date     $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    echo "regatta  $(cat VERSION)"
    echo "driver   $(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1 | head -1)"
    echo "command  ${command[*]}"
    echo
    "${command[@]}" 2>&1
    code=$?
    echo
    echo "result   $([ $code = 0 ] && echo passed || echo "failed ($code)")"
    exit $code
  } | tee "$file"
  [ "${PIPESTATUS[0]}" = 0 ] || bad=1
done
exit $bad
