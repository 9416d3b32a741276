#!/usr/bin/env bash
# Ours beside PyTorch on the same work, alternating, medians of the runs' medians:
#   python3 -m venv venv && . venv/bin/activate && pip install torch numpy && benches/compare.sh [rounds]
# CASES, THREADS and SECS (a case and round) may be set. Leave the machine alone meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
torch=benches/torch_bhn.py rounds=${1:-5} secs=${SECS:-2}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo build --release --benches 2> /dev/null
for _ in $(seq "$rounds"); do
  for threads in ${THREADS:-1 2}; do
    for case in ${CASES:-mlp bhn bhn8 predict}; do
      cargo bench --bench step -- "$case" --threads "$threads" --secs "$secs" 2> /dev/null >> "$log"
      python3 "$torch" --only "$case" --threads "$threads" --secs "$secs" >> "$log"
    done
  done
done
python3 - "$log" <<'PYTHON'
import json, statistics, sys

runs = {}
for line in open(sys.argv[1]):
    run = json.loads(line)
    ours = "ms_median" in run
    ms = run["ms_median"] if ours else run.get("step_ms_median") or 1e3 * run["seconds_median"]
    runs.setdefault((run["case"], run["threads"]), ([], []))[ours].append(ms)
print("| case | threads | bhn, ms | PyTorch, ms | PyTorch / bhn |\n|---|---|---|---|---|")
for (case, threads), (theirs, ours) in runs.items():
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"| {case} | {threads} | {a:.1f} | {b:.1f} | {b / a:.2f} |")
PYTHON
