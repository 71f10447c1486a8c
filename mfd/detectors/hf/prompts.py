"""Detectors that look for what a text says: a fixed list of prompts becomes part of the model.

Grounding DINO (arXiv:2303.05499) and MM-Grounding-DINO (arXiv:2401.02361) read "car. traffic
light." and score every query by every token. Prompts are the categories here. What the text encoder
makes of them depends on no image, so it runs once and is left out afterwards.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from mfd.detectors.capture import run_up_to
from mfd.errors import DetectorError
from mfd.text import short, some

_END = "."
_SEPARATORS = {101, 102, 1012, 1029}
"""[CLS], [SEP], "." and "?" of BERT, by whose numbers the models tell prompts apart."""


def fix_prompts(name: str, model: Any, tokenizer: Any, prompts: Sequence[str]) -> None:
    """Make a model look for these prompts: called with images alone, it gives a logit for each.

    Args:
        name: of the detector, for errors.
        model: of Transformers, in evaluation mode.
        tokenizer: the model's.
        prompts: words for one category each; in lower case, as the models were trained.

    Raises:
        DetectorError: a prompt is none, stands twice, or all together are too long.
    """
    tokens = _tokens(name, tokenizer, prompts)
    end = tokenizer.convert_tokens_to_ids(_END)
    sentence = [tokenizer.cls_token_id]
    for words in tokens:
        sentence += [*words, end]
    sentence.append(tokenizer.sep_token_id)
    if not {sentence[0], end, sentence[-1]} <= _SEPARATORS:
        raise DetectorError(
            f"{name} has a tokenizer with other numbers than its model; download both again"
        )
    if len(sentence) > (longest := model.config.max_text_len):
        raise DetectorError(
            f"{len(prompts)} prompts are {len(sentence)} tokens, and {name} reads {longest} at "
            "most; give fewer or shorter ones"
        )
    ids = torch.tensor(sentence)
    text = FixedText(ids, _encoded(model, ids), [len(words) for words in tokens])
    model.model.text_backbone = text
    model.register_forward_pre_hook(text.give_text, with_kwargs=True)
    model.register_forward_hook(text.take_logits)
    model.config.id2label = dict(enumerate(prompt.strip() for prompt in prompts))


class FixedText(nn.Module):
    """In place of a text encoder: what that made of one text, whatever it is called with.

    Tokens and features are stored buffers, so that they are part of the weights' digest.

    Args:
        tokens: numbers of all tokens, separators among them.
        features: of each token.
        lengths: tokens of each prompt; one separator stands before each.
    """

    def __init__(
        self, tokens: Int64[Tensor, " T"], features: Float[Tensor, "T D"], lengths: Sequence[int]
    ) -> None:
        super().__init__()
        self.tokens = nn.Buffer(tokens)
        self.features = nn.Buffer(features)
        self.lengths = tuple(lengths)

    def forward(self, input_ids: Int64[Tensor, "B T"], *others: Any, **options: Any) -> Any:
        """As a text encoder returns it."""
        from transformers.modeling_outputs import BaseModelOutput  # imports take seconds

        return BaseModelOutput(self.features.expand(len(input_ids), -1, -1))

    def give_text(self, model: nn.Module, inputs: Any, named: dict[str, Any]) -> Any:
        """The model's arguments with the tokens among them, once for each image."""
        batch = len(named["pixel_values"])
        return inputs, {**named, "input_ids": self.tokens.expand(batch, -1)}

    def take_logits(self, model: nn.Module, inputs: Any, output: Any) -> Any:
        """The model's output with a logit for each prompt in place of one for each token."""
        output.logits = prompt_logits(output.logits, self.lengths)
        return output


def prompt_logits(logits: Float[Tensor, "B Q T"], lengths: Sequence[int]) -> Float[Tensor, "B Q K"]:
    """The logit of each prompt's score, the mean of the scores of its tokens.

    As both official evaluations on COCO take it. With scores s and 1 - s as sums of exponentials,
    a score near 0 or 1 keeps its digits.

    Args:
        logits: of all tokens.
        lengths: as of `FixedText`.
    """
    columns, start = [], 0
    for length in lengths:
        start += 1  # a separator
        own = logits[..., start : start + length].float()
        columns.append(logsigmoid(own).logsumexp(-1) - logsigmoid(-own).logsumexp(-1))
        start += length
    return torch.stack(columns, -1)


def _encoded(model: Any, tokens: Int64[Tensor, " T"]) -> Float[Tensor, "T D"]:
    """What the text encoder makes of the tokens, called by the model itself."""
    blank = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        output = run_up_to(
            model.model.text_backbone, lambda: model(pixel_values=blank, input_ids=tokens[None])
        )
    features: Tensor = output.last_hidden_state[0]
    return features


def _tokens(name: str, tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """The tokens of each prompt, without separators."""
    if not prompts:
        raise DetectorError(
            f"{name} looks for what a text says, found no prompts; list its categories in "
            'mfd.toml, as in prompts = ["car", "traffic light"]'
        )
    words = [prompt.strip().lower() for prompt in prompts]
    if twice := {word for word in words if words.count(word) > 1}:
        raise DetectorError(f"prompts has {some(map(short, twice))} twice; leave one out")
    tokens = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    separators = set(tokenizer.convert_tokens_to_ids([_END, "?"])) | set(tokenizer.all_special_ids)
    for prompt, own in zip(prompts, tokens, strict=True):
        if tokenizer.unk_token_id in own:
            raise DetectorError(
                f"the prompt {short(prompt)} has words or signs that {name} cannot read; say it "
                "in others"
            )
        if not own or separators & set(own):
            raise DetectorError(
                f"the prompt {short(prompt)} is not the name of one category; give words without "
                "full stops and question marks, which separate prompts"
            )
    return tokens
