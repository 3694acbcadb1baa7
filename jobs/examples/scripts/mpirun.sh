#!/bin/sh
# Two ranks by hand, on this machine:
#   cd jobs/examples/scripts && ./mpirun.sh
# regatta-worker must be in PATH. On several hosts: add --host n1,n2 and give mpirun the path that they know it by.
set -e
run=runs/mpirun-$(date +%Y%m%d-%H%M%S)

mpirun -np 2 regatta-worker job.yaml --run-dir "$run"

echo "done; take it into the ledger: regatta import $run"
