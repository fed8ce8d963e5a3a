"""A writer to be killed: paints without end, tells each acknowledged stroke on standard output.

Each stroke is a function of its number, so that the test knows what must be there.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np

from app.domain.label_map import paint, rectangle_region
from app.domain.project import Commit, Project, Result


def main() -> None:
    folder, start = Path(sys.argv[1]), int(sys.argv[2])
    project = Project.open(folder)
    image, other = (int(i) for i in project.ids()[:2])
    labels = project.labels(image)

    def save() -> None:
        while True:
            project.flush(image)

    def propagate() -> None:
        number = 0
        while True:
            number += 1
            batch = project.batches.begin("propagation", "x")
            value = number % 200 + 1
            project.batches.write_result(batch, other, Result(np.full((32, 48), value, np.uint8), score=0.5))
            if number % 3 == 0:
                list(project.exchange(batch))

    for work in (save, propagate):
        threading.Thread(target=work, daemon=True).start()
    number = start
    while True:
        number += 1
        region = rectangle_region(number % 40, number % 24, number % 40 + 4, number % 24 + 4, labels.shape)
        edit = paint(labels, region, number % 200 + 1)
        assert edit is not None
        project.commit([Commit(project.store.next_sequence(), image, "do", str(number), edit)])
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


main()
