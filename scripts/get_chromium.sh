#!/usr/bin/env bash
# Chromium for the browser tests: taken as it is where it is installed, and from Debian's packages otherwise.
set -euo pipefail
for name in "${CHROMIUM:-chromium}" chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "== installing Chromium"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends chromium >/dev/null
    exit 0
fi
echo "The browser tests need Chromium: install it (Debian, Ubuntu: sudo apt-get install chromium; macOS: brew install chromium;" \
     "Windows: Chrome or Chromium), or set CHROMIUM to the path of a Chromium or Chrome." >&2
exit 1
