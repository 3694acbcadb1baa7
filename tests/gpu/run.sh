#!/usr/bin/env bash
# ./run.sh PROGRAM [ARGUMENT...]: regatta, regatta-worker or mpirun of this tree, with its libraries and with the torch
# that python3 would import. REGATTA_TORCH=FOLDER names another one (the package's folder, the one that has lib/).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

torch=${REGATTA_TORCH:-$(python3 -c '
import importlib.util
found = importlib.util.find_spec("torch")
print(found.submodule_search_locations[0] if found else "")')}
[ -e "$torch/lib/libtorch_cpu.so" ] || {
  echo "run.sh: python3 has no torch (looked for ${torch:-torch}/lib/libtorch_cpu.so); REGATTA_TORCH=FOLDER names one" >&2
  exit 1
}
compgen -G "$(dirname "$torch")/torch-2.11.0*.dist-info" >/dev/null ||
  echo "run.sh: this tree was built with torch 2.11.0, and $torch is another" >&2

libraries=$here/lib:$torch/lib
for folder in "$(dirname "$torch")"/nvidia/*/lib /usr/local/cuda/lib64 /usr/local/nvidia/lib64; do
  [ ! -d "$folder" ] || libraries+=:$folder
done
export LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PATH=$here/bin:$here/mpi/bin:$PATH
export OPAL_PREFIX=$here/mpi
export PMIX_MCA_pmix_mca_base_component_path=$here/mpi/lib/x86_64-linux-gnu/pmix2/lib/pmix
[ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
exec "$@"
