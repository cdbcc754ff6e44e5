#!/usr/bin/env bash
# Room: scripts. Makes a fresh clone ready: checks Node.js, installs the npm packages, and where no WebGPU adapter is found
# a software driver for one (driver.sh). One line a step; a second run finds everything there.
# Exit code 2: something is missing that has to be put right by hand; the last lines say what and how.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }

# Says why nothing more can be done; what follows the first argument is printed as it stands, to be copied.
stop() {
  say "$1" >&2
  shift
  [ $# -eq 0 ] || printf '%s\n' "$@" >&2
  exit 2
}

check_node() {
  command -v node >/dev/null || stop 'Node.js was not found. Install version 20.19 or newer, from https://nodejs.org or your package manager.'
  local found oldest
  found=$(node -p process.versions.node)
  oldest=$(node -p 'require("./package.json").engines.node.replace(">=", "")')
  [ "$(printf '%s\n' "$oldest" "$found" | sort -V | head -n 1)" = "$oldest" ] ||
    stop "Node.js $found is too old; $oldest or newer is needed. Install it from https://nodejs.org or your package manager."
  command -v npm >/dev/null || stop 'npm was not found. It comes with Node.js from https://nodejs.org; on Debian it is the package npm.'
  say "Node.js $found"
}

install_packages() {
  local stamp=node_modules/.light-peft-setup wanted
  wanted=$(cksum <package-lock.json)
  if [ -z "${CI:-}" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    say 'npm packages are up to date'
    return
  fi
  say 'installing the npm packages of package-lock.json (npm ci)'
  npm ci --include=dev --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
  printf '%s\n' "$wanted" >"$stamp"
}

check_node
install_packages
bash scripts/driver.sh node bin/light-peft.js setup --check
