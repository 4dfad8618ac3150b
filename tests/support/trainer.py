"""What stands in for `lac.train`: does what the file `how` in the folder of videos says."""

import signal
import sys
import time
from pathlib import Path

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever has started the tests

run = Path(sys.argv[sys.argv.index("--run") + 1])
root = run.parent.parent
how = (root / "how").read_text()
resumed = (run / "config.yaml").exists()
print("\x1b[1mcalled with\x1b[0m", *sys.argv[1:], flush=True)

if how == "crash":
    print("/home/me/.venv/lib/python3.13/site-packages/torch/nn.py:7: warming up", flush=True)
    raise RuntimeError(f"`data.root` must hold clips, got {root}/nothing")
if how == "stubborn":
    signal.signal(signal.SIGINT, signal.SIG_IGN)

for name in ("checkpoints", "csv", "figures"):
    (run / name).mkdir(exist_ok=True)
(run / "config.yaml").write_text("{}")
(run / "checkpoints" / "last.ckpt").write_bytes(b"weights")
(run / "csv" / "metrics.csv").write_text(
    "epoch,step,train/loss,val/loss\n0,0,2.0,\n0,1,nan,\n0,1,,1.5\n0,2,1.0,\n0,3,0."
)
(run / "figures" / "embedding.png").write_bytes(b"a picture")
print(f"Training: epoch 1 of 2 in {run}", flush=True)
try:
    while how != "finish":
        how = (root / "how").read_text()
        time.sleep(0.02)
except KeyboardInterrupt:
    print(f"interrupted; go on with: lac train --run {run}", flush=True)
    sys.exit(130)
(run / "metrics.json").write_text(
    '{"metrics": {"learned": {"kendall_tau": 0.9, "phase_accuracy@1": NaN}},'
    ' "verdict": {"sentences": ["It has learned.", "More than a clock knows."]}}'
)
