"""The compiled backbone: the features of the plain one, with inserts, in every mode and size."""

import copy

import pytest
import torch
import torch._dynamo
from torch._dynamo.testing import CompileCounterWithBackend

from wsoltool.errors import ConfigError
from wsoltool.models.compilation import compile_options, replays
from wsoltool.structures import Samples

INSERTS = [
    {"at": "stage1", "module": {"type": "BatchNorm"}},
    {"at": "conv2", "module": {"type": "DropBlock", "probability": 0.3, "block_size": 3}},
    {"at": "input", "module": {"type": "BatchNorm"}},
]
SIZES = ((32, 32), (24, 40), (33, 31))


@pytest.fixture(autouse=True)
def forgotten():
    """What was compiled is forgotten: variants are counted for each test alone."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def pair(small):
    """A function that builds a plain localizer, and a compiled one of the same weights."""

    def make(backend, **model):
        counter = CompileCounterWithBackend(backend)
        compiled = small(inserts=INSERTS, compile={"backend": counter}, **model)
        return small(inserts=INSERTS, **model), compiled, counter

    return make


def features(model, images, labels, wanted=()):
    """Features, and the gradient of each parameter where there is one."""
    torch.manual_seed(5)
    model.zero_grad()
    with torch.set_grad_enabled(model.training), model.backbone.also(wanted):
        found = model.extract(images, Samples(torch.tensor(labels)))
    if model.training:
        sum(f.square().mean() for f in found.values()).backward()
    return found, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def assert_same(plain, compiled, images, wanted=()):
    labels = list(range(len(images)))
    (expected, slopes), (found, compiled_slopes) = (
        features(model, images, labels, wanted) for model in (plain, compiled)
    )
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5)
    assert compiled_slopes.keys() == slopes.keys()
    for name, value in slopes.items():
        torch.testing.assert_close(compiled_slopes[name], value, rtol=1e-4, atol=1e-5)


def images_of(count, size):
    return torch.randn(count, 3, *size)


def test_features_modes_and_sizes_change(pair):
    plain, compiled, counter = pair("eager")
    for training, wanted in ((True, ()), (False, ("stage1", "conv2"))):
        for model in (plain, compiled):
            model.train(training)
        for size in SIZES:
            assert_same(plain, compiled, images_of(3, size), wanted)
    # Twice each: for the first size, and for all sizes.
    assert counter.frame_count == 4
    state, twin = plain.state_dict(), compiled.state_dict()
    assert list(state) == list(twin)
    assert all(torch.allclose(twin[name], value) for name, value in state.items())


def test_variants_beyond_the_limit_of_torch_are_compiled(small):
    counter = CompileCounterWithBackend("eager")
    plain, compiled = small().eval(), small(compile={"backend": counter, "dynamic": False}).eval()
    count = torch._dynamo.config.recompile_limit + 3
    for side in range(8, 8 + count):
        assert_same(plain, compiled, images_of(1, (side, side)))
    assert counter.frame_count == count


def test_new_samples_compile_nothing_new(pair):
    _, compiled, counter = pair("eager")
    compiled.train()
    for labels in ([0, 1], [2, 2], [1, 0]):
        features(compiled, images_of(2, (32, 32)), labels)
    assert counter.frame_count == 1


def test_gradients_through_the_ahead_of_time_backend(pair):
    plain, compiled, counter = pair("aot_eager")
    assert_same(plain.train(), compiled.train(), images_of(3, SIZES[0]), ("stage1",))
    assert counter.frame_count == 1


def test_frozen_and_kept_norms(pair):
    plain, compiled, _ = pair("eager", frozen="stage1", norm_eval=True)
    for training in (True, False, True):
        assert_same(plain.train(training), compiled.train(training), images_of(2, SIZES[0]))


def test_under_bfloat16_autocast(pair):
    plain, compiled, _ = pair("eager")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [
            features(model.train(), torch.ones(2, 3, 32, 32), [0, 1])[0]["last"]
            for model in (plain, compiled)
        ]
    assert found[1].dtype == torch.bfloat16
    torch.testing.assert_close(found[1], found[0])


def test_predictions_are_those_of_the_plain_network(pair, batch):
    plain, compiled, _ = pair("eager", map_source={"type": "gradcam.GradCAM", "target": "stage2"})
    data = batch(0, 1, sizes=[(32, 32), (40, 32)])
    for before, after in zip(
        plain.eval().test_step(data), compiled.eval().test_step(data), strict=True
    ):
        torch.testing.assert_close(torch.tensor(after.scores), torch.tensor(before.scores))
        map_before, map_after = (torch.tensor(p.map(before.class_ids[0])) for p in (before, after))
        torch.testing.assert_close(map_after, map_before, rtol=1e-4, atol=1e-5)
        assert map_before.any()


def test_gradients_between_features_need_the_uncompiled_forward(pair):
    _, compiled, _ = pair("aot_eager")
    compiled.eval()
    images = images_of(1, (32, 32)).requires_grad_()
    with compiled.backbone.also(["stage2"]):
        for run, there in ((compiled.backbone, False), (compiled.backbone.forward, True)):
            found = run(images)
            (slope,) = torch.autograd.grad(found["last"].sum(), found["stage2"], allow_unused=True)
            assert (slope is not None) == there


def test_a_copy_runs_uncompiled(pair):
    _, compiled, counter = pair("eager")
    twin = copy.deepcopy(compiled.eval())
    images = images_of(2, (32, 32))
    first = twin.extract(images)["last"]
    assert counter.frame_count == 0
    torch.testing.assert_close(compiled.extract(images)["last"], first)
    assert counter.frame_count == 1


def test_inserts_that_lost_their_place_act_again(pair):
    plain, compiled, _ = pair("eager", norm_eval=True)
    images = images_of(2, (32, 32))
    expected = plain.eval().extract(images)["last"]
    torch.testing.assert_close(compiled.eval().extract(images)["last"], expected)
    layers = compiled.backbone.layers
    layers.conv2 = copy.deepcopy(layers.conv2)
    layers.conv2._forward_hooks.clear()
    compiled.train()
    hidden = features(compiled, images, [0, 1])[0]["last"]
    torch.testing.assert_close(hidden, features(plain.train(), images, [0, 1])[0]["last"])


# torch looks at gradients of what comes out of a graph, and silences that itself outside of tests.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.parametrize("mu2", [0.0, 1.0])
def test_erasers_that_look_at_the_image_and_tell_what_they_hide(small, mu2):
    """In one graph; counting regions goes on until nothing changes, which breaks it."""
    module = {"type": "ass.SelectionStrategy", "dispersion": 8.0, "large_peak": 0.1, "mu2": mu2}
    inserts = [{"at": ["stage1", "stage3"], "module": module}]
    options = {"backend": "aot_eager", "fullgraph": not mu2}
    plain, compiled = (
        small(inserts=inserts).train(),
        small(inserts=inserts, compile=options).train(),
    )
    told = set()
    for count in (3, 2, 3):
        images, labels = images_of(count, SIZES[0]), Samples(torch.arange(count))
        before = compiled.inserts["stage1"].hiding
        expected, found = (model(images, labels, mode="loss") for model in (plain, compiled))
        torch.testing.assert_close(found, expected)
        assert compiled.inserts["stage1"].hiding is not before
        for name, eraser in plain.inserts.items():
            hiding = compiled.inserts[name].hiding
            assert torch.equal(hiding.kept, eraser.hiding.kept)
            assert torch.equal(hiding.cases, eraser.hiding.cases)
            told |= set(hiding.cases.tolist())
        for losses in (expected, found):
            losses["loss_cls"].backward()
        pairs = zip(plain.parameters(), compiled.parameters(), strict=True)
        for mine, theirs in pairs:
            torch.testing.assert_close(theirs.grad, mine.grad, rtol=1e-4, atol=1e-5)
    assert len(told) > 1
    copy.deepcopy(compiled)
    assert not [name for name in compiled.state_dict() if name.startswith("inserts.")]


@pytest.mark.slow
def test_the_default_backend(small):
    options = {"inserts": [INSERTS[0], INSERTS[2]]}
    plain, compiled = small(**options), small(**options, compile=True)
    for training in (True, False):
        plain.train(training)
        compiled.train(training)
        assert_same(plain, compiled, images_of(2, SIZES[1]), ("stage1",))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (False, None),
        (None, None),
        (True, {}),
        ({}, {}),
        ({"mode": "reduce-overhead"}, {"mode": "reduce-overhead"}),
    ],
)
def test_values(value, expected):
    assert compile_options(value, "model.compile") == expected


@pytest.mark.parametrize(
    ("value", "at", "message"),
    [
        ("inductor", "model.compile", "compile is 'inductor'"),
        (1, "model.compile", "compile is 1"),
        ({"mod": "default"}, "model.compile.mod", "did you mean 'mode'?"),
        ({"model": None}, "model.compile.model", "takes no argument 'model'"),
        ({"mode": "fast"}, "model.compile", "Unrecognized mode=fast"),
        ({"backend": "inductr"}, "model.compile", "Invalid backend: 'inductr'"),
        ({"options": {"no_such": 1}}, "model.compile", "Unexpected optimization option no_such"),
        ({"options": 3}, "model.compile", "torch.compile refuses"),
        ({"mode": "default", "options": {}}, "model.compile", "mode or options"),
    ],
)
def test_wrong_values_are_named(small, value, at, message):
    with pytest.raises(ConfigError) as caught:
        small(compile=value)
    assert caught.value.at == at
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "reduce-overhead"},
        {"mode": "max-autotune"},
        {"backend": "cudagraphs"},
        {"options": {"triton.cudagraphs": True}},
    ],
)
def test_cuda_graphs_show_one_view(small, options):
    assert replays(options)
    with pytest.raises(ConfigError, match="overwrite the features of one view") as caught:
        small(compile=options, fusion={"type": "Flip"})
    assert caught.value.at == "model.compile"


def test_without_cuda_graphs_all_views_may_be_shown(small):
    options = {"mode": "max-autotune-no-cudagraphs"}
    assert not replays(options)
    small(compile=options, fusion={"type": "Flip"})
    small(compile={"mode": "reduce-overhead"})
