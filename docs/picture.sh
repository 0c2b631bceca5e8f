#!/bin/sh
# Picture the demo's report for the README: sh docs/picture.sh [REPORT] (needs Chromium).
set -eu
report=$(realpath "${1:-out/demo/sweep/report.html}")
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
  --disable-background-networking --disable-component-update --disable-sync \
  --user-data-dir="$(mktemp -d)" --window-size=1000,2180 --virtual-time-budget=4000 \
  --hide-scrollbars --screenshot="$(dirname "$0")/report.png" "file://$report" 2> /dev/null
