"""Small models with random weights, against Transformers' own steps from image to mask."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch.nn.functional import interpolate, pad

from mfd.coco import Annotations, CocoDataset, ImageEntry, decode_segmentation
from mfd.errors import ConfigError, DataError, DetectorError
from mfd.headtrain.evaluation.sam import open_sam
from mfd.headtrain.inference.select import Candidates

SIZE_HW, SIDE = (45, 61), 64
BOXES = torch.tensor([[3.0, 4.0, 30.0, 41.0], [20.5, 8.25, 58.0, 30.0], [-2.0, 0.0, 63.0, 45.0]])
PROMPTS = {"hidden_size": 16, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4}
DECODER = {
    "hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "num_hidden_layers": 1,
    "iou_head_hidden_dim": 16,
}  # fmt: skip
HIERA = {
    "hidden_size": 8, "num_attention_heads": 1, "image_size": [SIDE, SIDE],
    "blocks_per_stage": [1, 1, 1, 1], "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 1, 2, 2], "window_size_per_stage": [4, 2, 2, 2],
    "global_attention_blocks": [], "window_positional_embedding_background_size": [2, 2],
}  # fmt: skip


def tiny_sam() -> Any:
    vision = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": SIDE,
        "patch_size": 16, "output_channels": 16, "num_pos_feats": 8, "global_attn_indexes": [0],
        "mlp_dim": 16,
    }  # fmt: skip
    return transformers.SamModel(
        transformers.SamConfig(
            vision_config=vision, prompt_encoder_config=PROMPTS, mask_decoder_config=DECODER
        )
    )


def tiny_sam2() -> Any:
    vision = {
        "backbone_config": transformers.Sam2HieraDetConfig(**HIERA),
        "backbone_channel_list": [64, 32, 16, 8], "fpn_hidden_size": 16,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }  # fmt: skip
    config = transformers.Sam2Config(
        vision_config=transformers.Sam2VisionConfig(**vision),
        prompt_encoder_config=PROMPTS,
        mask_decoder_config=DECODER,
    )
    return transformers.Sam2Model(config)


def tiny_sam3() -> Any:
    backbone = transformers.Sam3ViTConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        image_size=56, patch_size=14, window_size=2, global_attn_indexes=[0],
        pretrain_image_size=28,
    )  # fmt: skip
    vision = transformers.Sam3VisionConfig(
        backbone_config=backbone,
        fpn_hidden_size=16,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )
    config = transformers.Sam3TrackerConfig(
        vision_config=vision,
        prompt_encoder_config={**PROMPTS, "image_size": 56, "patch_size": 14},
        mask_decoder_config=DECODER,
    )
    return transformers.Sam3TrackerModel(config)


def lively(model: Any) -> Any:
    """The model with larger weights, so that its masks depend on image and box."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(0, 0.3, generator=generator)
    return model.eval()


MODELS = {"sam": tiny_sam, "sam2": tiny_sam2, "sam3": tiny_sam3}


@pytest.fixture(params=MODELS)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Any]:
    """The name of a saved model, and the model."""
    prefix = request.param
    model = lively(MODELS[prefix]())
    model.save_pretrained(tmp_path / prefix)
    return f"{prefix}:{tmp_path / prefix}", model


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    return CocoDataset(
        None, tmp_path, (ImageEntry(7, "x.png", SIZE_HW),), {1: "cat"}, Annotations.of()
    )


def candidates(queries: list[int]) -> Candidates:
    """Pairs of the queries, whose boxes are `BOXES`."""
    row = torch.tensor(queries)
    return Candidates(
        image_id=7,
        size_hw=SIZE_HW,
        boxes_xyxy=BOXES.double()[row],
        scores=torch.linspace(0.9, 0.1, len(row)),
        columns=torch.zeros_like(row),
        category_ids=torch.ones_like(row),
        queries=torch.arange(int(row.max()) + 1),
        query_row=row,
    )


def expected(name: str, model: Any, dataset: CocoDataset) -> np.ndarray:
    """Masks of `BOXES` by Transformers: its sizes, its two resizes of logits, its threshold."""
    rgb = Image.open(dataset.images_dir / "x.png")
    side = model.config.prompt_encoder_config.image_size
    height, width = side, side
    if name.startswith("sam:"):
        height, width = (int(n * side / max(SIZE_HW) + 0.5) for n in SIZE_HW)
    pixels = np.asarray(rgb.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    if name.startswith("sam3:"):
        mean = std = (0.5, 0.5, 0.5)
    pixels = (pixels - mean) / std
    whole = torch.from_numpy(pixels).float().permute(2, 0, 1)
    whole = pad(whole, (0, side - width, 0, side - height))
    boxes = BOXES * torch.tensor([width / SIZE_HW[1], height / SIZE_HW[0]] * 2)
    with torch.no_grad():
        logits = model(
            pixel_values=whole[None], input_boxes=boxes[None], multimask_output=False
        ).pred_masks[0]
    if name.startswith("sam:"):
        logits = interpolate(logits, (side, side), mode="bilinear")[..., :height, :width]
    return (interpolate(logits, SIZE_HW, mode="bilinear")[:, 0] > 0).numpy()


def test_masks_are_those_of_transformers(saved: tuple[str, Any], dataset: CocoDataset) -> None:
    name, model = saved
    entries = list(open_sam(name, dataset)(candidates([1, 0, 2])))
    masks = expected(name, model, dataset)
    assert 0.05 < masks.mean() < 0.95  # neither trivial
    Image.new("RGB", SIZE_HW[::-1]).save(dataset.images_dir / "x.png")
    assert (expected(name, model, dataset) != masks).mean() > 0.01  # the image matters
    for entry, query in zip(entries, (1, 0, 2), strict=True):
        found = decode_segmentation(entry["segmentation"], SIZE_HW)
        assert (found != masks[query]).mean() < 0.003  # a pixel whose logit is nearly 0


def test_pairs_of_a_query_share_its_mask_and_keep_their_scores(
    saved: tuple[str, Any], dataset: CocoDataset
) -> None:
    chosen = candidates([1, 0, 1])
    first, _, third = open_sam(saved[0], dataset)(chosen)
    assert first["segmentation"] == third["segmentation"]
    assert [first["score"], third["score"]] == pytest.approx(chosen.scores[[0, 2]].tolist())


def test_boxes_beyond_one_pass_have_the_same_masks(
    saved: tuple[str, Any], dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_sam(saved[0], dataset)
    whole = list(model(candidates([0, 1, 2])))
    monkeypatch.setattr("mfd.headtrain.evaluation.sam._BOXES", 2)
    assert list(model(candidates([0, 1, 2]))) == whole


@pytest.mark.parametrize(
    ("file", "wrap"),
    [
        ("preprocessor_config.json", lambda values: values),
        ("processor_config.json", lambda values: {"image_processor": values}),
    ],
)
def test_normalisation_is_the_folders(
    file: str, wrap: Callable[[Any], Any], dataset: CocoDataset, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    lively(tiny_sam()).save_pretrained(folder)
    usual = list(open_sam(f"sam:{folder}", dataset)(candidates([0, 1])))
    values = {"image_mean": [0.1, 0.1, 0.1], "image_std": [0.9, 0.9, 0.9]}
    (folder / file).write_text(json.dumps(wrap(values)))
    assert list(open_sam(f"sam:{folder}", dataset)(candidates([0, 1]))) != usual
    (folder / file).write_text(json.dumps(wrap({"image_mean": "grey"})))
    with pytest.raises(ConfigError, match=r"image_mean and image_std .*expected three numbers"):
        open_sam(f"sam:{folder}", dataset)


@pytest.mark.parametrize("name", ["sam", "sam:", "sam9:x", "facebook/sam"])
def test_names_of_nothing_are_refused(name: str, dataset: CocoDataset) -> None:
    with pytest.raises(ConfigError, match="expected sam:FOLDER_OR_REPOSITORY, sam2:"):
        open_sam(name, dataset)


def test_folders_without_the_model_are_refused(dataset: CocoDataset, tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="is not a folder, and no repository"):
        open_sam(f"sam:{tmp_path / 'nowhere'}", dataset)
    with pytest.raises(ConfigError, match="is of model type None, which sam: does not load"):
        open_sam(f"sam:{tmp_path}", dataset)
    tiny_sam().save_pretrained(tmp_path / "model")
    with pytest.raises(ConfigError, match="is of model type 'sam', which sam2: does not load"):
        open_sam(f"sam2:{tmp_path / 'model'}", dataset)
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(DetectorError, match=r"has no \*\.safetensors"):
        open_sam(f"sam:{tmp_path / 'model'}", dataset)


def test_image_that_is_gone_is_named(saved: tuple[str, Any], dataset: CocoDataset) -> None:
    model = open_sam(saved[0], dataset)
    (dataset.images_dir / "x.png").unlink()
    with pytest.raises(DataError, match=r"x\.png"):
        list(model(candidates([0])))
