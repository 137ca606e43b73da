#!/usr/bin/env bash
# Bundles the GPU benches and the models' generator into single files that run where only Node and the package's dependencies are.
#   bench/gpu/bundle.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:?a folder}; mkdir -p "$out"
for entry in scripts/make-zoo.ts bench/gpu/*.ts; do
  npx esbuild "$entry" --bundle --platform=node --format=esm --target=node20 --log-level=warning \
    --external:koffi --external:onnxruntime-node --external:onnxruntime-common --outfile="$out/$(basename "$entry" .ts).mjs" \
    --banner:js="import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);"
done
