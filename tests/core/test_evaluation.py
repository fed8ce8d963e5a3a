import pytest

from coordgan_core.errors import DataError
from coordgan_core.evaluation import Evaluation, LabelledImage, Measured, Protocol, calibrate, evaluate
from coordgan_core.predictor import Predictor
from coordgan_core.propagator import PropagationOptions
from tests.core.propagation_stubs import ShiftModel, picture

SMALL = PropagationOptions(work_px=64)
NAMES = ("background", "box", "left", "right")


def labelled(*shifts):
    return [LabelledImage(f"i{k}", *picture(96, 96, s)) for k, s in enumerate(shifts)]


def run(references, queries, **options):
    protocol = Protocol(NAMES, size=64, **options)
    predictor = Predictor(ShiftModel(), device="cpu")
    return list(evaluate(predictor, references, queries, protocol, options=SMALL))


def test_the_model_beats_copying_on_shifted_images():
    references = labelled((0.0, 0.0), (0.2, 0.0))
    queries = labelled((0.15, 0.1), (-0.1, 0.0), (0.1, -0.1))
    events = run(references, queries, peers=("copy", "dis-gradient"))
    result = events[-1]
    assert isinstance(result, Evaluation)
    assert [(e.done, e.total) for e in events[:-1] if isinstance(e, Measured)] == [
        (i, 6) for i in range(1, 7)
    ]
    assert result.miou > 0.9
    assert result.miou > result.peers["copy"]["miou"] + 0.1
    assert (result.references, result.queries) == (2, 3)
    assert set(result.per_class) == set(NAMES)
    assert 0 <= result.ece < 0.3
    assert result.images_per_second > 0
    assert result.boundary_f > 0.8


def test_copying_an_image_onto_itself_is_perfect():
    image = labelled((0.0, 0.0))
    result = run(image, image, peers=("copy",))[-1]
    assert result.peers["copy"] == {"miou": 1.0, "foreground_iou": 1.0}


def test_fused_references_are_measured_once():
    references = labelled((0.0, 0.0), (0.2, 0.0))
    events = run(references, labelled((0.1, 0.1)), fuse=True)
    assert len(events) == 2
    assert events[-1].references == 2


def test_nothing_to_measure_is_an_error():
    with pytest.raises(DataError, match="0 queries"):
        run(labelled((0.0, 0.0)), [])


def test_a_model_is_calibrated_on_labelled_images():
    images = labelled((0.0, 0.0), (0.15, 0.0), (-0.1, 0.1), (0.1, -0.1))
    predictor = Predictor(ShiftModel(), device="cpu")
    fitted = calibrate(predictor, images, options=SMALL, references=2)
    assert fitted.images == 6
    assert fitted.references == 1
    assert fitted.ece < 0.1
    with pytest.raises(DataError, match="1 labelled"):
        calibrate(predictor, images[:1])
