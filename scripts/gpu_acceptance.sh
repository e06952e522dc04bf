#!/usr/bin/env bash
# Acceptance of stbench on one CUDA GPU, in one command, without a network:
#
#   bash scripts/gpu_acceptance.sh [OUT] [--limit S] [--wheels DIR] [--reference DIR] [--data DIR] [--stages a,b,c,d] [--dry-run]
#
# OUT            results, at most 8 files of 16 MB (default results/gpu)
# --limit S      seconds for everything (default 540); a stage that ends early leaves its time to the next
# --wheels DIR   packages that the machine lacks, as wheels; they and stbench go to a temporary folder
# --reference DIR  the reference tensors (*.pt); without them, and without ../shared, those tests are skipped
# --data DIR     the folder that holds taxinyc's files, for stage d
# --dry-run      tiny sizes on a CPU: a check of this script, under 5 minutes
#
# Stages: a  CUDA tests: reference tensors, bf16, compile and CUDA graphs, resume, memory counters
#         b  stbench profile of every trained method at the sizes of taxibj and mmnist: fp32 and bf16, eager and compiled
#         c  speed and memory against a plain eager module of each method, in one process per method
#         d  TaxiNYC under protocol paper, all 50 epochs: as many methods and seeds as the time allows, as a bundle
# Each has a time limit and one summary line; a stage that fails does not stop the next. The exit code is 1 if one failed.
#
# Wheels are collected where there is a network, for the machine's Python (here 3.12):
#   python3 -m pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux2014_x86_64 -d DIR \
#     lightning-fabric lightning-utilities yacs lpips pooch platformdirs pydantic pydantic-core annotated-types \
#     typing-inspection termcolor && python3 -m pip wheel --no-deps -w DIR fvcore iopath
set -uo pipefail
cd "$(dirname "$0")/.."

OUT=results/gpu LIMIT=540 WHEELS="" REFERENCE="" DATA=${STBENCH_DATA:-} STAGES=a,b,c,d DRY=0
PYTHON=${PYTHON:-python3}
usage() { sed -n '2,14p' "$0" | cut -c3- >&2; exit 2; }
[[ $# -gt 0 && $1 != --* ]] && { OUT=$1; shift; }
while [[ $# -gt 0 ]]; do
  case $1 in
    --dry-run) DRY=1; shift; continue ;;
    --limit | --wheels | --reference | --data | --stages) [[ $# -gt 1 ]] || usage ;;
    *) echo "gpu_acceptance: unknown argument $1" >&2; usage ;;
  esac
  case $1 in
    --limit) LIMIT=$2 ;; --wheels) WHEELS=$2 ;; --reference) REFERENCE=$2 ;; --data) DATA=$2 ;; --stages) STAGES=$2 ;;
  esac
  shift 2
done

STARTED=$(date +%s) MOST_BYTES=16000000
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
export PYTHONUNBUFFERED=1 TORCHINDUCTOR_CACHE_DIR="$WORK/inductor" FAILED=0
: >"$OUT/summary.txt"
say() { echo "$*" | tee -a "$OUT/summary.txt"; }
left() { echo $((STARTED + LIMIT - $(date +%s))); }

# --- the machine ------------------------------------------------------------------------------------------------------
if [[ -n $WHEELS ]]; then
  "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$WORK/site" "$WHEELS"/*.whl &&
    "$PYTHON" -m pip install -q --no-index --no-deps --no-build-isolation --no-compile --target "$WORK/site" . ||
    { say "set-up: failed, see the messages of pip"; exit 1; }
fi
# A package named "tests" among the machine's own would hide this repository's, which has no __init__.py.
mkdir -p "$WORK/site/tests" && echo "__path__ = ['$PWD/tests']" >"$WORK/site/tests/__init__.py"
export PYTHONPATH="$WORK/site${PYTHONPATH:+:$PYTHONPATH}"
if [[ -n $REFERENCE ]]; then
  mkdir "$WORK/shared" && ln -s "$(cd "$REFERENCE" && pwd)" "$WORK/shared/reference"
  export STBENCH_SHARED="$WORK/shared"
fi
DEVICE=cuda
[[ $DRY = 1 ]] && DEVICE=cpu
export STBENCH_CUDA_TESTS_ON=$DEVICE OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
"$PYTHON" - <<PY >>"$OUT/summary.txt" || { say "set-up: failed, Python cannot import torch and stbench"; exit 1; }
import platform, sys, torch, stbench
from stbench.nn import METHODS
METHODS.get("tau")
gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
print(f"{gpu}; torch {torch.__version__}; Python {platform.python_version()}; stbench {stbench.__version__}")
sys.exit("$DEVICE" == "cuda" and not torch.cuda.is_available())
PY

# --- running a stage --------------------------------------------------------------------------------------------------
# stage LETTER PERCENT-OF-WHAT-IS-LEFT TITLE FUNCTION: runs it in a process group of its own under a time limit
stage() {
  local letter=$1 percent=$2 title=$3 work=$4 log="$WORK/stage-$1.log" began rc limit
  [[ ,$STAGES, == *,$letter,* ]] || return 0
  limit=$(($(left) * percent / 100))
  if ((limit < 10)); then say "stage $letter, $title: not started, $(left) s are left"; FAILED=1; return; fi
  began=$(date +%s)
  export -f "$work"
  timeout --signal=TERM --kill-after=15 "$limit" bash -c "$work" >"$log" 2>&1
  rc=$?
  local words=failed
  ((rc == 0)) && words=passed
  ((rc == 124 || rc == 137)) && words="stopped by its limit"
  ((rc == 3)) && words=skipped
  ((rc == 0 || rc == 3)) || FAILED=1
  say "stage $letter, $title: $words after $(($(date +%s) - began)) of $limit s: $(summary "$log")"
  tail -c 15000000 "$log" >"$OUT/stage-$letter.log"
}
summary() { grep -aE '^(RESULT|=+ .*(passed|failed|error|skipped).*=+$|[0-9]+ (passed|failed|skipped))' "$1" | tail -1 | tr -d '=' | cut -c1-200; }
pack() { # pack NAME FOLDER: one archive of at most 16 MB
  [[ -d $2 && -n $(ls -A "$2") ]] || return 0
  tar -czf "$OUT/$1.tar.gz" -C "$(dirname "$2")" --exclude=checkpoints --exclude='*.lock' "$(basename "$2")"
  (($(stat -c %s "$OUT/$1.tar.gz") <= MOST_BYTES)) && return
  tar -czf "$OUT/$1.tar.gz" -C "$(dirname "$2")" --exclude=checkpoints --exclude=samples.npz "$(basename "$2")"
  if (($(stat -c %s "$OUT/$1.tar.gz") > MOST_BYTES)); then
    rm "$OUT/$1.tar.gz"; FAILED=1
    say "$1.tar.gz: more than $MOST_BYTES bytes, left out"
  fi
}
export PYTHON WORK DEVICE DRY DATA

# --- the stages -------------------------------------------------------------------------------------------------------
stage_a() {
  local options=(-ra -p no:cacheprovider --tb=short)
  "$PYTHON" -c 'import xdist' 2>/dev/null && [[ $DRY = 0 ]] && options+=(-n 8 --dist worksteal)
  [[ $DRY = 1 ]] && options+=(-k "(tau or convlstm or memory) and not compiled")
  exec "$PYTHON" -m pytest tests/cuda "${options[@]}"
}
stage_b() {
  local methods=tau,simvp:gsta,convlstm,predrnn,phydnet more done=0 bad=0
  more=$("$PYTHON" - "$methods" <<'PY'
import sys
from stbench.nn import METHODS
from stbench.sweep.plan import Request, make_plan
others = [name for name in METHODS.names() if name not in sys.argv[1].split(",")]
print(*dict.fromkeys(spec.method for spec in make_plan(Request(others, "taxibj")).specs if spec.training))
PY
  ) || return 1
  local options=(--device "$DEVICE" --precision 32,bf16 --train --no-growth --no-memory --budget 0.3)
  one() { # one DATASET METHODS OPTIONS...
    local dataset=$1 chosen=$2; shift 2
    local name; name=$(echo "$dataset-$chosen$*" | tr -cs 'a-z0-9\n' -)
    "$PYTHON" -m stbench profile --dataset "$dataset" --methods "$chosen" "${options[@]}" "$@" \
      --out "$WORK/profile/$name" && done=$((done + 1)) && echo "RESULT $done profiles, the last: $name"
  }
  if [[ $DRY = 1 ]]; then
    options+=(--protocol quick --budget 0.01)
    one taxibj tau,convlstm --batch-sizes 2
    return
  fi
  one taxibj $methods --batch-sizes 1,16 || bad=1
  one mmnist $methods --batch-sizes 1,4 || bad=1
  for method in ${methods//,/ }; do one taxibj "$method" --batch-sizes 16 --compile || bad=1; done
  for method in ${methods//,/ }; do one mmnist "$method" --batch-sizes 4 --compile || bad=1; done
  for method in $more; do
    one taxibj "$method" --batch-sizes 1,16 || bad=1
    one mmnist "$method" --batch-sizes 1,4 || bad=1
  done
  for method in $more; do
    one taxibj "$method" --batch-sizes 16 --compile || bad=1
    one mmnist "$method" --batch-sizes 4 --compile || bad=1
  done
  return $bad
}
stage_c() {
  local bad=0 done=0 options=(--sides eager,stbench,bf16 --device "$DEVICE" --one-process --no-overheads --rounds 2 --budget 0.5 --out "$WORK/speed")
  local methods="tau convlstm predrnn phydnet simvp:gsta predrnnpp predrnnv2"
  [[ $DRY = 1 ]] && methods=tau && options+=(--tiny --sides eager,stbench --rounds 1 --budget 0.01 --repeats 1 --benchmarks taxibj)
  for method in $methods; do
    "$PYTHON" scripts/measure_speed.py --methods "$method" "${options[@]}" || bad=1
    done=$((done + 1)); echo "RESULT $done methods measured, the last: $method"
  done
  return $bad
}
stage_d() {
  local dataset=taxinyc options=(--protocol paper) seeds="0 1 2" started=() at_once=5 bad=0
  local methods="tau predrnn convlstm simvp:gsta phydnet predformer simvp:vit swinlstm"
  if [[ $DRY = 1 ]]; then
    dataset=moving_digits methods=tau seeds=0 options=(--protocol quick --epochs 1 --set train_clips=16)
  elif [[ ! -d $DATA ]]; then
    echo "RESULT no data: give the folder of taxinyc's files with --data"; exit 3
  else
    options+=(--data-dir "$DATA")
  fi
  # Baselines first: every process would do them. Then one process per run, a few at a time, all methods of a seed before
  # the next seed: they share the GPU, and quality does not depend on time. SIGTERM lets each save its state.
  trap 'kill $(jobs -p) 2>/dev/null; wait; conclude; exit 124' TERM
  conclude() {
    "$PYTHON" -m stbench report "$WORK/study" --bundle --out "$WORK/study/bundle" >/dev/null 2>&1
    echo "RESULT $(find "$WORK/study/runs" -name result.json | wc -l) runs finished"
    [[ -f $WORK/study/table.md ]] && cat "$WORK/study/table.md"
  }
  "$PYTHON" -m stbench run --methods persistence --dataset $dataset --device "$DEVICE" --out "$WORK/study" \
    "${options[@]}" || exit 1
  for seed in $seeds; do
    for method in $methods; do
      if (($(jobs -pr | wc -l) >= at_once)); then wait -n; fi
      "$PYTHON" -m stbench run --methods "$method" --dataset $dataset --seeds "$seed" --device "$DEVICE" \
        --out "$WORK/study" "${options[@]}" &
      started+=($!)
    done
  done
  for pid in "${started[@]}"; do wait "$pid" || bad=1; done
  conclude
  return $bad
}

stage a 45 "tests on CUDA" stage_a
stage b 40 "profiles" stage_b && pack profile "$WORK/profile"
stage c 45 "speed against eager modules" stage_c && pack speed "$WORK/speed"
stage d 92 "TaxiNYC, 50 epochs" stage_d && {
  [[ -d $WORK/study/bundle ]] && pack runs "$WORK/study/bundle" || pack runs "$WORK/study"
}
say "$(($(date +%s) - STARTED)) of $LIMIT s; results in $OUT"
exit "$FAILED"
