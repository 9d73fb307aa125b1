#!/usr/bin/env bash
# The build stage of the images: from Debian's base image to packages. Usage: build.sh [--cuda]
set -euo pipefail
cd "$(dirname "$0")/../.."
deploy/setup.sh "$@"
apt-get install -y --no-install-recommends dpkg-dev help2man
deploy/package.sh
