#!/usr/bin/env bash
# Ours beside PyTorch on the same work: eager (stock), compiled (stock), and eager with MKL's AVX-512
# path, which stock MKL keeps from AMD's processors (needs gcc). One process a run, alternating; medians
# of the runs' medians, and the highest peak memory.
#   python3 -m venv venv && . venv/bin/activate && pip install torch numpy && benches/compare.sh [rounds]
# CASES, THREADS, SECS (a case and round) and COMPILED (rounds with compilation) may be set; compilation
# takes a while, and predict, which runs under inference_mode, has none. Leave the machine alone meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
torch=benches/torch_bhn.py rounds=${1:-5} secs=${SECS:-2} compiled=${COMPILED:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
gcc -shared -fPIC -o "$folder/mkl_avx512.so" benches/mkl_avx512.c
cargo build --release --bench step 2> /dev/null
unset OPENBLAS_CORETYPE
log=$folder/log
python3 -c 'import resource, torch; print("{\"import_mb\": %d}" % (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))' > "$log"
for round in $(seq "$rounds"); do
  for threads in ${THREADS:-1 2}; do
    for case in ${CASES:-mlp bhn bhn8 predict cnn}; do
      run=(python3 "$torch" --only "$case" --threads "$threads" --secs "$secs")
      cargo bench --bench step -- "$case" --threads "$threads" --secs "$secs" 2> /dev/null >> "$log"
      "${run[@]}" >> "$log"
      LD_PRELOAD="$folder/mkl_avx512.so" "${run[@]}" >> "$log"
      if [ "$round" -le "$compiled" ] && [ "$case" != predict ]; then
        "${run[@]}" --variant compile >> "$log"
      fi
    done
  done
done
python3 - "$log" <<'PYTHON'
import json, statistics, sys
from collections import defaultdict

times, memory, imported = defaultdict(list), defaultdict(int), 0
for line in open(sys.argv[1]):
    run = json.loads(line)
    if "import_mb" in run:
        imported = run["import_mb"]
        continue
    if "error" in run:
        print(run["error"], file=sys.stderr)
        continue
    ours = "ms_median" in run
    name = "bhn" if ours else "avx512" if run["avx512_mkl"] else run["variant"]
    ms = run["ms_median"] if ours else run.get("step_ms_median") or 1e3 * run["seconds_median"]
    times[run["case"], run["threads"], name].append(ms)
    memory[run["case"], run["threads"], name] = max(memory[run["case"], run["threads"], name], run["peak_rss_mb"])
print("| case | threads | bhn, ms | eager | compiled | AVX-512 MKL | stock / bhn | AVX-512 / bhn | 1 thread / 2 |")
print("|---|---|---|---|---|---|---|---|---|")
cases = list(dict.fromkeys((case, threads) for case, threads, _ in times))
for case, threads in cases:
    ms = {name: statistics.median(times[case, threads, name]) for name in ["bhn", "fused", "compile", "avx512"] if times[case, threads, name]}
    one = times[case, 1, "bhn"]
    cells = [f"{ms[name]:.1f}" if name in ms else "" for name in ["bhn", "fused", "compile", "avx512"]]
    stock = min(ms["fused"], ms.get("compile", ms["fused"])) / ms["bhn"]
    scaling = f"{statistics.median(one) / ms['bhn']:.2f}" if threads > 1 and one else ""
    print(f"| {case} | {threads} | {' | '.join(cells)} | {stock:.2f} | {ms['avx512'] / ms['bhn']:.2f} | {scaling} |")
print(f"\n`import torch` alone: {imported} MB\n\n| case | threads | bhn, peak MB | eager | eager / bhn | without the import |\n|---|---|---|---|---|---|")
for case, threads in cases:
    ours, theirs = memory[case, threads, "bhn"], memory[case, threads, "fused"]
    print(f"| {case} | {threads} | {ours} | {theirs} | {theirs / ours:.1f} | {(theirs - imported) / ours:.2f} |")
PYTHON
