#!/usr/bin/env bash
# Room: scripts. Prints the WebGPU adapter of this machine, and where there is none installs Mesa's software Vulkan driver before
# (Debian and Ubuntu, as root or through sudo). Part of the npm package.
#
#   driver.sh COMMAND…      prints the adapter's name; exit code 2: there is none
#
# Exit code 2: something is missing that has to be put right by hand; the last lines say what and how.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
find_adapter=("$@")
# The root of the system's files, for tests.
root=${LIGHT_PEFT_SYSTEM_ROOT:-}
# Where the backports of Debian 12 are written as an apt source, if they have to be.
backports_file=$root/etc/apt/sources.list.d/light-peft-backports.sources
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { printf 'setup: %s\n' "$*"; }

# Says why nothing more can be done; what follows the first argument is printed as it stands, to be copied.
stop() {
  say "$1" >&2
  shift
  [ $# -eq 0 ] || printf '%s\n' "$@" >&2
  exit 2
}

# Sets the variable `adapter`, empty where there is none.
check_adapter() {
  local status=0
  adapter=$("${find_adapter[@]}" 2>"$log") || status=$?
  [ "$status" -eq 0 ] || [ "$status" -eq 2 ] || stop "looking for a WebGPU adapter failed:" "$(cat "$log")"
}

os_release() { (. "$root/etc/os-release" 2>/dev/null && eval "printf '%s' \"\${$1:-}\""); }

apt_source_files() {
  local file
  for file in "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*.list "$root"/etc/apt/sources.list.d/*.sources; do
    if [ -f "$file" ]; then printf '%s\n' "$file"; fi
  done
}

# Prints the shell commands that install the driver. Debian 12's own Mesa is refused by Dawn, its backports' is not.
driver_commands() {
  local codename=$1 release='' stanza sources
  if [ "$codename" = bookworm ]; then
    mapfile -t sources < <(apt_source_files)
    stanza=$(bash "$here/backports-source.sh" "$codename" "${sources[@]}") ||
      stop "No source of Debian $codename is among apt's, so its backports could not be derived." \
        "Add $codename-backports to apt's sources, install mesa-vulkan-drivers and libvulkan1 from it, then start again."
    if [ -n "$stanza" ]; then
      printf "cat >%s <<'END'\n%s\nEND\n" "$backports_file" "$stanza"
    fi
    release="-t $codename-backports "
  fi
  printf 'apt-get update\n'
  printf 'DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends %smesa-vulkan-drivers libvulkan1\n' "$release"
}

# Runs shell commands as root, or prints them and stops.
as_root() {
  local commands=$1
  if [ "$(id -u)" -eq 0 ]; then
    sh -ec "$commands" </dev/null >"$log" 2>&1
  elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    say 'asking sudo for root'
    sudo sh -ec "$commands" >"$log" 2>&1
  else
    stop 'This needs root. Run these commands as root, then start again:' '' "$commands"
  fi
}

install_driver() {
  command -v apt-get >/dev/null ||
    stop "No WebGPU adapter was found. Install your GPU's Vulkan driver or, without a GPU, Mesa's software driver (lavapipe," \
      '25 or newer; Fedora: mesa-vulkan-drivers, Arch: vulkan-swrast) and the Vulkan loader, then start again.'
  local commands
  commands=$(driver_commands "$(os_release VERSION_CODENAME)")
  say "no WebGPU adapter was found: installing Mesa's software Vulkan driver (apt-get, $(os_release PRETTY_NAME))"
  if ! as_root "$commands"; then
    local output
    output=$(tail -n 20 "$log")
    case $commands in *"$backports_file"*) as_root "rm -f $backports_file" ;; esac
    stop 'the installation failed:' "$output" 'The commands were:' "$commands"
  fi
  check_adapter
  [ -n "$adapter" ] ||
    stop "The driver is installed, but it gives no adapter that Dawn accepts. Mesa here: $(mesa_version)." \
      'Mesa 25 or newer is known to work (Debian 13, Ubuntu 24.04 with its updates).'
}

mesa_version() { dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null || printf 'none'; }

check_adapter
[ -n "$adapter" ] || install_driver
say "WebGPU adapter: $adapter"
