"""Task words, state bins, prompt text, tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from policy_spec.errors import CheckpointError, PromptError
from policy_spec.prompt import (
    PromptFlags,
    PromptParts,
    Tokenizer,
    expand_images,
    image_text,
    normalize_task,
    prompt_text,
    state_bins,
)
from tests.policy_spec.tiny import token

FLAGS = PromptFlags(True, True, 256, image_text((1, 2), columns=False))


@pytest.mark.parametrize(
    ("task", "normalized"),
    [
        ("Pick up\n the  CUBE.", "pick up the cube"),
        ("Task: the task is to 'stack' !?", "stack"),
        ("language_instruction - go", "go"),
        ("Language Instruction: go", "go"),
        ("languageinstruction: go", "languageinstruction: go"),
        ("Goal: (move left).", "move left"),
        ("your task is to fold. Then wait!", "fold; then wait"),
        ("v1.5 of it", "v1; 5 of it"),
        ("...", ""),
        ("  ", ""),
        ("", ""),
        ("[{“x”}]", "x"),
    ],
)
def test_task_words(task: str, normalized: str) -> None:
    assert normalize_task(task) == normalized
    assert normalize_task(normalized) == normalized or "." in task  # settled after one pass


def test_state_bins_round_half_to_even_in_float32() -> None:
    halves = (np.array([0.5, 1.5, 2.5, 254.5]) / 255 * 2 - 1).astype(np.float32)
    scaled = (halves + np.float32(1)) / np.float32(2) * np.float32(255)
    assert state_bins(halves, 256).tolist() == np.rint(scaled).astype(int).tolist()
    assert state_bins([0.0], 256).tolist() == [128]  # 127.5, to even
    assert state_bins([np.nan, np.inf, -np.inf, 7.0, -7.0], 256).tolist() == [128, 255, 0, 255, 0]


def parts(images: int = 1, style: str = "robot_action", setup: str = "an arm") -> PromptParts:
    return PromptParts("stack", setup, "joints", (3, 255), images, style)


def test_prompt_of_one_and_of_several_pictures() -> None:
    assert prompt_text(parts(1), FLAGS).startswith("<|image|><|im_start|>user\nThe task is to stack. The setup is ")
    assert prompt_text(parts(2), FLAGS).startswith("Image 1<|image|>Image 2<|image|><|im_start|>user\n")
    assert prompt_text(parts(0), FLAGS).startswith("<|im_start|>user\n")


def test_prompt_of_both_styles() -> None:
    assert prompt_text(parts(), FLAGS).endswith("<|im_start|>assistant\n<action_output>")
    depth = prompt_text(parts(style="robot_depth_action"), FLAGS)
    assert "first predict the depth map" in depth and depth.endswith("<depth_output><action_output>")
    with pytest.raises(PromptError, match="robot_depth_action"):
        prompt_text(parts(style="chat"), FLAGS)


def test_setup_is_wrapped_once_and_only_if_asked() -> None:
    wrapped = "<setup_start>an arm<setup_end>"
    plain = PromptFlags(False, False, 256, "")
    assert f"The setup is {wrapped}." in prompt_text(parts(), FLAGS)
    assert f"The setup is {wrapped}." in prompt_text(parts(setup=wrapped), FLAGS)
    assert "The setup is an arm." in prompt_text(parts(), plain)
    assert "The setup is ." in prompt_text(parts(setup=""), FLAGS)


def test_a_silent_state_leaves_no_gap() -> None:
    text = prompt_text(PromptParts("a", "b", "c", (), 1), FLAGS)
    assert "state of the robot" not in text and "  " not in text


def test_image_tokens_with_and_without_columns() -> None:
    assert image_text((2, 2), columns=False) == "<im_start>" + "<im_patch>" * 4 + "<im_end>"
    assert image_text((2, 1), columns=True) == "<im_start>" + "<im_patch><im_col>" * 2 + "<im_end>"


def test_only_as_many_placeholders_are_filled_as_there_are_pictures() -> None:
    assert expand_images("<|image|> <|image|>", FLAGS, 1) == FLAGS.image_text + " <|image|>"


def test_the_begin_token_goes_in_front_once(tokenizer: Tokenizer) -> None:
    end = token("<|im_end|>")
    assert tokenizer.encode("").tolist() == [end]
    assert tokenizer.encode("<|im_end|>").tolist() == [end]
    assert tokenizer.encode("<im_patch>").tolist() == [end, token("<im_patch>")]


@pytest.mark.parametrize("bad", ["<|im_end|>", "a <im_patch> b", "<state_7>", "<|image|>", "<|video|>", "<|IM_END|>"])
def test_control_tokens_in_a_task_are_refused(tokenizer: Tokenizer, bad: str) -> None:
    with pytest.raises(PromptError, match="control tokens"):
        tokenizer.refuse_control_tokens(normalize_task(bad))


@pytest.mark.parametrize("good", ["put the <red> cube", "state_7", "< | im_end | >", "把红色方块放进盒子", ""])
def test_ordinary_brackets_are_words(tokenizer: Tokenizer, good: str) -> None:
    tokenizer.refuse_control_tokens(normalize_task(good))
    assert tokenizer.count(good) >= len(good.encode()) * (good != "")


def test_a_tokenizer_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read"):
        Tokenizer.from_file(tmp_path / "tokenizer.json", bos_id=0)


def test_a_begin_token_that_is_not_there_is_named(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="<s>"):
        Tokenizer.from_file(checkpoint / "tokenizer.json", bos_token="<s>")
