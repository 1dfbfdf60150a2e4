"""All stages on tiny creatures: trained, stopped, gone on with, fused again, tested."""

import json
import shutil

import numpy as np
import pytest
import torch

from wsoltool.commands.options import parse_options
from wsoltool.config import load_config, plain
from wsoltool.engine.checkpoints import read_checkpoint
from wsoltool.engine.localization import LocalizationRun, PhotoLocalizer
from wsoltool.engine.scoring import load_localizer, score_checkpoint
from wsoltool.engine.stage_list import final_config, stages_of
from wsoltool.engine.stages import StageWork
from wsoltool.engine.training import train
from wsoltool.errors import ConfigError, ConfigProblems, DataError
from wsoltool.preflight import check
from wsoltool.visualization.overlay import save_png
from wsoltool_plugins.class_grouping import stages
from wsoltool_plugins.class_grouping.grouping import cluster_rows, read_groups
from wsoltool_plugins.class_grouping.stages import ClusterClasses, FuseLevels, class_vectors
from wsoltool_plugins.class_grouping.tree import tree_text

FUSED = "fused_6_4_3_2"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def work(trained_levels, tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(trained_levels, tmp_path / "work")


def weights(folder):
    return read_checkpoint(folder / "last.pth")["state_dict"]


def digests(folder):
    """Of what the stages left, by stage."""
    found = {}
    for path in sorted(folder.glob("*/stage.json")):
        record = json.loads(path.read_text())
        assert record["state"] == "finished"
        found[path.parent.name] = record["artefacts"]
    return found


def test_every_stage_leaves_its_files(trained_levels):
    assert {name: sorted(left) for name, left in digests(trained_levels).items()} == {
        **{f"level_{n}": ["last.pth"] for n in (6, 4, 3, 2)},
        **{f"groups_{n}": ["groups.json", "tree.png", "tree.txt"] for n in (4, 3, 2)},
        FUSED: ["groups.json", "last.pth", "tree.png", "tree.txt"],
    }


def test_groups_are_k_means_on_the_rows_of_the_level_before(trained_levels, tiny_levels):
    grouping = read_groups(trained_levels / FUSED / "groups.json")
    assert grouping.counts == (6, 4, 3, 2)
    assert grouping.seeds == (0, 0, 0)
    for level, (outer, count) in enumerate(((6, 4), (4, 3), (3, 2)), start=1):
        folder = trained_levels / f"level_{outer}"
        names, vectors = class_vectors(folder)
        assert names == grouping.names(level - 1)
        own = weights(folder)
        rows = [own[f"head.classifiers.{i}.weight"] for i in range(2)]
        assert np.array_equal(vectors, torch.cat(rows, dim=1).numpy())
        ids = cluster_rows(vectors, count, seed=0)
        below = grouping.ids(level - 1)
        assert grouping.ids(level) == tuple(int(ids[group]) for group in below)
        assert read_groups(trained_levels / f"groups_{count}/groups.json") == (
            grouping.first_levels(level)
        )


def test_the_tree_is_written_at_every_level(trained_levels):
    for name in ("groups_4", "groups_3", "groups_2", FUSED):
        grouping = read_groups(trained_levels / name / "groups.json")
        text = (trained_levels / name / "tree.txt").read_text(encoding="utf-8")
        assert text == tree_text(grouping)
        assert all(class_name in text for class_name in grouping.classes)


def test_networks_of_groups_were_trained_on_groups(trained_levels):
    grouping = read_groups(trained_levels / FUSED / "groups.json")
    for level, count in enumerate((6, 4, 3, 2)):
        content = read_checkpoint(trained_levels / f"level_{count}/last.pth")
        assert tuple(content["meta"]["classes"]) == grouping.names(level)
        assert content["state_dict"]["head.classifiers.1.weight"].shape == (count, 96)


def test_the_fused_checkpoint_holds_all_networks_and_their_groups(trained_levels):
    grouping = read_groups(trained_levels / FUSED / "groups.json")
    fused = weights(trained_levels)
    total = 0
    for level, count in enumerate((6, 4, 3, 2)):
        prefix = f"members.level_{count}."
        assert fused[f"{prefix}classes"].tolist() == list(grouping.ids(level))
        for key, value in weights(trained_levels / f"level_{count}").items():
            assert torch.equal(fused[prefix + key], value)
            total += 1
    assert len(fused) == total + 4
    meta = read_checkpoint(trained_levels / "last.pth")["meta"]
    assert tuple(meta["classes"]) == grouping.classes


def test_the_fused_checkpoint_is_tested(trained_levels, tiny_levels, tmp_path):
    scoring = score_checkpoint(tiny_levels(), trained_levels / "last.pth", tmp_path / "test")
    figures = scoring.further
    assert {"mAP@0.5", "segmentation/mIoU (label)", "segmentation/mLEV (label)"} <= set(figures)
    assert all(0 <= value <= 100 for value in figures.values())


def test_equation_5_in_the_whole(trained_levels, tiny_levels):
    """The fused map of a class, once more from the raw maps of the trained networks."""
    from wsoltool.datasets.collate import collate
    from wsoltool.engine.dataloaders import build_dataset
    from wsoltool.functional.maps import minmax_normalize, resize_maps

    config = final_config(tiny_levels(model__map_source=None, stages__min_score=0.0))
    model, _ = load_localizer(config, trained_levels / "last.pth")
    dataset = build_dataset(config, "test_dataloader")
    prediction = model.eval().test_step(collate([dataset[0]]))[0]
    class_id = prediction.class_ids[0]
    grouping = read_groups(trained_levels / FUSED / "groups.json")

    images = model.data_preprocessor(collate([dataset[0]]))["inputs"]
    maps = []
    with torch.no_grad():
        for level, member in enumerate(model.members.values()):
            every = torch.arange(member.head.num_classes)[None]
            branches = member.head.maps(member.extract(images), every)
            maps.append({name: raw[0] for name, raw in branches.items()})

            def level_map(class_id, level=level, size=(64, 64)):
                scaled = [
                    minmax_normalize(resize_maps(raw[class_id], size))
                    for raw in maps[level].values()
                ]
                return minmax_normalize(sum(scaled) / 2)

            maps[level]["of"] = level_map
        of = [one.pop("of") for one in maps]
        grid = maps[0]["a"].shape[-2:]
        # Every class counts as present: all but the own one are the rest.
        others = [of[0](other, size=grid) for other in range(6) if other != class_id]
        rest = resize_maps(torch.stack(others).amax(0), (64, 64))
        groups = [of[level](grouping.ids(level)[class_id]) for level in (1, 2, 3)]
        fused = minmax_normalize((of[0](class_id) + sum(groups) / 3 - rest).clamp(min=0))
    np.testing.assert_allclose(prediction.map(class_id), fused.numpy(), atol=1e-5)


def test_photos_are_localized(trained_levels, tiny_levels, tmp_path):
    photo = tmp_path / "photo.png"
    noise = np.random.default_rng(0).integers(256, size=(64, 80, 3), dtype=np.uint8)
    save_png(photo, noise)
    config = final_config(tiny_levels())
    localizer = PhotoLocalizer(config, trained_levels / "last.pth", top=2)
    run = LocalizationRun()
    ((path, _, prediction),) = localizer.predict([photo], run)
    assert path == photo
    assert not run.failed
    assert len(prediction.class_ids) == 2
    assert prediction.map(prediction.class_ids[0]).shape == (64, 80)


def test_table_i_is_four_fuses(work, tiny_levels, tmp_path, monkeypatch):
    """Fewer levels in the same folder: nothing is trained anew."""
    before = digests(work)
    monkeypatch.setattr("wsoltool.engine.training.training_runner", None)  # none may be made
    for levels in ((6, 4, 3), (6, 4), 6):
        config = tiny_levels(stages__levels=levels)
        published = train(config, work)
        stage = "level_6" if levels == 6 else "_".join(["fused", *map(str, levels)])
        assert final_stage(config) == stage
        own = weights(work / stage)
        assert weights(published.parent).keys() == own.keys()
        scoring = score_checkpoint(config, work / stage / "last.pth", tmp_path / "test")
        assert "segmentation/mIoU (label)" in scoring.further
    # The last run's model lies over those before it; each stage's stays what it was.
    assert weights(work).keys() == weights(work / "level_6").keys()
    score_checkpoint(tiny_levels(), work / FUSED / "last.pth", tmp_path / "test")
    after = digests(work)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"fused_6_4_3", "fused_6_4"}
    grouping = read_groups(work / "fused_6_4" / "groups.json")
    assert grouping.counts == (6, 4)


def final_stage(config):
    return stages_of(config)[-1].name


def test_levels_that_share_a_beginning_share_its_networks(work, tiny_levels):
    before = digests(work)
    train(tiny_levels(stages__levels=(6, 4, 3)), work)
    train(tiny_levels(stages__levels=(6, 5)), work)
    after = digests(work)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"fused_6_4_3", "groups_5", "level_5", "fused_6_5"}


def test_a_count_that_was_grouped_from_another_level_is_refused(work, tiny_levels):
    before = digests(work)
    with pytest.raises(ConfigError, match="of: 'level_4' -> 'level_6'") as caught:
        train(tiny_levels(stages__levels=(6, 3)), work)
    assert "groups_3" in str(caught.value)
    assert "--work-dir" in str(caught.value)
    assert digests(work) == before


def test_cam_instead_of_grad_cam_trains_nothing(work, tiny_levels, tmp_path, monkeypatch):
    monkeypatch.setattr("wsoltool.engine.training.training_runner", None)
    config = tiny_levels(model__map_source=None, stages__rest="mean")
    train(config, work)
    score_checkpoint(config, work / "last.pth", tmp_path / "test")


def test_another_orthogonal_weight_is_another_training(work, tiny_levels):
    with pytest.raises(ConfigError, match=r"model\.head\.orthogonal: \(none\) -> 0"):
        train(tiny_levels(model__head__orthogonal=0), work)


def test_a_renamed_config_goes_on(work, tiny_levels, tmp_path):
    """What a stage was trained with is found by a name that is always the same."""
    before = digests(work)
    for name in ("groups_2", "level_2", FUSED):
        shutil.rmtree(work / name)
    renamed = tmp_path / "another_name.py"
    tiny_levels().dump(renamed)
    train(load_config(renamed), work)
    assert digests(work)["groups_2"] == before["groups_2"]


class Stopped(Exception):
    """What a killed process is to those who look at what it left."""


@pytest.mark.parametrize("at", ["cluster_rows", "write_tree", "write_ensemble"])
def test_a_run_that_is_stopped_goes_on_where_it_was(
    at, tiny_levels, trained_levels, tmp_path, monkeypatch
):
    """Between networks, with half of the groups' files there, or before the last file."""
    config = tiny_levels(stages__levels=(6, 4))
    original, calls = getattr(stages, at), []

    def stop(*args, **kwargs):
        raise Stopped

    monkeypatch.setattr(stages, at, stop)
    with pytest.raises(Stopped):
        train(config, tmp_path / "work")
    done = {p.name for p in (tmp_path / "work").iterdir() if (p / "last.pth").is_file()}
    assert done == ({"level_6", "level_4"} if at == "write_ensemble" else {"level_6"})

    def counted(*args, **kwargs):
        calls.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(stages, at, counted)
    stamps = {name: (tmp_path / "work" / name / "last.pth").stat().st_mtime_ns for name in done}
    train(config, tmp_path / "work")
    assert calls
    for name, stamp in stamps.items():
        assert (tmp_path / "work" / name / "last.pth").stat().st_mtime_ns == stamp, "trained again"
    # It ends where a run that was never stopped does.
    for name in ("level_6", "level_4"):
        ours, theirs = weights(tmp_path / "work" / name), weights(trained_levels / name)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    whole = read_groups(trained_levels / "groups_4/groups.json")
    assert read_groups(tmp_path / "work/groups_4/groups.json") == whole


def test_stages_stand_in_a_list_as_well(tiny_levels, tmp_path):
    """Without the plan: groups of a plain CAM head's classes, and a network of them."""
    config = load_config(
        "cam/cam_small_creatures_multilabel.py",
        parse_options(
            [
                *(
                    f"{loader}.{option}"
                    for loader in ("train_dataloader", "val_dataloader", "test_dataloader")
                    for option in (
                        "num_workers=0",
                        "dataset.length=6",
                        "dataset.image_size=64",
                    )
                ),
                "train_dataloader.batch_size=3",
                "train_cfg.max_epochs=1",
                "train_cfg.val_interval=0",
            ]
        ),
    )
    grouped = {"type": "class_grouping.TrainLevel", "num_classes": 2, "groups": "pairs"}
    config["stages"] = [
        {"type": "Train", "name": "single"},
        {"type": "class_grouping.ClusterClasses", "name": "pairs", "of": "single", "clusters": 2},
        {**grouped, "name": "grouped", "config": {"train_cfg.max_epochs": 2}},
    ]
    train(config, tmp_path / "work")
    assert weights(tmp_path / "work")["head.classifier.weight"].shape[0] == 2
    last = read_checkpoint(tmp_path / "work/grouped/epoch_2.pth")
    assert last["meta"]["epoch"] == 2
    score_checkpoint(config, tmp_path / "work/last.pth", tmp_path / "test")


def test_a_list_cannot_end_with_a_fusion(tiny_levels):
    """The ensemble is in no stage's config: only a plan says that it is tested."""
    single, grouped = (
        {"type": "class_grouping.TrainLevel", "name": name, "num_classes": count}
        for name, count in (("single", 6), ("grouped", 2))
    )
    pairs = {"type": "class_grouping.ClusterClasses", "name": "pairs", "of": "single"}
    fuse = {"type": "class_grouping.FuseLevels", "name": "fused", "levels": ["single", "grouped"]}
    config = tiny_levels()
    config["stages"] = [
        single,
        {**pairs, "clusters": 2},
        {**grouped, "groups": "pairs"},
        {**fuse, "groups": "pairs"},
    ]
    with pytest.raises(ConfigProblems, match="'fused', does not train"):
        check(config, "train")
    with pytest.raises(ConfigError, match="'fused', does not train"):
        final_config(config)


def test_groups_of_another_network_are_refused(work, tiny_levels):
    folders = {path.name: path for path in work.iterdir()}
    stage = ClusterClasses("groups_2", "level_3", 2, previous="groups_4")
    folder = work / "groups_x"
    folder.mkdir()
    with pytest.raises(ConfigError, match="'level_3' was trained on 3 classes"):
        stage.run(StageWork(tiny_levels(), folder, folders))
    with pytest.raises(ConfigError, match="clusters=4 of 3 vectors"):
        ClusterClasses("groups_4", "level_3", 4, previous="groups_3").run(
            StageWork(tiny_levels(), folder, folders)
        )
    assert not any(folder.iterdir())


@pytest.mark.parametrize(
    ("levels", "groups", "words"),
    [
        (["level_6", "level_3"], "groups_4", "'level_3' was trained on 3 classes, and not on"),
        (["level_4", "level_6"], "groups_4", "'level_4' .* not on the single classes"),
        (["level_6", "other_4"], "groups_4", "'other_4' was trained on 4 classes"),
    ],
)
def test_networks_of_other_groups_are_not_fused(work, tiny_levels, levels, groups, words):
    """The last has as many groups as the level, and others."""
    other = work / "other_4"
    other.mkdir()
    content = read_checkpoint(work / "level_4/last.pth")
    content["meta"]["classes"] = [*reversed(content["meta"]["classes"])]
    torch.save(content, other / "last.pth")
    folder = work / "fused_x"
    folder.mkdir()
    folders = {path.name: path for path in work.iterdir() if path.is_dir()}
    with pytest.raises(ConfigError, match=words):
        FuseLevels("fused_x", levels, groups).run(StageWork(tiny_levels(), folder, folders))
    assert not any(folder.iterdir())


def test_a_damaged_file_of_groups_is_found_before_training(work, tiny_levels):
    path = work / "groups_4/groups.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(Exception, match=r"groups\.json has been changed"):
        train(tiny_levels(), work)
    (work / "groups_4/groups.json").write_text("{}")
    config = tiny_levels()
    trained = stages.TrainLevel("level_4", 4, "groups_4").training_config(
        config, {"groups_4": work / "groups_4"}
    )
    with pytest.raises(DataError, match="holds no groups"):
        train(trained, work.parent / "other")
    assert plain(trained.model.head.num_classes) == 4
