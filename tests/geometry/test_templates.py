import numpy as np
import pytest

from engine.geometry.affine import fit_similarity, scale_of
from engine.geometry.templates import (
    ARCFACE_112_V2,
    ARCFACE_128,
    TEMPLATES,
    in_pixels,
    template_named,
)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_a_template_is_an_upright_face_within_its_crop(template: object) -> None:
    left_eye, right_eye, nose, left_mouth, right_mouth = np.array(template.points)  # type: ignore[attr-defined]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert abs(left_eye[1] - right_eye[1]) < 0.01
    assert np.array(template.points).min() > 0  # type: ignore[attr-defined]
    assert np.array(template.points).max() < 1  # type: ignore[attr-defined]


def test_arcface_128_is_arcface_112_moved_by_8_pixels() -> None:
    moved = fit_similarity(in_pixels(ARCFACE_112_V2, 112), in_pixels(ARCFACE_128, 128))
    assert scale_of(moved) == pytest.approx(1)
    np.testing.assert_allclose(moved[:, 2], [8, 0], atol=1e-9)


def test_templates_are_found_by_name() -> None:
    assert template_named("arcface_128") is ARCFACE_128
    with pytest.raises(ValueError, match=r"'mtcnn'.*arcface_112_v2"):
        template_named("mtcnn")
