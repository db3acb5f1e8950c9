"""A script run in a process that has cards which do not exist (tests/emulator).

    python -m mpi4py on_cards.py '{"cards": 2}' script.py arguments

cards: how many this machine has; fails, breaks: of rank 1's NCCL (emulator/nccl.py).  What is
recorded runs again from Python, as the emulator's device does it.
"""

import json
import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from demitasse.kernels.cuda.card import Card
from emulator.cupy import FakeCupy
from emulator.emulated import Emulated
from mpi4py import MPI

settings = json.loads(sys.argv[1])
cupy = FakeCupy(count=settings["cards"])
sys.modules.update(cupy.names())
Card.capture = Emulated.capture
if MPI.COMM_WORLD.rank == 1:
    vars(cupy.cuda.nccl).update({k: settings[k] for k in ("fails", "breaks") if k in settings})
sys.argv[:] = sys.argv[2:]
sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
runpy.run_path(sys.argv[0], run_name="__main__")
