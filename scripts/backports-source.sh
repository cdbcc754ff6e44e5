#!/usr/bin/env bash
# Room: scripts. Prints the apt source of Debian's backports, derived from the machine's own sources of Debian.
#
#   backports-source.sh CODENAME FILE…      FILE: sources.list, *.list (one line a source) or *.sources (deb822)
#
# The mirror, a snapshot's dated path and every option (Signed-By, Architectures, Check-Valid-Until …) are kept; only the
# suite changes. Prints nothing where the backports are already a source. Exit code 1: no source of Debian itself is there.
set -euo pipefail

codename=$1
shift
[ $# -gt 0 ] || exit 1

exec awk -v codename="$codename" '
function has(list, word) { return index(" " list " ", " " word " ") > 0 }

function trim(text) { gsub(/^[ \t]+|[ \t]+$/, "", text); return text }

# The deb822 name of a one-line option: signed-by -> Signed-By.
function field_name(option,   parts, n, i, name) {
  if (option in renamed) return renamed[option]
  n = split(option, parts, "-")
  for (i = 1; i <= n; i++) name = name (i > 1 ? "-" : "") toupper(substr(parts[i], 1, 1)) substr(parts[i], 2)
  return name
}

# Collects one field of the current source; what the result does not replace is an option, kept as it stands.
function take_field(name, text) {
  current = tolower(name)
  field[current] = text
  if (!(current in replaced)) options = options name ":" (text == "" ? "" : " " text) "\n"
}

function take_continuation(line) {
  if (current in replaced) field[current] = field[current] " " trim(line)
  else options = options line "\n"
}

function take_one_line_source(line,   words, n, i, pair) {
  sub(/#.*/, "", line)
  if (line !~ /^[ \t]*deb[ \t]/) return
  sub(/^[ \t]*deb[ \t]+/, "", line)
  if (match(line, /^\[[^]]*\]/)) {
    n = split(substr(line, 2, RLENGTH - 2), words, " ")
    line = substr(line, RLENGTH + 1)
    for (i = 1; i <= n; i++) {
      split(words[i], pair, "=")
      gsub(/,/, " ", pair[2])
      take_field(field_name(pair[1]), pair[2])
    }
  }
  n = split(line, words, " ")
  field["types"] = "deb"
  field["uris"] = words[1]
  field["suites"] = words[2]
  for (i = 3; i <= n; i++) field["components"] = field["components"] " " words[i]
  end_source()
}

# Judges the source collected: the backports themselves; or Debian, best at a path that says so. One signed by a keyring
# file that is not of Debian belongs to somebody else, whatever its suite is called.
function end_source(   foreign, stanza) {
  foreign = field["signed-by"] ~ /^\// && field["signed-by"] !~ /debian-archive/
  if (has(field["types"], "deb") && tolower(field["enabled"]) !~ /^(no|false|off|0)$/ && has(field["components"], "main")) {
    if (has(field["suites"], codename "-backports")) there = 1
    else if (has(field["suites"], codename) && !foreign) {
      stanza = "Types: deb\nURIs: " field["uris"] "\nSuites: " codename "-backports\nComponents: main\n" options
      if (field["uris"] ~ /debian/) { if (best == "") best = stanza }
      else if (other == "") other = stanza
    }
  }
  split("", field)
  options = current = ""
}

BEGIN {
  renamed["arch"] = "Architectures"; renamed["lang"] = "Languages"; renamed["target"] = "Targets"
  replaced["types"]; replaced["uris"]; replaced["suites"]; replaced["components"]; replaced["enabled"]
}
FNR == 1 { end_source(); deb822 = FILENAME ~ /\.sources$/ }
!deb822 { take_one_line_source($0); next }
/^#/ { next }
/^[ \t]*$/ { end_source(); next }
/^[ \t]/ { take_continuation($0); next }
{ colon = index($0, ":"); take_field(substr($0, 1, colon - 1), trim(substr($0, colon + 1))) }
END {
  end_source()
  if (there) exit 0
  if (best == "") best = other
  printf "%s", best
  exit (best == "")
}
' "$@"
