#!/usr/bin/env bash
# Single convolutions beside PyTorch's, GFLOP/s and their ratio, alternating; the best of the rounds.
#   python3 -m venv venv && . venv/bin/activate && pip install torch numpy && benches/conv.sh [rounds]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3} secs=${SECS:-0.5}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo build --release --bench conv 2> /dev/null
unset OPENBLAS_CORETYPE
for _ in $(seq "$rounds"); do
  for threads in ${THREADS:-1 2}; do
    cargo bench --bench conv -- --threads "$threads" --secs "$secs" 2> /dev/null | sed 's/^{/{"by": "bhn", /' >> "$log"
    python3 benches/torch_conv.py "$threads" "$secs" | sed 's/^{/{"by": "torch", /' >> "$log"
  done
done
python3 - "$log" <<'PYTHON'
import json, sys

best = {}
for line in open(sys.argv[1]):
    run = json.loads(line)
    key = run["case"], run["pass"], run["threads"], run["by"]
    best[key] = max(best.get(key, 0), run["gflops"])
threads = sorted({key[2] for key in best})
print("| images × channels × H × W → channels | pass |" + "".join(f" bhn, {n} | PyTorch, {n} | ratio |" for n in threads))
print("|---|---|" + "---|---|---|" * len(threads))
for case, what in dict.fromkeys(key[:2] for key in best):
    cells = []
    for n in threads:
        ours, theirs = best[case, what, n, "bhn"], best[case, what, n, "torch"]
        cells.append(f" {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |")
    print(f"| {case} | {what} |" + "".join(cells))
PYTHON
