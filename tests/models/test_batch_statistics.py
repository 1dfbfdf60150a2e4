"""A batch of one image: which norms object, and what the error says."""

import pytest
import torch
from torch import distributed, nn

from wsoltool.errors import ConfigError
from wsoltool.models.batch_statistics import norms_on_batch_statistics, one_image_problem

BATCH_NORM = {"at": "stage1", "module": {"type": "BatchNorm"}}


def loss_of(model, batch, *labels):
    return model(**model.data_preprocessor(batch(*labels), True), mode="loss")["loss_cls"]


def test_norms_in_training_mode_are_named(small):
    model = small()
    names = tuple(f"backbone.layers.bn{i}" for i in (1, 2, 3))
    assert norms_on_batch_statistics(model) == names
    model.backbone.layers.bn2.eval()
    assert norms_on_batch_statistics(model) == (names[0], names[2])
    assert norms_on_batch_statistics(model.eval()) == ()
    assert one_image_problem(model) is None
    assert norms_on_batch_statistics(nn.Sequential(nn.GroupNorm(1, 2), nn.BatchNorm1d(2))) == ("1",)


def test_one_image_is_refused_in_training(small, batch):
    model = small().train()
    with pytest.raises(ConfigError, match=r"for backbone\.layers\.bn1 and 2 more") as caught:
        loss_of(model, batch, 1)
    assert caught.value.at == "train_dataloader.batch_size"
    assert "model.norm_eval=True" in caught.value.hint
    assert loss_of(model, batch, 1, 2).isfinite()
    assert loss_of(model.eval(), batch, 1).isfinite()


def test_one_image_may_be_predicted_in_any_mode(small, batch):
    model = small().train()
    data = model.data_preprocessor(batch(1))
    assert len(model(**data, mode="predict")) == 1
    assert model(data["inputs"]).shape == (1, 3)


@pytest.mark.parametrize("option", [{"norm_eval": True}, {"frozen": "last"}])
def test_norms_that_are_kept_take_one_image(small, batch, option):
    model = small(**option).train()
    assert loss_of(model, batch, 1).isfinite()


def test_norms_of_inserts_still_need_more(small, batch):
    model = small(norm_eval=True, inserts=[BATCH_NORM]).train()
    with pytest.raises(ConfigError, match=r"for inserts\.stage1\n"):
        loss_of(model, batch, 1)


def test_norms_that_several_processes_share_take_one_image_each(monkeypatch):
    model = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm2d(2)))
    assert norms_on_batch_statistics(model) == ("0",)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda group: 2)
    assert norms_on_batch_statistics(model) == ()
    monkeypatch.setattr(distributed, "get_world_size", lambda group: 1)
    assert norms_on_batch_statistics(model) == ("0",)


def test_asking_costs_nothing_for_more_images(small, batch, monkeypatch):
    model = small().train()
    monkeypatch.setattr("wsoltool.models.localizer.one_image_problem", None)
    assert torch.isfinite(loss_of(model, batch, 0, 1))
