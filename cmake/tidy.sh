#!/bin/sh
# tidy.sh BUILD_DIR FILE...: clang-tidy over some files. g++ writes the precompiled headers, which clang cannot read, so it is
# given the compile commands without them.
set -eu
build=$1
shift
mkdir -p "$build/tidy"
sed -E 's/-Winvalid-pch//g; s/-include [^ ]*cmake_pch\.hxx//g' "$build/compile_commands.json" >"$build/tidy/$$"
mv "$build/tidy/$$" "$build/tidy/compile_commands.json"
clang-tidy -p "$build/tidy" --quiet --extra-arg=-Wno-unknown-warning-option "$@"
