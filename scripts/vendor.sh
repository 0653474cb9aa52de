#!/usr/bin/env bash
# Fetch what the site bundles from npm into nbs/site/vendor. Run by hand when a version changes; needs npm.
set -euo pipefail
KATEX=0.19.1 ORT=1.30.0
into=$(cd "$(dirname "$0")/.." && pwd)/nbs/site/vendor
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "katex@$KATEX" "onnxruntime-web@$ORT"
for name in katex onnxruntime-web; do mkdir $name; tar xzf $name-[0-9]*.tgz -C $name --strip-components 1; done

rm -rf "$into"; mkdir -p "$into/katex/fonts" "$into/onnxruntime-web"
cp katex/LICENSE katex/dist/katex.min.js katex/dist/katex.min.css katex/dist/contrib/auto-render.min.js "$into/katex"
cp katex/dist/fonts/*.woff2 "$into/katex/fonts"
# every browser that runs the page takes woff2: the other formats stay out of the package and of the style sheet
sed -i -E 's/,url\([^)]*\.(woff|ttf)\) format\("[a-z]+"\)//g' "$into/katex/katex.min.css"
cp onnxruntime-web/dist/ort.wasm.bundle.min.mjs "$into/onnxruntime-web"
sed -i "/sourceMappingURL/d" "$into/onnxruntime-web/ort.wasm.bundle.min.mjs"
gzip -9 -n -c onnxruntime-web/dist/ort-wasm-simd-threaded.wasm > "$into/onnxruntime-web/ort-wasm-simd-threaded.wasm.gz"
# its package has no file with the MIT licence that it names
sed 's/^Copyright.*/Copyright (c) Microsoft Corporation/' katex/LICENSE > "$into/onnxruntime-web/LICENSE"
printf '%s\n' "katex $KATEX (MIT, licence in its folder)" \
    "onnxruntime-web $ORT (MIT, Copyright (c) Microsoft Corporation); its WebAssembly module is stored with gzip" > "$into/VERSIONS.txt"
