#!/usr/bin/env bash
# Measure the CUDA backend on this machine, in less than 8 minutes: tests, one table, sanitizer.
#   benchmarks/gpu.sh [FOLDER]     results go to FOLDER, default benchmarks/results
# Every part runs, whatever became of those before it; the exit status is 1 where one failed.
#
# Needs a GPU, Python 3.11 or newer, torch, numba-cuda, numpy and pytest; JAX, OpenCV or PyAV where
# they are; no network. What may be carried here to save time or stand in for what is missing:
#   CUBINS=FOLDER    machine code of the kernels, from `python -m tests.support.cubins build FOLDER`
#   WHEELS=FOLDER    wheels to use beside the installed packages
#   COMMIT=NAME      of this code, where no repository was carried along
set -uo pipefail
cd "$(dirname "$0")/.."
folder="${1:-benchmarks/results}"
python="${PYTHON:-python3}"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$folder"
export PYTHONPATH="$PWD:$scratch/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export FASTSW_CACHE_DIR="$scratch/kernels"
failed=()

# part NAME SECONDS COMMAND...: run a part, keep what it says, remember whether it failed.
part() {
    local name="$1" limit="$2" begun="$SECONDS" status
    shift 2
    timeout --kill-after=5 "$limit" "$@" 2>&1 | tee "$folder/gpu-$name.log"
    status="${PIPESTATUS[0]}"
    echo "== $name: status $status after $((SECONDS - begun)) s"
    [ "$status" = 0 ] || failed+=("$name (status $status)")
}

tests=("$python" -m pytest -q -p no:cacheprovider --override-ini=addopts= --tb=short --maxfail=20)
files=(tests/cuda/test_linear.py tests/cuda/test_device.py tests/cuda/test_gpu.py)

if [ -n "${WHEELS:-}" ]; then
    part wheels 40 "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
        --target "$scratch/site" "$WHEELS"/*.whl
fi
if [ -z "${CUBINS:-}" ] && command -v ptxas > /dev/null; then
    CUBINS="$scratch/cubins"
    part build 60 "$python" -m tests.support.cubins build "$CUBINS"
fi
if [ -n "${CUBINS:-}" ]; then
    part cubins 30 "$python" -m tests.support.cubins adopt "$CUBINS"
fi
# First what compiles no kernel of the CPU, which can take minutes.
part tests 120 "${tests[@]}" -m "not slow" "${files[@]}"
part figures 140 "$python" -m benchmarks.gpu --folder "$folder" \
    --tests "$folder/gpu-tests.log" ${COMMIT:+--commit "$COMMIT"}
if command -v compute-sanitizer > /dev/null; then
    # cuda-bindings asks the driver for functions that it may lack, which memcheck would report.
    declare -A options=([memcheck]="--report-api-errors=no" [racecheck]="")
    for tool in memcheck racecheck; do
        part "$tool" 35 compute-sanitizer --tool "$tool" ${options[$tool]} --error-exitcode 9 \
            "$python" -m benchmarks.gpu --sanitize
    done
else
    echo "== memcheck, racecheck: not measured, compute-sanitizer is not here"
fi
part slow-tests $((470 - SECONDS > 5 ? 470 - SECONDS : 5)) "${tests[@]}" -m slow "${files[@]}"

if [ "${#failed[@]}" -gt 0 ]; then
    printf 'failed: %s\n' "${failed[@]}"
    exit 1
fi
echo "every part passed"
