#!/usr/bin/env bash
# Room: bench/gpu. Builds, checks and times everything in one call; the table comes last. `--small` is for trying it anywhere.
# In an unpacked bundle it needs a Vulkan driver alone; in a checkout the npm packages too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ -x "$here/node" ]; then
  exec "$here/node" "$here/gpu.mjs" --peer "$here/torch_gpu.py" "$@"
fi
cd "$here/../.."
exec node --import tsx bench/gpu/main.ts --peer bench/gpu/torch_gpu.py "$@"
