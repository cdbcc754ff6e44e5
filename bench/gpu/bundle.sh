#!/usr/bin/env bash
# Room: bench/gpu. Packs the benchmark for a Linux machine that may have neither network nor Node: a folder with this machine's
# Node, the webgpu package, the sources in one file, and run.sh. Pack it, copy it there, start run.sh.
# Usage: bench/gpu/bundle.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."

bundle=${1:-out/gpu-bundle}
rm -rf "$bundle"
mkdir -p "$bundle/node_modules/webgpu/dist"
node_modules/.bin/esbuild bench/gpu/main.ts --bundle --platform=node --target=node20 --format=esm --external:webgpu \
  --external:tokenizers \
  --banner:js="import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);" \
  --log-level=warning --outfile="$bundle/gpu.mjs"
cp node_modules/webgpu/{package.json,index.js,LICENSE.md} "$bundle/node_modules/webgpu/"
platform=$(node -p '`${process.platform}-${process.arch}`')
cp -r "node_modules/webgpu/dist/$platform" "$bundle/node_modules/webgpu/dist/"
cp "$(node -p process.execPath)" "$bundle/node"
cp bench/gpu/run.sh bench/gpu/torch_gpu.py "$bundle/"
echo "$bundle ($(du -sh "$bundle" | cut -f1), $platform)"
