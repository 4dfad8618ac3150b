#!/usr/bin/env bash
# Measure the CUDA backend on this machine: tests first, then one table, in about 8 minutes.
#   benchmarks/gpu.sh [FOLDER]     results go to FOLDER, default benchmarks/results
# Needs a GPU, torch, numba-cuda and numpy; JAX, OpenCV or PyAV where they are. Nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="${1:-benchmarks/results}"
python="${PYTHON:-python3}"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export XLA_PYTHON_CLIENT_PREALLOCATE=false
mkdir -p "$folder"

# No speed without right answers: stop where a test fails.
timeout 240 "$python" -m pytest -q -x -p no:cacheprovider --override-ini=addopts= \
    tests/cuda/test_device.py tests/cuda/test_gpu.py 2>&1 | tee "$folder/gpu-tests.log"

timeout 60 bash -c 'command -v compute-sanitizer' > /dev/null && sanitize=1 || sanitize=0
if [ "$sanitize" = 1 ]; then
    for tool in memcheck racecheck; do
        timeout 45 compute-sanitizer --tool "$tool" --error-exitcode 9 \
            "$python" -m benchmarks.gpu --sanitize 2>&1 | tail -3 | tee "$folder/gpu-$tool.log" || true
    done
fi

timeout 240 "$python" -m benchmarks.gpu --folder "$folder" --tests "$folder/gpu-tests.log"
