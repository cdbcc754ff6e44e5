#!/usr/bin/env bash
# Room: scripts. Makes sure that there is a redis-server for the tests of sweeps: where it is missing it is installed (Debian and Ubuntu, as root
# or through sudo). Nothing else of the project needs one on this machine.
set -euo pipefail

command -v redis-server >/dev/null && exit 0

install='apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server'
echo 'tests: no redis-server was found: installing the package redis-server (apt-get)' >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The server of the package is not started: tests start their own.
if [ "$(id -u)" -eq 0 ]; then
  RUNLEVEL=1 sh -c "$install" </dev/null >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 2; }
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  sudo RUNLEVEL=1 sh -c "$install" </dev/null >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 2; }
else
  printf 'tests: this needs root. Run this as root, then start again:\n\n%s\n' "$install" >&2
  exit 2
fi
