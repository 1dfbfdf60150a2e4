"""Discovery, lazy loading, validation, isolation, collisions, building."""

import subprocess
import sys
import textwrap
from importlib import metadata

import pytest
from mmengine.config import Config

from wsoltool.errors import ConfigError, PluginError, UnknownComponentError
from wsoltool.models.contracts import BoxExtractor
from wsoltool.plugin import hookspecs, manager
from wsoltool.plugin.manager import Catalogue, Origin, discover
from wsoltool.preflight import find_problems

GOOD = """
    '''A title.'''
    from wsoltool.plugin import hookimpl

    @hookimpl
    def wsoltool_box_extractors():
        import numpy as np
        from wsoltool.models.contracts import BoxExtractor
        from wsoltool.structures import Boxes

        class WholeImage(BoxExtractor):
            def __init__(self, score=1.0):
                if score < 0:
                    raise ValueError("negative score")
                self.score = score

            def __call__(self, localization_map, context):
                height, width = localization_map.shape
                box = np.array([[0, 0, width, height]], np.float32)
                return Boxes(box, np.array([self.score], np.float32))

        return [WholeImage]
"""


@pytest.fixture
def make_plugin(tmp_path, monkeypatch):
    """Writes a module and answers a catalogue that knows it beside the built-ins."""
    monkeypatch.syspath_prepend(str(tmp_path))
    origins = discover()

    def make(name, source):
        module = f"{name}_of_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))
        origins.setdefault(name, []).append(Origin(name, module, f"{module} of a test"))
        return Catalogue(origins)

    return make


def test_every_builtin_is_discovered_and_loads():
    catalogue = Catalogue()
    assert {"cam", "gradcam", "has"} <= set(catalogue.origins)
    for name in ("", *catalogue.origins):
        assert any(catalogue.plugin(name).classes.values())


def test_discovery_imports_no_plugin_and_no_torch():
    code = (
        "import sys; from wsoltool.plugin.manager import discover; discover();"
        "bad = [m for m in sys.modules if m == 'torch' or m.startswith('wsoltool_plugins.')];"
        "sys.exit(str(bad) if bad else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_faces_import_no_torch():
    code = (
        "import sys; from wsoltool.plugin.manager import discover, import_face\n"
        "for (origin,) in discover().values(): import_face(origin)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_hook_has_an_in_tree_user():
    catalogue = Catalogue()
    plugins = [catalogue.plugin(name) for name in ("", *catalogue.origins)]
    hooks = [name for name in vars(hookspecs) if name.startswith("wsoltool_")]
    unused = [hook for hook in hooks if not any(hasattr(plugin.module, hook) for plugin in plugins)]
    assert hooks
    assert unused == []


def test_component_of_a_plugin_is_resolved_and_built(make_plugin):
    catalogue = make_plugin("whole", GOOD)
    config = {"type": "whole.WholeImage", "score": 0.5}
    extractor = catalogue.build(["box extractor"], config, "model.boxes")
    assert isinstance(extractor, BoxExtractor)
    assert extractor.score == 0.5
    assert config == {"type": "whole.WholeImage", "score": 0.5}


def test_unknown_component_lists_near_name_and_path(make_plugin):
    catalogue = make_plugin("whole", GOOD)
    with pytest.raises(UnknownComponentError) as caught:
        catalogue.resolve(["box extractor"], "whole.WholeImige", "model.boxes.type")
    assert "model.boxes.type" in str(caught.value)
    assert "did you mean 'whole.WholeImage'?" in str(caught.value)


def test_forgotten_prefix_is_hinted():
    with pytest.raises(UnknownComponentError, match=r"did you mean 'cam\.CAMHead'"):
        Catalogue().resolve(["CAM head"], "CAMHead", "model.head.type")


def test_unknown_plugin_lists_the_known_ones():
    with pytest.raises(UnknownComponentError, match="no plugin 'cma'") as caught:
        Catalogue().resolve(["CAM head"], "cma.CAMHead", "model.head.type")
    assert "did you mean 'cam'?" in str(caught.value)


def test_component_of_another_kind_is_refused_by_name():
    with pytest.raises(UnknownComponentError, match="is a fusion, which cannot stand here"):
        Catalogue().resolve(["box extractor"], "SingleView", "model.boxes.type")


def test_libraries_components_are_named_by_scope():
    assert Catalogue().resolve(["transform"], "mmcv.RandomGrayscale", "p").__name__ == (
        "RandomGrayscale"
    )
    with pytest.raises(UnknownComponentError, match="did you mean 'RandomGrayscale'"):
        Catalogue().resolve(["transform"], "mmcv.RandomGreyscale", "p")


@pytest.mark.parametrize("name", [None, 3, "", ["CAMHead"]])
def test_type_must_be_a_name(name):
    with pytest.raises(ConfigError, match="type is"):
        Catalogue().resolve(["CAM head"], name, "model.head.type")


def test_broken_plugin_fails_alike_every_time_and_alone(make_plugin):
    catalogue = make_plugin("broken", "import a_module_that_is_not_there")
    messages = []
    for _ in range(2):
        with pytest.raises(PluginError, match="a_module_that_is_not_there") as caught:
            catalogue.resolve(["CAM head"], "broken.Head", "model.head.type")
        assert isinstance(caught.value.__cause__.__cause__, ModuleNotFoundError)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert catalogue.resolve(["CAM head"], "cam.CAMHead", "model.head.type")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "from wsoltool.plugin import hookimpl\n@hookimpl\ndef wsoltool_box_extractor(): ...",
            "did you mean 'wsoltool_box_extractors'",
        ),
        ("def wsoltool_fusions(): return []", "is not decorated"),
        (
            "from wsoltool.plugin import hookimpl\n@hookimpl\ndef wsoltool_fusions(cfg): ...",
            "cfg",
        ),
        (
            "from wsoltool.plugin import hookimpl\n@hookimpl\ndef wsoltool_fusions(): return [int]",
            "int of .* is no fusion",
        ),
        (
            "from wsoltool.plugin import hookimpl\n@hookimpl\ndef wsoltool_fusions(): return int",
            "expected: a list of classes",
        ),
        (
            "from wsoltool.plugin import hookimpl\n@hookimpl\ndef wsoltool_fusions(): 1 / 0",
            "ZeroDivisionError",
        ),
        (
            """
            from wsoltool.plugin import hookimpl
            @hookimpl
            def wsoltool_fusions():
                from wsoltool.models.contracts import Fusion
                class Half(Fusion):
                    def views(self): ...
                return [Half]
            """,
            "does not implement fuse",
        ),
        (
            """
            from wsoltool.plugin import hookimpl
            @hookimpl
            def wsoltool_cam_heads():
                from wsoltool.models.contracts import CAMHead
                class Half(CAMHead):
                    def logits(self, features): ...
                return [Half]
            """,
            "does not implement loss, maps",
        ),
        (
            """
            from wsoltool.plugin import hookimpl
            from wsoltool.models.fusion import SingleView
            @hookimpl
            def wsoltool_fusions():
                return [SingleView, SingleView]
            """,
            "two fusions named",
        ),
    ],
)
def test_invalid_plugins_are_refused_whole(make_plugin, source, message):
    catalogue = make_plugin("invalid", source)
    with pytest.raises(PluginError, match=message):
        catalogue.plugin("invalid")
    assert catalogue.names(["fusion", "CAM head"], "invalid") == ()


def test_two_plugins_of_one_name_fail_naming_both(make_plugin):
    catalogue = make_plugin("cam", GOOD)
    with pytest.raises(PluginError, match="taken twice") as caught:
        catalogue.plugin("cam")
    assert "built-in wsoltool_plugins.cam" in str(caught.value)
    assert "of a test" in str(caught.value)
    assert catalogue.plugin("has")


def test_reserved_names_are_refused(make_plugin):
    with pytest.raises(PluginError, match="reserved"):
        make_plugin("mmcv", GOOD).plugin("mmcv")


def test_entry_points_are_discovered(monkeypatch):
    point = metadata.EntryPoint("theirs", "their_package.module", manager.ENTRY_POINT_GROUP)
    monkeypatch.setattr(manager.metadata, "entry_points", lambda group: [point])
    (origin,) = discover()["theirs"]
    assert origin.module == "their_package.module"


def test_wrong_and_missing_arguments_name_the_path(make_plugin):
    catalogue = make_plugin("whole", GOOD)
    with pytest.raises(ConfigError, match="did you mean 'score'") as caught:
        catalogue.build(["box extractor"], {"type": "whole.WholeImage", "scor": 1}, "model.boxes")
    assert "at: model.boxes.scor" in str(caught.value)
    with pytest.raises(ConfigError, match="needs the argument 'num_classes'"):
        catalogue.build(["CAM head"], {"type": "cam.CAMHead"}, "model.head", channels={"last": 4})


def test_values_that_a_constructor_refuses_name_the_path(make_plugin):
    catalogue = make_plugin("whole", GOOD)
    config = {"type": "whole.WholeImage", "score": -1}
    with pytest.raises(ConfigError, match="negative score") as caught:
        catalogue.build(["box extractor"], config, "model.boxes")
    assert caught.value.at == "model.boxes"


def test_nested_components_are_built_first():
    config = {"type": "cam.CAMHead", "num_classes": 3, "loss": {"type": "BinaryCrossEntropy"}}
    head = Catalogue().build(["CAM head"], config, "model.head", channels={"last": 4})
    assert type(head.criterion).__name__ == "BinaryCrossEntropy"


WITH_SLOTS = """
    '''A title.'''
    from wsoltool.plugin import hookimpl

    @hookimpl
    def wsoltool_recalibrations():
        from wsoltool.models.contracts import Recalibration

        class Rec(Recalibration):
            def __init__(self, channels, module=None):
                super().__init__()
                self.channels, self.inner = channels, module

            def forward(self, features):
                return features

        return [Rec]

    @hookimpl
    def wsoltool_cam_heads():
        from wsoltool.models.contracts import CAMHead

        class Head(CAMHead):
            def __init__(self, channels, module=None, head=None):
                super().__init__()
                self.channels, self.module, self.inner = channels, module, head

            def logits(self, features): ...
            def loss(self, features, samples): ...
            def maps(self, features, class_ids): ...

        return [Head]
"""


def test_what_is_injected_reaches_components_of_the_same_kinds_alone(make_plugin):
    catalogue = make_plugin("slots", WITH_SLOTS)
    channels, rec = {"last": 4}, {"type": "slots.Rec"}
    inner = {"type": "slots.Head", "head": {"type": "slots.Head"}}
    head = catalogue.build(["CAM head"], inner, "model.head", channels=channels)
    assert head.inner.channels is channels
    kinds = ["recalibration", "eraser"]
    module = catalogue.build(kinds, {**rec, "module": rec}, "m", channels=4, stride=2)
    assert module.inner.channels == 4
    # A head's channels are a dict by point, a recalibration's a number.
    config = {"type": "slots.Head", "module": rec}
    with pytest.raises(ConfigError, match="Rec needs the argument 'channels'") as caught:
        catalogue.build(["CAM head"], config, "model.head", channels=channels)
    assert caught.value.at == "model.head.module"
    config["module"] = {**rec, "channels": 8}
    assert catalogue.build(["CAM head"], config, "h", channels=channels).module.channels == 8
    # Nor behind a component of another kind.
    config = {"type": "slots.Head", "module": {**rec, "channels": 8, "module": rec}}
    with pytest.raises(ConfigError, match="Rec needs the argument 'channels'") as caught:
        catalogue.build(["CAM head"], config, "model.head", channels=channels)
    assert caught.value.at == "model.head.module.module"


@pytest.mark.parametrize(
    ("head", "missing"),
    [
        ({}, None),
        ({"head": {"type": "slots.Head"}}, None),
        ({"module": {"type": "slots.Rec", "channels": 8}}, None),
        ({"module": {"type": "slots.Rec"}}, "model.head.module"),
        ({"module": [{"type": "slots.Rec"}]}, "model.head.module[0]"),
        ({"module": {"a": {"type": "slots.Rec"}}}, "model.head.module.a"),
        (
            {"module": {"type": "slots.Rec", "channels": 8, "module": {"type": "slots.Rec"}}},
            "model.head.module.module",
        ),
    ],
)
def test_the_preflight_knows_what_will_be_injected(make_plugin, head, missing):
    catalogue = make_plugin("slots", WITH_SLOTS)
    rec = {"type": "slots.Rec", "module": {"type": "slots.Rec"}}
    head = {"type": "slots.Head", **head}
    backbone = {"type": "SmallNet"}
    model = {"backbone": backbone, "head": head, "inserts": [{"at": "stage1", "module": rec}]}
    found = list(find_problems(Config({"model": model}), "check", catalogue))
    assert [(problem.what, problem.at) for problem in found] == (
        [] if missing is None else [("Rec needs the argument 'channels'", missing)]
    )


def test_built_objects_pass_and_others_do_not(make_plugin):
    catalogue = make_plugin("whole", GOOD)
    extractor = catalogue.build(["box extractor"], {"type": "whole.WholeImage"}, "b")
    assert catalogue.build(["box extractor"], extractor, "b") is extractor
    with pytest.raises(ConfigError, match=r"dict\(type=\.\.\.\) of a box extractor"):
        catalogue.build(["box extractor"], "whole.WholeImage", "model.boxes")
