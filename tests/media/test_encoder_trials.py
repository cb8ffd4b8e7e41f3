from __future__ import annotations

from typing import get_args

import pytest

from engine.media import encoder_trials
from engine.media.encoder_trials import Codec, try_encoders


def test_each_codec_is_tried() -> None:
    trials = try_encoders()
    assert {trial.codec for trial in trials} == set(get_args(Codec))
    assert "libx264" in {trial.encoder for trial in trials if trial.works}


def test_an_encoder_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        encoder_trials, "_ALTERNATIVES", dict.fromkeys(get_args(Codec), ("none_such",))
    )
    problems = [trial.problem for trial in try_encoders() if trial.encoder == "none_such"]
    assert problems == ["it is not built in"] * len(get_args(Codec))


def test_av1_is_encoded_without_a_word_past_the_loggers(capfd: pytest.CaptureFixture[str]) -> None:
    assert "libsvtav1" in {trial.encoder for trial in try_encoders() if trial.works}
    assert capfd.readouterr() == ("", "")
