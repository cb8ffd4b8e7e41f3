from __future__ import annotations

from typing import get_args

import pytest

from engine.media import codecs
from engine.media.codecs import Codec, encoder_trials, versions


def test_each_codec_is_tried() -> None:
    trials = encoder_trials()
    assert {trial.codec for trial in trials} == set(get_args(Codec))
    assert "libx264" in {trial.encoder for trial in trials if trial.works}


def test_an_encoder_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "_ENCODERS", dict.fromkeys(get_args(Codec), ("none_such",)))
    for trial in encoder_trials():
        assert not trial.works
        assert trial.problem == "it is not built in"


def test_versions_name_pyav_and_ffmpeg() -> None:
    assert {"PyAV", "libavcodec"} <= versions().keys()
