#!/usr/bin/env bash
# tests/gpu/pack.sh DIR [--build BUILD] [--data FOLDER]
# Makes DIR: our binaries, the libraries that a bare machine lacks, Open MPI, job files and small data. It travels to a
# machine with a GPU, without network and without Open MPI, and starts there with that machine's torch (run.sh).
# FOLDER may hold cifar10.tar.xz (folders of JPEG files) and tinyshakespeare.txt, which come along.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

die() {
  echo "pack.sh: $*" >&2
  exit 1
}

dir='' build=build data=''
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=${2:?} && shift 2 ;;
    --data) data=${2:?} && shift 2 ;;
    -*) die "unknown option $1; see the first lines of this file" ;;
    *) dir=$1 && shift ;;
  esac
done
[ -n "$dir" ] || die "which folder? tests/gpu/pack.sh DIR"
[ ! -e "$dir" ] || die "$dir is there already"
for program in regatta regatta-worker libregatta_cuda.so; do
  [ -e "$build/bin/$program" ] || die "$build/bin/$program is missing: build it first, with a CUDA toolkit and NCCL"
done

mpi=$(dirname "$(dirname "$(readlink -f "$(command -v mpirun)")")") # /usr
relative=lib/x86_64-linux-gnu                                       # Debian's, as OPAL_PREFIX expects it
plugins=$relative/openmpi/lib/openmpi3
mkdir -p "$dir"/{bin,lib,data,"mpi/bin","mpi/$plugins","mpi/share/openmpi"}
cp "$build"/bin/{regatta,regatta-worker,libregatta_cuda.so} "$dir/bin/"
for program in mpirun orted; do cp -L "$(command -v $program)" "$dir/mpi/bin/"; done
cp "$mpi"/share/openmpi/help-*.txt "$dir/mpi/share/openmpi/"

# What ranks of one host need, and nothing for networks that it has not got.
for plugin in "$mpi/$plugins"/mca_*.so; do
  case $plugin in
    *ucx* | *ofi* | *openib* | *psm* | *slurm* | *tm.so | *alps* | *lustre* | *cuda*) ;;
    *) cp "$plugin" "$dir/mpi/$plugins/" ;;
  esac
done
if [ -d "$mpi/$relative/pmix2" ]; then
  mkdir -p "$dir/mpi/$relative/pmix2/lib/pmix"
  cp -r "$mpi/$relative/pmix2/lib/pmix/." "$dir/mpi/$relative/pmix2/lib/pmix/" 2>/dev/null || true
  rm -f "$dir/mpi/$relative/pmix2/lib/pmix/"*{slurm,psec_munge}*
  [ ! -d "$mpi/share/pmix" ] || cp -r "$mpi/share/pmix" "$dir/mpi/share/"
fi

# Libraries: all but glibc's and gcc's, which every machine has and newer ones than ours, the driver's, and those of torch
# and CUDA, which that machine's torch brings.
needed() {
  ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// {print $1, $3}' | sort -u |
    grep -vE '^(libc|libm|libdl|librt|libpthread|libutil|libresolv|libstdc\+\+|libgcc_s|libgomp)\.so' |
    grep -vE '^(libtorch|libc10|libcud|libcupti|libcublas|libnccl|libnv|libcaffe)' || true
}
while read -r name path; do cp -L "$path" "$dir/lib/$name"; done < <(needed "$dir"/bin/* "$dir"/mpi/bin/* "$dir/mpi/$plugins"/*.so)

# Nothing may be found where this machine has it.
for file in "$dir"/bin/*; do
  echo "file(RPATH_SET FILE \"$(readlink -f "$file")\" NEW_RPATH \"\$ORIGIN/../lib\")"
done >"$dir/rpath.cmake"
cmake -P "$dir/rpath.cmake"
rm "$dir/rpath.cmake"

cc -shared -fPIC -O1 -Wall -Werror -o "$dir/lib/nccl_fault.so" tests/gpu/nccl_fault.c -ldl
cp tests/gpu/{run.sh,checks.sh,checks.py,README.md} "$dir/"
cp -r tests/gpu/jobs "$dir/jobs"
cp -rL jobs/examples/data/mnist "$dir/data/mnist"
if [ -n "$data" ]; then
  for file in cifar10.tar.xz tinyshakespeare.txt; do
    [ ! -e "$data/$file" ] || cp "$data/$file" "$dir/data/"
  done
fi
chmod -R u+w "$dir"
git describe --always --dirty >"$dir/VERSION" 2>/dev/null || echo unknown >"$dir/VERSION"
du -sh "$dir" | awk '{print "packed: " $1 " in " $2}'
