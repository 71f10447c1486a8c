from dataclasses import replace

import pytest

from mfd.errors import ConfigError
from mfd.headtrain.config.train import PointSampling, TrainConfig


def test_the_rate_warms_up_stays_and_drops_twice() -> None:
    config = TrainConfig(lr=1.0, warmup_steps=4)
    rates = [config.learning_rate(step, 100) for step in range(100)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[89:91] == pytest.approx([1.0, 0.1])
    assert rates[94:96] == pytest.approx([0.1, 0.01])
    assert rates[99] == pytest.approx(0.01)
    assert replace(config, warmup_steps=0).learning_rate(0, 100) == 1.0


def test_defaults_are_the_documented_recipe() -> None:
    # the paper's "Experiment Setup" and, for points, PointRend (arXiv:1912.08193, section 3.1)
    config = TrainConfig()
    assert (config.epochs, config.batch_size, config.lr) == (6, 8, 1.5e-4)
    assert (config.beta1, config.beta2, config.weight_decay) == (0.9, 0.999, 5e-5)
    assert (config.first_drop, config.second_drop, config.drop_factor) == (0.9, 0.95, 0.1)
    assert (config.warmup_steps, config.max_grad_norm) == (50, 1.0)
    assert (config.bce_weight, config.dice_weight, config.iou_weight) == (2.0, 5.0, 1.0)
    assert config.sampling == PointSampling(share=0.25, oversample=3.0, importance=0.75)


def test_sampling_is_by_the_configs_own_numbers() -> None:
    config = TrainConfig(point_share=0.4, point_oversample=5.0, point_importance=0.6)
    assert config.sampling == PointSampling(share=0.4, oversample=5.0, importance=0.6)


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"lr": "1e-4"},
        {"epochs": 2.0},
        {"log": "mlflow"},
        {"beta2": 1.0},
        {"weight_decay": -1.0},
        {"point_share": 1.5},
        {"point_share": 0.0},
        {"point_oversample": 0.5},
        {"precision": "int8"},
    ],
)
def test_impossible_values_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        replace(TrainConfig(), **values)
