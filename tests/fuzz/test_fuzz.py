"""A short campaign of every target; it notices crashes and hangs. The long one: ``python -m tests.fuzz``."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest

from tests.faults.processes import Tell
from tests.fuzz import campaign, worker

pytestmark = pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="limits of memory are of POSIX"
)
INPUTS = 2


@pytest.mark.parametrize("target", sorted(worker.TARGETS))
def test_spoilt_input_is_read_or_refused_with_a_clear_error(tmp_path: Path, target: str) -> None:
    chance = random.SystemRandom()
    for _ in range(INPUTS * worker.SHARES.get(target, 1)):
        seed = chance.randrange(1 << 40)
        try:
            worker.feed(target, tmp_path, seed)
        except Exception as error:
            raise AssertionError(f'python -m tests.fuzz --only "{target}" --seed {seed}: {error}') from error


# what such a seed means changes with the fuzzer and the formats: test_mended_imports and
# tests/app/domain/test_hostile_database.py keep the same findings by hand
KNOWN = [
    ("run", 518881994277),
    ("database", 937731102429),
    ("message", 197119557627),
    ("round trip", 60012709943),  # names of an image and a part that are too long together
    ("database", 762760177382),
    ("database", 804696394400),  # damaged pages that answer differently when asked twice
    ("import", 14756066538),  # members of an archive that do not unpack
    ("import", 760790910266),
    ("import", 885916681268),  # a link to /dev/zero in the place of a PNG
    ("database", 874006669147),  # classes kept by a batch that are lists of lists
    ("database", 455380156428),
    ("database", 679170410755),
    ("database", 35759831863),
    ("import", 461872629537),  # a member of an archive without a name
    ("import", 203288282021),
]


@pytest.mark.parametrize(("target", "seed"), KNOWN)
def test_what_was_found_once_stays_mended(tmp_path: Path, target: str, seed: int) -> None:
    worker.feed(target, tmp_path, seed)


def bad_worker(tell: Tell, place: Path, seed: int) -> None:
    """Crash, then die, then hang: the first, second and third worker of a campaign."""
    tell("feed", "image", 1)
    if seed == 0:
        tell("crash", "ValueError: x", "")
        os._exit(9)
    time.sleep(60)


def test_the_campaign_counts_crashes_deaths_and_hangs(tmp_path: Path) -> None:
    report = campaign.run(
        tmp_path,
        seconds=150.0,
        hang_sec=1.5,
        worker="tests.fuzz.test_fuzz:bad_worker",
        enough=lambda report: report.hangs > 0,
    )
    assert report.crashes == 2, "one foreign exception, one process that died"
    assert report.hangs == 1
    assert report.inputs == 1
