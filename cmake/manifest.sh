#!/bin/sh
# usage: cmake/manifest.sh DIR   writes DIR/MANIFEST: every file in DIR with its SHA-256, for `sha256sum -c`. A link stands
# with what it leads to: a library is looked for by its link's name.
set -eu
cd "$1"
find . ! -type d ! -path ./MANIFEST -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >MANIFEST
