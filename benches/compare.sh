#!/usr/bin/env bash
# Ours beside PyTorch and JAX on the same work, in f32 and with the operands of products in bfloat16:
# PyTorch eager (stock), compiled (stock), eager with MKL's AVX-512 path, which stock MKL keeps from
# AMD's processors (needs gcc), and under autocast; JAX compiled. One process a run, alternating;
# medians of the runs' medians, and the highest peak memory.
#   python3 -m venv venv && . venv/bin/activate && pip install torch jax numpy
#   benches/compare.sh [rounds]
# CASES, THREADS, SECS (a case and round) and COMPILED (rounds with torch.compile) may be set;
# compilation takes a while, and predict, which runs under inference_mode, has none. Leave the machine
# alone meanwhile.
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
      ours=(cargo bench --bench step -- "$case" --threads "$threads" --secs "$secs")
      eager=(python3 "$torch" --only "$case" --threads "$threads" --secs "$secs")
      jax=(python3 benches/jax_bhn.py "$case" "$threads" --secs "$secs")
      "${ours[@]}" 2> /dev/null >> "$log"
      "${eager[@]}" >> "$log"
      LD_PRELOAD="$folder/mkl_avx512.so" "${eager[@]}" >> "$log"
      "${jax[@]}" >> "$log"
      "${ours[@]}" --bf16 2> /dev/null >> "$log"
      "${eager[@]}" --variant bf16 >> "$log"
      "${jax[@]}" --bf16 >> "$log"
      if [ "$round" -le "$compiled" ] && [ "$case" != predict ]; then
        "${eager[@]}" --variant compile >> "$log"
      fi
    done
  done
done
python3 - "$log" <<'PYTHON'
import json, statistics, sys
from collections import defaultdict

times, memory, imported, versions = defaultdict(list), defaultdict(int), 0, {}
for line in open(sys.argv[1]):
    run = json.loads(line)
    if "import_mb" in run:
        imported = run["import_mb"]
        continue
    if "error" in run:
        print(run["error"], file=sys.stderr)
        continue
    versions.update({name: run[name] for name in ("torch", "jax") if name in run})
    rounded = " bf16" if run.get("bf16") else ""
    if "jax" in run:
        name, ms = "JAX" + rounded, run["ms_median"]
    elif "torch" in run:
        name = {"fused": "eager", "compile": "compiled", "bf16": "autocast bf16"}[run["variant"]]
        name = "AVX-512 MKL" if run["avx512_mkl"] else name
        ms = run.get("step_ms_median") or 1e3 * run["seconds_median"]
    else:
        name, ms = "bhn" + rounded, run["ms_median"]
    key = run["case"], run["threads"], name
    times[key].append(ms)
    memory[key] = max(memory[key], run["peak_rss_mb"])
full = ["eager", "compiled", "AVX-512 MKL", "JAX"]
peers = full + ["autocast bf16", "JAX bf16"]
names = ["bhn", "bhn bf16", *peers]
print("PyTorch {torch}, JAX {jax}; milliseconds\n".format(**versions))
columns = ["case", "threads", *names, "best f32 peer / bhn", "best peer / bhn bf16", "bhn, 1 thread / 2"]
print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
cases = list(dict.fromkeys((case, threads) for case, threads, _ in times))
for case, threads in cases:
    ms = {name: statistics.median(times[case, threads, name]) for name in names if times[case, threads, name]}
    best = lambda some: min((ms[name], name) for name in some if name in ms)
    ratios = [f"{best(some)[0] / ms[name]:.2f} ({best(some)[1]})" for some, name in [(full, "bhn"), (peers, "bhn bf16")]]
    one = times[case, 1, "bhn"]
    scaling = f"{statistics.median(one) / ms['bhn']:.2f}" if threads > 1 and one else ""
    cells = [f"{ms[name]:.1f}" if name in ms else "" for name in names]
    print("| " + " | ".join([case, str(threads), *cells, *ratios, scaling]) + " |")
print(f"\n`import torch` alone: {imported} MB\n\n| case | threads | bhn, peak MB | eager | JAX | eager / bhn | without the import |\n|---|---|---|---|---|---|---|")
for case, threads in cases:
    ours, eager, jax = (memory[case, threads, name] for name in ("bhn", "eager", "JAX"))
    print(f"| {case} | {threads} | {ours} | {eager} | {jax} | {eager / ours:.1f} | {(eager - imported) / ours:.2f} |")
PYTHON
